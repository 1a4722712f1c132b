//! `run`, `plan`, `status` and what they leave behind.

use crate::harness::{Folder, SMALL, assert_said};

#[test]
fn the_first_run_lands_checks_and_builds() {
    let folder = Folder::with(SMALL);
    assert_said!(folder.run(&["run"]));
}

#[test]
fn a_second_run_has_nothing_to_do() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    assert_said!(folder.run(&["run"]));
}

#[test]
fn the_plan_gives_each_asset_one_reason() {
    let folder = Folder::with(SMALL);
    assert_said!(folder.run(&["plan"]));
}

/// The plan names a table that says `incremental` and is computed as a whole all the same, with the cause.
#[test]
fn the_plan_says_what_is_computed_anew() {
    let folder = Folder::with(SMALL);
    folder.write(
        "tables/gold/ranked.sql",
        "/*---\nmaterialize: incremental\nkey: id\n---*/\nSELECT id, row_number() OVER (ORDER BY amount) AS rank FROM bronze.orders\n",
    );
    folder.write(
        "tables/gold/copied.sql",
        "/*---\nmaterialize: incremental\nkey: id\n---*/\nSELECT id, amount FROM bronze.orders\n",
    );
    assert_said!(folder.run(&["plan"]));
    let plan = folder.json(&["plan", "--json"]);
    let upkeep = |asset: &str| {
        let steps = plan["steps"].as_array().unwrap();
        steps.iter().find(|step| step["asset"] == asset).unwrap()["upkeep"].clone()
    };
    assert!(upkeep("gold.ranked").as_str().unwrap().starts_with("everything is computed anew"));
    assert!(upkeep("gold.copied").as_str().unwrap().starts_with("only values of id"));
    assert!(upkeep("gold.totals").is_null());
}

#[test]
fn the_plan_as_json() {
    let folder = Folder::with(SMALL);
    assert_said!(folder.run(&["plan", "--json"]));
}

#[test]
fn a_dry_run_touches_nothing() {
    let folder = Folder::with(SMALL);
    assert_said!(folder.run(&["run", "--dry-run"]));
    assert!(!folder.path().join(".millstream/lake/bronze").exists());
}

#[test]
fn a_new_file_makes_what_it_touches_run() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    folder.write("data/b.csv", "id,amount,day\n4,5.00,2026-01-02\n1,7.00,2026-01-03\n");
    assert_said!(folder.run(&["run"]));
}

#[test]
fn a_run_as_json_is_one_object_per_event() {
    let folder = Folder::with(SMALL);
    let text = folder.stdout(&["run", "--json"]);
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let names: Vec<&str> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(names.first(), Some(&"run_started"));
    assert_eq!(names.last(), Some(&"run_finished"));
    assert_eq!(names.iter().filter(|name| **name == "step_finished").count(), 2);
    let landed =
        events.iter().find(|event| event["event"] == "step_finished" && event["asset"] == "bronze.orders");
    let landed = landed.unwrap();
    assert_eq!(
        (&landed["outcome"], &landed["rows_written"], &landed["rows_rejected"]),
        (&"built".into(), &2.into(), &1.into())
    );
}

#[test]
fn an_unknown_selection_suggests_the_nearest() {
    let folder = Folder::with(SMALL);
    assert_said!(folder.run(&["run", "gold.totlas"]));
}

#[test]
fn a_failed_halt_keeps_the_last_good_version_and_skips_downstream() {
    let folder = Folder::with(SMALL);
    folder.write(
        "tables/gold/report.sql",
        "/*---\nmaterialize: table\n---*/\nSELECT sum(total) AS total FROM gold.totals\n",
    );
    folder.stdout(&["run"]);
    folder.write(
        "tables/gold/totals.sql",
        "/*---\nmaterialize: table\nchecks:\n  - row_count: {min: 5}\n    severity: halt\n---*/\n\
         SELECT day, count(*) AS orders, sum(amount) AS total\nFROM bronze.orders\nGROUP BY day\n",
    );
    assert_said!(folder.run(&["run"]));
    let rows = folder.json(&["query", "select count(*) as n from gold.totals", "--json"]);
    assert_eq!(rows[0]["n"], 1);
}

#[test]
fn the_breaker_stops_a_source_with_too_many_bad_rows() {
    let folder = Folder::with(SMALL);
    let source = SMALL[1].1.to_owned() + "  halt_above: 5%\n";
    folder.write("sources/orders.yaml", &source);
    assert_said!(folder.run(&["run"]));
}

#[test]
fn the_status_before_and_after_a_run() {
    let folder = Folder::with(SMALL);
    assert_said!(folder.run(&["status"]));
    folder.stdout(&["run"]);
    let after = folder.json(&["status", "--json"]);
    assert_eq!(after["last_run"]["outcome"], "succeeded");
    assert_eq!(after["assets"][0]["asset"], "bronze.orders");
    assert_eq!(after["assets"][0]["rows"], 2);
    let text = folder.run(&["status"]);
    assert!(text.contains("gold.totals") && text.contains("good"), "{text}");
}

/// A table that halts at its first build.
fn halting() -> Folder {
    let folder = Folder::with(SMALL);
    folder.write(
        "tables/gold/totals.sql",
        "/*---\nmaterialize: table\nchecks:\n  - row_count: {min: 5}\n    severity: halt\n---*/\n\
         SELECT day, count(*) AS orders FROM bronze.orders GROUP BY day\n",
    );
    folder.run(&["run"]);
    folder
}

#[test]
fn a_table_that_never_got_through_says_why() {
    let folder = halting();
    assert_said!(folder.run(&["status"]));
    assert_said!(folder.run(&["plan"]));
    let status = folder.json(&["status", "--json"]);
    assert_eq!(status["assets"][1]["state"], "halted");
    let plan = folder.json(&["plan", "--json"]);
    assert_eq!(plan["steps"][0]["reason"], "never_built");
    assert!(plan["steps"][0]["last_attempt"].as_str().unwrap().starts_with("halted: check row_count failed"));
}

#[test]
fn the_status_of_one_table() {
    let folder = Folder::with(SMALL);
    let source = SMALL[1].1.to_owned() + "  evolution: add_columns\n";
    folder.write("sources/orders.yaml", &source);
    assert_said!(folder.run(&["status", "orders"]));
    folder.stdout(&["run"]);
    folder.write("data/b.csv", "id,amount,day,note\n4,5.00,2026-01-02,late\n");
    folder.stdout(&["run"]);
    assert_said!(folder.run(&["status", "orders"]));
    let status = folder.json(&["status", "bronze.orders", "--json"]);
    assert_eq!(
        (&status["state"], &status["version"], &status["rows"]),
        (&"built".into(), &1.into(), &3.into())
    );
    assert_eq!(
        (&status["last_step"]["command"], &status["last_step"]["outcome"]),
        (&"run".into(), &"built".into())
    );
    assert_eq!(status["schema_versions"][1]["part"], "data/b.csv");
    assert_eq!(status["versions"].as_array().unwrap().len(), 2);
    assert_said!(halting().run(&["status", "gold.totals"]));
}

#[test]
fn a_forced_plan_names_the_option() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    for option in ["--full-refresh", "--force"] {
        let said = folder.stdout(&["plan", option, "gold.totals"]);
        assert!(said.contains(&format!("gold.totals  forced by `{option}`")), "{said}");
        let plan = folder.json(&["run", "--dry-run", option, "gold.totals", "--json"]);
        assert_eq!(
            plan["steps"][0],
            serde_json::json!({"asset": "gold.totals", "reason": "forced", "because_of": [option]})
        );
    }
}

#[test]
fn a_warning_says_what_was_expected() {
    let folder = Folder::with(SMALL);
    folder.write(
        "tables/gold/totals.sql",
        "/*---\nmaterialize: table\nchecks:\n  - row_count: {min: 5}\n    severity: warn\n---*/\n\
         SELECT id, day FROM bronze.orders\n",
    );
    assert_said!(folder.run(&["run"]));
}

#[test]
fn rejected_rows_are_shown_by_reason() {
    let folder = Folder::with(SMALL);
    folder.write(
        "data/b.csv",
        "id,amount,day\n4,5.00,2026-02-30\n1,7.00,2026-01-03\n,7.00,2026-01-03\n5,1,2,3\n",
    );
    folder.stdout(&["run"]);
    assert_said!(folder.run(&["rejected", "orders"]));
    let groups = folder.json(&["rejected", "bronze.orders", "--json"]);
    assert_eq!(groups["rows"], 5);
}

#[test]
fn rejected_rows_come_back_after_a_fix() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    let source = SMALL[1].1.replace("[0, 1000]", "[-10, 1000]");
    folder.write("sources/orders.yaml", &source);
    assert_said!(folder.run(&["reprocess", "orders"]));
    assert_said!(folder.run(&["reprocess", "orders"]));
    assert_eq!(folder.json(&["rejected", "orders", "--json"])["rows"], 0);
    let rows = folder.json(&["query", "select count(*) as n from bronze.orders", "--json"]);
    assert_eq!(rows[0]["n"], 3);
}

#[test]
fn maintenance_says_what_it_did() {
    let folder = Folder::with(SMALL);
    folder.stdout(&["run"]);
    assert_said!(folder.run(&["maintain", "gold.totals"]));
}
