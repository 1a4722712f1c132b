//! How fast a view's events come into the embedded store, and pushes become durable.
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
use bytes::Bytes;
use millstream_features::view::{
    Chunk, ColumnDefinition, FeatureDefinition, FeatureValue, KeyDefinition, OnlineView, Position,
    RowDefinition, ViewDefinition,
};
use millstream_online::{
    StoreOptions,
    feature::{PushTarget, Pushes, apply_chunk, fill},
    open,
};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const NOW: i64 = 1_728_000_000_000_000;
const ROWS: usize = 1_000_000;
const PUSHES: usize = 1_000;

fn view() -> OnlineView {
    let column = |at: usize| ColumnDefinition { sql: format!("c{at}"), data_type: DataType::Float64 };
    let feature = |at: usize| FeatureDefinition {
        name: format!("f{at}"),
        value: FeatureValue::Newest(at),
        data_type: DataType::Float64,
        default: None,
    };
    OnlineView::new(ViewDefinition {
        name: "bench".into(),
        entity: "customer".into(),
        keys: vec![KeyDefinition { name: "id".into(), data_type: DataType::Int64 }],
        query: String::new(),
        ttl: None,
        include_same_instant: false,
        columns: (0..10).map(column).collect(),
        features: (0..10).map(feature).collect(),
        rows: RowDefinition::default(),
    })
    .unwrap()
}

fn events(view: &OnlineView, rows: usize, entities: i64) -> RecordBatch {
    let random = &mut SmallRng::seed_from_u64(entities as u64);
    let times: Vec<i64> = (0..rows).map(|_| NOW - random.random_range(0..1_000_000_000_000)).collect();
    let instants = |times: Vec<i64>| TimestampMicrosecondArray::from(times).with_timezone("UTC");
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|_| Some(random.random_range(0..entities))).collect::<Int64Array>()),
        Arc::new(instants(times.clone())),
        Arc::new(instants(times)),
        Arc::new((0..rows as i64).map(Some).collect::<Int64Array>()),
    ];
    for _ in 0..10 {
        let values = (0..rows).map(|_| Some(random.random_range(0.0..1e6)));
        columns.push(Arc::new(values.collect::<Float64Array>()));
    }
    RecordBatch::try_new(view.definition().event_schema(), columns).unwrap()
}

/// Seconds of processor time of the whole process where the system tells.
fn used() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let ticks = |at: usize| stat.split_whitespace().nth(at).and_then(|ticks| ticks.parse::<f64>().ok());
    (ticks(13).unwrap_or(0.0) + ticks(14).unwrap_or(0.0)) / 100.0
}

async fn push(pushes: &Pushes, view: &OnlineView, event: &RecordBatch) -> f64 {
    let started = Instant::now();
    let targets = [PushTarget { view, events: event }];
    pushes.push("bench", 1, &targets, Bytes::from_static(&[0; 100])).await.unwrap();
    started.elapsed().as_secs_f64() * 1e3
}

fn print(what: &str, mut milliseconds: Vec<f64>) {
    milliseconds.sort_by(f64::total_cmp);
    let at = |share: f64| milliseconds[((milliseconds.len() - 1) as f64 * share) as usize];
    println!("{what}: p50 {:.1} ms, p99 {:.1} ms", at(0.5), at(0.99));
}

#[tokio::main]
async fn main() {
    let folder = tempfile::TempDir::new().unwrap();
    let location = format!("embedded:{}", folder.path().display());
    let store = open(&location, &StoreOptions::default()).await.unwrap();
    let view = view();
    let steps = [(1, 1_000_000, true), (2, 1_000_000, false), (3, 100_000, false), (4, 10_000, false)];
    for (epoch, entities, first) in steps {
        let events = events(&view, ROWS, entities);
        let chunk = Chunk { position: Position { epoch, chunk: 1 }, ..Chunk::default() };
        let (started, before) = (Instant::now(), used());
        let applied = match first {
            true => fill(store.as_ref(), &view, &chunk, &events, NOW).await.unwrap(),
            false => apply_chunk(store.as_ref(), &view, &chunk, &events, NOW).await.unwrap(),
        };
        store.sync().await.unwrap();
        println!(
            "{} {ROWS} rows of {} entities: {:.0} rows/s, {:.0} rows/s of processor time, {:.0} bytes a record",
            if first { "fill" } else { "apply" },
            applied.entities,
            ROWS as f64 / started.elapsed().as_secs_f64(),
            ROWS as f64 / (used() - before),
            applied.bytes as f64 / applied.changed as f64,
        );
    }
    let pushes = Arc::new(Pushes::new(store));
    let all: Vec<RecordBatch> = (0..PUSHES).map(|at| events(&view, 1, 1_000_000 + at as i64)).collect();
    let before = used();
    let mut tasks = tokio::task::JoinSet::new();
    for event in all.clone() {
        let (pushes, view) = (pushes.clone(), view.clone());
        tasks.spawn(async move { push(&pushes, &view, &event).await });
    }
    print("1,000 pushes at once", tasks.join_all().await);
    println!("    {:.3} ms of processor time each", (used() - before) / PUSHES as f64 * 1e3);
    let mut times = Vec::new();
    for event in all.iter().take(200) {
        times.push(push(&pushes, &view, event).await);
    }
    print("one push after the other", times);
}
