//! `check`: all problems at once, with place, underlined line and hint.

use crate::harness::{Folder, SMALL, assert_said};

#[test]
fn a_project_without_problems() {
    assert_said!(Folder::with(SMALL).run(&["check"]));
}

#[test]
fn every_problem_is_reported() {
    let folder = Folder::with(SMALL);
    folder.write(
        "sources/orders.yaml",
        "conector: {type: files, path: data/*.csv}\ncontract:\n  columns:\n    id: {type: int46, required: true}\n",
    );
    folder.write("tables/gold/totals.sql", "SELECT dya FROM bronze.visits\n");
    assert_said!(folder.run(&["check"]));
}

#[test]
fn problems_in_sql() {
    let folder = Folder::with(SMALL);
    folder.write(
        "tables/gold/totals.sql",
        "SELECT dya, sum(amonut) AS total\nFROM bronze.orders\nGROUP BY dya\n",
    );
    folder.write("tables/gold/other.sql", "SELECT * FROM bronze.ordres\n");
    assert_said!(folder.run(&["check"]));
}

#[test]
fn problems_as_json() {
    let folder = Folder::with(SMALL);
    folder.write("tables/gold/other.sql", "SELECT * FROM bronze.ordres\n");
    assert_said!(folder.run(&["check", "--json"]));
}

#[test]
fn a_project_with_errors_does_not_run() {
    let folder = Folder::with(SMALL);
    folder.write("tables/gold/other.sql", "SELECT * FROM bronze.ordres\n");
    assert_said!(folder.run(&["run"]));
    assert!(!folder.path().join(".millstream").exists());
}

/// A file that is being edited takes away only what reads it.
#[test]
fn a_broken_table_leaves_the_others_alone() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    folder.write("tables/gold/other.sql", "SELEC * FROM bronze.orders\n");
    folder.write("tables/gold/reader.sql", "SELECT * FROM gold.other\n");
    folder.write("features/broken.yaml", "entity: {name: x}\n");
    assert_said!(folder.run(&["query", "SELECT count(*) AS n FROM gold.totals"]));
    for command in [
        vec!["status"],
        vec!["status", "gold.totals"],
        vec!["lineage", "gold.totals"],
        vec!["plan", "gold.totals"],
        vec!["run", "gold.totals"],
    ] {
        let said = folder.output(&command);
        assert_eq!(said.status.code(), Some(0), "{command:?}: {said:?}");
        assert!(String::from_utf8_lossy(&said.stderr).contains("MS-02"), "{command:?}: {said:?}");
    }
    for command in [vec!["run"], vec!["run", "gold.*"], vec!["run", "gold.other"], vec!["run", "gold.reader"]]
    {
        assert_eq!(folder.output(&command).status.code(), Some(2), "{command:?}");
    }
}

#[test]
fn the_project_is_found_upwards() {
    let folder = Folder::with(SMALL);
    let inner = folder.path().join("tables/gold");
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_millstream"))
        .arg("check")
        .current_dir(inner)
        .output()
        .unwrap();
    assert!(output.status.success());
}

#[test]
fn problems_in_tests() {
    let folder = Folder::with(SMALL);
    folder.write(
        "tests/totals.yaml",
        "tests:\n\
         - name: two days\n\
        \x20 table: gold.totals\n\
        \x20 given:\n\
        \x20   bronze.orders:\n\
        \x20     - {id: one, amount: 9.999, dya: 2026-01-01}\n\
        \x20     - {id: 2, day: 2026-02-30}\n\
        \x20 expect:\n\
        \x20   - {day: 2026-01-01, order: 1, total: much}\n\
         - name: unknown\n\
        \x20 table: gold.totl\n\
        \x20 given: {bronze.ordres: []}\n\
        \x20 expect: [3]\n",
    );
    assert_said!(folder.run(&["check"]));
}

#[test]
fn what_is_wrong_with_a_file_hides_nothing_of_others() {
    let folder = Folder::with(SMALL);
    folder.write("sources/broken.yaml", "connector: {type: files, path: a.csv\ncontract: {}\n");
    folder.write(
        "sources/numbers.yaml",
        "connector: {type: files, path: 3}\ncontract: {columns: {id: {type: int64}}}\n",
    );
    folder.write("sources/later.yml", "connector: {type: files, path: a.csv}\n");
    folder.write("tables/gold/empty.sql", "\n");
    folder.write("tables/gold/two.sql", "SELECT id FROM bronze.orders;\n\nSELECT day FROM bronze.orders\n");
    folder.write("tables/gold/twice.sql", "SELECT id,\n  amount AS id\nFROM bronze.orders\n");
    folder.write("tables/gold/quoted.sql", "SELECT id\nFROM 'data/a.csv'\n");
    folder.write(
        "tables/gold/states.sql",
        "/*---\nmaterialize: history\nkey: id\n---*/\nSELECT id, day AS valid_from FROM bronze.orders\n",
    );
    folder.write("tables/gold/reader.sql", "SELECT id, valid_from FROM gold.states\n");
    assert_said!(folder.run(&["check"]));
}
