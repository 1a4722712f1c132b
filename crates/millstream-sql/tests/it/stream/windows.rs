//! What is known of a continuous table without running it: what it reads, its key, its stages.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray},
    compute::concat_batches,
};
use millstream_project::{CheckKind, CheckSpec, TableSpec};
use millstream_sql::{analyze_streams, run_test};
use millstream_types::{CheckId, Severity};

use super::world::{World, sources, streaming, world};
use crate::{
    project_tests::{spec, verdict},
    support::{describe, located, name, nowhere},
};

fn sound(text: &str) -> World {
    World::sound(text)
}

#[test]
fn a_plan_names_what_it_reads_and_gives() {
    let world = sound(
        "--- silver.clean materialize=stream disorder=2s
SELECT at, account, page, cost FROM bronze.clicks WHERE weight > 1
--- gold.t materialize=stream disorder=9s lateness=0s
SELECT c.at, c.account, p.amount, u.country FROM silver.clean c
JOIN bronze.payments p ON c.account = p.account AND p.paid_at BETWEEN c.at AND c.at + INTERVAL '1 minute'
LEFT JOIN bronze.users u ON u.user_id = c.account",
    );
    let plan = world.plan("gold.t");
    let inputs: Vec<String> = plan
        .inputs()
        .iter()
        .map(|input| {
            format!("{} {} {} {}", input.source, input.time, input.disorder, describe(&input.schema))
        })
        .collect();
    assert_eq!(
        inputs,
        [
            "clicks at 2s account int64, weight float64, at timestamp",
            "payments paid_at 9s account int64, amount decimal(12,2), paid_at timestamp",
        ]
    );
    let lookups: Vec<String> = plan
        .lookups()
        .iter()
        .map(|lookup| format!("{} {}", lookup.table, describe(&lookup.schema)))
        .collect();
    assert_eq!(lookups, ["bronze.users user_id int64, country string"]);
    assert_eq!(describe(plan.schema()), "at timestamp, account int64, amount decimal(12,2), country string");
    assert_eq!(plan.time(), "at");
    assert!(plan.key().is_empty());
    let stages = plan.stages();
    assert_eq!(stages.len(), 5, "{stages:?}");
    assert_eq!(stages[0], "read bronze.clicks by at: account, weight, at");
    assert!(stages[1].starts_with("keep rows where "), "{stages:?}");
    assert_eq!(stages[2], "read bronze.payments by paid_at: account, amount, paid_at");
    assert_eq!(
        stages[3],
        "join rows with account = account, the right one from 0ms after to 1m after the left one"
    );
    assert!(
        stages[4].starts_with("look up bronze.users by ") && stages[4].ends_with(", or none"),
        "{stages:?}"
    );
}

#[test]
fn a_corrected_table_has_the_key_of_its_window() {
    let world = sound(
        "--- silver.t materialize=stream lateness=1m
SELECT count(*) AS n, account AS who, window_start AS minute FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY account, window_start",
    );
    let plan = world.plan("silver.t");
    assert!(plan.corrects());
    assert_eq!(plan.key(), ["who", "minute"]);
    assert_eq!(plan.time(), "minute");
}

#[test]
fn a_table_whose_rows_replace_each_other_is_looked_up_in() {
    let world = sound(
        "--- silver.latest materialize=stream key=account
SELECT at, account, page FROM bronze.clicks
--- silver.t materialize=stream
SELECT p.paid_at, p.amount, l.page FROM bronze.payments p LEFT JOIN silver.latest l ON l.account = p.account",
    );
    let plan = world.plan("silver.t");
    assert_eq!(plan.inputs().len(), 1);
    assert_eq!(plan.lookups()[0].table, name("silver.latest"));
}

#[test]
fn comments_and_layout_change_no_fingerprint() {
    let of = |sql: &str| {
        let world = sound(&format!("--- silver.t materialize=stream\n{sql}"));
        world.analysis.tables[&name("silver.t")].fingerprint
    };
    let plain = of(
        "SELECT window_start, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY window_start",
    );
    assert_eq!(
        plain,
        of(
            "select window_start, -- a minute\n COUNT(*) as n from TUMBLE(bronze.clicks, at, interval '1 minute') group by window_start"
        )
    );
    assert_ne!(
        plain,
        of(
            "SELECT window_start, count(*) AS n FROM tumble(bronze.clicks, at, INTERVAL '2 minutes') GROUP BY window_start"
        )
    );
}

#[test]
fn columns_of_windows_come_from_the_time() {
    let world = sound(
        "--- silver.t materialize=stream
SELECT window_start AS minute, sum(cost) AS cost FROM tumble(bronze.clicks, at, INTERVAL '1 minute') GROUP BY window_start",
    );
    let lineage = world.analysis.tables[&name("silver.t")].lineage();
    let direct =
        |column: &str| lineage.columns[column].direct.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(direct("minute"), ["bronze.clicks.at"]);
    assert_eq!(direct("cost"), ["bronze.clicks.cost"]);
}

#[test]
fn checks_of_whole_tables_are_refused() {
    let mut tables = world("--- silver.t materialize=stream\nSELECT at, account FROM bronze.clicks").tables;
    let account = || located("account".to_owned());
    let check = |kind| CheckSpec { id: CheckId::new("c"), severity: Severity::Warn, kind, at: nowhere() };
    let codes = |tables: &[TableSpec]| {
        let analysis = analyze_streams(&sources(), tables, &streaming());
        analysis.diagnostics.iter().map(|found| found.code).collect::<Vec<_>>()
    };
    tables[0].checks = vec![check(CheckKind::NotNull { column: account() })];
    assert!(codes(&tables).is_empty());
    tables[0].checks = vec![check(CheckKind::Unique { columns: vec![account()] })];
    assert_eq!(codes(&tables), ["MS-0287"]);
}

#[tokio::test]
async fn a_test_of_a_continuous_table_gives_rows_to_its_sql() {
    let world = sound(
        "--- silver.clean materialize=stream by=click_id within=1m
SELECT at, click_id, account, cost FROM bronze.clicks WHERE account IS NOT NULL
--- gold.t materialize=stream
SELECT window_start AS minute, account, sum(cost) AS cost, count(*) AS n FROM tumble(silver.clean, at, INTERVAL '1 minute') GROUP BY window_start, account",
    );
    let clicks = r#"[
        {"click_id": 1, "account": 7, "cost": "1.00", "at": "2026-03-01T08:00:00Z"},
        {"click_id": 1, "account": 7, "cost": "1.00", "at": "2026-03-01T08:00:30Z"},
        {"click_id": 2, "account": 7, "cost": "0.50", "at": "2026-03-01T08:00:59Z"},
        {"click_id": 3, "cost": "9.00", "at": "2026-03-01T08:00:59Z"},
        {"click_id": 4, "account": 7, "cost": "9.00"},
        {"click_id": 1, "account": 7, "cost": "2.00", "at": "2026-03-01T08:01:00Z"}
    ]"#;
    let expect = r#"[
        {"minute": "2026-03-01T08:00:00Z", "account": 7, "cost": "1.50", "n": 2},
        {"minute": "2026-03-01T08:01:00Z", "account": 7, "cost": "2.00", "n": 1}
    ]"#;
    let test = spec("gold.t", &[("bronze.clicks", clicks)], expect, false);
    let outcome = run_test(&test, &world.analysis, &world.tables).await;
    assert_eq!(verdict(outcome.verdict), "passed 2");
}

#[test]
fn a_lookup_refuses_a_key_that_names_two_rows() {
    let world = sound(
        "--- silver.t materialize=stream
SELECT c.at, u.country FROM bronze.clicks c JOIN bronze.users u ON u.user_id = c.account",
    );
    let lookup = &world.plan("silver.t").lookups()[0];
    let ids: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None, None, Some(2)]));
    let countries: ArrayRef = Arc::new(StringArray::from(vec!["DE", "FR", "IT", "ES"]));
    let rows = RecordBatch::try_from_iter([("country", countries), ("user_id", ids)]).unwrap();
    assert_eq!(lookup.table(std::slice::from_ref(&rows)).unwrap().len(), 2);
    let twice = concat_batches(&rows.schema(), [&rows, &rows]).unwrap();
    let error = lookup.table(&[twice]).unwrap_err();
    assert_eq!(error.code(), "MS-0291");
    assert_eq!(error.to_string(), "`bronze.users` has two rows with `u.user_id` = 1, and a lookup finds one");
}
