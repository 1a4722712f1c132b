//! The checks of rows that come one by one: how far a time is ahead of its row's arrival, and values without a column.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, TimestampMicrosecondArray};
use millstream_quality::{Contract, ContractOptions, Relations, StreamChecks};
use millstream_types::{Severity, Span};

use crate::make::*;

const HOUR: i64 = 3_600_000_000;

fn compiled(types: &[(&str, &str)], stream: &StreamChecks<'_>) -> Contract {
    let relations = Relations::new();
    let options = ContractOptions {
        checks: &[],
        type_severity: Severity::Quarantine,
        relations: &relations,
        extra: &[],
        now: NOW,
    };
    Contract::compile_stream(&columns(types), types.len(), &options, stream).unwrap()
}

/// For each row the checks that it fails.
fn failed(
    contract: &Contract,
    raw: &RecordBatch,
    arrived: Option<&TimestampMicrosecondArray>,
) -> Vec<String> {
    let evaluated = contract.evaluate_arrived(raw, arrived).unwrap();
    let of_row = |row: usize| {
        let failures = evaluated.failures.iter().filter(|failure| failure.rows.value(row));
        let names = failures.map(|failure| contract.checks()[failure.check].id.as_str().to_owned());
        names.collect::<Vec<_>>().join(" ")
    };
    (0..raw.num_rows()).map(of_row).collect()
}

#[test]
fn a_time_is_compared_with_the_arrival_of_its_own_row() {
    let stream = StreamChecks { future: Some(("at", Span::from_ms(3_600_000))), only_declared: false };
    let contract = compiled(&[("at", "timestamp")], &stream);
    let times = [0, HOUR, HOUR + 1, 5 * HOUR, -HOUR].map(|micros| NOW.0 + micros);
    let ats: ArrayRef = Arc::new(TimestampMicrosecondArray::from(times.to_vec()).with_timezone("UTC"));
    let raw = batch(vec![("at", ats)]);
    assert_eq!(failed(&contract, &raw, None), ["", "", "future(at)", "future(at)", ""]);
    let arrivals = [0, 0, HOUR, 4 * HOUR, -3 * HOUR].map(|micros| NOW.0 + micros);
    let arrived = TimestampMicrosecondArray::from(arrivals.to_vec()).with_timezone("UTC");
    assert_eq!(failed(&contract, &raw, Some(&arrived)), ["", "", "", "", "future(at)"]);
}

#[test]
fn a_value_without_a_column_rejects_its_row_and_a_null_does_not() {
    let stream = StreamChecks { future: None, only_declared: true };
    let contract = compiled(&[("id", "int64")], &stream);
    let raw = batch(vec![
        ("id", texts(&[Some("1"), Some("x"), Some("3")])),
        ("more", texts(&[None, Some("y"), Some("z")])),
        ("nothing", texts(&[None, None, None])),
    ]);
    assert_eq!(failed(&contract, &raw, None), ["", "type(id) columns", "columns"]);
}

#[test]
fn a_column_that_is_no_time_is_not_compared() {
    let stream = StreamChecks { future: Some(("id", Span::from_ms(1))), only_declared: false };
    let contract = compiled(&[("id", "int64")], &stream);
    assert_eq!(failed(&contract, &batch(vec![("id", texts(&[Some("9000000000000000000")]))]), None), [""]);
}
