//! `millstream features verify`: what was served against the lake, and the causes of differences by name.

use serde_json::{Value, json};

use crate::{
    features_small::{ANN, BOB, EVE, FEATURES, desk, order},
    harness::Folder,
    serve_process::Server,
};

const ALL: &[&str] = &["--sample", "100%"];

fn serve(folder: &Folder, at: &str) {
    let server = Server::start_with(folder, ALL);
    let body = json!({"service": "plain", "entities": {"customer_id": [ANN, BOB]}, "at": at});
    server.post("/v1/features/read", &body).good();
    server.stop();
}

/// Serves the desk's features, with the values that an on-demand feature is computed of.
fn serve_desk(folder: &Folder, at: &str) {
    let server = Server::start_with(folder, ALL);
    let (entities, request) = (json!({"customer_id": [ANN, BOB]}), json!({"cart": [15.0, null]}));
    let body = json!({"service": "desk", "entities": entities, "request": request, "at": at});
    server.post("/v1/features/read", &body).good();
    server.stop();
}

fn feature(report: &Value, name: &str) -> Value {
    let mut features = report["features"].as_array().unwrap().iter();
    features.find(|feature| feature["feature"] == name).unwrap_or_else(|| panic!("{report}")).clone()
}

fn verify(folder: &Folder) -> (Option<i32>, Value) {
    let output = folder.output(&["features", "verify", "--json"]);
    (output.status.code(), serde_json::from_slice(&output.stdout).unwrap())
}

fn causes(report: &Value) -> Vec<String> {
    let features = report["features"].as_array().unwrap();
    let mut causes: Vec<String> =
        features.iter().flat_map(|feature| feature["causes"].as_object().unwrap().keys().cloned()).collect();
    causes.sort();
    causes.dedup();
    causes
}

fn land(folder: &Folder, file: u32, at: &str) {
    folder.write(
        &format!("data/orders/{file}.csv"),
        &format!("order_id,customer_id,amount,status,category,at\n{file}0,{ANN},1.00,paid,late,{at}\n"),
    );
    folder.stdout(&["run", "--exclude", "view:*"]);
}

#[test]
fn what_was_served_equals_what_training_sees() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    assert!(folder.stdout(&["features", "verify"]).contains("Nothing was served"));
    serve(&folder, "2026-01-03T00:00:00Z");
    serve(&folder, "2026-02-01T00:00:00Z");
    let (code, report) = verify(&folder);
    assert_eq!(code, Some(0), "{report}");
    // There were two reads of two customers and nine features.
    assert_eq!((&report["values"], &report["equal"]), (&json!(36), &json!(36)), "{report}");
    assert!(folder.stdout(&["features", "verify"]).contains("36 of 36 values equal"));
}

#[test]
fn a_late_event_and_a_late_materialisation_are_told_apart() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    serve(&folder, "2026-01-03T00:00:00Z");
    land(&folder, 2, "2026-01-02T03:00:00Z");
    let (code, report) = verify(&folder);
    assert_eq!((code, causes(&report)), (Some(1), vec!["late_event".to_owned()]), "{report}");

    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    land(&folder, 2, "2026-01-02T03:00:00Z");
    serve(&folder, "2026-01-03T00:00:00Z");
    let (code, report) = verify(&folder);
    assert_eq!((code, causes(&report)), (Some(1), vec!["materialization_lag".to_owned()]), "{report}");
    folder.stdout(&["features", "verify", "--allow", "materialization_lag"]);
    let example = &report["features"].as_array().unwrap()[0]["examples"][0];
    assert_eq!((&example["served"], &example["computed"]), (&json!("4"), &json!("5")), "{report}");
}

#[test]
fn a_changed_definition_is_a_cause() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    serve(&folder, "2026-01-03T00:00:00Z");
    let changed =
        FEATURES.replace("orders_1d:  {count: \"*\", window: 1d}", "orders_1d:  {count: \"*\", window: 2d}");
    folder.write("features/customer.yaml", &changed);
    folder.stdout(&["features", "materialize"]);
    // The old version is served still, and equals itself.
    assert_eq!(verify(&folder).0, Some(0));
    for service in ["plain@1", "desk@1"] {
        folder.stdout(&["features", "remove", service]);
    }
    let (code, report) = verify(&folder);
    assert_eq!((code, causes(&report)), (Some(1), vec!["definition_changed".to_owned()]), "{report}");
}

#[test]
fn what_is_computed_on_demand_is_compared_too() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    serve_desk(&folder, "2026-01-02T10:00:00Z");
    let (code, report) = verify(&folder);
    let share = feature(&report, "cart_share");
    assert_eq!((code, &share["values"], &share["equal"]), (Some(0), &json!(2), &json!(2)), "{report}");
    // An order of that day lands afterwards: the mean was 35 and is 24.
    land(&folder, 2, "2026-01-02T03:00:00Z");
    let (_, report) = verify(&folder);
    let share = feature(&report, "cart_share");
    assert_eq!(share["causes"], json!({"late_event": 1}), "{report}");
    let example = &share["examples"][0];
    assert!(example["entity"].as_str().unwrap().contains("\"cart\":\"15.0\""), "{example}");
}

#[test]
fn an_inexact_read_of_the_past_is_called_that() {
    let folder = desk("");
    land(&folder, 2, "2026-01-02T00:30:00Z");
    folder.stdout(&["features", "materialize"]);
    // Two events came after this instant. The store answers with what it had before the newest of them.
    serve(&folder, "2026-01-01T13:00:00Z");
    let (_, report) = verify(&folder);
    assert_eq!(causes(&report), ["degraded"], "{report}");
}

#[test]
fn a_cause_that_there_is_not_cannot_be_allowed() {
    let folder = desk("");
    let said = folder.run(&["features", "verify", "--allow", "late_events"]);
    assert!(said.contains("exit: 2") && said.contains("a similar value exists: 'late_event'"), "{said}");
}

#[test]
fn what_is_computed_of_a_list_of_the_request_is_left_out() {
    let folder = desk("");
    let features = FEATURES
        .replace("  cart: float64\n", "  cart: float64\n  points: list<float64>\n")
        .replace("on_demand:\n", "on_demand:\n  first_point: \"points[1]\"\n")
        .replace("desk: [orders.*, latest.*, cart_share]", "desk: [orders.*, latest.*, first_point]");
    folder.write("features/customer.yaml", &features);
    folder.write(
        "datasets/desk.yaml",
        "labels: {from: bronze.labels, entity: customer, time: at}\nfeatures: plain\n",
    );
    folder.stdout(&["features", "materialize"]);
    let server = Server::start_with(&folder, ALL);
    let (entities, request) = (json!({"customer_id": [ANN, BOB]}), json!({"points": [[1.5, 2.0], []]}));
    let body =
        json!({"service": "desk", "entities": entities, "request": request, "at": "2026-01-03T00:00:00Z"});
    let read = server.post("/v1/features/read", &body).good();
    assert_eq!(read["columns"]["first_point"]["values"], json!([1.5, null]));
    server.stop();
    let (code, report) = verify(&folder);
    assert_eq!((code, &report["values"]), (Some(0), &json!(18)), "{report}");
}

#[test]
fn reads_by_a_list_of_features_are_sampled_too() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    let server = Server::start_with(&folder, ALL);
    let keys = json!({"customer_id": [ANN, BOB]});
    let body = json!({"features": ["orders.spend", "latest.orders"], "entities": keys});
    server.post("/v1/features/read", &body).good();
    let body = json!({"features": ["orders:category"], "entities": keys});
    server.post("/get-online-features", &body).good();
    server.stop();
    let (code, report) = verify(&folder);
    assert_eq!((code, &report["values"], &report["equal"]), (Some(0), &json!(6), &json!(6)), "{report}");
}

/// The lake had no pushed row at all when the value was served.
#[test]
fn the_first_pushed_row_is_a_late_event_as_others_are() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    let server = Server::start_with(&folder, ALL);
    let body = json!({"service": "plain", "entities": {"customer_id": [ANN]}, "at": "2026-01-03T00:00:00Z"});
    server.post("/v1/features/read", &body).good();
    let row = order("latest", ANN, "2026-01-01T03:00:00Z", "1.00", "paid");
    server.push("latest", &row, "online_and_offline").good();
    server.post("/v1/features/materialize", &json!({})).good();
    server.stop();
    let (code, report) = verify(&folder);
    assert_eq!((code, causes(&report)), (Some(1), vec!["late_event".to_owned()]), "{report}");
}

/// The read asks for an earlier time than the store knows exactly.
#[test]
fn a_degraded_value_that_equals_is_equal() {
    let folder = desk("");
    folder.stdout(&["features", "materialize"]);
    let server = Server::start_with(&folder, ALL);
    let body = json!({"features": ["latest.orders"], "entities": {"customer_id": [EVE]}, "at": "2026-01-01T00:00:00Z"});
    let read = server.post("/v1/features/read", &body).good();
    server.stop();
    let (code, report) = verify(&folder);
    assert_eq!(
        (code, &report["values"], &report["equal"]),
        (Some(0), &json!(1), &json!(1)),
        "{read} {report}"
    );
}
