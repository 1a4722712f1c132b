//! Sides of a dataset, and what looks like a leak.

use std::{collections::BTreeMap, path::Path};

use arrow::array::RecordBatch;
use serde_json::Value;

use crate::{
    dataset::build,
    features_rows::{column, read_parquet, texts},
    features_small::desk,
    harness::Folder,
};

/// A hundred labels of the three customers, an hour apart.
fn project(split: &str) -> Folder {
    let mut labels = String::new();
    for number in 0..100 {
        let name = ["ann", "bob", "eve"][number % 3];
        let (day, hour) = (2 + number / 24, number % 24);
        labels.push_str(&format!("{name} 2026-01-{day:02}T{hour:02}:00:00Z {number} {}\n", number % 2 == 0));
    }
    let folder = desk(&labels);
    write(&folder, split);
    folder
}

fn write(folder: &Folder, split: &str) {
    folder.write(
        "datasets/desk.yaml",
        &format!("labels: {{from: bronze.labels, entity: customer, time: at}}\nfeatures: desk\n{split}\n"),
    );
}

fn rows(built: &Value) -> RecordBatch {
    read_parquet(Path::new(built["path"].as_str().unwrap()))
}

fn sides(rows: &RecordBatch) -> Vec<String> {
    texts(&column(rows, "split")).into_iter().map(|side| side.unwrap_or_else(|| "none".to_owned())).collect()
}

fn count(sides: &[String]) -> BTreeMap<&str, usize> {
    let mut counts = BTreeMap::new();
    for side in sides {
        *counts.entry(side.as_str()).or_default() += 1;
    }
    counts
}

#[test]
fn a_split_by_time_trains_on_the_past_and_leaves_a_gap() {
    let folder = project("split: {by: time, train: 70%, validation: 20%, test: 10%}");
    let plain = rows(&build(&folder, &["desk"]));
    assert_eq!(count(&sides(&plain)), BTreeMap::from([("train", 70), ("validation", 20), ("test", 10)]));
    write(&folder, "split: {by: time, train: 70%, validation: 20%, test: 10%}\nembargo: 3h");
    let built = build(&folder, &["desk"]);
    let sides = sides(&rows(&built));
    assert_eq!(count(&sides), BTreeMap::from([("train", 67), ("none", 6), ("validation", 17), ("test", 10)]));
    assert_eq!(built["manifest"]["sides"]["embargoed"], 6);
    let order = ["train", "none", "validation", "none", "test"];
    let mut seen = sides;
    seen.dedup();
    assert_eq!(seen, order);
}

#[test]
fn a_split_by_hash_keeps_a_customer_on_one_side_of_every_version() {
    let folder = project("split: {by: hash, train: 50%, test: 50%, seed: 3, entity: customer}");
    let built = build(&folder, &["desk"]);
    let before = by_customer(&rows(&built));
    assert!(before.values().all(|sides| sides.len() == 1), "{before:?}");
    assert!(!leaks(&built).contains_key("shared_entities"), "{built}");
    crate::features_small::write_labels(
        &folder,
        "2",
        "ann 2026-02-01T00:00:00Z 1 true\nbob 2026-02-01T00:00:00Z 1 true\n",
    );
    folder.stdout(&["run"]);
    assert_eq!(by_customer(&rows(&build(&folder, &["desk"]))), before);
}

fn by_customer(rows: &RecordBatch) -> BTreeMap<Option<String>, Vec<String>> {
    let mut by_customer: BTreeMap<_, Vec<String>> = BTreeMap::new();
    for (customer, side) in texts(&column(rows, "customer_id")).into_iter().zip(sides(rows)) {
        let sides = by_customer.entry(customer).or_default();
        if !sides.contains(&side) {
            sides.push(side);
        }
    }
    by_customer
}

#[test]
fn a_random_split_is_the_seed_s_and_shared_customers_are_told() {
    let folder = project("split: {by: random, train: 60%, validation: 20%, test: 20%, seed: 1}");
    let first = build(&folder, &["desk"]);
    write(&folder, "split: {by: random, train: 60%, validation: 20%, test: 20%, seed: 2}");
    let second = build(&folder, &["desk"]);
    assert_ne!(sides(&rows(&first)), sides(&rows(&second)));
    write(&folder, "split: {by: random, train: 60%, validation: 20%, test: 20%, seed: 1}");
    let again = build(&folder, &["desk"]);
    assert_eq!(sides(&rows(&first)), sides(&rows(&again)));
    assert_eq!(leaks(&first)["shared_entities"], ["customer"]);
}

/// The names of the columns that may leak, by the kind of leak.
fn leaks(built: &Value) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for finding in built["manifest"]["leakage"].as_array().unwrap() {
        let kind = match &finding["leak"] {
            Value::String(kind) => kind.clone(),
            leak => leak.as_object().unwrap().keys().next().unwrap().clone(),
        };
        found.entry(kind).or_default().push(finding["name"].as_str().unwrap().to_owned());
    }
    found
}

#[test]
fn features_that_know_the_label_are_found() {
    let folder = project("");
    folder.write(
        "datasets/desk.yaml",
        "labels:\n  sql: \"SELECT l.customer_id, l.at, l.cart, count(o.order_id) AS copied FROM bronze.labels l \
         LEFT JOIN bronze.orders o ON o.customer_id = l.customer_id AND o.at < l.at GROUP BY l.customer_id, l.at, l.cart ORDER BY l.at\"\n  \
         entity: customer\n  time: at\nfeatures: desk\n",
    );
    let built = build(&folder, &["desk"]);
    let leaks = leaks(&built);
    assert!(leaks["equals_target"].contains(&"orders.orders".to_owned()), "{leaks:?}");
    assert!(leaks["same_instant"].iter().any(|name| name.starts_with("latest")), "{leaks:?}");
    let told = folder.stdout(&["dataset", "build", "desk", "--output", "x.parquet"]);
    assert!(told.contains("`orders.orders` equals `copied`"), "{told}");
}
