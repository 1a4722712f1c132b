//! Seconds, memory and spilled bytes of a dataset of a view with five features, each of a column of its own, rows made up
//! while they are read. The first of the features are sums over 30 days, the others newest values.
//!
//! `cargo run --release -p millstream-ml --example dataset_bench [labels] [events] [keys] [MiB of memory] [sums]`

#![allow(clippy::print_stdout, clippy::cast_precision_loss, reason = "it prints what it measured")]

use std::{cell::RefCell, num::NonZeroUsize, path::Path, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMicrosecondArray, new_null_array},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use millstream_features::{
    aggregate::Aggregation,
    view::{
        ColumnDefinition, EntityDefinition, FeatureDefinition, FeatureSource, FeatureValue, KeyDefinition,
        RowDefinition, ServiceDefinition, ServiceFeature, ViewDefinition,
    },
    window::{Measure, Operand},
};
use millstream_ml::{
    Cause,
    dataset::{DatasetPlan, LabelColumns, Progress, Resources, Rows, build, estimate},
};
use millstream_types::{Span, TimestampMicros};
use rand::{Rng, SeedableRng, rngs::SmallRng};

const YEAR_MICROS: i64 = 365 * 86_400_000_000;
const BATCH_ROWS: usize = 8_192;
const COLUMNS: usize = 5;

fn view(sums: usize) -> ViewDefinition {
    let key = KeyDefinition { name: "key".into(), data_type: DataType::Int64 };
    let column = |at| ColumnDefinition { sql: format!("c{at}"), data_type: DataType::Float64 };
    let feature = |at| FeatureDefinition {
        name: format!("f{at}"),
        value: if at < sums {
            let measure = Measure::One(Operand::new(Aggregation::Sum, Some(at)));
            FeatureValue::Window { measure, window: Some(Span::from_ms(30 * 86_400_000)) }
        } else {
            FeatureValue::Newest(at)
        },
        data_type: DataType::Float64,
        default: None,
    };
    ViewDefinition {
        name: "view".into(),
        entity: "key".into(),
        keys: vec![key],
        query: String::new(),
        ttl: None,
        include_same_instant: false,
        columns: (0..COLUMNS).map(column).collect(),
        features: (0..COLUMNS).map(feature).collect(),
        rows: RowDefinition::default(),
    }
}

/// `rows` random rows of `schema`, whose first columns are key and time and whose floats are random.
fn random_rows(schema: SchemaRef, rows: usize, keys: i64, seed: u64) -> Rows<'static> {
    let mut random = SmallRng::seed_from_u64(seed);
    let batches = rows.div_ceil(BATCH_ROWS);
    Box::new((0..batches).map(move |batch| {
        let length = BATCH_ROWS.min(rows - batch * BATCH_ROWS);
        let column = |field: &Arc<Field>| -> ArrayRef {
            let mut many = |end: i64| (0..length).map(|_| random.random_range(0..end)).collect::<Vec<_>>();
            match (field.name().as_str(), field.data_type()) {
                ("key", _) => Arc::new(Int64Array::from(many(keys))),
                ("_time" | "time", _) => {
                    Arc::new(TimestampMicrosecondArray::from(many(YEAR_MICROS)).with_timezone("UTC"))
                }
                (_, DataType::Float64) => Arc::new(
                    many(1 << 20).into_iter().map(|value| Some(value as f64)).collect::<Float64Array>(),
                ),
                (_, other) => new_null_array(other, length),
            }
        };
        let columns = schema.fields().iter().map(column).collect::<Vec<_>>();
        RecordBatch::try_new(Arc::clone(&schema), columns).map_err(Cause::from)
    }))
}

/// A figure of the process in MiB, where the system tells.
fn memory(name: &str) -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().unwrap_or(f64::NAN) / 1024.0
}

/// All features of the view for labels of these columns, with as many threads as there are cores.
fn plan(view: ViewDefinition, schema: &SchemaRef, folder: &Path, memory_bytes: usize) -> DatasetPlan {
    let feature = |feature| ServiceFeature {
        name: format!("view.f{feature}"),
        source: FeatureSource::View { view: 0, feature },
    };
    DatasetPlan {
        name: "bench".into(),
        labels: LabelColumns {
            origin: "labels".into(),
            blake3: None,
            schema: Arc::clone(schema),
            keys: vec![vec![0]],
            time: 1,
            as_known: None,
            kept: vec![0, 1, 2],
            targets: vec![2],
        },
        service: ServiceDefinition {
            name: "bench".into(),
            entities: vec![EntityDefinition { name: "key".into(), keys: view.keys.clone() }],
            views: vec![view],
            features: (0..COLUMNS).map(feature).collect(),
            on_demand: Vec::new(),
        },
        split: None,
        encodings: Vec::new(),
        inputs: Vec::new(),
        code_version: "bench".into(),
        output: folder.join("bench.parquet"),
        named_by_hash: false,
        now: TimestampMicros(i64::MAX),
        resources: Resources {
            memory_bytes,
            spill: folder.into(),
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
        },
    }
}

/// The product's allocator, so that the figures are the product's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Cause> {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<usize>());
    let mut argument = |default| arguments.next().transpose().map(|number| number.unwrap_or(default));
    let (labels, events, keys, mib) =
        (argument(100_000)?, argument(1_000_000)?, argument(10_000)?, argument(4_096)?);
    let view = view(argument(0)?);
    let keys = i64::try_from(keys)?;
    let time = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let schema = Arc::new(Schema::new(vec![
        Field::new("key", DataType::Int64, true),
        Field::new("time", time, true),
        Field::new("label", DataType::Float64, true),
    ]));
    let folder = tempfile::tempdir()?;
    let event_schema = view.event_schema();
    let plan = plan(view, &schema, folder.path(), mib << 20);
    let priced = estimate(&plan, labels as u64, &[events as u64])?;
    let start = Instant::now();
    let phases = RefCell::new(Vec::new());
    let report = |progress: Progress<'_>| {
        let mut phases = phases.borrow_mut();
        match phases.last_mut() {
            Some((phase, end)) if *phase == progress.phase => *end = start.elapsed(),
            _ => phases.push((progress.phase, start.elapsed())),
        }
    };
    let mut made = |_: usize| Ok(random_rows(Arc::clone(&event_schema), events, keys, 2));
    let rows = random_rows(schema, labels, keys, 1);
    let built = build(&plan, rows, &mut made, &mut |_| Ok(Vec::new()), &report)?;
    println!(
        "{labels} labels x {events} events, {keys} keys, {mib} MiB: {:.2} s",
        start.elapsed().as_secs_f64()
    );
    for (phase, end) in phases.into_inner() {
        println!("  {phase:?} until {:.2} s", end.as_secs_f64());
    }
    println!("  peak {:.0} MiB, spilled {} MiB", memory("VmHWM:"), built.spilled_bytes >> 20);
    println!("  file {} MiB, priced {priced:?}", built.manifest.data.bytes >> 20);
    Ok(())
}
