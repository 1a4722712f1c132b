//! What lands: every row once, whatever happens to the files in between.

use std::fs;

use serde_json::{Value, json};

use crate::harness::Folder;

const PROJECT: &[(&str, &str)] = &[
    ("millstream.yaml", "name: landing\n"),
    (
        "sources/orders.yaml",
        "connector: {type: files, path: data/*}\n\
         contract:\n\
        \x20 columns:\n\
        \x20   id: {type: int64, required: true, unique: true}\n\
        \x20   amount: {type: int64, range: [0, 1000]}\n",
    ),
    (
        "tables/silver/orders.sql",
        "/*---\nmaterialize: incremental\nkey: id\n---*/\nSELECT id, amount * 2 AS twice FROM bronze.orders\n",
    ),
];

fn csv(ids: impl Iterator<Item = u32>) -> String {
    ids.fold("id,amount\n".to_owned(), |text, id| text + &format!("{id},{}\n", id % 1010))
}

/// The rows that a query gives, each as its columns' numbers.
pub(crate) fn numbers(folder: &Folder, sql: &str) -> Vec<Vec<Option<i64>>> {
    let rows = folder.json(&["query", sql, "--json"]);
    let numbers = |row: &Value| row.as_object().unwrap().values().map(Value::as_i64).collect();
    rows.as_array().unwrap_or_else(|| panic!("{sql}: {rows}")).iter().map(numbers).collect()
}

/// Asserts that every row of the files is there once, accepted or rejected, and that the table over it agrees.
fn assert_exactly_once(folder: &Folder, rows: usize) {
    let places = "count(*) AS a, count(DISTINCT concat(_source, '#', _position)) AS b";
    let landed =
        numbers(folder, &format!("SELECT {places}, count(DISTINCT _sequence) AS c FROM bronze.orders"));
    let rejected = numbers(folder, &format!("SELECT {places} FROM bronze.orders__rejected"));
    let (landed, rejected) = (&landed[0], &rejected[0]);
    assert!(landed.iter().all(|count| *count == landed[0]), "a row landed twice: {landed:?}");
    assert_eq!(rejected[0], rejected[1], "a row was rejected twice");
    assert_eq!(landed[0].unwrap() + rejected[0].unwrap(), i64::try_from(rows).unwrap());
    let expected = numbers(folder, "SELECT id, amount * 2 AS twice FROM bronze.orders ORDER BY id");
    assert_eq!(numbers(folder, "SELECT id, twice FROM silver.orders ORDER BY id"), expected);
}

#[test]
fn what_happens_to_a_file_happens_to_its_rows() {
    type Change = fn(&Folder);
    let cases: &[(&str, Change, &[i64])] = &[
        ("grown", |folder| folder.write("data/a.csv", &csv(1..8)), &[1, 2, 3, 4, 5, 6, 7]),
        ("replaced", |folder| folder.write("data/a.csv", "id,amount\n3,7\n9,1\n"), &[3, 9]),
        ("touched", |folder| folder.write("data/a.csv", &csv(1..5)), &[1, 2, 3, 4]),
        ("deleted", |folder| fs::remove_file(folder.path().join("data/a.csv")).unwrap(), &[1, 2, 3, 4]),
        ("copied", |folder| folder.write("data/b.csv", &csv(1..5)), &[1, 2, 3, 4]),
        (
            "another format",
            |folder| folder.write("data/b.jsonl", "{\"id\":5,\"amount\":1}\n"),
            &[1, 2, 3, 4, 5],
        ),
    ];
    for (name, change, expected) in cases {
        let folder = Folder::with(PROJECT);
        folder.write("data/a.csv", &csv(1..5));
        folder.stdout(&["run"]);
        change(&folder);
        folder.stdout(&["run"]);
        for table in ["bronze.orders", "silver.orders"] {
            let ids = numbers(&folder, &format!("SELECT id FROM {table} ORDER BY id"));
            let ids: Vec<_> = ids.iter().map(|row| row[0].unwrap()).collect();
            assert_eq!(&ids, expected, "{name}: {table}");
        }
    }
}

#[test]
fn rows_that_cannot_be_read_are_counted_among_the_reasons() {
    let folder = Folder::with(PROJECT);
    folder.write("data/a.jsonl", "{\"id\":1,\"amount\":5}\n{\"id\":2,\n[3]\n");
    let said = folder.stdout(&["run"]);
    assert!(said.contains("malformed 2"), "{said}");
    assert_eq!(numbers(&folder, "SELECT id FROM bronze.orders"), [[Some(1)]]);
}

#[test]
fn a_part_that_is_gone_keeps_its_rows_from_a_full_refresh() {
    let folder = Folder::with(PROJECT);
    folder.write("data/a.csv", &csv(1..5));
    folder.stdout(&["run"]);
    fs::remove_file(folder.path().join("data/a.csv")).unwrap();
    let refused = folder.run(&["run", "source:orders", "--full-refresh"]);
    assert!(refused.starts_with("exit: 1") && refused.contains("MS-0705"), "{refused}");
    folder.write("data/b.csv", &csv(5..7));
    // Without a selection the tables are rebuilt, and no source is read again.
    folder.stdout(&["run", "--full-refresh"]);
    let rows = folder.json(&["query", "SELECT count(*) AS n FROM silver.orders", "--json"]);
    assert_eq!(rows, json!([{"n": 6}]));
}

/// A row that breaks several checks counts once, for the first.
#[test]
fn a_run_counts_rejected_rows_as_they_are_shown() {
    let folder = Folder::with(PROJECT);
    folder.write("data/a.csv", "id,amount\n1,5\nx,5000\n,2000\n");
    let said = folder.run(&["run"]);
    assert!(said.contains("type(id) 1") && said.contains("not_null(id) 1"), "{said}");
    assert!(!said.contains("range(amount)"), "{said}");
    let shown = folder.stdout(&["rejected", "bronze.orders"]);
    assert!(!shown.contains("range(amount)  "), "{shown}");
}

/// What a run warns of is at its asset afterwards too.
#[test]
fn status_shows_files_that_cannot_be_read_and_rows_that_are_too_old() {
    let folder = Folder::with(PROJECT);
    folder.write("data/a.csv", &csv(1..5));
    folder.stdout(&["run"]);
    folder.write("data/b.csv", "\0i\0d\0,\0x\0\n");
    folder.write("data/c.csv", &csv(5..7));
    let said = folder.run(&["run"]);
    assert!(said.starts_with("exit: 1"), "{said}");
    assert!(
        said.contains("data/b.csv cannot be read and landed nothing: `data/b.csv` is broken: it is UTF-16"),
        "{said}"
    );
    let status = folder.stdout(&["status"]);
    assert!(status.contains("incomplete") && status.contains("data/b.csv"), "{status}");
    fs::remove_file(folder.path().join("data/b.csv")).unwrap();
    folder.stdout(&["run"]);
    let status = folder.stdout(&["status"]);
    assert!(!status.contains("incomplete"), "{status}");
    folder.write(
        "sources/orders.yaml",
        &format!("{}    at: {{type: timestamp}}\n  time: at\n  freshness: 1d\n", PROJECT[1].1),
    );
    folder.write("data/d.csv", "id,amount,at\n9,1,2020-01-01T00:00:00Z\n");
    fs::remove_dir_all(folder.path().join(".millstream/lake/bronze/orders")).unwrap();
    for name in ["a", "c"] {
        fs::remove_file(folder.path().join(format!("data/{name}.csv"))).unwrap();
    }
    let said = folder.stdout(&["run"]);
    assert!(said.contains("the lake has no table any more, it was at version"), "{said}");
    let status = folder.stdout(&["status"]);
    assert!(status.contains("stale"), "{status}");
}

/// A path that is corrected leaves the rows of the wrong files behind. A run says so once, with the way to be rid of
/// them.
#[test]
fn rows_of_files_that_the_path_does_not_mean_any_more_can_be_forgotten() {
    let folder = Folder::with(PROJECT);
    let source = PROJECT[1].1;
    let of = |path: &str| source.replace("data/", path);
    folder.write("sources/orders.yaml", &of("data/test/"));
    folder.write("data/test/a.csv", &csv(1..5));
    folder.stdout(&["run"]);
    folder.write("sources/orders.yaml", &of("data/prod/"));
    folder.write("data/prod/a.csv", &csv(5..7));
    let said = folder.run(&["run"]);
    assert!(said.contains("data/test/a.csv was landed and is not what the source means now"), "{said}");
    assert!(said.contains("--full-refresh --forget-gone source:orders"), "{said}");
    assert_eq!(numbers(&folder, "SELECT count(*) FROM bronze.orders"), [[Some(6)]]);
    assert!(!folder.run(&["run"]).contains("was landed"));
    let refused = folder.run(&["run", "source:orders", "--full-refresh"]);
    assert!(refused.contains("MS-0705") && refused.contains("--forget-gone"), "{refused}");
    // Without a selection no source is landed again, so no rows can be forgotten.
    assert!(folder.run(&["run", "--full-refresh", "--forget-gone"]).starts_with("exit: 2"));
    let said = folder.run(&["run", "source:orders", "--full-refresh", "--forget-gone"]);
    assert!(
        said.contains("forgets 4 rows of a part that is gone from the source: data/test/a.csv"),
        "{said}"
    );
    assert_eq!(numbers(&folder, "SELECT count(*) FROM bronze.orders"), [[Some(2)]]);
}

#[test]
fn a_check_on_the_whole_table_keeps_bad_versions_out() {
    let cases = [
        ("row_count: {change: 50%}", "id,amount\n100,1\n101,1\n102,1\n103,1\n104,1\n"),
        ("row_count: {max: 5}", "id,amount\n100,1\n101,1\n"),
        ("completeness: {column: amount, min: 90%}", "id,amount\n100,\n"),
        ("mean: {column: amount, max: 10}", "id,amount\n100,1000\n"),
        (
            "quantile: {column: amount, quantile: 0.5, max: 3}",
            "id,amount\n100,9\n101,9\n102,9\n103,9\n104,9\n",
        ),
        ("distinct_count: {column: amount, max: 4}", "id,amount\n100,500\n"),
    ];
    for (check, second) in cases {
        let folder = Folder::with(PROJECT);
        let checks = format!("{}  checks:\n    - {check}\n      severity: halt\n", PROJECT[1].1);
        folder.write("sources/orders.yaml", &checks);
        folder.write("data/a.csv", &csv(1..5));
        folder.stdout(&["run"]);
        folder.write("data/b.csv", second);
        let said = folder.run(&["run"]);
        assert!(said.starts_with("exit: 1") && said.contains("halted"), "{check}: {said}");
        assert_eq!(numbers(&folder, "SELECT count(*) AS n FROM bronze.orders"), [[Some(4)]], "{check}");
        // What was refused is tried again once the check allows it, and then lands once.
        folder.write("sources/orders.yaml", PROJECT[1].1);
        folder.stdout(&["run"]);
        assert_exactly_once(&folder, 4 + second.lines().count() - 1);
    }
}
