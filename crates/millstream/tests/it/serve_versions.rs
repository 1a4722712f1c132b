//! Versions of services: a changed definition is another version, and the old one is served until it is removed.

use serde_json::{Value, json};

use crate::{
    features_small::{ANN, FEATURES, desk},
    harness::{Folder, assert_said},
    serve_process::{Answer, Server},
};

const AT: &str = "2026-01-02T13:00:00Z";

fn read(server: &Server, service: &str) -> Answer {
    let body = json!({"service": service, "entities": {"customer_id": [ANN]}, "at": AT});
    server.post("/v1/features/read", &body)
}

fn counted(server: &Server, service: &str) -> (Value, Value) {
    let answer = read(server, service).good();
    (answer["version"].clone(), answer["columns"]["orders.orders_1d"]["values"][0].clone())
}

/// The window of `orders_1d` is a day of 24 hours, or of 12.
fn halved() -> String {
    FEATURES.replace("orders_1d:  {count: \"*\", window: 1d}", "orders_1d:  {count: \"*\", window: 13h}")
}

fn versions(folder: &Folder, service: &str) -> Value {
    let list = folder.json(&["features", "list", "--json"]);
    let services = list["services"].as_array().unwrap().clone();
    services.into_iter().find(|known| known["name"] == service).unwrap()["versions"].clone()
}

#[test]
fn an_old_version_is_served_with_its_own_values_until_it_is_removed() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    assert_eq!(counted(&server, "plain"), (json!(1), json!(2)));
    server.stop();

    // A changed description and changed spaces make no new version.
    folder.write(
        "features/customer.yaml",
        &FEATURES.replace("from: bronze.orders", "description: Said better\n    from:   bronze.orders"),
    );
    folder.stdout(&["run", "service:*"]);
    assert_eq!(versions(&folder, "plain"), json!([1]));

    folder.write("features/customer.yaml", &halved());
    // Who looks, or brings views up to date, records no version.
    folder.stdout(&["features", "show", "plain"]);
    folder.stdout(&["features", "materialize"]);
    assert_eq!(versions(&folder, "plain"), json!([1]));
    assert!(folder.stdout(&["features", "list"]).contains("new"));
    // Both definitions take in further rows of the table.
    folder.write(
        "data/orders/2.csv",
        "order_id,customer_id,amount,status,category,at\n6,9007199254740992,1.00,paid,late,2026-01-01T14:00:00Z\n",
    );
    folder.stdout(&["run"]);
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    assert_eq!(counted(&server, "plain"), (json!(2), json!(2)));
    assert_eq!(counted(&server, "plain@2"), (json!(2), json!(2)));
    assert_eq!(counted(&server, "plain@1"), (json!(1), json!(3)));
    // A push reaches both definitions.
    let row = crate::features_small::order("orders", ANN, "2026-01-01T15:00:00Z", "1.00", "paid");
    server.push("orders", &row, "online_and_offline").good();
    assert_eq!((counted(&server, "plain@1").1, counted(&server, "plain").1), (json!(4), json!(2)));
    let services = server.get("/v1/features/services").good();
    let plain =
        services["services"].as_array().unwrap().iter().find(|one| one["name"] == "plain").unwrap().clone();
    assert_eq!((&plain["version"], &plain["versions"]), (&json!(2), &json!([1, 2])));
    server.stop();

    let mut said = String::new();
    for service in ["plain@2", "plain", "plain@7", "plane", "plain@1", "desk@1", "plain@1"] {
        said.push_str(&format!("===== remove {service}\n{}\n", folder.run(&["features", "remove", service])));
    }
    assert_said!(said);
    assert_eq!(versions(&folder, "plain"), json!([2]));
    let server = Server::start(&folder);
    assert_eq!(read(&server, "plain@1").refusal().0, 404);
    assert_eq!(counted(&server, "plain"), (json!(2), json!(2)));
    server.stop();

    // A definition that comes back gets the version that it had.
    folder.write("features/customer.yaml", FEATURES);
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    assert_eq!(versions(&folder, "plain"), json!([1, 2]));
    assert_eq!(counted(&server, "plain"), (json!(1), json!(4)));
    server.stop();
}

#[test]
fn a_service_that_is_gone_from_the_files_is_served_until_it_is_removed() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    let without = FEATURES.replace("  plain: [orders.*, latest.*]\n", "");
    folder.write("features/customer.yaml", &without);
    let server = Server::start(&folder);
    assert_eq!(counted(&server, "plain"), (json!(1), json!(2)));
    server.stop();
    folder.stdout(&["features", "remove", "plain"]);
    let server = Server::start(&folder);
    assert_eq!(read(&server, "plain").refusal().0, 404);
    server.stop();
}
