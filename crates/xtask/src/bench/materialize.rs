//! `millstream features materialize` of ten features from the lake to the embedded store: rows per second of processor
//! time, beside the store's library alone, which takes as many sorted records of as many bytes; and bytes on disk and in
//! the server's memory for each stored value.

use std::{fs, os::unix::fs::MetadataExt, path::Path, process::Command};

use super::{
    Context, Measure, Row,
    feature_project::{landed, newest_views, windowed_view},
    project::Project,
    serving::Server,
    table::Target,
};
use crate::{Result, process};

const FOLDER: &str = "materialize";
const ROWS: u64 = 1_000_000;
const TYPES: [&str; 10] =
    ["int64", "int64", "int64", "int64", "int64", "float64", "float64", "float64", "float64", "float64"];
const PER_SECOND_MIN: f64 = 500_000.0;
/// The entities that are read before memory is measured: several requests as large as those that follow.
const WARM_UP_ENTITIES: u64 = 20_000;
const BYTES_EACH_MAX: f64 = 16.0;
/// The name of the store's library with nothing before it.
const BARE: &str = "bare store";

pub(super) fn run(context: &Context<'_>) -> Result<Vec<Row>> {
    let rows = context.rows(ROWS);
    #[allow(clippy::cast_precision_loss, reason = "a million")]
    let (count, values) = (rows as f64, (rows * TYPES.len() as u64) as f64);
    let mut figures = Vec::new();
    let newest = |project: &Project| newest_views(project, 1);
    for (name, entities) in [("each its own entity", rows), ("100 of each entity", rows / 100)] {
        let (measured, bytes) = materialized(context, (rows, entities), newest)?;
        let figure = rate(format!("materialise {rows} rows, 10 columns, {name}"), count, measured);
        if entities == rows {
            figures.push(figure.beside(BARE, count / filled(context, rows, bytes / count)?.cpu_seconds));
            let what = "stored value of a row's 10 numbers".to_owned();
            figures.push(Row::figure(what, bytes / values, Target::BytesEach(BYTES_EACH_MAX)));
            let what = "memory of serve for each value, once all were read".to_owned();
            figures.push(Row::figure(what, cached(context, entities)?, Target::BytesEach(BYTES_EACH_MAX)));
        } else {
            figures.push(figure);
        }
    }
    let (measured, _) = materialized(context, (rows, rows / 100), windowed_view)?;
    figures.push(rate(format!("materialise {rows} rows, 10 windows, 100 of each entity"), count, measured));
    Ok(figures)
}

/// Rows per second of one processor.
fn rate(what: String, rows: f64, measured: Measure) -> Row {
    let row = Row::figure(what, rows / measured.cpu_seconds, Target::PerSecond(PER_SECOND_MIN));
    Row { peak_bytes: Some(measured.peak_bytes), ..row }
}

/// The measured command, and the bytes of the store after it.
fn materialized(
    context: &Context<'_>,
    size: (u64, u64),
    define: impl Fn(&Project) -> Result<()>,
) -> Result<(Measure, f64)> {
    let mut rounds = Vec::with_capacity(context.rounds);
    let mut bytes = 0;
    for _ in 0..context.rounds {
        let project = landed(context, FOLDER, &TYPES, size, &define)?;
        rounds.push(context.once(&context.materialize(&project.folder, true))?);
        bytes = on_disk(&project.folder.join(".millstream/online"))?;
    }
    #[allow(clippy::cast_precision_loss, reason = "far below 2^53 bytes")]
    Ok((Measure::median(rounds), bytes as f64))
}

/// The store's library alone, which takes `records` of `bytes` each.
fn filled(context: &Context<'_>, records: u64, bytes: f64) -> Result<Measure> {
    let example = context.example("bare_fill")?;
    let folder = context.folder.join("bare_fill");
    let prepare = || match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
        _ => Ok(()),
    };
    let measured = context.measure(prepare, || {
        let mut command = Command::new(&example);
        command.arg(&folder).arg(records.to_string()).arg(format!("{bytes:.0}"));
        command
    })?;
    prepare()?;
    Ok(measured)
}

/// What each value of the project that was materialised last adds to the server's memory when it is read.
fn cached(context: &Context<'_>, entities: u64) -> Result<f64> {
    let server = Server::millstream(context, &context.folder.join(FOLDER))?;
    let read = |entities: u64| {
        let url = server.url("/v1/features/read");
        process::output(context.script("read_all.py").arg(url).arg(entities.to_string()))
    };
    // The first requests take what every request takes.
    read(WARM_UP_ENTITIES)?;
    let before = server.anonymous_bytes()?;
    read(entities)?;
    let values = entities.saturating_sub(WARM_UP_ENTITIES) * TYPES.len() as u64;
    Ok((server.anonymous_bytes()? - before) / f64::from(u32::try_from(values)?))
}

/// What the files below a folder take, as the file system counts.
fn on_disk(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        bytes += if metadata.is_dir() { on_disk(&entry.path())? } else { metadata.blocks() * 512 };
    }
    Ok(bytes)
}
