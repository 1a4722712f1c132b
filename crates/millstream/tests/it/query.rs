//! `query`: formats, time travel, wrong statements.

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
};

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
fn a_file_gets_the_format_of_its_ending() {
    let folder = built();
    assert_said!(folder.run(&["query", ALL, "--output", "out.csv"]));
    assert!(!folder.path().join("out.csv.unfinished").exists());
    let rows = |file: &Path| -> usize {
        let text = || fs::read_to_string(file).unwrap();
        let open = || fs::File::open(file).unwrap();
        match file.extension().and_then(|ending| ending.to_str()).unwrap() {
            "csv" | "CSV" => text().strip_prefix("id,amount,day\n").unwrap().lines().count(),
            "json" => serde_json::from_str::<Vec<serde_json::Value>>(&text()).unwrap().len(),
            "txt" => text().lines().count() - 3,
            "parquet" => parquet_rows(open()),
            "arrow" | "ipc" => {
                let reader = arrow::ipc::reader::FileReader::try_new(open(), None).unwrap();
                reader.map(|batch| batch.unwrap().num_rows()).sum()
            }
            "arrows" => {
                let reader = arrow::ipc::reader::StreamReader::try_new(open(), None).unwrap();
                reader.map(|batch| batch.unwrap().num_rows()).sum()
            }
            other => panic!("no reader for {other}"),
        }
    };
    for name in
        ["a.csv", "a.CSV", "a.json", "a.txt", "a.parquet", "a.arrow", "a.ipc", "a.arrows", "a.b.parquet"]
    {
        folder.stdout(&["query", ALL, "--output", name]);
        assert_eq!(rows(&folder.path().join(name)), 2, "{name}");
        folder.stdout(&["query", &format!("{ALL} limit 0"), "--output", name]);
        assert_eq!(rows(&folder.path().join(name)), 0, "{name} without rows");
    }
    folder.stdout(&["query", ALL, "--output", "b.csv", "--format", "parquet"]);
    assert_eq!(parquet_rows(fs::File::open(folder.path().join("b.csv")).unwrap()), 2, "the flag wins");
    let said = folder.json(&["query", ALL, "--output", "c.parquet", "--json"]);
    assert_eq!(said, serde_json::json!({"output": "c.parquet", "rows": 2}));
}

fn parquet_rows(file: impl parquet::file::reader::ChunkReader + 'static) -> usize {
    let reader = parquet::arrow::arrow_reader::ParquetRecordBatchReader::try_new(file, 1024).unwrap();
    assert_eq!(arrow::array::RecordBatchReader::schema(&reader).fields().len(), 3);
    reader.map(|batch| batch.unwrap().num_rows()).sum()
}

#[test]
fn an_ending_that_tells_no_format_is_refused() {
    let folder = built();
    assert_said!(folder.run(&["query", ALL, "--output", "out.xlsx"]));
    assert!(folder.run(&["query", ALL, "--output", "out"]).starts_with("exit: 2"));
    assert!(!folder.path().join("out.xlsx").exists() && !folder.path().join("out").exists());
    folder.stdout(&["query", ALL, "--output", "out", "--format", "csv"]);
}

#[test]
fn parquet_flows_into_a_pipe() {
    let output = built().output(&["query", ALL, "--format", "parquet"]);
    assert_eq!(parquet_rows(bytes::Bytes::from(output.stdout)), 2);
}

#[test]
fn a_column_without_a_name_gets_its_text() {
    let sql = "select count(id), sum(amount) + 1 from bronze.orders version as of 0";
    assert_said!(built().run(&["query", sql]));
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
