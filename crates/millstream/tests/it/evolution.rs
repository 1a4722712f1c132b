//! Columns that come, go and change, under each rule.

use crate::{harness::Folder, landing::numbers};

fn project(evolution: &str, id: &str) -> Folder {
    let source = format!(
        "connector: {{type: files, path: data/*}}\ncontract:\n  evolution: {evolution}\n  columns:\n    \
         id: {{type: {id}, unique: true}}\n    note: {{type: string}}\n"
    );
    Folder::with(&[
        ("millstream.yaml", "name: evolution\n"),
        ("sources/s.yaml", &source),
        ("tables/silver/plain.sql", "SELECT id, note FROM bronze.s\n"),
        (
            "tables/silver/merged.sql",
            "/*---\nmaterialize: incremental\nkey: id\n---*/\nSELECT id, note FROM bronze.s\n",
        ),
        ("tables/gold/sums.sql", "SELECT max(id) AS highest FROM silver.merged\n"),
        ("data/a.csv", "id,note\n1,x\n"),
    ])
}

#[test]
fn a_further_and_a_missing_column_under_each_rule() {
    let further = ("data/b.csv", "id,note,more\n2,y,z\n");
    let missing = ("data/b.csv", "id\n2\n");
    let late: String = (2..30_000).map(|id| format!("{{\"id\":{id},\"note\":\"n\"}}\n")).collect();
    let late = ("data/b.jsonl", late + "{\"id\":1000000,\"note\":\"n\",\"more\":\"z\"}\n");
    let cases = [
        ("freeze", further, Err("`more`")),
        ("freeze", missing, Err("`note`")),
        ("freeze", (late.0, late.1.as_str()), Err("`more`")),
        ("add_columns", further, Ok(2)),
        ("add_columns", missing, Ok(2)),
        ("add_columns", (late.0, late.1.as_str()), Ok(30_000)),
        ("widen", further, Ok(2)),
    ];
    for (rule, (path, text), expected) in cases {
        let folder = project(rule, "int64");
        folder.stdout(&["run"]);
        folder.write(path, text);
        let said = folder.run(&["run"]);
        let rows = match expected {
            Err(column) => {
                assert!(said.starts_with("exit: 1") && said.contains("schema change refused"), "{said}");
                assert!(said.contains(column), "{said}");
                1
            }
            Ok(rows) => {
                assert!(said.starts_with("exit: 0"), "{said}");
                rows
            }
        };
        assert_eq!(numbers(&folder, "SELECT count(*) AS n FROM bronze.s"), [[Some(rows)]], "{rule} {path}");
        // The version before stays readable as it was.
        let before = folder.json(&["query", "SELECT * FROM bronze.s VERSION AS OF 0", "--json"]);
        assert!(before[0].get("more").is_none() && before[0]["note"] == "x", "{before}");
    }
}

#[test]
fn what_reads_a_widened_column_becomes_wider_too() {
    let folder = project("widen", "int32");
    folder.stdout(&["run"]);
    folder.write_parquet("data/b.parquet", &[5_000_000_000]);
    folder.stdout(&["run"]);
    for table in ["bronze.s", "silver.plain", "silver.merged"] {
        let rows = numbers(&folder, &format!("SELECT id FROM {table} ORDER BY id"));
        assert_eq!(rows, [[Some(1)], [Some(5_000_000_000)]], "{table}");
    }
    assert_eq!(numbers(&folder, "SELECT highest FROM gold.sums"), [[Some(5_000_000_000)]]);
    folder.write("data/c.csv", "id,note\n6000000000,z\n");
    folder.stdout(&["run"]);
    assert_eq!(numbers(&folder, "SELECT highest FROM gold.sums"), [[Some(6_000_000_000)]]);
    assert!(folder.stdout(&["run"]).contains("up to date"));
}

#[test]
fn a_wider_file_under_another_rule_is_judged_value_by_value() {
    let folder = project("add_columns", "int32");
    folder.write_parquet("data/b.parquet", &[2, 5_000_000_000]);
    folder.stdout(&["run"]);
    assert_eq!(numbers(&folder, "SELECT id FROM bronze.s ORDER BY id"), [[Some(1)], [Some(2)]]);
    assert_eq!(numbers(&folder, "SELECT count(*) AS n FROM bronze.s__rejected"), [[Some(1)]]);
}

#[test]
fn a_type_in_the_contract_that_the_table_cannot_take_is_refused_until_landed_anew() {
    let folder = project("freeze", "int64");
    folder.stdout(&["run"]);
    let text = std::fs::read_to_string(folder.path().join("sources/s.yaml")).unwrap();
    folder.write("sources/s.yaml", &text.replace("int64", "string"));
    let said = folder.run(&["run"]);
    assert!(said.contains("int64 in the table and string in the contract"), "{said}");
    folder.stdout(&["run", "bronze.s", "--full-refresh"]);
    folder.stdout(&["run"]);
    let rows = folder.json(&["query", "SELECT id FROM silver.merged", "--json"]);
    assert_eq!(rows[0]["id"], "1");
}
