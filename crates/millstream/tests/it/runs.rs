//! `millstream runs`: what is told of runs that were.

use serde_json::Value;

use crate::harness::Folder;

const SOURCE: &str =
    "connector: {type: files, path: data/*.csv}\ncontract: {columns: {id: {type: int64, required: true}}}\n";

fn project() -> Folder {
    Folder::with(&[
        ("millstream.yaml", "name: told\nprices: {cpu_hour: 3600, currency: EUR}\n"),
        ("sources/s.yaml", SOURCE),
        ("tables/silver/rows.sql", "SELECT id FROM bronze.s WHERE id > 1\n"),
        ("tables/gold/total.sql", "SELECT count(*) AS n FROM silver.rows\n"),
        ("data/1.csv", "id\n1\n2\n3\nx\n"),
    ])
}

fn ids(folder: &Folder, options: &[&str]) -> Vec<String> {
    let mut call = vec!["runs", "--json"];
    call.extend(options);
    let runs = folder.json(&call);
    let id = |run: &Value| run["run"].as_str().unwrap().to_owned();
    runs["runs"].as_array().unwrap().iter().map(id).collect()
}

#[test]
fn a_run_is_shown_with_its_timeline_figures_and_receipts() {
    let folder = project();
    folder.stdout(&["run"]);
    let shown = folder.stdout(&["runs", "show"]);
    for part in [
        "`run` succeeded in ",
        "3 steps",
        "cost 0.",
        "* critical path: bronze.s → silver.rows → gold.total",
        "4 read = 3 written + 1 rejected + 0 left out",
        "3 read = 2 written + 0 rejected + 1 left out",
        "1 made, of 2 read = 1 written + 0 rejected",
        "█",
    ] {
        assert!(shown.contains(part), "`{part}` in\n{shown}");
    }
    let run = folder.json(&["runs", "show", "--json"]);
    assert_eq!(run["critical_path"], serde_json::json!(["bronze.s", "silver.rows", "gold.total"]));
    let step = &run["steps"][1];
    let receipt = &step["figures"]["receipt"];
    assert_eq!((&receipt["proof"], &receipt["holds"]), (&"each_row".into(), &true.into()));
    assert!(step["figures"]["cpu_seconds"].as_f64().unwrap() > 0.0, "{step}");
    assert_eq!(step["figures"]["waited_for"], "bronze.s");
    assert!(run["cost"]["total"].as_f64().unwrap() > 0.0);
}

#[test]
fn runs_are_listed_by_asset_outcome_and_age_and_compared() {
    let folder = project();
    folder.stdout(&["run"]);
    folder.write("data/2.csv", "id\n5\n6\n");
    folder.stdout(&["run", "+silver.rows"]);
    let all = ids(&folder, &[]);
    assert_eq!(all.len(), 2);
    assert_eq!(ids(&folder, &["--asset", "gold.total"]), all[1..]);
    assert_eq!(ids(&folder, &["--limit", "1"]), all[..1]);
    assert_eq!(ids(&folder, &["--since", "1h"]), all);
    assert_eq!(ids(&folder, &["--since", "2999-01-01"]), [""; 0]);
    assert_eq!(ids(&folder, &["--status", "failed"]), [""; 0]);
    assert!(folder.stdout(&["runs"]).contains("succeeded"));
    assert_eq!(folder.stdout(&["runs", "--status", "failed"]), "No run fits\n");
    let diff = folder.json(&["runs", "diff", &all[1], &all[0], "--json"]);
    assert_eq!(
        (&diff["removed"], &diff["added"]),
        (&serde_json::json!(["gold.total"]), &serde_json::json!([]))
    );
    let step = &diff["steps"][1];
    assert_eq!(step["asset"], "silver.rows");
    assert_eq!(step["inputs_changed"]["bronze.s"], serde_json::json!({"before": 0, "after": 1}));
    let text = folder.stdout(&["runs", "diff", &all[1], &all[0]]);
    assert!(text.contains("only before: gold.total") && text.contains("bronze.s v0 → v1"), "{text}");
    // Without the id of the later run it is the last one.
    assert_eq!(folder.stdout(&["runs", "diff", &all[1]]), text);
    let same = folder.stdout(&["runs", "diff", &all[0], &all[0]]);
    assert!(same.contains("2 steps do not differ: `--all` shows them"), "{same}");
    assert!(folder.stdout(&["runs", "diff", &all[0], &all[0], "--all"]).contains("silver.rows"));
    // What fails now is told with its error.
    folder.write("tables/silver/rows.sql", "SELECT 1 / (id - id) AS id FROM bronze.s\n");
    folder.output(&["run", "silver.rows"]);
    let broken = folder.stdout(&["runs", "diff", &all[0]]);
    assert!(broken.contains("built → failed") && broken.contains("✗ silver.rows after: "), "{broken}");
}

#[test]
fn rows_that_a_check_held_back_are_not_told_to_be_written() {
    let folder = project();
    folder.write(
        "tables/silver/rows.sql",
        "/*---\nchecks: [{row_count: {min: 9}}]\n---*/\nSELECT id FROM bronze.s WHERE id > 1\n",
    );
    folder.output(&["run"]);
    let shown = folder.stdout(&["runs", "show"]);
    assert!(shown.contains("3 read = 2 held back + 0 rejected + 1 left out"), "{shown}");
    assert!(!shown.contains("3 read = 2 written"), "{shown}");
}

#[test]
fn what_failed_is_told_with_the_way_out() {
    let folder = project();
    folder.write("tables/gold/total.sql", "SELECT 1 / (id - id) AS n FROM silver.rows\n");
    assert_eq!(folder.output(&["run"]).status.code(), Some(1));
    let shown = folder.stdout(&["runs", "show"]);
    assert!(shown.contains("✗ gold.total failed: ") && shown.contains("help:"), "{shown}");
    // The only line would say the same once more; it is kept all the same, whatever `--log` lets through.
    assert!(!shown.contains("log:"), "{shown}");
    assert!(folder.stdout(&["runs", "show", "--lines"]).contains("error an attempt has failed: "));
    let run = folder.json(&["runs", "show", "--json"]);
    let lines = run["log"].as_array().unwrap();
    assert!(lines.iter().any(|line| line["asset"] == "gold.total" && line["level"] == "error"), "{run}");
    let unknown = folder.run(&["runs", "show", "nowhere"]);
    assert!(unknown.contains("`millstream runs` lists the runs"), "{unknown}");
    let wrong = folder.run(&["runs", "--since", "yesterday"]);
    assert!(wrong.contains("write an age such as `12h`"), "{wrong}");
}

#[test]
fn what_steps_noted_is_shown_with_their_run() {
    let folder = project();
    folder.stdout(&["run", "--log", "off"]);
    let nothing = folder.stdout(&["runs", "show", "--lines"]);
    assert!(nothing.contains("No step of it noted anything."), "{nothing}");
    // A column that the contract does not name is noted by the landing.
    folder.write("sources/s.yaml", &SOURCE.replace("contract: {", "contract: {evolution: add_columns, "));
    folder.write("data/2.csv", "id,more\n5,a\n");
    folder.stdout(&["run", "--log", "off"]);
    let shown = folder.stdout(&["runs", "show", "--lines"]);
    assert!(shown.contains("Log\nbronze.s\n") && shown.contains("info  schema: "), "{shown}");
    let line = &folder.json(&["runs", "show", "--json"])["log"][0];
    assert_eq!((&line["asset"], &line["level"]), (&"bronze.s".into(), &"info".into()), "{line}");
}
