//! `query`: formats, time travel, wrong statements.

use std::process::{Command, Stdio};

use crate::harness::{Folder, SMALL, assert_said};

fn built() -> Folder {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    folder
}

const ALL: &str = "select id, amount, day from bronze.orders order by id";

#[test]
fn rows_as_aligned_columns() {
    assert_said!(built().run(&["query", ALL]));
}

#[test]
fn rows_as_csv() {
    assert_said!(built().run(&["query", ALL, "--format", "csv"]));
}

#[test]
fn rows_as_json() {
    let folder = built();
    assert_said!(folder.run(&["query", ALL, "--format", "json"]));
    assert_eq!(folder.json(&["query", "select 1 as one where false", "--json"]), serde_json::json!([]));
}

#[test]
fn rows_as_arrow() {
    let output = built().output(&["query", ALL, "--format", "arrow"]);
    let reader = arrow::ipc::reader::StreamReader::try_new(output.stdout.as_slice(), None).unwrap();
    assert_eq!(reader.schema().fields().len(), 3);
    assert_eq!(reader.map(|batch| batch.unwrap().num_rows()).sum::<usize>(), 2);
}

#[test]
fn a_file_gets_the_format_of_its_name() {
    let folder = built();
    assert_said!(folder.run(&["query", ALL, "--output", "out.csv"]));
    let text = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert_eq!(text.lines().next(), Some("id,amount,day"));
    assert!(!folder.path().join("out.csv.unfinished").exists());
}

#[test]
fn a_failed_query_leaves_no_file() {
    let folder = built();
    folder.run(&["query", "select cast('x' as int) from bronze.orders", "--output", "out.csv"]);
    assert!(!folder.path().join("out.csv").exists() && !folder.path().join("out.csv.unfinished").exists());
}

#[test]
fn no_more_rows_than_the_limit() {
    let rows = built().json(&["query", ALL, "--limit", "1", "--json"]);
    assert_eq!(rows.as_array().unwrap().len(), 1);
}

#[test]
fn old_versions_stay_readable() {
    let folder = built();
    folder.write("data/b.csv", "id,amount,day\n4,5.00,2026-01-02\n");
    folder.stdout(&["run"]);
    let count = |sql: &str| folder.json(&["query", sql, "--json"])[0]["n"].clone();
    assert_eq!(count("select count(*) as n from bronze.orders"), 3);
    assert_eq!(count("select count(*) as n from bronze.orders version as of 0"), 2);
}

#[test]
fn a_wrong_statement_is_underlined() {
    assert_said!(built().run(&["query", "select idd from bronze.orders"]));
}

#[test]
fn an_unknown_table_suggests_the_nearest() {
    assert_said!(built().run(&["query", "select * from bronze.order"]));
}

#[test]
fn a_table_that_was_never_built() {
    assert_said!(Folder::with(SMALL).run(&["query", "select * from gold.totals"]));
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = built();
    let sql = "select a.id from bronze.orders a, generate_series(1, 1000000)";
    let mut child = Command::new(env!("CARGO_BIN_EXE_millstream"))
        .args(["query", sql, "--format", "csv"])
        .current_dir(folder.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert!(output.status.success());
}
