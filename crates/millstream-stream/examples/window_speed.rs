//! What windows cost per row: `window_speed ROWS [tumbling|hopping|session|text|behind]` feeds rows of 1,000 keys, in batches of 8,192 and out
//! of order by up to two seconds, into counts and sums of ten seconds, and prints `{"rows_per_second": …, …}`. `behind` declares no
//! disorder, so that half of the rows are behind the watermark. `window_speed KEYS restore` saves and restores a window of that many keys and prints
//! `{"bytes": …, "seconds": …}`. One thread does it all.
#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::{error::Error, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use millstream_stream::{
    Aggregate, Function, Output, Pipeline, PipelineBuilder, SourceDefinition, StageId, StreamError, Window,
    WindowDefinition,
};
use millstream_types::Span;

const KEYS: u64 = 1_000;
const BATCH_ROWS: u64 = 8_192;
/// Rows of one second of event time.
const ROWS_PER_SECOND: u64 = 10_000;

fn main() -> Result<(), Box<dyn Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(10_000_000), |text| text.parse())?;
    let kind = std::env::args().nth(2).unwrap_or_else(|| "tumbling".into());
    if kind == "restore" {
        return restore(rows);
    }
    let schema = schema(kind == "text");
    let numbers = 0..rows.div_ceil(BATCH_ROWS);
    let batches = numbers.map(|number| batch(&schema, number * BATCH_ROWS, KEYS));
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>()?;
    let (mut pipeline, source) = pipeline(&schema, &kind)?;
    let start = Instant::now();
    let mut told = 0;
    for batch in batches {
        pipeline.push(source, 0, 0, batch)?;
        told += taken(&mut pipeline)?;
    }
    pipeline.end()?;
    told += taken(&mut pipeline)?;
    let elapsed = start.elapsed();
    let per_second = u128::from(rows) * 1_000_000_000 / elapsed.as_nanos().max(1);
    let nanos = elapsed.as_nanos() / u128::from(rows.max(1));
    println!(
        r#"{{"window": "{kind}", "rows_per_second": {per_second}, "nanoseconds_per_row": {nanos}, "told": {told}}}"#
    );
    Ok(())
}

fn restore(keys: u64) -> Result<(), Box<dyn Error>> {
    let schema = schema(false);
    let (mut pipeline, source) = pipeline(&schema, "restore")?;
    // Several rows of each key, so that hardly one is missing.
    for number in 0..(keys * 4).div_ceil(BATCH_ROWS) {
        pipeline.push(source, 0, 0, batch(&schema, number * BATCH_ROWS, keys)?)?;
        taken(&mut pipeline)?;
    }
    let snapshot = pipeline.snapshot()?;
    let start = Instant::now();
    let (mut restored, _) = self::pipeline(&schema, "restore")?;
    restored.restore(&snapshot)?;
    let seconds = start.elapsed().as_secs_f64();
    let (bytes, memory) = (snapshot.len(), restored.figures().state_bytes());
    println!(r#"{{"keys": {keys}, "bytes": {bytes}, "memory": {memory}, "seconds": {seconds:.3}}}"#);
    Ok(())
}

/// Takes all outputs and counts the rows among them.
fn taken(pipeline: &mut Pipeline) -> Result<usize, StreamError> {
    let mut told = 0;
    while let Some(output) = pipeline.next_output()? {
        if let Output::Rows(rows) = output {
            told += rows.num_rows();
        }
    }
    Ok(told)
}

fn pipeline(schema: &SchemaRef, kind: &str) -> Result<(Pipeline, StageId), StreamError> {
    let none = Span::from_ms(0);
    let size = Span::from_ms(10_000);
    let window = match kind {
        "hopping" => Window::Hopping { size, hop: Span::from_ms(1_000), offset: none },
        "session" => Window::Session { gap: Span::from_ms(1_000) },
        "restore" => Window::Tumbling { size: Span::from_ms(1_000_000_000), offset: none },
        _ => Window::Tumbling { size, offset: none },
    };
    let mut builder = PipelineBuilder::new();
    let source = builder.source(&SourceDefinition {
        disorder: if kind == "behind" { none } else { Span::from_ms(2_000) },
        ..SourceDefinition::new("events", Arc::clone(schema), "at")
    })?;
    let aggregates =
        vec![Aggregate::new("rows", Function::Count), Aggregate::new("total", Function::Sum("value".into()))];
    let (name, keys) = ("windows".into(), vec!["key".into()]);
    builder.window(source, &WindowDefinition { name, window, keys, aggregates, lateness: none })?;
    Ok((builder.build()?, source))
}

fn schema(text: bool) -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("at", DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())), false),
        Field::new("key", if text { DataType::Utf8 } else { DataType::Int64 }, false),
        Field::new("value", DataType::Float64, false),
    ]))
}

/// Rows from number `first` on. The figures are spread by a fixed mixing of their numbers.
fn batch(schema: &SchemaRef, first: u64, keys: u64) -> Result<RecordBatch, Box<dyn Error>> {
    let mixed = |number: u64, salt: u64| {
        let mixed = (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 33
    };
    let numbers = || first..first + BATCH_ROWS;
    let at = |number: u64| number * (1_000_000 / ROWS_PER_SECOND) + mixed(number, 1) % 2_000_000;
    let times = numbers().map(|number| i64::try_from(at(number)));
    let times = TimestampMicrosecondArray::from(times.collect::<Result<Vec<_>, _>>()?).with_timezone("UTC");
    let keys = numbers().map(|number| mixed(number, 2) % keys);
    let keys: ArrayRef = if *schema.field(1).data_type() == DataType::Utf8 {
        Arc::new(keys.map(|key| Some(format!("customer-{key}"))).collect::<StringArray>())
    } else {
        Arc::new(keys.map(i64::try_from).collect::<Result<Vec<_>, _>>().map(Int64Array::from)?)
    };
    let cents = numbers().map(|number| u32::try_from(mixed(number, 3) % 100_000));
    let values =
        cents.map(|cents| cents.map(|cents| f64::from(cents) / 100.0)).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(
        Arc::clone(schema),
        vec![Arc::new(times), keys, Arc::new(Float64Array::from(values))],
    )?)
}
