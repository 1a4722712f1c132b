//! Checks on a table as a whole.

use std::sync::Arc;

use arrow::array::*;
use datafusion::{datasource::MemTable, prelude::SessionContext};
use millstream_project::{Bounds, CheckKind};
use millstream_quality::{VersionBefore, evaluate_table_checks};
use millstream_query::LocalRuntime;

use crate::make::*;

fn table() -> RecordBatch {
    let us = |ago_minutes: i64| Some(NOW.0 - ago_minutes * 60_000_000);
    batch(vec![
        ("n", Arc::new(Int64Array::from(vec![Some(1), Some(2), Some(3), None, Some(10)])) as ArrayRef),
        ("Odd Name", Arc::new(Float64Array::from(vec![Some(f64::NAN), Some(1.0), None, None, None]))),
        ("s", texts(&[Some("a"), Some("b"), Some("a"), None, Some("")])),
        (
            "t",
            Arc::new(
                TimestampMicrosecondArray::from(vec![us(125), us(600), None, None, None])
                    .with_timezone("UTC"),
            ),
        ),
        ("day", Arc::new(Date32Array::from(vec![Some(19_843), None, None, None, None]))),
        ("none", Arc::new(Int64Array::from(vec![None; 5]))),
        (
            "d",
            Arc::new(
                Decimal128Array::from(vec![Some(150), Some(50), None, None, None])
                    .with_precision_and_scale(9, 2)
                    .unwrap(),
            ),
        ),
    ])
}

/// The observed figure, whether it passed, and the sentence.
fn judge(rows: &RecordBatch, kind: CheckKind, rows_before: Option<u64>) -> (String, bool, String) {
    let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let before = VersionBefore { rows: rows_before };
    let checks = [not_null("n"), check("some", kind)];
    let session = LocalRuntime::new(SessionContext::new().state(), Vec::new());
    let outcomes = evaluate_table_checks(&session, Arc::new(table), &checks, before, NOW);
    let outcomes = runtime.block_on(outcomes).unwrap();
    assert_eq!(outcomes.len(), 1, "row checks are passed over");
    let outcome = outcomes.into_iter().next().unwrap();
    assert_eq!(outcome.check.as_str(), "some");
    (outcome.observed, outcome.passed, outcome.message)
}

fn case(kind: CheckKind, observed: &str, passed: bool, message: &str) {
    assert_eq!(judge(&table(), kind, None), (observed.to_owned(), passed, message.to_owned()));
}

fn bounds<T>(min: Option<T>, max: Option<T>) -> Bounds<T> {
    Bounds { min, max }
}

#[test]
fn row_counts() {
    let kind = |min, max| CheckKind::RowCount { bounds: bounds(min, max), change_max: None };
    case(kind(Some(5), Some(5)), "5", true, "the table has 5 rows");
    case(kind(Some(6), None), "5", false, "the table has 5 rows: the minimum is 6");
    case(kind(None, Some(4)), "5", false, "the table has 5 rows: the maximum is 4");
}

#[test]
fn changes_of_volume() {
    let change = |before: Option<u64>| {
        let kind =
            CheckKind::RowCount { bounds: bounds(None, None), change_max: Some("50%".parse().unwrap()) };
        judge(&table(), kind, before).2
    };
    for fits in [None, Some(0), Some(4), Some(10)] {
        assert_eq!(change(fits), "the table has 5 rows");
    }
    let fewer = "the table has 5 rows: 54.55% fewer than the 11 of the version before, allowed are 50%";
    assert_eq!(change(Some(11)), fewer);
    let more = "the table has 5 rows: 66.67% more than the 3 of the version before, allowed are 50%";
    assert_eq!(change(Some(3)), more);
}

#[test]
fn freshness() {
    let kind = |column: Option<&str>, age: &str| CheckKind::Freshness {
        column: column.map(named),
        age_max: age.parse().unwrap(),
    };
    case(kind(Some("t"), "3h"), "2h 5m", true, "the newest `t` is 2h 5m old");
    case(kind(Some("t"), "2h"), "2h 5m", false, "the newest `t` is 2h 5m old: allowed are 2h");
    case(kind(Some("day"), "1d"), "1d 12h", false, "the newest `day` is 1d 12h old: allowed are 1d");
    case(kind(None, "1d"), "unknown", false, "the table has no column `_ingested_at` that tells its age");
    let empty = table().slice(2, 2);
    let found = judge(&empty, kind(Some("t"), "1h"), None);
    assert_eq!(found, ("no values".into(), true, "the newest `t` is unknown: there are no values".into()));
}

#[test]
fn completeness_and_distinct_values() {
    let complete = |column: &str, min: &str| CheckKind::Completeness {
        column: named(column),
        min: min.parse().unwrap(),
    };
    case(complete("n", "80%"), "80%", true, "`n` has a value in 80% of the rows (1 lack one)");
    case(
        complete("n", "81%"),
        "80%",
        false,
        "`n` has a value in 80% of the rows (1 lack one): at least 81% are promised",
    );
    let rows = batch(vec![(
        "c",
        Arc::new(Int64Array::from_iter((0..1000).map(|n| (n > 0).then_some(n)))) as ArrayRef,
    )]);
    let share = |min| judge(&rows, complete("c", min), None).1;
    assert_eq!(["99.9%", "99.90000001%"].map(share), [true, false]);
    let many = batch(vec![(
        "c",
        Arc::new(Int64Array::from_iter((0..100_000).map(|n| (n > 0).then_some(n)))) as ArrayRef,
    )]);
    let found = judge(&many, complete("c", "100%"), None);
    assert_eq!(found.0, "99.99%", "what is not whole does not look so");
    let found = judge(&table().slice(0, 0), complete("n", "100%"), None);
    assert_eq!((found.0.as_str(), found.1), ("100%", true), "an empty table lacks nothing");
    let distinct =
        |column: &str| CheckKind::DistinctCount { column: named(column), bounds: bounds(Some(3), Some(3)) };
    case(distinct("s"), "3", true, "`s` has 3 distinct values");
    case(distinct("n"), "4", false, "`n` has 4 distinct values: the maximum is 3");
}

#[test]
fn means_and_quantiles() {
    let mean = |column: &str, min, max| CheckKind::Mean { column: named(column), bounds: bounds(min, max) };
    case(mean("n", Some(4.0), Some(4.0)), "4", true, "the mean of `n` is 4");
    case(mean("d", None, Some(0.5)), "1", false, "the mean of `d` is 1: the maximum is 0.5");
    case(
        mean("none", Some(1.0), None),
        "no values",
        true,
        "the mean of `none` is unknown: there are no values",
    );
    case(
        mean("Odd Name", Some(0.0), None),
        "NaN",
        false,
        "the mean of `Odd Name` is NaN: there are values that are no numbers",
    );
    let quantile =
        |quantile, max| CheckKind::Quantile { column: named("n"), quantile, bounds: bounds(None, Some(max)) };
    case(quantile(0.5, 2.5), "2.5", true, "the 0.5 quantile of `n` is 2.5");
    case(quantile(1.0, 9.0), "10", false, "the 1 quantile of `n` is 10: the maximum is 9");
}

#[test]
fn an_unknown_column_is_an_error() {
    let rows = table();
    let table = MemTable::try_new(rows.schema(), vec![vec![rows]]).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let checks = [check("some", CheckKind::Mean { column: named("nope"), bounds: bounds(Some(1.0), None) })];
    let (session, before) =
        (LocalRuntime::new(SessionContext::new().state(), Vec::new()), VersionBefore::default());
    let outcomes = evaluate_table_checks(&session, Arc::new(table), &checks, before, NOW);
    assert_eq!(runtime.block_on(outcomes).unwrap_err().to_string(), "the rows have no column `nope`");
}
