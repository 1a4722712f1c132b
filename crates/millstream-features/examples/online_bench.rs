//! How fast online records are changed and read, and how large they are.
#![allow(clippy::unwrap_used, clippy::print_stdout, clippy::cast_precision_loss)]

use std::{hint::black_box, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Int64Type},
};
use millstream_features::{
    aggregate::Aggregation,
    view::{
        Chunk, ColumnDefinition, Edit, EntityEvents, FeatureDefinition, FeatureValue, KeyDefinition,
        OnlineView, Position, Reading, RowDefinition, ViewDefinition,
    },
    window::{DAY, MINUTES_5, Measure, Operand},
};
use millstream_types::Span;
use rand::{Rng, SeedableRng, rngs::SmallRng};

const NOW: i64 = 20_000 * DAY + 12 * 3_600_000_000;

/// Seconds of processor time of this thread where the system tells, else of the clock.
fn seconds(started: Instant) -> f64 {
    let schedule = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let used = schedule.split_whitespace().next().and_then(|nanoseconds| nanoseconds.parse::<f64>().ok());
    used.map_or(started.elapsed().as_secs_f64(), |used| used / 1e9)
}

fn view(features: Vec<(FeatureValue, DataType)>, columns: usize) -> OnlineView {
    let column = |at: usize| ColumnDefinition { sql: format!("c{at}"), data_type: DataType::Float64 };
    let feature = |(at, (value, data_type)): (usize, (FeatureValue, DataType))| FeatureDefinition {
        name: format!("f{at}"),
        value,
        data_type,
        default: None,
    };
    OnlineView::new(ViewDefinition {
        name: "bench".into(),
        entity: "customer".into(),
        keys: vec![KeyDefinition { name: "id".into(), data_type: DataType::Int64 }],
        query: String::new(),
        ttl: None,
        include_same_instant: false,
        columns: (0..columns).map(column).collect(),
        features: features.into_iter().enumerate().map(feature).collect(),
        rows: RowDefinition::default(),
    })
    .unwrap()
}

fn newest_view() -> OnlineView {
    view((0..10).map(|at| (FeatureValue::Newest(at), DataType::Float64)).collect(), 10)
}

fn windowed_view() -> OnlineView {
    let feature = |(aggregation, column, hours): (Aggregation, Option<usize>, u64)| {
        let output = if column.is_none() { DataType::Int64 } else { DataType::Float64 };
        let measure = Measure::One(Operand::new(aggregation, column));
        (FeatureValue::Window { measure, window: Some(Span::from_ms(hours * 3_600_000)) }, output)
    };
    let features = [
        (Aggregation::Count, None, 1),
        (Aggregation::Count, None, 7 * 24),
        (Aggregation::Sum, Some(0), 7 * 24),
        (Aggregation::Sum, Some(0), 30 * 24),
        (Aggregation::Mean, Some(0), 30 * 24),
        (Aggregation::Min, Some(1), 90 * 24),
        (Aggregation::Max, Some(1), 90 * 24),
        (Aggregation::Mean, Some(0), 90 * 24),
        (Aggregation::Sum, Some(1), 90 * 24),
        (Aggregation::Count, None, 90 * 24),
    ];
    view(features.into_iter().map(feature).collect(), 2)
}

/// Prices of two digits, of random entities at random times of the last 90 days, or in order every few minutes.
fn events(view: &OnlineView, rows: usize, entities: i64, in_order: bool) -> RecordBatch {
    let random = &mut SmallRng::seed_from_u64(7);
    let span = 90 * DAY;
    let step = span / i64::try_from(rows).unwrap();
    let time = |at: usize, random: &mut SmallRng| match in_order {
        true => NOW - span + step * i64::try_from(at).unwrap(),
        false => NOW - random.random_range(0..span),
    };
    let instants = |values: Vec<i64>| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from(values).with_timezone("UTC"))
    };
    let times: Vec<i64> = (0..rows).map(|at| time(at, random)).collect();
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|_| Some(random.random_range(0..entities))).collect::<Int64Array>()),
        instants(times.clone()),
        instants(times.iter().map(|time| time + MINUTES_5).collect()),
        Arc::new((0..i64::try_from(rows).unwrap()).map(Some).collect::<Int64Array>()),
    ];
    for _ in 0..view.definition().columns.len() {
        let price = |random: &mut SmallRng| f64::from(random.random_range(1..1_000_000)) / 100.0;
        columns.push(Arc::new((0..rows).map(|_| Some(price(random))).collect::<Float64Array>()));
    }
    RecordBatch::try_new(view.definition().event_schema(), columns).unwrap()
}

fn run(name: &str, view: &OnlineView, rows: usize, entities: i64, chunks: usize, in_order: bool) {
    let clock = Instant::now();
    let batch = events(view, rows, entities, in_order);
    let mut records: Vec<Option<Vec<u8>>> = vec![None; usize::try_from(entities).unwrap()];
    let ids = batch.column(0).as_primitive::<Int64Type>();
    let (mut grouping, mut applying) = (0.0, 0.0);
    for (chunk, epoch) in (0..chunks).zip(1..) {
        let first = chunk * rows / chunks;
        let part = batch.slice(first, rows / chunks);
        let started = seconds(clock);
        let events = EntityEvents::new(view, &part).unwrap();
        grouping += seconds(clock) - started;
        let position = Chunk { position: Position { epoch, chunk: 0 }, ..Chunk::default() };
        let started = seconds(clock);
        for at in 0..events.entities().len() {
            let id = usize::try_from(ids.value(first + events.rows_of(at).next().unwrap())).unwrap();
            let edit = view.apply(records[id].as_deref(), &events, at, &position, NOW).unwrap();
            if let Edit::Put(bytes) = edit {
                records[id] = Some(bytes);
            }
        }
        applying += seconds(clock) - started;
    }
    let records: Vec<Vec<u8>> = records.into_iter().flatten().collect();
    let size: usize = records.iter().map(Vec::len).sum();
    println!(
        "{name}: {rows} rows, {} entities, {chunks} chunks: {:.0} rows/s (grouping {grouping:.3} s, applying {applying:.3} s), \
         {:.0} bytes a record, {:.1} bytes a row",
        records.len(),
        rows as f64 / (grouping + applying),
        size as f64 / records.len() as f64,
        size as f64 / rows as f64,
    );
    let all: Vec<&Vec<u8>> = records.iter().take(1000).collect();
    let rounds = 100_000 / all.len() + 1;
    let plan = view.plan_read_of_all();
    let mut reading = Reading::default();
    let started = seconds(clock);
    for _ in 0..rounds {
        for record in &all {
            view.read(Some(record), NOW, &plan, &mut reading).unwrap();
            black_box(&reading);
        }
    }
    let one = (seconds(clock) - started) / (rounds * all.len()) as f64;
    let hundred_rounds = rounds / 10 + 1;
    let hundred: Vec<Option<&Vec<u8>>> = all.iter().cycle().take(100).map(|record| Some(*record)).collect();
    let started = seconds(clock);
    for _ in 0..hundred_rounds {
        black_box(view.columns(&hundred, NOW, &plan).unwrap());
    }
    let columns = (seconds(clock) - started) / (hundred_rounds * 100) as f64;
    println!("    read {:.3} us, as one of 100 in columns {:.3} us", one * 1e6, columns * 1e6);
}

fn main() {
    let (newest, windowed) = (newest_view(), windowed_view());
    run("newest row", &newest, 1_000_000, 1_000_000, 1, false);
    run("newest row", &newest, 1_000_000, 100_000, 1, false);
    run("newest row", &newest, 1_000_000, 10_000, 10, false);
    run("windows", &windowed, 1_000_000, 100_000, 1, false);
    run("windows", &windowed, 1_000_000, 10_000, 1, false);
    run("windows", &windowed, 1_000_000, 10_000, 10, false);
    run("full hops", &windowed, 100_000, 1, 1, true);
    run("full hops", &windowed, 1_000_000, 100, 10, true);
}
