//! Labels from files, and labels that cannot be joined.

use std::{path::Path, sync::Arc};

use arrow::array::{ArrayRef, Date32Array, Int32Array, RecordBatch, StringArray};
use serde_json::json;

use crate::{
    dataset::build,
    features_rows::{column, columns_json, read_parquet, texts, write_parquet},
    features_small::desk,
    harness::{Folder, assert_said},
};

fn write(folder: &Folder, labels: &str) {
    folder.write("datasets/desk.yaml", &format!("labels: {labels}\nfeatures: plain\n"));
}

const FILE: &str = "{file: labels.csv, entity: customer, time: at}";

#[test]
fn labels_come_from_files_of_every_kind() {
    let folder = desk("");
    folder.write(
        "labels.csv",
        "customer_id,at,note\n9007199254740993,2026-01-02T01:00:00Z,a\n,2026-01-02T01:00:00Z,\n9007199254740992,2026-01-02T00:00:00Z,\"b,c\"\n",
    );
    folder.write(
        "labels.jsonl",
        "{\"customer_id\": 9007199254740993, \"at\": \"2026-01-02T01:00:00Z\", \"note\": \"a\"}\n\
         {\"at\": \"2026-01-02T01:00:00Z\"}\n\
         {\"customer_id\": 9007199254740992, \"at\": \"2026-01-02T00:00:00Z\", \"note\": \"b,c\"}\n",
    );
    write(&folder, FILE);
    let csv = build(&folder, &["desk"]);
    let csv = read_parquet(Path::new(csv["path"].as_str().unwrap()));
    write_parquet(&folder.path().join("labels.parquet"), &csv.project(&[0, 1, 2]).unwrap());
    let names: Vec<String> = csv.schema().fields().iter().map(|field| field.name().clone()).collect();
    for ending in ["jsonl", "parquet"] {
        write(&folder, &FILE.replace("csv", ending));
        let built = build(&folder, &["desk"]);
        let rows = read_parquet(Path::new(built["path"].as_str().unwrap()));
        for name in &names {
            assert_eq!(texts(&column(&rows, name)), texts(&column(&csv, name)), "{name} of {ending}");
        }
    }
    let found = columns_json(&csv, &["customer_id", "note", "orders.orders", "latest.orders"]);
    assert_eq!(found["customer_id"], json!([9_007_199_254_740_993_i64, null, 9_007_199_254_740_992_i64]));
    assert_eq!(found["note"][2], "b,c");
    assert_eq!(found["orders.orders"], json!([1, 0, 2]));
    assert_eq!(found["latest.orders"], json!([1, 0, 4]));
}

#[test]
fn a_key_has_another_name_and_a_narrower_type_and_a_time_is_a_day() {
    let folder = desk("");
    folder.write(
        "data/orders/2.csv",
        "order_id,customer_id,amount,status,category,at\n6,7,1.00,paid,x,2026-01-01T18:00:00Z\n",
    );
    folder.stdout(&["run"]);
    let buyers: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), Some(-1), None]));
    let days: ArrayRef = Arc::new(Date32Array::from(vec![20_455, 20_455, 20_455]));
    let rows =
        RecordBatch::try_from_iter_with_nullable([("buyer", buyers, true), ("at", days, true)]).unwrap();
    write_parquet(&folder.path().join("labels.parquet"), &rows);
    write(&folder, "{file: labels.parquet, entity: customer, keys: {customer_id: buyer}, time: at}");
    let built = build(&folder, &["desk"]);
    let rows = read_parquet(Path::new(built["path"].as_str().unwrap()));
    let types: Vec<String> =
        rows.schema().fields().iter().take(2).map(|field| field.data_type().to_string()).collect();
    assert_eq!(types, ["Int32", "Date32"]);
    assert_eq!(columns_json(&rows, &["orders.orders"])["orders.orders"], json!([1, 0, 0]));
}

#[test]
fn labels_that_cannot_be_joined_are_refused_with_their_place() {
    let folder = desk("");
    folder.write("labels.csv", "customer,when\n1,2026-01-02\n");
    let mut said = String::new();
    let mut show = |labels: &str| {
        write(&folder, labels);
        said.push_str(&format!("===== {labels}\n{}\n", folder.run(&["dataset", "build", "desk"])));
    };
    show(FILE);
    show("{file: nowhere.csv, entity: customer, time: at}");
    show("{file: labels.xlsx, entity: customer, time: at}");
    show("{from: bronze.labels, entity: customer, time: moment}");
    show("{from: bronze.labels, entity: customer, time: cart}");
    show(
        "{sql: \"SELECT cast(customer_id AS varchar) AS customer_id, at FROM bronze.labels\", entity: customer, time: at}",
    );
    show(
        "{sql: \"SELECT customer_id, at, at AS \\\"orders.spend\\\" FROM bronze.labels\", entity: customer, time: at}",
    );
    show("{from: bronze.labels, entity: buyer, time: at}");
    assert_said!(said);
}

#[test]
fn a_key_of_another_type_in_a_file_is_refused() {
    let folder = desk("");
    let keys: ArrayRef = Arc::new(StringArray::from(vec!["9007199254740992"]));
    let times: ArrayRef = Arc::new(StringArray::from(vec!["2026-01-02T00:00:00Z"]));
    let rows = RecordBatch::try_from_iter([("customer_id", keys), ("at", times)]).unwrap();
    write_parquet(&folder.path().join("labels.parquet"), &rows);
    write(&folder, &FILE.replace("csv", "parquet"));
    assert_said!(folder.run(&["dataset", "build", "desk"]));
}
