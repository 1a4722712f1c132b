//! A dataset as a Delta table: each version is one of the table, and other programs read it.

use std::{fs, path::Path};

use serde_json::{Value, json};

use crate::{
    dataset::build,
    features_rows::read_parquet,
    features_small::{FEATURES, desk, write_labels},
    harness::{Folder, given},
    readers,
};

const DATASET: &str = "\
labels: {from: bronze.labels, entity: customer, time: at, columns: [customer_id, at, cart, churned]}
features: desk
output: {path: exports/desk, format: delta}
";

/// The desk, with a list among its features and its dataset as a Delta table.
fn delta_desk() -> Folder {
    let folder = desk("ann 2026-01-02T10:00:00Z 1 true\nbob - 2 -\n");
    let list = "    features:\n      recent: {last_k: {column: status, k: 2}}\n";
    folder.write("features/customer.yaml", &FEATURES.replace("    features:\n", list));
    folder.write("datasets/desk.yaml", DATASET);
    folder
}

fn delta(built: &Value) -> (i64, &Path) {
    let delta = &built["delta"];
    (
        delta["version"].as_i64().unwrap_or_else(|| panic!("{built}")),
        Path::new(delta["folder"].as_str().unwrap()),
    )
}

/// A case for the readers: one version of the table, with the rows that its data file has.
fn case(folder: &Folder, built: &Value) -> Value {
    let (version, table) = delta(built);
    let rows = read_parquet(Path::new(built["path"].as_str().unwrap()));
    let path = folder.path().join(format!("{version}.arrow"));
    let file = fs::File::create(&path).unwrap();
    let mut writer = arrow::ipc::writer::FileWriter::try_new(file, &rows.schema()).unwrap();
    writer.write(&rows).unwrap();
    writer.finish().unwrap();
    json!({"table": "desk", "path": table, "rows": path, "version": version, "bounds": true})
}

#[test]
fn each_version_of_a_dataset_is_a_version_of_its_delta_table() {
    let folder = delta_desk();
    let first = build(&folder, &["desk"]);
    assert_eq!((delta(&first).0, &first["unchanged"]), (0, &json!(false)), "{first}");
    assert_eq!(delta(&first).1, folder.path().join("exports/desk"));
    let again = build(&folder, &["desk"]);
    assert_eq!((delta(&again).0, &again["unchanged"], &again["version"]), (0, &json!(true), &json!(1)));
    write_labels(&folder, "2", "eve 2026-01-03T00:00:00Z 3 false\n");
    folder.stdout(&["run"]);
    let second = build(&folder, &["desk"]);
    assert_eq!((delta(&second).0, &second["version"]), (1, &json!(2)));
    folder.write("datasets/desk.yaml", &DATASET.replace("features: desk", "features: plain"));
    assert_eq!(delta(&build(&folder, &["desk"])).0, 2);
    folder.write("datasets/desk.yaml", DATASET);
    let returned = build(&folder, &["desk"]);
    assert_eq!(
        (delta(&returned).0, &returned["version"], &returned["path"]),
        (3, &json!(4), &second["path"])
    );
    let difference = folder.json(&["dataset", "diff", "desk@1", "desk@2", "--json"]);
    assert!(difference.to_string().contains("bronze.labels"), "{difference}");
    let suite = "DuckDB and deltalake read a dataset";
    if let Some(python) = given("MILLSTREAM_TEST_PYTHON", suite, "no Python with duckdb and deltalake") {
        readers::compare(&python, &[case(&folder, &first), case(&folder, &second)]);
    }
}

#[test]
fn a_build_that_ended_before_its_commit_is_taken_up_by_the_next() {
    let folder = delta_desk();
    let built = build(&folder, &["desk"]);
    fs::remove_dir_all(delta(&built).1.join("_delta_log")).unwrap();
    let again = build(&folder, &["desk"]);
    assert_eq!(delta(&again).0, 0);
    assert!(delta(&again).1.join("_delta_log/00000000000000000000.json").is_file());
}

#[test]
fn a_folder_that_is_a_table_of_others_is_left_alone() {
    let folder = delta_desk();
    folder.write("datasets/desk.yaml", &DATASET.replace("exports/desk", ".millstream/lake/bronze/labels"));
    let said = folder.run(&["dataset", "build", "desk"]);
    assert!(said.contains("exit: 2"), "{said}");
    assert!(
        said.contains("bronze/labels` cannot be the dataset's Delta table")
            && said.contains("another folder"),
        "{said}"
    );
    let files = fs::read_dir(folder.path().join(".millstream/lake/bronze/labels")).unwrap();
    assert!(!files.into_iter().any(|file| file.unwrap().path().to_string_lossy().contains("manifest")));
}
