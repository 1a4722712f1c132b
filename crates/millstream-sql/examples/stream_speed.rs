//! What a continuous table costs per row: `stream_speed ROWS [plain|filtered|computed|text]` feeds rows of 1,000 keys, in batches of 8,192 and out of
//! order by up to two seconds, into SQL that counts and sums windows of ten seconds, and prints `{"rows_per_second": …, …}`. `plain` is the query that
//! `window_speed` of `millstream-stream` builds by hand, so that the difference is what the SQL costs. One thread does it all.
#![allow(clippy::print_stdout, reason = "the figures are the output")]

use std::{collections::BTreeSet, error::Error, path::PathBuf, sync::Arc, time::Instant};

use arrow::{
    array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::SchemaRef,
};
use millstream_project::{LoadOptions, load_project};
use millstream_sql::{
    analyze_streams,
    stream::{LookupRows, LookupTable, StreamParts},
};
use millstream_stream::Output;

const KEYS: u64 = 1_000;
const BATCH_ROWS: u64 = 8_192;
/// Rows of one second of event time.
const ROWS_PER_SECOND: u64 = 10_000;

const SOURCE: &str = "connector: {type: http}
contract:
  columns:
    key: {type: int64}
    name: {type: string}
    value: {type: float64}
    at: {type: timestamp}
  time: at
";

fn main() -> Result<(), Box<dyn Error>> {
    let rows: u64 = std::env::args().nth(1).map_or(Ok(10_000_000), |text| text.parse())?;
    let kind = std::env::args().nth(2).unwrap_or_else(|| "plain".into());
    let (key, value, filter) = match kind.as_str() {
        "filtered" => ("key", "value", "WHERE value >= 10"),
        "computed" => ("key % 500", "value * 1.19", ""),
        "text" => ("name", "value", ""),
        _ => ("key", "value", ""),
    };
    let sql = format!(
        "/*---\nmaterialize: stream\nstream: {{disorder: 2s}}\n---*/\nSELECT window_start, {key} AS key, count(*) AS rows, sum({value}) AS total FROM tumble(bronze.events, at, INTERVAL '10 seconds') {filter} GROUP BY window_start, {key}"
    );
    let folder = project(&sql)?;
    let loaded = load_project(&folder, &LoadOptions { environment: None, variables: &|_| None });
    std::fs::remove_dir_all(&folder)?;
    let spec = loaded.spec.ok_or("the project cannot be read")?;
    let streaming: BTreeSet<_> = spec.sources.iter().map(|source| source.name.clone()).collect();
    let analysis = analyze_streams(&spec.sources, &spec.tables, &streaming);
    let plan = analysis.streams.values().next().ok_or_else(|| format!("{:?}", analysis.diagnostics))?;
    let parts = StreamParts { partitions: &|_| 1, lookups: Arc::new(NoRows), checks: &|_| None };
    let mut built = plan.pipeline(&parts)?;
    let input = plan.inputs().first().ok_or("the plan reads nothing")?;
    let source = *built.sources.first().ok_or("the plan reads nothing")?;
    let batches = (0..rows.div_ceil(BATCH_ROWS)).map(|number| batch(&input.schema, number * BATCH_ROWS));
    let batches: Vec<RecordBatch> = batches.collect::<Result<_, _>>()?;
    let start = Instant::now();
    let mut told = 0;
    for batch in batches {
        built.pipeline.push(source, 0, 0, batch)?;
        told += taken(&mut built.pipeline)?;
    }
    built.pipeline.end()?;
    told += taken(&mut built.pipeline)?;
    let elapsed = start.elapsed();
    let per_second = u128::from(rows) * 1_000_000_000 / elapsed.as_nanos().max(1);
    let nanos = elapsed.as_nanos() / u128::from(rows.max(1));
    println!(
        r#"{{"query": "{kind}", "rows_per_second": {per_second}, "nanoseconds_per_row": {nanos}, "told": {told}}}"#
    );
    Ok(())
}

fn project(sql: &str) -> Result<PathBuf, Box<dyn Error>> {
    let folder = std::env::temp_dir().join(format!("millstream-stream-speed-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("sources"))?;
    std::fs::create_dir_all(folder.join("tables/silver"))?;
    std::fs::write(folder.join("millstream.yaml"), "name: speed\n")?;
    std::fs::write(folder.join("sources/events.yaml"), SOURCE)?;
    std::fs::write(folder.join("tables/silver/windows.sql"), sql)?;
    Ok(folder)
}

/// Takes all outputs and counts the rows among them.
fn taken(pipeline: &mut millstream_stream::Pipeline) -> Result<usize, Box<dyn Error>> {
    let mut told = 0;
    while let Some(output) = pipeline.next_output()? {
        if let Output::Rows(rows) = output {
            told += rows.num_rows();
        }
    }
    Ok(told)
}

#[derive(Debug)]
struct NoRows;

impl LookupRows for NoRows {
    fn rows(&self, _: usize) -> Option<Arc<LookupTable>> {
        None
    }
}

/// Rows from number `first` on. The figures are spread by a fixed mixing of their numbers.
fn batch(schema: &SchemaRef, first: u64) -> Result<RecordBatch, Box<dyn Error>> {
    let mixed = |number: u64, salt: u64| {
        let mixed = (number ^ salt).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed ^ (mixed >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93) >> 33
    };
    let numbers = || first..first + BATCH_ROWS;
    let mut columns: Vec<ArrayRef> = Vec::new();
    for field in schema.fields() {
        let keys = numbers().map(|number| mixed(number, 2) % KEYS);
        columns.push(match field.name().as_str() {
            "key" => Arc::new(Int64Array::from(keys.map(i64::try_from).collect::<Result<Vec<_>, _>>()?)),
            "name" => Arc::new(keys.map(|key| Some(format!("customer-{key}"))).collect::<StringArray>()),
            "value" => {
                let cents = numbers().map(|number| u32::try_from(mixed(number, 3) % 100_000));
                let values = cents.map(|cents| cents.map(|cents| f64::from(cents) / 100.0));
                Arc::new(Float64Array::from(values.collect::<Result<Vec<_>, _>>()?))
            }
            _ => {
                let at = |number: u64| number * (1_000_000 / ROWS_PER_SECOND) + mixed(number, 1) % 2_000_000;
                let times =
                    numbers().map(|number| i64::try_from(at(number))).collect::<Result<Vec<_>, _>>()?;
                Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
            }
        });
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}
