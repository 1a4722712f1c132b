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

#[test]
fn secrets_are_shown_to_nobody() {
    let folder = Folder::with(SMALL);
    folder.write(
        "millstream.yaml",
        "name: small\n\
         environments:\n\
        \x20 default:\n\
        \x20   engine: ballista://u:hunter2secret@h:1\n\
        \x20   online: {a: redis://u:hunter2secret@h}\n\
        \x20   storage: {aws_secret_access_key: hunter2secret, aws_regoin: [eu]}\n",
    );
    folder.write(
        "sources/orders.yaml",
        "connector: {type: files, path: \"${SECRET_PATH}/a\"}\ncontract:\n  columns:\n    id: {type: int64}\n",
    );
    let mut said = String::new();
    for arguments in [&["check"][..], &["check", "--json"]] {
        let output = folder.command(arguments).env("SECRET_PATH", "hunter2secret").output().unwrap();
        said.push_str(&String::from_utf8_lossy(&output.stdout));
        said.push_str(&String::from_utf8_lossy(&output.stderr));
    }
    assert!(!said.contains("hunter2"), "{said}");
    assert!(said.contains("engine: ballista://***@h:1"), "{said}");
    assert_said!(said);
}

#[test]
fn what_promises_more_than_there_is_says_so() {
    let folder = Folder::with(SMALL);
    folder.write(
        "millstream.yaml",
        "name: small\nenvironments:\n  default: {log: \"embedded:log\", vectors: \"qdrant://v\"}\nalerts: [{webhook: \"http://a\"}]\n",
    );
    folder.write(
        "sources/orders.yaml",
        "connector: {type: files, path: data/*.csv}\nschedule: every 15m\ncontract:\n  columns:\n    id: {type: int64}\n    amount: {type: \"decimal(12,2)\"}\n    day: {type: date}\n",
    );
    assert_said!(folder.run(&["check"]));
}

#[test]
fn words_of_other_tools_in_sql_are_recognised() {
    let folder = Folder::with(SMALL);
    folder.write("tables/gold/template.sql", "SELECT id\nFROM {{ ref('orders') }}\n");
    folder.write(
        "tables/gold/merged.sql",
        "SELECT id\n<<<<<<< HEAD\nFROM bronze.orders\n=======\nFROM bronze.order\n>>>>>>> b\n",
    );
    folder.write("tables/gold/text.sql", "SELECT '{{ x }}' AS text, id FROM bronze.orders\n");
    assert_said!(folder.run(&["check"]));
}

#[test]
fn a_file_that_cannot_be_read_hides_its_table_from_nobody() {
    let folder = Folder::with(SMALL);
    std::fs::write(folder.path().join("sources/orders.yaml"), b"owner: caf\xe9\n").unwrap();
    assert_said!(folder.run(&["check"]));
}

#[test]
fn a_faulty_path_is_not_missed_as_well() {
    let folder = Folder::with(SMALL);
    folder.write(
        "sources/orders.yaml",
        "connector: {type: files, path: \"${DATA-DIR}/a.csv\"}\ncontract:\n  columns:\n    id: {type: int64}\n    amount: {type: \"decimal(12,2)\"}\n    day: {type: date}\n",
    );
    assert_said!(folder.run(&["check"]));
}

#[test]
fn assets_that_set_each_other_off_are_named_in_order() {
    let folder = Folder::with(SMALL);
    let table = |name: &str, schedule: &str, from: &str| {
        folder.write(
            &format!("tables/gold/{name}.sql"),
            &format!("/*---\nschedule: {schedule}\n---*/\nSELECT * FROM {from}\n"),
        );
    };
    table("first", "{every: 1h, after: gold.third}", "bronze.orders");
    table("second", "every 1h", "gold.first");
    table("third", "{after: gold.second}", "bronze.orders");
    assert_said!(folder.run(&["check"]));
}

/// What is wrong in one file is told together with its schedule, and leaves the rest of the project at work.
#[test]
fn a_schedule_after_what_is_left_out_does_not_stop_the_others() {
    let folder = Folder::with(SMALL);
    folder.write("tables/gold/broken.sql", "SELEC * FROM bronze.orders\n");
    folder.write(
        "tables/gold/after.sql",
        "/*---\nschedule: {after: gold.broken}\n---*/\nSELECT * FROM bronze.orders\n",
    );
    let said = folder.output(&["schedule", "gold.after"]);
    assert_eq!(said.status.code(), Some(0), "{said:?}");
    assert!(String::from_utf8_lossy(&said.stdout).contains("gold.after"), "{said:?}");
}
