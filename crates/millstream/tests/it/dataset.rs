//! `millstream dataset`: every label row once and in its order, the same bytes for the same inputs, versions that stay.

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{Value, json};

use crate::{
    features_rows::{column, columns_json, read_parquet, texts},
    features_small::{FEATURES, desk, write_labels},
    harness::Folder,
};

/// Labels out of order, twice the same, without a key, without a time, before everything and in the future.
const ODD: &str = "\
eve 2026-01-02T10:00:00Z 1 true
ann 2026-01-02T10:00:00Z 2 true
ann 2026-01-02T10:00:00Z 2 true
- 2026-01-02T10:00:00Z 3 false
bob - 4 false
ann 2020-01-01T00:00:00Z 5 -
ann 2199-01-01T00:00:00Z 6 true
bob 2026-01-01T07:00:00Z - false
ann 2026-01-02T10:00:00Z 2 true
";

pub(crate) fn build(folder: &Folder, arguments: &[&str]) -> Value {
    let built = folder.json(&[&["dataset", "build"], arguments, &["--json"]].concat());
    assert!(built["path"].is_string(), "{built}");
    built
}

fn path(built: &Value) -> &Path {
    Path::new(built["path"].as_str().unwrap())
}

#[test]
fn every_label_row_comes_out_once_in_its_order_with_its_values() {
    let folder = desk(ODD);
    let built = build(&folder, &["desk"]);
    let rows = read_parquet(path(&built));
    let labels = columns_json(&rows, &["customer_id", "at", "cart", "churned"]);
    let landed =
        folder.json(&["query", "SELECT customer_id, at, cart, churned FROM bronze.labels", "--json"]);
    let landed = landed.as_array().unwrap();
    assert_eq!(rows.num_rows(), landed.len());
    assert_eq!(landed.len(), ODD.lines().count());
    for (row, landed) in landed.iter().enumerate() {
        for name in ["customer_id", "cart", "churned"] {
            assert_eq!(labels[name][row], landed[name], "{name} of row {row}");
        }
    }
    let orders = texts(&column(&rows, "orders.orders"));
    // The label without a key has no orders, like that of somebody unknown; the label of the future finds Ann's orders
    // expired.
    let expected =
        [Some("0"), Some("4"), Some("4"), Some("0"), Some("0"), Some("0"), None, Some("1"), Some("4")];
    let orders: Vec<Option<&str>> = orders.iter().map(Option::as_deref).collect();
    assert_eq!(orders, expected);
    let types: Vec<String> =
        rows.schema().fields().iter().map(|field| field.data_type().to_string()).collect();
    assert_eq!(types[0], "Int64", "a key with a null is no float");
    assert_eq!(column(&rows, "orders.orders").data_type().to_string(), "Int64");
    let warnings: Vec<&str> =
        built["warnings"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    for word in ["without a key", "without a time", "in the future"] {
        assert!(warnings.iter().any(|warning| warning.contains(word)), "`{word}` in {warnings:?}");
    }
}

#[test]
fn the_same_inputs_give_the_same_bytes_and_one_version() {
    let folder = desk(ODD);
    let first = build(&folder, &["desk"]);
    let again = build(&folder, &["desk"]);
    assert_eq!((&first["version"], &first["unchanged"]), (&json!(1), &json!(false)));
    assert_eq!((&again["version"], &again["unchanged"]), (&json!(1), &json!(true)));
    assert_eq!(first["path"], again["path"]);
    let elsewhere = build(&folder, &["desk", "--output", "out/desk.parquet"]);
    for (own, other) in [(path(&first), path(&elsewhere)), (manifest(&first), manifest(&elsewhere))] {
        assert!(fs::read(own).unwrap() == fs::read(other).unwrap(), "{} {}", own.display(), other.display());
    }
    // A second project that landed the same files builds the same bytes.
    let twin = desk(ODD);
    let twin = build(&twin, &["desk"]);
    assert!(fs::read(path(&first)).unwrap() == fs::read(path(&twin)).unwrap());
}

fn manifest(built: &Value) -> &Path {
    Path::new(built["manifest_path"].as_str().unwrap())
}

#[test]
fn a_build_that_spills_gives_the_same_bytes_as_one_that_does_not() {
    let folder = Folder::empty();
    folder.stdout(&["demo", "--once", "--rows", "120000", "--path", "."]);
    let large = build(&folder, &["churn", "--output", "large.parquet", "--memory", "2048"]);
    let small = build(&folder, &["churn", "--output", "small.parquet", "--memory", "16"]);
    assert_eq!(large["spilled_bytes"], 0);
    assert!(small["spilled_bytes"].as_u64().unwrap() > 0, "16 MiB are enough for the demo");
    assert!(fs::read(path(&large)).unwrap() == fs::read(path(&small)).unwrap());
    let left: Vec<_> = fs::read_dir(folder.path().join(".millstream/spill")).unwrap().collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn versions_are_compared_and_listed() {
    let folder = desk("ann 2026-01-02T10:00:00Z 2 true\nbob 2026-01-02T10:00:00Z 3 false\n");
    assert!(folder.stdout(&["dataset", "list"]).contains("never built"));
    build(&folder, &["desk"]);
    write_labels(&folder, "2", "ann 2026-01-02T11:00:00Z 2 true\n");
    folder.write(
        "data/orders/2.csv",
        "order_id,customer_id,amount,status,category,at\n6,9007199254740993,1.00,paid,late,2026-01-01T18:00:00Z\n",
    );
    folder.write(
        "features/customer.yaml",
        &FEATURES
            .replace("      orders_1d:", "      orders_3d: {count: \"*\", window: 3d}\n      orders_1d:"),
    );
    folder.stdout(&["run"]);
    assert_eq!(build(&folder, &["desk"])["version"], 2);
    let diff = folder.json(&["dataset", "diff", "desk@1", "desk", "--json"]);
    assert_eq!(
        diff["rows"],
        json!({"before": 2, "after": 3, "matched": {"added": 1, "removed": 0, "changed": 1}})
    );
    assert_eq!(diff["columns"]["added"][0]["name"], "orders.orders_3d");
    let inputs: BTreeSet<&str> =
        diff["inputs"].as_array().unwrap().iter().filter_map(|input| input["table"].as_str()).collect();
    assert_eq!(inputs, BTreeSet::from(["bronze.labels", "bronze.orders"]));
    let same = folder.json(&["dataset", "diff", "desk@2", "desk@2", "--json"]);
    assert_eq!(same["rows"]["matched"], json!({"added": 0, "removed": 0, "changed": 0}));
    let list = folder.json(&["dataset", "list", "--json"]);
    let versions: Vec<&Value> =
        list["datasets"].as_array().unwrap().iter().map(|one| &one["version"]).collect();
    assert_eq!(versions, [&json!(1), &json!(2)]);
    assert!(folder.stdout(&["dataset", "diff", "desk@1", "desk@2"]).contains("orders.orders_3d"));
}

#[test]
fn a_dry_run_prices_a_build_and_writes_nothing() {
    let folder = desk(ODD);
    let estimate = folder.json(&["dataset", "build", "desk", "--dry-run", "--json"]);
    assert_eq!(estimate["rows"], ODD.lines().count());
    assert_eq!(estimate["will_spill"], false);
    let output = folder.path().join("new/desk.parquet");
    let priced = ["dataset", "build", "desk", "--dry-run", "--output", output.to_str().unwrap()];
    assert!(folder.stdout(&priced).contains("would have 9 rows"));
    assert!(!output.parent().unwrap().exists());
    assert_eq!(folder.json(&["dataset", "list", "--json"])["datasets"], json!([]));
}

#[test]
fn what_a_dataset_was_built_from_outlives_maintenance() {
    let folder = desk("ann 2026-01-02T10:00:00Z 2 true\n");
    folder
        .write("tables/silver/orders.sql", "/*---\nmaterialize: table\n---*/\nSELECT * FROM bronze.orders\n");
    folder.write("features/customer.yaml", &FEATURES.replace("from: bronze.orders", "from: silver.orders"));
    folder.stdout(&["run"]);
    let first = build(&folder, &["desk"]);
    let inputs = first["manifest"]["definition"]["inputs"].as_array().unwrap();
    let version = inputs.iter().find(|input| input["table"] == "silver.orders").unwrap()["version"].clone();
    for round in 2..5 {
        folder.write(
            &format!("data/orders/{round}.csv"),
            &format!("order_id,customer_id,amount,status,category,at\n{round}0,1,1.00,paid,x,2026-01-01T18:00:00Z\n"),
        );
        folder.stdout(&["run"]);
    }
    let maintained = folder.json(&["maintain", "silver.orders", "--retention", "1ms", "--json"]);
    let held = format!("kept from version {version} on, which is still needed");
    assert_eq!(maintained["tables"][0]["notes"], json!([held]));
    let pinned = format!("SELECT count(*) AS n FROM silver.orders VERSION AS OF {version}");
    assert_eq!(folder.json(&["query", &pinned, "--json"])[0]["n"], 5);
}

#[test]
fn labels_and_views_without_rows_and_features_without_values_are_told() {
    let folder = desk("ann 2026-01-02T10:00:00Z 2 true\n");
    folder.write(
        "datasets/none.yaml",
        "labels: {sql: \"SELECT customer_id, at, cart FROM bronze.labels WHERE false\", entity: customer, time: at}\nfeatures: desk\n",
    );
    let none = build(&folder, &["none"]);
    assert_eq!(none["manifest"]["data"]["rows"], 0);
    assert!(said(&none).contains("no label rows"), "{none}");
    assert_eq!(read_parquet(path(&none)).num_columns(), 13);

    folder.write(
        "tables/silver/nobody.sql",
        "/*---\nmaterialize: table\n---*/\nSELECT * FROM bronze.orders WHERE false\n",
    );
    folder.write("features/customer.yaml", &FEATURES.replace("from: bronze.orders", "from: silver.nobody"));
    folder.stdout(&["run"]);
    let empty = build(&folder, &["desk"]);
    let rows = read_parquet(path(&empty));
    assert_eq!(texts(&column(&rows, "orders.orders")), [Some("0".to_owned())]);
    assert_eq!(texts(&column(&rows, "orders.spend")), [Some("0.00".to_owned())]);
    for word in ["`orders` has no event", "`orders.average_1d` is null in every row"] {
        assert!(said(&empty).contains(word), "`{word}` in {}", said(&empty));
    }
}

pub(crate) fn said(built: &Value) -> String {
    let warnings = built["warnings"].as_array().unwrap();
    warnings.iter().filter_map(Value::as_str).collect::<Vec<_>>().join("\n")
}
