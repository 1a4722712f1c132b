//! How fast rows become durable files of a table: 5 million rows of 12 columns, two threads.
//!
//! `cargo run --release -p millstream-lake --example write_speed [rows] [threads] [lake]`
#![allow(clippy::print_stdout, clippy::cast_precision_loss, clippy::cast_possible_wrap)]

use std::{collections::BTreeMap, error::Error, sync::Arc, time::Instant};

use arrow::{
    array::{
        ArrayRef, Date32Array, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringArray,
        TimestampMicrosecondArray,
    },
    datatypes::SchemaRef,
};
use millstream_lake::{At, Lake, StagedFile, TableChange, WriteOptions};
use millstream_types::TableName;

const BATCH_ROWS: i64 = 8192;

type Fault = Box<dyn Error + Send + Sync>;

fn main() -> Result<(), Fault> {
    let mut arguments = std::env::args().skip(1);
    let rows: i64 = arguments.next().map_or(Ok(5_000_000), |text| text.parse())?;
    let threads: i64 = arguments.next().map_or(Ok(2), |text| text.parse())?;
    let temporary = tempfile::tempdir()?;
    let location = arguments.next().unwrap_or_else(|| temporary.path().to_string_lossy().into_owned());
    let lake = Lake::open(&location, &BTreeMap::new())?;
    let table: TableName = "bronze.orders".parse()?;
    let runtime = tokio::runtime::Runtime::new()?;

    let batches: Vec<RecordBatch> =
        (0..64).map(|index| batch(index * BATCH_ROWS)).collect::<Result<_, _>>()?;
    let schema = batches[0].schema();
    let start = Instant::now();
    let staged = write(&lake, &table, &schema, &batches, rows, threads, runtime.handle())?;
    let written = start.elapsed();
    let bytes: u64 = staged.iter().map(|staged| staged.file().size()).sum();
    let files = staged.len();
    let change = TableChange { add: staged, schema: Some(schema), ..TableChange::default() };
    runtime.block_on(lake.commit(&table, None, change))?;
    println!(
        "{rows} rows, {files} files, {:.1} MB: {:.3} s to durable files, {:.3} s with the commit",
        bytes as f64 / 1e6,
        written.as_secs_f64(),
        start.elapsed().as_secs_f64()
    );
    commits(&lake, &table, &batches[0].slice(0, 1000), runtime.handle())
}

fn write(
    lake: &Lake,
    table: &TableName,
    schema: &SchemaRef,
    batches: &[RecordBatch],
    rows: i64,
    threads: i64,
    runtime: &tokio::runtime::Handle,
) -> Result<Vec<StagedFile>, Fault> {
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..threads)
            .map(|_| {
                scope.spawn(|| -> Result<Vec<StagedFile>, Fault> {
                    let mut writer = lake.writer(table, schema.clone(), WriteOptions::default());
                    let count = usize::try_from(rows / threads / BATCH_ROWS)?;
                    for batch in batches.iter().cycle().take(count) {
                        writer.write(batch)?;
                    }
                    Ok(runtime.block_on(writer.finish())?)
                })
            })
            .collect();
        let mut staged = Vec::new();
        for writer in writers {
            staged.extend(writer.join().map_err(|_| "a writer failed")??);
        }
        Ok(staged)
    })
}

/// Small commits one after the other, to see whether they get slower.
fn commits(
    lake: &Lake,
    table: &TableName,
    rows: &RecordBatch,
    runtime: &tokio::runtime::Handle,
) -> Result<(), Fault> {
    for round in 0..5 {
        let (mut writing, mut committing) = (0.0, 0.0);
        for _ in 0..200 {
            let start = Instant::now();
            let mut writer = lake.writer(table, rows.schema(), WriteOptions::default());
            writer.write(rows)?;
            let add = runtime.block_on(writer.finish())?;
            writing += start.elapsed().as_secs_f64();
            let start = Instant::now();
            let base = runtime.block_on(lake.snapshot(table, At::Latest))?;
            let change = TableChange { add, ..TableChange::default() };
            runtime.block_on(lake.commit(table, base.as_deref(), change))?;
            committing += start.elapsed().as_secs_f64();
        }
        println!(
            "commits {}-{}: {:.2} ms to write 1000 rows, {:.2} ms to commit",
            round * 200,
            round * 200 + 199,
            writing * 5.0,
            committing * 5.0
        );
    }
    let start = Instant::now();
    for _ in 0..1000 {
        runtime.block_on(lake.probe(table, Some(1000)))?;
    }
    println!("probe: {:.1} µs", start.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

/// Rows with ids, a foreign key, categories, texts, amounts, instants, and landing's own columns.
fn batch(first: i64) -> Result<RecordBatch, arrow::error::ArrowError> {
    let ids = || first..first + BATCH_ROWS;
    let mix = |id: i64| (id as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20;
    let bounded = |id: i64, bound: u64| (mix(id) % bound) as i64;
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("order_id", Arc::new(Int64Array::from_iter_values(ids()))),
        ("customer_id", Arc::new(Int64Array::from_iter_values(ids().map(|id| bounded(id, 200_000))))),
        (
            "status",
            Arc::new(StringArray::from_iter_values(
                ids().map(|id| ["paid", "open", "refunded", "test"][(mix(id) % 4) as usize]),
            )),
        ),
        (
            "email",
            Arc::new(StringArray::from_iter_values(
                ids().map(|id| format!("customer{}@shop.example", bounded(id, 200_000))),
            )),
        ),
        (
            "amount",
            Arc::new(
                Decimal128Array::from_iter_values(ids().map(|id| i128::from(mix(id) % 10_000_000)))
                    .with_precision_and_scale(12, 2)?,
            ),
        ),
        ("weight", Arc::new(Float64Array::from_iter_values(ids().map(|id| mix(id) as f64 / 1e9)))),
        ("day", Arc::new(Date32Array::from_iter_values((0..BATCH_ROWS).map(|i| 19_000 + (i % 365) as i32)))),
        (
            "ordered_at",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(
                    ids().map(|id| 1_700_000_000_000_000 + bounded(id, 31_536_000_000_000)),
                )
                .with_timezone("UTC"),
            ),
        ),
        (
            "_ingested_at",
            Arc::new(
                TimestampMicrosecondArray::from_iter_values(ids().map(|_| 1_750_000_000_000_000))
                    .with_timezone("UTC"),
            ),
        ),
        ("_sequence", Arc::new(Int64Array::from_iter_values(ids()))),
        ("_source", Arc::new(StringArray::from_iter_values(ids().map(|_| "data/orders/2024-01.csv")))),
        ("_position", Arc::new(Int64Array::from_iter_values(ids().map(|id| id + 2)))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, column)| (name, column, true)))
}
