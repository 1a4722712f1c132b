//! Joins labels with a view's events, both from Parquet files, and prints `{"seconds": …, "peak_bytes": …}` and how much of
//! the time each part took: from rows in memory to values in memory, and the memory that reading and joining took beyond
//! the start of the process.
//!
//! `view_join_bench newest|windows LABELS EVENTS [RESULT]`
//!
//! LABELS has `id`, `entity` and `micros`, EVENTS has `entity`, `micros` and the view's columns. RESULT gets `id`
//! and the features, so that another program's answers can be compared.

#![allow(clippy::print_stdout, reason = "it prints what it measured")]

use std::{fs::File, num::NonZeroUsize, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, RecordBatch, new_null_array},
    compute::{cast, concat_batches},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use millstream_features::{
    aggregate::Aggregation,
    asof::LabelRows,
    view::{
        ColumnDefinition, FeatureDefinition, FeatureValue, JoinOptions, KeyDefinition, RowDefinition,
        ViewDefinition, ViewJoin, ViewValues,
    },
    window::{Measure, Operand},
};
use millstream_ml::Cause;
use millstream_types::Span;
use parquet::arrow::{ArrowWriter, arrow_reader::ParquetRecordBatchReaderBuilder};

const BATCH_ROWS: usize = 1 << 16;
const HOUR_MS: u64 = 3_600_000;

fn view(columns: &[DataType], features: Vec<(FeatureValue, DataType)>) -> ViewDefinition {
    let feature = |(at, (value, data_type)): (usize, (FeatureValue, DataType))| FeatureDefinition {
        name: format!("f{at}"),
        value,
        data_type,
        default: None,
    };
    let column = |(at, data_type): (usize, &DataType)| ColumnDefinition {
        sql: format!("c{at}"),
        data_type: data_type.clone(),
    };
    ViewDefinition {
        name: "bench".into(),
        entity: "entity".into(),
        keys: vec![KeyDefinition { name: "entity".into(), data_type: DataType::Int64 }],
        query: String::new(),
        ttl: None,
        include_same_instant: false,
        columns: columns.iter().enumerate().map(column).collect(),
        features: features.into_iter().enumerate().map(feature).collect(),
        rows: RowDefinition::default(),
    }
}

/// Five columns of the newest event.
fn newest() -> ViewDefinition {
    let features = (0..5).map(|column| (FeatureValue::Newest(column), DataType::Float64));
    view(&vec![DataType::Float64; 5], features.collect())
}

/// Ten features over windows from 5 minutes to 90 days, of an amount and a quantity.
fn windows() -> ViewDefinition {
    let window = |aggregation: Aggregation, column: Option<usize>, ms: u64| {
        let measure = Measure::One(Operand::new(aggregation, column));
        let output = if column == Some(0) { DataType::Float64 } else { DataType::Int64 };
        (FeatureValue::Window { measure, window: Some(Span::from_ms(ms)) }, output)
    };
    let (amount, quantity, day) = (Some(0), Some(1), 24 * HOUR_MS);
    let features = vec![
        window(Aggregation::Count, None, HOUR_MS / 12),
        window(Aggregation::Count, None, HOUR_MS),
        window(Aggregation::Sum, amount, 12 * HOUR_MS),
        window(Aggregation::Sum, amount, 7 * day),
        window(Aggregation::Mean, amount, 30 * day),
        window(Aggregation::Mean, amount, 90 * day),
        window(Aggregation::Min, amount, 7 * day),
        window(Aggregation::Max, amount, 30 * day),
        window(Aggregation::Sum, quantity, 90 * day),
        window(Aggregation::Last, quantity, 90 * day),
    ];
    view(&[DataType::Float64, DataType::Int64], features)
}

fn read(path: &str) -> Result<Vec<RecordBatch>, Cause> {
    let reader =
        ParquetRecordBatchReaderBuilder::try_new(File::open(path)?)?.with_batch_size(BATCH_ROWS).build()?;
    Ok(reader.collect::<Result<_, _>>()?)
}

fn instants(column: &ArrayRef) -> Result<ArrayRef, Cause> {
    Ok(cast(column, &DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())))?)
}

/// A batch of the file as events whose known time and sequence nobody wrote down.
fn event(schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch, Cause> {
    let [entity, micros, values @ ..] = batch.columns() else { return Err("events lack columns".into()) };
    let unknown =
        |name| Ok::<_, Cause>(new_null_array(schema.field_with_name(name)?.data_type(), batch.num_rows()));
    let mut columns = vec![Arc::clone(entity), instants(micros)?, unknown("_known")?, unknown("_sequence")?];
    columns.extend_from_slice(values);
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// A figure of the process in bytes, 0 where the system does not tell.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim_matches(|c: char| !c.is_ascii_digit()).parse::<u64>().unwrap_or(0) << 10
}

fn write(path: &str, ids: &ArrayRef, values: &ViewValues) -> Result<(), Cause> {
    let mut fields = vec![Field::new("id", ids.data_type().clone(), true)];
    let mut columns = vec![Arc::clone(ids)];
    for (at, values) in values.features.iter().enumerate() {
        fields.push(Field::new(format!("f{at}"), values.data_type().clone(), true));
        columns.push(Arc::clone(values));
    }
    let batch = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
    let mut writer = ArrowWriter::try_new(File::create(path)?, batch.schema(), None)?;
    writer.write(&batch)?;
    writer.close()?;
    Ok(())
}

/// The product's allocator, so that the figures are the product's.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> Result<(), Cause> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, labels, events, result @ ..] = arguments.as_slice() else {
        return Err("view_join_bench newest|windows LABELS EVENTS [RESULT]".into());
    };
    let definition = match kind.as_str() {
        "newest" => newest(),
        "windows" => windows(),
        other => return Err(format!("`{other}` is neither `newest` nor `windows`").into()),
    };
    let before = memory("VmRSS:");
    let schema = definition.event_schema();
    let events: Vec<RecordBatch> =
        read(events)?.iter().map(|batch| event(&schema, batch)).collect::<Result<_, _>>()?;
    let batches = read(labels)?;
    let first = batches.first().ok_or("there are no labels")?;
    let labels = concat_batches(&first.schema(), &batches)?;
    drop(batches);
    let column = |name: &str| labels.column_by_name(name).cloned().ok_or(format!("labels lack `{name}`"));
    let (ids, keys, time) = (column("id")?, [column("entity")?], instants(&column("micros")?)?);

    let start = Instant::now();
    let threads = std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
    let wanted: Vec<usize> = (0..definition.features.len()).collect();
    let mut join = ViewJoin::new(&definition, &wanted, JoinOptions { as_known: false, threads })?;
    for batch in events {
        join.push(&batch)?;
    }
    let pushed = start.elapsed().as_secs_f64();
    let joined = join.build()?;
    let built = start.elapsed().as_secs_f64();
    let values = joined.join(&LabelRows { keys: &keys, time: &time, as_known: None })?;
    let seconds = start.elapsed().as_secs_f64();
    let peak = memory("VmHWM:").saturating_sub(before);
    if let [path] = result {
        write(path, &ids, &values)?;
    }
    let (build, join) = (built - pushed, seconds - built);
    println!(
        "{{\"seconds\": {seconds}, \"peak_bytes\": {peak}, \"push\": {pushed}, \"build\": {build}, \"join\": {join}}}"
    );
    Ok(())
}
