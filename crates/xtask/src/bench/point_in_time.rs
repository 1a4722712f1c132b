//! Labels with the newest earlier row of their entity, beside DuckDB's `ASOF JOIN` and polars' `join_asof`.
//!
//! Ours is the example `view_join_bench` of `millstream-ml`: the join that builds datasets. All three read the same Parquet
//! files, join in memory, and must give the same values; reading is not in the time, but in the memory.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use super::{Context, Measure, Row, table::Target};
use crate::{Result, process};

const LABELS: u64 = 100_000;
const ROWS: u64 = 1_000_000;
/// Entities, and the order of the rows in their file.
const SHAPES: [(u64, &str); 3] = [(10_000, "time"), (1_000, "time"), (10_000, "shuffled")];
const TOOLS: [(&str, &str); 2] = [("duckdb", "DuckDB"), ("polars", "polars")];

const LABELS_LARGE: u64 = 10_000_000;
const ROWS_LARGE: u64 = 100_000_000;
const PEAK_BYTES_MAX: f64 = (4_u64 << 30) as f64;

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for (entities, order) in SHAPES {
        rows.extend(joined(context, entities, order)?);
    }
    if context.large {
        rows.extend(dataset(context)?);
    }
    Ok(rows)
}

fn joined(context: &Context<'_>, entities: u64, order: &str) -> Result<Vec<Row>> {
    let labels = data(context, "labels", context.rows(LABELS), entities, "shuffled")?;
    let events = data(context, "newest", context.rows(ROWS), entities, order)?;
    let (ours_values, their_values) =
        (context.folder.join("joined-ours.parquet"), context.folder.join("joined-theirs.parquet"));
    let ours = join(context, "newest", [&labels, &events], &ours_values)?;
    let mut peers: Vec<(&str, Measure)> = Vec::new();
    for (tool, name) in TOOLS {
        let measured = context.measure_itself(
            || Ok(()),
            || {
                let mut command = context.script("point_in_time_peer.py");
                command.arg(tool).args([&labels, &events]).arg(&their_values);
                command
            },
        )?;
        same(context, &ours_values, &their_values)?;
        peers.push((name, measured));
    }
    let shape = format!("{} labels x {} rows", context.rows(LABELS), context.rows(ROWS));
    let order = if order == "time" { "in order of time" } else { order };
    let what = format!("point in time, {shape}, {entities} keys, {order}");
    let mut rows = Vec::new();
    for (name, peer) in &peers {
        rows.push(Row::against(what.clone(), ours, name, *peer, 1.0));
        rows.push(Row::memory(format!("{what}: memory"), ours, name, *peer, 1.0));
    }
    Ok(rows)
}

/// Time and memory of a dataset whose rows are far more than its memory, made up while they are read.
fn dataset(context: &Context<'_>) -> Result<Vec<Row>> {
    let example = context.example("dataset_bench")?;
    let (labels, events) = (context.rows(LABELS_LARGE), context.rows(ROWS_LARGE));
    let mut command = Command::new(example);
    command.args([labels, events, 100_000, 3_072].map(|number| number.to_string()));
    let measured = context.once(&command)?;
    let what = format!("dataset of {labels} labels x {events} rows");
    Ok(vec![
        Row::bytes(format!("{what}: memory"), measured, PEAK_BYTES_MAX),
        Row::figure(what, measured.seconds, Target::Recorded),
    ])
}

/// A file of labels or events.
pub(super) fn data(
    context: &Context<'_>,
    kind: &str,
    rows: u64,
    entities: u64,
    order: &str,
) -> Result<PathBuf> {
    context.data(
        &format!("joins-{kind}-{rows}-{entities}-{order}.parquet"),
        "joins_data.py",
        &[kind, &rows.to_string(), &entities.to_string(), order],
    )
}

/// Our join of `[labels, events]`; `values` gets the features.
pub(super) fn join(context: &Context<'_>, kind: &str, inputs: [&Path; 2], values: &Path) -> Result<Measure> {
    let example = context.example("view_join_bench")?;
    context.measure_itself(
        || Ok(()),
        || {
            let mut command = Command::new(&example);
            command.arg(kind).args(inputs).arg(values);
            command
        },
    )
}

/// Errors when two files of features differ.
pub(super) fn same(context: &Context<'_>, ours: &Path, theirs: &Path) -> Result<()> {
    process::output(context.script("same_values.py").args([ours, theirs])).map(drop)
}
