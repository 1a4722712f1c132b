//! How fast events of a log come into the windows of the embedded store, in batches of several sizes.
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_possible_wrap
)]

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::DataType,
};
use millstream_features::{
    aggregate::Aggregation,
    view::{
        Chunk, ColumnDefinition, FeatureDefinition, FeatureValue, KeyDefinition, OnlineView, Position,
        RowDefinition, ViewDefinition,
    },
    window::{Measure, Operand},
};
use millstream_online::{StoreOptions, feature::feed, open};
use millstream_types::Span;
use rand::{Rng, SeedableRng, rngs::SmallRng};

const BEGIN: i64 = 1_728_000_000_000_000;
const ENTITIES: i64 = 100_000;
const ROWS: usize = 1_500_000;
/// Events in a second of event time, which decides how many of them are kept one by one.
const PER_SECOND: i64 = 400_000;

/// Counts and sums over ten windows.
fn view() -> OnlineView {
    let minutes = [5, 10, 30, 60, 6 * 60, 24 * 60, 3 * 24 * 60, 7 * 24 * 60, 14 * 24 * 60, 30 * 24 * 60];
    let feature = |(at, minutes): (usize, &u64)| {
        let (aggregation, column, data_type) = if at % 2 == 0 {
            (Aggregation::Count, None, DataType::Int64)
        } else {
            (Aggregation::Sum, Some(0), DataType::Float64)
        };
        let measure = Measure::One(Operand::new(aggregation, column));
        let value = FeatureValue::Window { measure, window: Some(Span::from_ms(minutes * 60_000)) };
        FeatureDefinition { name: format!("f{at}"), value, data_type, default: None }
    };
    OnlineView::new(ViewDefinition {
        name: "bench".into(),
        entity: "customer".into(),
        keys: vec![KeyDefinition { name: "id".into(), data_type: DataType::Int64 }],
        query: String::new(),
        ttl: None,
        include_same_instant: false,
        columns: vec![ColumnDefinition { sql: "c0".into(), data_type: DataType::Float64 }],
        features: minutes.iter().enumerate().map(feature).collect(),
        rows: RowDefinition::default(),
    })
    .unwrap()
}

/// The events of a batch that begins with the event of this number.
fn events(view: &OnlineView, first: i64, rows: usize) -> RecordBatch {
    let random = &mut SmallRng::seed_from_u64(first as u64);
    let times: Vec<i64> =
        (first..first + rows as i64).map(|at| BEGIN + at * 1_000_000 / PER_SECOND).collect();
    let instants = |times: Vec<i64>| TimestampMicrosecondArray::from(times).with_timezone("UTC");
    let columns: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|_| Some(random.random_range(0..ENTITIES))).collect::<Int64Array>()),
        Arc::new(instants(times.clone())),
        Arc::new(instants(times)),
        Arc::new((first..first + rows as i64).map(Some).collect::<Int64Array>()),
        Arc::new(
            (0..rows).map(|_| Some(random.random_range(0.0..1e4_f64).round())).collect::<Float64Array>(),
        ),
    ];
    RecordBatch::try_new(view.definition().event_schema(), columns).unwrap()
}

/// Seconds of processor time of the whole process where the system tells.
fn used() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = |at: usize| stat.split_whitespace().nth(at).and_then(|ticks| ticks.parse::<f64>().ok());
    (ticks(13).unwrap_or(0.0) + ticks(14).unwrap_or(0.0)) / 100.0
}

#[tokio::main]
async fn main() {
    let view = view();
    for size in [1_024, 16 * 1_024, 128 * 1_024, 512 * 1_024] {
        let folder = tempfile::TempDir::new().unwrap();
        let location = format!("embedded:{}", folder.path().display());
        let store = open(&location, &StoreOptions::default()).await.unwrap();
        let rows = if size < 10_000 { ROWS / 8 } else { ROWS };
        let (mut seconds, mut cores, mut number) = (0.0, 0.0, 0);
        for first in (0..rows).step_by(size) {
            let batch = events(&view, first as i64, size);
            number += 1;
            let newest = BEGIN + (first + size) as i64 * 1_000_000 / PER_SECOND;
            let position = Position { epoch: 1, chunk: number };
            let chunk = Chunk { position, watermark: Some(newest), ..Chunk::default() };
            let (started, before) = (Instant::now(), used());
            feed(store.as_ref(), &view, &chunk, &batch, newest, ("mark", &[0; 300])).await.unwrap();
            seconds += started.elapsed().as_secs_f64();
            cores += used() - before;
        }
        let fed = number as f64 * size as f64;
        println!(
            "batches of {size}: {:.0} events/s, {:.0} events/s of processor time",
            fed / seconds,
            fed / cores
        );
    }
}
