//! `encode:` of a dataset: judged before anything is read, fitted by the build, and applied to what is served.

use std::path::Path;

use serde_json::{Value, json};

use crate::{
    dataset::build,
    features_rows::{columns_json, read_parquet},
    features_small::desk,
    harness::{Folder, assert_said},
    serve_process::Server,
};

const AT: &str = "2026-01-02T10:00:00Z";
const ENCODED: &str = "
  latest.status: one_hot
  orders.spend: [log, standardise]
  orders.average_1d: {clip: {low: 0, high: 25}}
  orders.orders: {bucketize: {edges: [1, 3]}}
  orders.category: {target: {column: churned}}
  cart_share: standardise
";

fn write(folder: &Folder, labels: &str, encode: &str) {
    folder.write("datasets/desk.yaml", &format!("labels: {labels}\nfeatures: desk\nencode:{encode}\n"));
}

fn labels() -> Folder {
    let lines = [("ann", 15, true), ("bob", 3, false), ("eve", 1, true), ("ann", 40, false)];
    desk(&lines.map(|(name, cart, churned)| format!("{name} {AT} {cart} {churned}\n")).concat())
}

#[test]
fn a_read_is_encoded_as_the_rows_that_a_model_was_trained_on() {
    let folder = labels();
    write(&folder, "{from: bronze.labels, entity: customer, time: at, columns: [cart, churned]}", ENCODED);
    let built = build(&folder, &["desk"]);
    let trained = read_parquet(Path::new(built["path"].as_str().unwrap()));
    let schema = trained.schema();
    let names: Vec<&str> = schema.fields().iter().skip(4).map(|field| field.name().as_str()).collect();
    assert!(names.contains(&"latest.status=paid") && names.contains(&"latest.status_other"), "{names:?}");
    folder.stdout(&["features", "materialize"]);
    let server = Server::start(&folder);
    let (keys, request) = (columns_json(&trained, &["customer_id"]), columns_json(&trained, &["cart"]));
    let ask = |encoding: Option<&str>| {
        let mut body = json!({"service": "desk", "entities": keys, "request": request, "at": AT});
        body["encoding"] = encoding.into();
        server.post("/v1/features/read", &body).good()["columns"].clone()
    };
    for encoding in ["desk", "desk@1"] {
        let served = ask(Some(encoding));
        assert_eq!(served.as_object().unwrap().len(), names.len());
        for name in &names {
            assert_eq!(served[*name]["values"], columns_json(&trained, &[*name])[*name], "{name}");
        }
    }
    let plain = ask(None);
    assert_eq!(plain["latest.status"]["values"], json!(["paid", "refunded", null, "paid"]));
    assert_eq!(plain["orders.average_1d"]["values"][0], json!(90.5 / 3.0));
    assert_eq!(ask(Some("desk"))["orders.average_1d"]["values"][0], json!(25.0));
}

#[test]
fn encodings_are_judged_before_anything_is_read() {
    let folder = labels();
    folder.write("labels.csv", "customer_id,at,cart,churned\n1,2026-01-02T10:00:00Z,2.5,true\n");
    let table = "{from: bronze.labels, entity: customer, time: at, columns: [cart, churned]}";
    let file = "{file: labels.csv, entity: customer, time: at}";
    let mut said = String::new();
    for (labels, encode) in [
        (table, " {orders.category: log}"),
        (table, " {orders.spent: log}"),
        (table, " {churned: standardise}"),
        (table, " {orders.category: {target: {column: churn}}}"),
        (table, " {orders.category: {target: {column: latest.status}}}"),
        (table, " {orders.category: [one_hot, log]}"),
        (table, " {orders.spend: logarithm}"),
        (file, " {orders.category: [ordinal, standardise], latest.status: clip}"),
        (file, " {latest.status: log}"),
    ] {
        write(&folder, labels, encode);
        said.push_str(&format!("===== encode:{encode}\n{}\n", folder.run(&["check"])));
    }
    // What a file holds is known once it is open, and still before its rows are read.
    write(&folder, file, " {orders.category: {target: {column: churn}}}");
    said.push_str(&format!("===== build\n{}\n", folder.run(&["dataset", "build", "desk"])));
    assert_said!(said);
    let list = folder.json(&["dataset", "list", "--json"]);
    assert_eq!(list["datasets"], Value::Array(Vec::new()));
}
