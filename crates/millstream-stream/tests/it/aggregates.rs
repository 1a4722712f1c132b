//! Values at the edges: what overflows, what is null, what is no number.

use millstream_stream::{Aggregate, Function, PipelineBuilder, RefusedReason, Ties, WindowDefinition};
use millstream_types::Aggregation;

use crate::{
    pipelines::{NONE, source, tumbling, window},
    world::{Row, SECOND, Step, Told, World, row},
};

fn run(aggregates: Vec<Aggregate>, rows: &[Row]) -> Told {
    let mut builder = PipelineBuilder::new();
    let input = builder.source(&source("rows", 1, NONE)).unwrap();
    let definition = WindowDefinition { keys: Vec::new(), aggregates, ..window(tumbling(10), NONE) };
    builder.window(input, &definition).unwrap();
    let world = World::new(builder.build().unwrap(), &[input], 2);
    world.run(&[Step::Push { source: 0, partition: 0, rows: rows.to_vec() }, Step::End])
}

fn value(function: Function, rows: &[Row]) -> String {
    let told = run(vec![Aggregate::new("value", function)], rows);
    assert_eq!(told.refused, []);
    told.rows[0].split('|').nth(2).unwrap().into()
}

fn amounts(amounts: &[i64]) -> Vec<Row> {
    amounts.iter().map(|amount| row(0, 1, *amount)).collect()
}

fn prices(prices: &[f64]) -> Vec<Row> {
    prices.iter().map(|price| Row { price: Some(*price), ..row(0, 1, 1) }).collect()
}

#[test]
fn a_sum_that_fits_in_the_end_is_right_whatever_happened_between() {
    let sum = Function::Sum("amount".into());
    assert_eq!(value(sum.clone(), &amounts(&[i64::MAX, i64::MAX, i64::MIN, i64::MIN, 5])), "3");
    assert_eq!(value(sum, &amounts(&[i64::MIN])), i64::MIN.to_string());
}

#[test]
fn a_sum_beyond_its_type_makes_the_row_a_refused_one() {
    let sums = vec![
        Aggregate::new("rows", Function::Count),
        Aggregate::new("amount", Function::Sum("amount".into())),
    ];
    let told = run(sums, &[row(0, 1, i64::MAX), row(0, 1, 1), row(10 * SECOND, 1, 7)]);
    assert_eq!(told.rows, ["10000000|20000000|1|7"]);
    assert_eq!(told.refused, [(RefusedReason::Overflow, "0|10000000|2|null".to_owned())]);
}

#[test]
fn sums_of_floats_are_the_nearest_ones() {
    let sum = Function::Sum("price".into());
    let cases: [(&[f64], &str); 9] = [
        (&[0.1; 10], "1.0"),
        (&[1e300, 1.0, -1e300], "1.0"),
        (&[1e16, 1.0, 1.0], "1.0000000000000002e16"),
        (&[f64::MAX, f64::MAX, -f64::MAX], "1.7976931348623157e308"),
        (&[5e-324, 5e-324, 1.0, -1.0], "1e-323"),
        (&[-0.0], "0.0"),
        (&[f64::NAN, 1.0], "NaN"),
        (&[f64::INFINITY, 1.0], "inf"),
        (&[f64::INFINITY, f64::NEG_INFINITY], "NaN"),
    ];
    for (values, expected) in cases {
        assert_eq!(value(sum.clone(), &prices(values)), expected, "{values:?}");
        let reversed: Vec<f64> = values.iter().rev().copied().collect();
        assert_eq!(value(sum.clone(), &prices(&reversed)), expected, "{reversed:?}");
    }
}

#[test]
fn means() {
    assert_eq!(value(Function::Average("price".into()), &prices(&[1.0, 2.0, 4.0])), "2.3333333333333335");
    assert_eq!(value(Function::Average("amount".into()), &amounts(&[1, 2])), "1.5");
    // The unscaled numbers are hundredths: 0.10 and 0.20 and 0.20.
    assert_eq!(value(Function::Average("cents".into()), &amounts(&[10, 20, 20])), "0.166666");
    assert_eq!(value(Function::Average("cents".into()), &amounts(&[-10, -20, -20])), "-0.166666");
}

#[test]
fn extremes_are_those_of_sql() {
    let values = prices(&[1.0, f64::NAN, -3.0, f64::NEG_INFINITY]);
    assert_eq!(value(Function::Min("price".into()), &values), "-inf");
    assert_eq!(value(Function::Max("price".into()), &values), "NaN");
    assert_eq!(value(Function::Max("at".into()), &[row(5, 1, 1), row(7, 1, 1)]), "7");
    assert_eq!(value(Function::Min("cents".into()), &amounts(&[-7, 3])), "-0.07");
}

#[test]
fn nothing_but_nulls_is_null_and_counts_as_none() {
    let nulls = Row { amount: None, ..row(0, 1, 1) };
    let of = |name: &str| name.to_owned();
    let functions = [
        (Function::CountOf(of("price")), "0"),
        (Function::Sum(of("price")), "null"),
        (Function::Sum(of("amount")), "null"),
        (Function::Average(of("cents")), "null"),
        (Function::Min(of("word")), "null"),
        (Function::Max(of("price")), "null"),
    ];
    for (function, expected) in functions {
        assert_eq!(value(function.clone(), std::slice::from_ref(&nulls)), expected, "{function:?}");
    }
}

#[test]
fn ties_of_first_and_last_are_broken_by_the_sequence_and_then_the_value() {
    let ties = || Ties { known: None, sequence: Some("sequence".into()) };
    let at = |sequence: i64, amount: i64| Row { sequence, ..row(5, 1, amount) };
    let rows = [at(2, 20), at(1, 10), at(3, 30), at(3, 31)];
    let told = run(
        vec![Aggregate::first("first", "amount", ties()), Aggregate::last("last", "amount", ties())],
        &rows,
    );
    assert_eq!(told.rows, ["0|10000000|10|31"]);
}

#[test]
fn features_beyond_their_bound_are_refused_rows() {
    let distinct = Function::Feature {
        aggregation: Aggregation::Distinct { bound: 2 },
        over: Some("amount".into()),
        ties: Ties::default(),
    };
    let told = run(vec![Aggregate::new("different", distinct)], &amounts(&[1, 2, 3]));
    assert_eq!(told.refused.len(), 1);
    assert_eq!(told.rows.len(), 0);
}
