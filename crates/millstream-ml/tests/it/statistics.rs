//! Figures of columns.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, BooleanArray, Decimal128Array},
    datatypes::DataType,
};
use millstream_ml::dataset::{Category, ColumnStatistics, SAMPLE_ROWS, Scalar, StatusCounts};

use crate::world::{DAY, World, batch, events, floats, ints, service, texts, times, view};

/// The figures of these label columns.
fn figures(rows: i64, columns: Vec<(&str, ArrayRef)>) -> Vec<ColumnStatistics> {
    let orders = view("orders", DataType::Int64);
    let nothing = events(&orders, ints([]), times([]), floats([]));
    let mut all = columns.clone();
    all.push(("customer_id", ints((0..rows).map(Some))));
    all.push(("as_of", times((0..rows).map(|row| Some(row * DAY)))));
    let world = World::new(service(vec![orders]), batch(all), vec![nothing]);
    let manifest = world.build().unwrap().manifest;
    manifest.columns.into_iter().take(columns.len()).map(|column| column.statistics).collect()
}

fn one(rows: i64, column: ArrayRef) -> ColumnStatistics {
    figures(rows, vec![("x", column)]).remove(0)
}

fn quantile(figures: &ColumnStatistics, quantile: f64) -> Scalar {
    figures.quantiles.iter().find(|found| (found.quantile - quantile).abs() < 1e-9).unwrap().value.clone()
}

#[test]
fn numbers_have_ends_moments_quantiles_and_bins() {
    let figures = one(1_001, ints((0..1_001).map(|value| (value != 500).then_some(value))));
    assert_eq!((figures.rows, figures.nulls), (1_001, 1));
    assert_eq!((figures.min.clone(), figures.max.clone()), (Some(Scalar::Int(0)), Some(Scalar::Int(1_000))));
    assert!((figures.mean.unwrap() - 500.0).abs() < 1e-9);
    assert!((figures.stddev.unwrap() - 289.107).abs() < 1e-2);
    assert_eq!(quantile(&figures, 0.5), Scalar::Int(501));
    assert_eq!(quantile(&figures, 0.01), Scalar::Int(10));
    assert_eq!(figures.histogram.len(), 20);
    assert_eq!(figures.histogram.iter().map(|bin| bin.rows).sum::<u64>(), 1_000);
    let distinct = figures.distinct.unwrap();
    assert!(distinct.exact && distinct.count == 1_000);
    assert_eq!(figures.sampled, None);
}

#[test]
fn whole_numbers_beyond_floats_keep_their_digits() {
    let big = (1_i64 << 53) + 1;
    let figures = one(2, ints([Some(big), Some(-big)]));
    assert_eq!((figures.min, figures.max), (Some(Scalar::Int(-big)), Some(Scalar::Int(big))));
}

#[test]
fn nan_and_infinities_are_counted_and_left_out() {
    let values = [1.0, f64::NAN, 3.0, f64::INFINITY, f64::NEG_INFINITY].map(Some);
    let figures = one(5, floats(values));
    assert_eq!(figures.not_finite, 3);
    assert_eq!(figures.mean, Some(2.0));
    assert_eq!((figures.min, figures.max), (Some(Scalar::Float(1.0)), Some(Scalar::Float(3.0))));
    assert_eq!(figures.histogram.iter().map(|bin| bin.rows).sum::<u64>(), 2);
}

#[test]
fn large_numbers_with_small_differences_keep_their_deviation() {
    let figures = one(100_000, floats((0..100_000).map(|at| Some(1e9 + f64::from(at % 2)))));
    assert!((figures.stddev.unwrap() - 0.5).abs() < 1e-6);
}

#[test]
fn categories_come_by_frequency_then_by_value() {
    let figures = one(6, texts(["b", "a", "c", "a", "b", "d"].map(Some)));
    let names: Vec<_> =
        figures.categories.iter().map(|found| (found.value.to_string(), found.rows)).collect();
    let expected = [("a", 2), ("b", 2), ("c", 1), ("d", 1)].map(|(name, rows)| (name.to_owned(), rows));
    assert_eq!(names, expected);
    assert_eq!((figures.min, figures.max), (Some(Scalar::Text("a".into())), Some(Scalar::Text("d".into()))));
    let truth: ArrayRef = Arc::new(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)]));
    let figures = one(4, truth);
    assert_eq!(figures.categories[0], Category { value: Scalar::Bool(true), rows: 2 });
    assert!((figures.mean.unwrap() - 2.0 / 3.0).abs() < 1e-9);
}

#[test]
fn times_and_decimals_are_written_as_they_are_read() {
    let figures = figures(
        2,
        vec![
            ("at", times([Some(0), Some(DAY)])),
            (
                "price",
                Arc::new(Decimal128Array::from(vec![150, 275]).with_precision_and_scale(9, 2).unwrap()),
            ),
        ],
    );
    assert_eq!(figures[0].max, Some(Scalar::Text("1970-01-02T00:00:00Z".into())));
    assert_eq!(figures[0].histogram[0].from, Scalar::Text("1970-01-01T00:00:00Z".into()));
    assert_eq!(figures[1].min, Some(Scalar::Text("1.50".into())));
    assert_eq!(figures[1].mean, Some(2.125));
}

#[test]
fn many_rows_are_sampled_for_quantiles_and_distinct_values_estimated() {
    let rows = 3 * SAMPLE_ROWS as i64;
    let figures = one(rows, ints((0..rows).map(Some)));
    let sampled = figures.sampled.unwrap() as f64;
    assert!((sampled / SAMPLE_ROWS as f64 - 1.0).abs() < 0.02);
    let Scalar::Int(median) = quantile(&figures, 0.5) else { panic!("{figures:?}") };
    assert!((median as f64 / rows as f64 - 0.5).abs() < 0.01);
    let distinct = figures.distinct.unwrap();
    assert!(!distinct.exact && (distinct.count as f64 / rows as f64 - 1.0).abs() < 0.05, "{distinct:?}");
    assert_eq!(figures.max, Some(Scalar::Int(rows - 1)));
    // A frequent word among many rare ones is still named.
    let words: Vec<String> =
        (0..rows).map(|row| if row % 4 == 0 { "often".into() } else { row.to_string() }).collect();
    let figures = one(rows, texts(words.iter().map(|word| Some(word.as_str()))));
    assert_eq!(figures.categories.len(), 1);
    assert_eq!(figures.categories[0].value, Scalar::Text("often".into()));
}

#[test]
fn features_count_how_their_values_came_about() {
    let mut orders = view("orders", DataType::Int64);
    orders.ttl = Some("10d".parse().unwrap());
    let rows =
        events(&orders, ints([1, 2].map(Some)), times([Some(0), Some(90 * DAY)]), floats([Some(1.0), None]));
    let labels = batch(vec![
        ("customer_id", ints([1, 1, 2, 3].map(Some))),
        ("as_of", times([5, 50, 95, 95].map(|day| Some(day * DAY)))),
    ]);
    let world = World::new(service(vec![orders]), labels, vec![rows]);
    let manifest = world.build().unwrap().manifest;
    let statuses = |name: &str| {
        let column = manifest.columns.iter().find(|column| column.name == name).unwrap();
        column.statistics.statuses.unwrap()
    };
    let counts = |present, null, missing, expired| StatusCounts { present, null, missing, expired };
    assert_eq!(statuses("orders.amount"), counts(1, 1, 1, 1));
    assert_eq!(statuses("orders.orders"), counts(2, 0, 1, 1));
    assert_eq!(manifest.columns[0].statistics.statuses, None);
}
