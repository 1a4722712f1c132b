//! A project of meters that has what the shop has not: composite keys, numbers beyond 2^53, nulls, NaN and infinities,
//! ties, a time to live, defaults, rows visible at their own instant, and every aggregation over every size of window.

use std::{fmt::Write as _, sync::Arc};

use arrow::{
    array::{
        ArrayRef, BooleanArray, Date32Array, Decimal128Array, Float32Builder, Float64Array, Int64Array,
        ListBuilder, RecordBatch, StringArray,
    },
    datatypes::{DataType, Field},
};
use rand::{Rng, rngs::SmallRng};
use serde_json::{Value, json};

use crate::{
    features_rows::{instants, rfc3339, write_parquet},
    harness::Folder,
};

/// 2026-01-05, a Monday.
pub(crate) const START: i64 = 1_767_571_200_000_000;
pub(crate) const SECOND: i64 = 1_000_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;
pub(crate) const DAY: i64 = 24 * HOUR;

/// From here on, a float has no odd number.
const BEYOND: i64 = 9_007_199_254_740_992;

/// Every aggregation, as a file says it.
const AGGREGATIONS: [(&str, &str); 35] = [
    ("count", "count: \"*\""),
    ("count_of", "count: word"),
    ("count_if", "count_if: \"level > 1\""),
    ("sum_whole", "sum: whole"),
    ("sum_level", "sum: level"),
    ("sum_price", "sum: price"),
    ("mean_level", "mean: level"),
    ("mean_price", "mean: price"),
    ("min_whole", "min: whole"),
    ("max_level", "max: level"),
    ("max_word", "max: word"),
    ("min_day", "min: day"),
    ("first", "first: whole"),
    ("last", "last: word"),
    ("first_k", "first_k: {column: whole, k: 3}"),
    ("last_k", "last_k: {column: word, k: 2}"),
    ("variance", "variance: level"),
    ("stddev", "stddev: price"),
    ("skewness", "skewness: level"),
    ("kurtosis", "kurtosis: level"),
    ("approx_distinct", "approx_distinct: word"),
    ("distinct", "distinct: whole"),
    ("distinct_bounded", "distinct: {column: word, bound: 2000}"),
    ("quantile", "quantile: {column: level, quantile: 0.9}"),
    ("top_k", "top_k: {column: whole, k: 2}"),
    ("most_frequent", "most_frequent: word"),
    ("histogram", "histogram: {column: level, edges: [0, 1, 10]}"),
    ("ratio", "ratio: {numerator: {sum: level, where: flag}, denominator: {count: \"*\"}}"),
    ("rate", "rate: {column: level, per: 1h}"),
    ("rate_of_rows", "rate: {per: 1h}"),
    ("trend", "trend: {column: level, per: 1d}"),
    ("since_last", "time_since_last: \"*\""),
    ("decayed_sum", "decayed_sum: {column: level, half_life: 6h}"),
    ("decayed_mean", "decayed_mean: {column: price, half_life: 2d}"),
    ("sum_where", "sum: whole, where: \"flag and word <> 'b'\", default: -1"),
];

/// There is a window for each size of hop, one that is no multiple of its hop, and all time.
const WINDOWS: [(&str, &str); 5] =
    [("", ""), ("_5m", "5m"), ("_23m", "23m"), ("_13h", "13h"), ("_15d", "15d")];

/// Features of the newest row.
const NEWEST: &str = "      whole: {column: whole}\n      \
                      word: {column: word, default: none}\n      day: {column: day}\n";

pub(crate) const SOURCE: &str = "connector: {type: files, path: data/*.parquet}
contract:
  columns:
    site: {type: string}
    device: {type: int64}
    at: {type: timestamp}
    whole: {type: int64}
    level: {type: float64}
    price: {type: \"decimal(12,2)\"}
    word: {type: string}
    flag: {type: bool}
    day: {type: date}
    vector: {type: list<float32>}
";

const TABLE: &str =
    "/*---\nmaterialize: incremental\n---*/\nSELECT * EXCLUDE (_source, _position) FROM bronze.readings\n";

/// Whether this aggregation can be had without a window.
fn is_of_all_time(name: &str) -> bool {
    !name.starts_with("rate")
}

fn features() -> String {
    let mut text = NEWEST.to_owned();
    for (name, written) in AGGREGATIONS {
        for (suffix, window) in WINDOWS {
            if window.is_empty() && is_of_all_time(name) {
                writeln!(text, "      {name}: {{{written}}}").unwrap();
            } else if !window.is_empty() {
                writeln!(text, "      {name}{suffix}: {{{written}, window: {window}}}").unwrap();
            }
        }
    }
    text
}

/// The same features three times: strict and with a time to live over the source, inclusive over a table, and over a
/// query's rows.
fn views() -> String {
    let features = features();
    format!(
        "entity: {{name: meter, key: [site, device]}}
views:
  strict:
    from: bronze.readings
    time: at
    ttl: 12d
    features:
{features}  same:
    from: silver.readings
    time: at
    include_same_instant: true
    features:
{features}  own:
    from: bronze.readings
    sql: >
      SELECT *, whole * 2 AS doubled, arrow_cast(vector, 'FixedSizeList(3, Float32)') AS vector3
      FROM bronze.readings WHERE word IS DISTINCT FROM 'a'
    time: at
    features:
      vector: {{column: vector3}}
      vector_sum: {{vector_sum: vector3}}
      vector_sum_23m: {{vector_sum: vector3, window: 23m}}
      vector_mean_13h: {{vector_mean: vector3, window: 13h}}
      doubled: {{last: doubled}}
      doubled_sum_13h: {{sum: doubled, window: 13h}}
request:
  bound: float64
on_demand:
  above: \"same.max_level_13h > bound\"
  share: \"strict.sum_level / nullif(bound, 0)\"
services:
  meters: [strict.*, same.*, own.*, above, share]
"
    )
}

pub(crate) fn project() -> Folder {
    Folder::with(&[
        ("millstream.yaml", "name: meters\n"),
        ("sources/readings.yaml", SOURCE),
        ("tables/silver/readings.sql", TABLE),
        ("features/meter.yaml", &views()),
        (
            "datasets/readings.yaml",
            "labels: {file: labels.parquet, entity: meter, time: at}\nfeatures: meters\n",
        ),
    ])
}

/// One row of the source.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reading {
    pub(crate) site: &'static str,
    pub(crate) device: i64,
    pub(crate) at: i64,
    pub(crate) whole: Option<i64>,
    pub(crate) level: Option<f64>,
    /// The price in hundredths.
    pub(crate) price: Option<i128>,
    pub(crate) word: Option<&'static str>,
    pub(crate) flag: Option<bool>,
    pub(crate) day: Option<i32>,
    pub(crate) vector: Option<[f32; 3]>,
}

/// The meters that readings come from: keys whose texts run into each other, and numbers that a float cannot tell apart.
pub(crate) fn meters() -> Vec<(&'static str, i64)> {
    vec![("a", 12), ("a1", 2), ("", 0), ("a", BEYOND), ("a", BEYOND + 1), ("ä\"\\", -1)]
}

/// Readings in `[from, from + span)` in the order of time, many at the same instants and at the borders of hops.
pub(crate) fn readings(dice: &mut SmallRng, count: usize, from: i64, span: i64, odd: bool) -> Vec<Reading> {
    let meters = meters();
    let mut readings: Vec<Reading> = (0..count)
        .map(|_| {
            let (site, device) = meters[dice.random_range(0..meters.len())];
            let at = from + dice.random_range(0..span);
            let unit = [1, SECOND, 5 * MINUTE, HOUR, DAY][dice.random_range(0..5)];
            let at = (at / unit * unit).max(from);
            reading(dice, site, device, at, odd)
        })
        .collect();
    readings.sort_by_key(|reading| reading.at);
    readings
}

fn reading(dice: &mut SmallRng, site: &'static str, device: i64, at: i64, odd: bool) -> Reading {
    let level = match dice.random_range(0..20) {
        0 if odd => f64::NAN,
        1 if odd => f64::INFINITY,
        2 if odd => f64::NEG_INFINITY,
        3 => -0.0,
        4 => 1e17,
        _ => dice.random_range(-2.0..20.0),
    };
    Reading {
        site,
        device,
        at,
        whole: dice.random_bool(0.9).then(|| BEYOND + dice.random_range(-9..9)),
        level: dice.random_bool(0.9).then_some(level),
        price: dice.random_bool(0.9).then(|| dice.random_range(-10_000..1_000_000)),
        word: dice.random_bool(0.9).then(|| ["a", "b", "c", "d", ""][dice.random_range(0..5)]),
        flag: dice.random_bool(0.9).then(|| dice.random_bool(0.5)),
        day: dice.random_bool(0.9).then(|| dice.random_range(20_000..20_500)),
        vector: dice.random_bool(0.9).then(|| [0, 1, 2].map(|_| dice.random_range(-3.0..3.0))),
    }
}

/// The readings in the form of a file of the source.
pub(crate) fn batch(readings: &[Reading]) -> RecordBatch {
    let mut vectors = ListBuilder::new(Float32Builder::new()).with_field(Arc::new(Field::new(
        "element",
        DataType::Float32,
        true,
    )));
    for reading in readings {
        vectors.append_option(reading.vector.map(|vector| vector.map(Some)));
    }
    let prices: Decimal128Array = readings.iter().map(|reading| reading.price).collect();
    let columns: [(&str, ArrayRef); 10] = [
        ("site", Arc::new(readings.iter().map(|reading| Some(reading.site)).collect::<StringArray>())),
        ("device", Arc::new(readings.iter().map(|reading| reading.device).collect::<Int64Array>())),
        ("at", instants(readings.iter().map(|reading| Some(reading.at)))),
        ("whole", Arc::new(readings.iter().map(|reading| reading.whole).collect::<Int64Array>())),
        ("level", Arc::new(readings.iter().map(|reading| reading.level).collect::<Float64Array>())),
        ("price", Arc::new(prices.with_precision_and_scale(12, 2).unwrap())),
        ("word", Arc::new(readings.iter().map(|reading| reading.word).collect::<StringArray>())),
        ("flag", Arc::new(readings.iter().map(|reading| reading.flag).collect::<BooleanArray>())),
        ("day", Arc::new(readings.iter().map(|reading| reading.day).collect::<Date32Array>())),
        ("vector", Arc::new(vectors.finish())),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true))).unwrap()
}

pub(crate) fn land(folder: &Folder, file: &str, readings: &[Reading]) {
    write_parquet(&folder.path().join("data").join(file), &batch(readings));
}

/// The readings in the form of a push.
pub(crate) fn pushed(readings: &[Reading]) -> Value {
    let column = |of: &dyn Fn(&Reading) -> Value| -> Value { readings.iter().map(of).collect() };
    let date = |days: i32| rfc3339(i64::from(days) * DAY)[..10].to_owned();
    json!({
        "site": column(&|reading| json!(reading.site)),
        "device": column(&|reading| json!(reading.device)),
        "at": column(&|reading| json!(rfc3339(reading.at))),
        "whole": column(&|reading| json!(reading.whole)),
        "level": column(&|reading| json!(reading.level)),
        "price": column(&|reading| json!(reading.price.map(hundredths))),
        "word": column(&|reading| json!(reading.word)),
        "flag": column(&|reading| json!(reading.flag)),
        "day": column(&|reading| json!(reading.day.map(date))),
    })
}

fn hundredths(value: i128) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}.{:02}", value.abs() / 100, value.abs() % 100)
}

/// A label for every meter, and for one that never reports, at each of these times.
pub(crate) fn label_rows(times: &[i64], dice: &mut SmallRng) -> RecordBatch {
    let mut meters = meters();
    meters.push(("nobody", 1));
    let rows: Vec<(&str, i64, i64)> =
        times.iter().flat_map(|at| meters.iter().map(|(site, device)| (*site, *device, *at))).collect();
    let bounds: Vec<Option<f64>> =
        rows.iter().map(|_| dice.random_bool(0.8).then(|| f64::from(dice.random_range(-1..5)))).collect();
    let columns: [(&str, ArrayRef); 4] = [
        ("site", Arc::new(rows.iter().map(|row| Some(row.0)).collect::<StringArray>())),
        ("device", Arc::new(rows.iter().map(|row| row.1).collect::<Int64Array>())),
        ("at", instants(rows.iter().map(|row| Some(row.2)))),
        ("bound", Arc::new(Float64Array::from(bounds))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.map(|(name, values)| (name, values, true))).unwrap()
}
