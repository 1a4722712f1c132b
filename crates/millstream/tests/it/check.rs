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
