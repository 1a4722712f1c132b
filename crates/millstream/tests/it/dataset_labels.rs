//! Labels from files, and labels that cannot be joined.

use std::{path::Path, sync::Arc};

use arrow::array::{
    ArrayRef, Date32Array, Int32Array, Int64Array, RecordBatch, StringArray, TimestampNanosecondArray,
};
use serde_json::json;

use crate::{
    dataset::build,
    features_rows::{column, columns_json, read_parquet, texts, write_parquet},
    features_small::{desk, write_labels},
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

#[test]
fn a_file_with_other_rows_is_another_version() {
    let folder = desk("");
    write(&folder, FILE);
    let label = |hour: u32| format!("customer_id,at\n9007199254740992,2026-01-02T0{hour}:00:00Z\n");
    let mut versions = Vec::new();
    for hour in [1, 1, 2, 1] {
        folder.write("labels.csv", &label(hour));
        let built = build(&folder, &["desk"]);
        versions.push((built["version"].clone(), built["unchanged"].clone()));
    }
    let expected = [(1, false), (1, true), (2, false), (3, false)];
    assert_eq!(versions, expected.map(|(version, unchanged)| (json!(version), json!(unchanged))));
}

#[test]
fn a_version_whose_file_a_later_build_replaced_is_not_compared() {
    let folder = desk("ann 2026-01-02T10:00:00Z 1 true\n");
    folder.write(
        "datasets/desk.yaml",
        "labels: {from: bronze.labels, entity: customer, time: at}\nfeatures: plain\noutput: desk.parquet\n",
    );
    build(&folder, &["desk"]);
    write_labels(&folder, "2", "eve 2026-01-03T00:00:00Z 3 false\n");
    folder.stdout(&["run"]);
    assert_eq!(build(&folder, &["desk"])["version"], 2);
    let said = folder.run(&["dataset", "diff", "desk@1", "desk@2"]);
    assert!(said.contains("desk.parquet") && said.contains("its manifest tells of"), "{said}");
}

#[test]
fn labels_of_a_query_whose_parts_meet_come_in_one_order() {
    let folder = desk("ann 2026-01-02T10:00:00Z 1 true\nbob 2026-01-02T11:00:00Z 1 true\n");
    let both =
        "SELECT customer_id, at FROM bronze.orders UNION ALL SELECT customer_id, at FROM bronze.labels";
    folder.write(
        "datasets/desk.yaml",
        &format!(
            "labels:\n  sql: >-\n    SELECT u.customer_id, u.at FROM ({both}) AS u JOIN\n    (SELECT DISTINCT customer_id \
             FROM bronze.labels) AS l ON l.customer_id = u.customer_id\n  entity: customer\n  time: at\nfeatures: plain\n"
        ),
    );
    let first = build(&folder, &["desk"]);
    assert_eq!(first["manifest"]["data"]["rows"], 7, "{first}");
    for _ in 0..4 {
        assert_eq!(build(&folder, &["desk"])["manifest"]["data"], first["manifest"]["data"]);
    }
}

#[test]
fn a_file_that_no_build_of_the_dataset_wrote_is_left_alone() {
    let folder = desk("ann 2026-01-02T10:00:00Z 1 true\n");
    let labels = "{from: bronze.labels, entity: customer, time: at}";
    write(&folder, labels);
    folder
        .write("datasets/other.yaml", &format!("labels: {labels}\nfeatures: plain\noutput: desk.parquet\n"));
    let before = b"somebody's".to_vec();
    let theirs = folder.path().join("theirs.parquet");
    std::fs::write(&theirs, &before).unwrap();
    let output = |path: &str| folder.run(&["dataset", "build", "desk", "--output", path]);
    let refused = output(theirs.to_str().unwrap());
    assert!(refused.contains("exit: 2") && refused.contains("no build of `desk` wrote it"), "{refused}");
    assert_eq!(std::fs::read(&theirs).unwrap(), before);
    let own = folder.path().join("desk.parquet");
    for _ in 0..2 {
        assert!(output(own.to_str().unwrap()).contains("exit: 0"));
    }
    std::fs::remove_file(folder.path().join("desk.parquet.manifest.json")).unwrap();
    assert!(output(own.to_str().unwrap()).contains("exit: 0"), "a build that ended before its manifest");
    let other = folder.run(&["dataset", "build", "other"]);
    assert!(other.contains("no build of `other` wrote it"), "{other}");
}

#[test]
fn an_array_of_labels_is_told_from_lines_of_them() {
    let folder = desk("");
    folder.write("labels.jsonl", " [{\"customer_id\": 1, \"at\": \"2026-01-02T01:00:00Z\"}]");
    write(&folder, &FILE.replace("csv", "jsonl"));
    let said = folder.run(&["dataset", "build", "desk"]);
    assert!(said.contains("it is one JSON array, not JSON lines"), "{said}");
}

#[test]
fn a_column_that_is_there_twice_is_refused() {
    let folder = desk("");
    folder.write("labels.csv", "customer_id,at,churned,churned\n1,2026-01-02T01:00:00Z,true,false\n");
    write(&folder, FILE);
    let said = folder.run(&["dataset", "build", "desk"]);
    assert!(said.contains("names the column `churned` twice"), "{said}");
    // Spreadsheets write such empty columns for rows that were longer once.
    folder.write("labels.csv", "customer_id,at,,\n1,2026-01-02T01:00:00Z,,\n");
    write(&folder, &FILE.replace('}', ", columns: []}"));
    assert!(folder.run(&["dataset", "build", "desk"]).contains("exit: 0"));
}

/// What the connector reads of a source and what it reads of labels is the same.
#[test]
fn a_file_of_labels_is_read_as_a_source_is() {
    let folder = desk("");
    folder.write("labels.csv", "customer_id,at,note\r9007199254740993,2026-01-02T01:00:00Z,\"a\rb\"\r");
    write(&folder, FILE);
    let built = build(&folder, &["desk"]);
    let rows = read_parquet(Path::new(built["path"].as_str().unwrap()));
    assert_eq!(columns_json(&rows, &["note"])["note"], json!(["a\rb"]));
    for (rows, reason) in [
        ("1,2026-01-02T01:00:00Z\n", "row 2: it has 2 fields where 3 are expected"),
        (
            "1,2026-01-02T01:00:00Z,a\n1.5,2026-01-02T01:00:00Z,b\n",
            "row 3: `customer_id` is `1.5`, not an int64",
        ),
        (
            "1,2026-01-02T01:00:00.000000001Z,a\n",
            "row 2: `at` is `2026-01-02T01:00:00.000000001Z`, not a timestamp",
        ),
    ] {
        folder.write("labels.csv", &format!("customer_id,at,note\n{rows}"));
        let said = folder.run(&["dataset", "build", "desk"]);
        assert!(said.contains("the labels in `labels.csv`") && said.contains(reason), "{said}");
    }
}

#[test]
fn a_label_that_would_lose_digits_is_refused() {
    let folder = desk("");
    write(&folder, &FILE.replace("csv", "parquet"));
    for (nanos, refused) in [(1_767_312_000_000_001_000, false), (1_767_312_000_000_000_001, true)] {
        let keys: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        let times: ArrayRef = Arc::new(TimestampNanosecondArray::from(vec![nanos]));
        let rows = RecordBatch::try_from_iter([("customer_id", keys), ("at", times)]).unwrap();
        write_parquet(&folder.path().join("labels.parquet"), &rows);
        let said = folder.run(&["dataset", "build", "desk"]);
        assert_eq!(
            said.contains("row 1: `at` is 2026-01-02T00:00:00.000000001, not a timestamp"),
            refused,
            "{said}"
        );
    }
}
