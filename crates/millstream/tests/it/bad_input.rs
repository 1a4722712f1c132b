//! Files, projects and places that are wrong: each costs what is wrong about it, says so, and nothing else.

use std::fs;

use crate::{
    harness::{Folder, assert_plain},
    landing::numbers,
};

const PROJECT: &[(&str, &str)] = &[
    ("millstream.yaml", "name: bad\n"),
    (
        "sources/s.yaml",
        "connector: {type: files, path: data/*}\n\
         contract:\n\
        \x20 columns:\n\
        \x20   id: {type: int64, required: true, unique: true}\n\
        \x20   amount: {type: \"decimal(12,2)\", range: [0, 1000]}\n\
        \x20   day: {type: date}\n",
    ),
    (
        "tables/gold/days.sql",
        "/*---\nmaterialize: table\n---*/\nSELECT day, count(*) AS n FROM bronze.s GROUP BY day\n",
    ),
    ("data/a.csv", "id,amount,day\n1,10.00,2026-01-01\n2,20.50,2026-01-01\n"),
];

const HEADER: &str = "id,amount,day\n";

/// The project after its first run.
fn started() -> Folder {
    let folder = Folder::with(PROJECT);
    folder.stdout(&["run"]);
    folder
}

fn put(folder: &Folder, name: &str, bytes: &[u8]) {
    fs::write(folder.path().join("data").join(name), bytes).unwrap();
}

/// Asserts that the landed rows are `ids`, and that the table over them agrees.
fn assert_landed(folder: &Folder, ids: &[i64], why: &str) {
    let landed = numbers(folder, "SELECT id FROM bronze.s ORDER BY id");
    assert_eq!(landed.concat(), ids.iter().copied().map(Some).collect::<Vec<_>>(), "{why}");
    let count = i64::try_from(ids.len()).unwrap();
    assert_eq!(numbers(folder, "SELECT sum(n) AS n FROM gold.days"), [[Some(count)]], "{why}");
}

/// Rows that land and rows that are rejected, each with its line and why.
fn check_rows(name: &str, text: impl AsRef<[u8]>, ids: &[i64], rejected: &[(i64, &str)]) {
    let folder = started();
    put(&folder, name, text.as_ref());
    let said = folder.run(&["run"]);
    let why = format!("{}: {said}", String::from_utf8_lossy(text.as_ref()));
    assert!(said.starts_with("exit: 0"), "{why}");
    assert_landed(&folder, &[&[1, 2], ids].concat(), &why);
    let sql = "SELECT _position, _reason, coalesce(_row, _text) AS kept FROM bronze.s__rejected ORDER BY 1";
    let found = folder.json(&["query", sql, "--json"]);
    let found = found.as_array().unwrap();
    assert_eq!(found.len(), rejected.len(), "{why}\n{found:?}");
    for (found, (line, reason)) in found.iter().zip(rejected) {
        assert_eq!(found["_position"], *line, "{why}");
        assert!(found["_reason"].as_str().unwrap().contains(reason), "{found} {why}");
        assert!(found["kept"].as_str().is_some_and(|kept| !kept.is_empty()), "{found} {why}");
    }
}

/// Checks a file that cannot be taken in: the message names it, the landed rows stay, and its mended form lands.
fn check_refused(name: &str, bytes: impl AsRef<[u8]>, messages: &[&str]) {
    let folder = started();
    put(&folder, name, bytes.as_ref());
    let said = folder.run(&["run"]);
    assert!(said.starts_with("exit: 1"), "{name}: {said}");
    for message in [&[name], messages].concat() {
        assert!(said.contains(message), "`{message}` is missing in\n{said}");
    }
    assert_landed(&folder, &[1, 2], &said);
    fs::remove_file(folder.path().join("data").join(name)).unwrap();
    put(&folder, "mended.csv", format!("{HEADER}3,1.00,2026-01-02\n").as_bytes());
    folder.stdout(&["run"]);
    assert_landed(&folder, &[1, 2, 3], name);
}

#[test]
fn text_files_cost_their_bad_rows_only() {
    let csv = |rows: &str| format!("{HEADER}{rows}");
    check_rows("b.csv", "", &[], &[]);
    check_rows("b.csv", HEADER, &[], &[]);
    check_rows(
        "b.csv",
        csv("3,1.00\n4,1.00,2026-01-02\n5,1,2026-01-02,x,y\n"),
        &[4],
        &[(2, "2 fields where 3 are expected"), (4, "5 fields where 3 are expected")],
    );
    check_rows(
        "b.csv",
        csv("3,\"1.00,2026-01-02\n4,\"1.00\"x,2026-01-02\n5,1\"0\"0,2026-01-02\n6,1.00,2026-01-02\n"),
        &[6],
        &[(2, "does not end properly"), (3, "does not end properly"), (4, "not a decimal(12,2)")],
    );
    check_rows("b.csv", format!("\u{feff}{}", csv("4,1.00,2026-01-02\n")), &[4], &[]);
    check_rows(
        "b.csv",
        csv("4,1.00,2026-01-02\n5,x,2026-01-02\n").replace('\n', "\r\n"),
        &[4],
        &[(3, "`x`")],
    );
    let bytes = [HEADER.as_bytes(), b"4,\xff\xfe,2026-01-02\n5,1.00,2026-01-02\n"].concat();
    check_rows("b.csv", bytes, &[5], &[(2, "not valid UTF-8")]);
    check_rows("b.csv", "day,id,amount\n2026-01-02,4,1.00\n", &[4], &[]);
}

#[test]
fn values_that_do_not_fit_cost_their_row() {
    check_rows(
        "b.csv",
        format!(
            "{HEADER}99999999999999999999,1,2026-01-02\n4,99999999999999.99,2026-01-02\n5,1e400,2026-01-02\n\
             6,1.005,2026-01-02\n7,1001,2026-01-02\n8,1.00,2026-01-02\n"
        ),
        &[8],
        &[
            (2, "`id` is `99999999999999999999`, not an int64"),
            (3, "`amount` is `99999999999999.99`, not a decimal(12,2)"),
            (4, "`amount` is `1e400`"),
            (5, "`amount` is `1.005`"),
            (6, "above the maximum 1000"),
        ],
    );
    check_rows(
        "b.csv",
        format!("{HEADER}3,1,2026-02-30\n4,1,2026-13-01\n5,1,0000-00-00\n6,1,2023-02-29\n7,1,2024-02-29\n"),
        &[7],
        &[
            (2, "`day` is `2026-02-30`, not a date"),
            (3, "`2026-13-01`"),
            (4, "`0000-00-00`"),
            (5, "`2023-02-29`"),
        ],
    );
}

#[test]
fn json_of_mixed_types_or_any_depth_costs_its_row() {
    check_rows(
        "b.jsonl",
        "{\"id\":4,\"amount\":1,\"day\":\"2026-01-02\"}\n{\"id\":\"five\",\"amount\":{\"x\":1}}\n\
         {\"id\":6,\"amount\":\"2.50\"}\n{\"id\":7,\"amount\":[1],\"day\":true}\n",
        &[4, 6],
        &[(2, "`id` is `five`, not an int64"), (4, "`amount` is `[1]`, not a decimal(12,2)")],
    );
    for depth in [100, 100_000] {
        let deep = format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
        let object = format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
        check_rows(
            "b.jsonl",
            format!(
                "{{\"id\":5,\"amount\":{deep}}}\n{{\"id\":6,\"amount\":{object}}}\n{{\"id\":7,\"amount\":1,\"day\":\"2026-01-02\"}}\n"
            ),
            &[7],
            &[(1, ""), (2, "")],
        );
    }
}

#[test]
fn files_that_are_not_what_they_seem_are_refused_by_name() {
    let text = format!("{HEADER}4,1.00,2026-01-02\n");
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    check_refused(
        "b.csv",
        [b"\xff\xfe", utf16.as_slice()].concat(),
        &["MS-0303", "UTF-16", "encoding: utf-16le"],
    );
    check_refused("b.csv", utf16, &["MS-0303", "UTF-16"]);
    check_refused("b.csv", "id,amount,amount,day\n4,1,2,2026-01-02\n", &["`amount` twice"]);
    check_refused(
        "b.csv",
        "id,day,total\n4,2026-01-02,1\n",
        &["schema change refused", "`total`", "`amount`"],
    );
    check_refused("b.jsonl", "[{\"id\":4}]\n", &["one JSON array"]);
    check_refused("b.csv.gz", "not gzip", &["compressed data"]);
    // The head of an archive of one byte: RFC 1952 wants eight more bytes behind it.
    check_refused("b.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b", &["ends too early"]);
    let folder = Folder::empty();
    folder.write_parquet("whole.parquet", &[4, 5]);
    let whole = fs::read(folder.path().join("whole.parquet")).unwrap();
    for length in [10, whole.len() / 2, whole.len() - 1] {
        check_refused("b.parquet", &whole[..length], &["not a whole Parquet file"]);
    }
}

#[test]
fn a_source_without_files_waits_and_one_without_a_folder_is_named() {
    let folder = Folder::with(PROJECT);
    fs::remove_file(folder.path().join("data/a.csv")).unwrap();
    let said = folder.run(&["run"]);
    assert!(said.starts_with("exit: 0") && said.contains("no file matches"), "{said}");
    fs::remove_dir(folder.path().join("data")).unwrap();
    let said = folder.run(&["run"]);
    assert!(said.starts_with("exit: 1") && said.contains("MS-0302") && said.contains("`data`"), "{said}");
    folder.write("data/a.csv", PROJECT[3].1);
    folder.stdout(&["run"]);
    assert_landed(&folder, &[1, 2], "a folder that came");
}

#[test]
fn tables_and_columns_may_be_named_like_keywords() {
    let folder = Folder::with(PROJECT);
    folder.write("tables/silver/select.sql", "SELECT id AS \"from\", amount AS \"order\" FROM bronze.s\n");
    folder.write(
        "tables/gold/table.sql",
        "/*---\nmaterialize: incremental\nkey: from\n---*/\nSELECT \"from\", \"order\" AS \"where\" FROM silver.\"select\"\n",
    );
    folder.stdout(&["run"]);
    assert_eq!(numbers(&folder, "SELECT \"from\" FROM gold.\"table\" ORDER BY 1"), [[Some(1)], [Some(2)]]);
    folder.write("data/b.csv", &format!("{HEADER}3,1.00,2026-01-02\n"));
    folder.stdout(&["run", "+gold.table"]);
    assert_eq!(numbers(&folder, "SELECT count(*) AS n FROM gold.table"), [[Some(3)]]);
    for call in [["status", "gold.table"], ["lineage", "gold.table.where"], ["rejected", "gold.table"]] {
        folder.stdout(&call);
    }
}

#[test]
fn a_missing_variable_is_named_where_it_stands() {
    let folder = started();
    let source =
        PROJECT[1].1.replace("{type: files, path: data/*}", "\n  type: files\n  path: ${SHOP_DATA}/*");
    folder.write("sources/s.yaml", &source);
    let said = folder.run(&["run"]);
    assert!(said.starts_with("exit: 2") && said.contains("SHOP_DATA"), "{said}");
    assert!(said.contains("sources/s.yaml:3:"), "{said}");
    let output = folder.command(&["run"]).env("SHOP_DATA", "data").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_plain(&output);
}
