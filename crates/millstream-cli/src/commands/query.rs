//! `millstream query`: ask the tables, now or as they were.

use std::{collections::BTreeSet, mem::ManuallyDrop, path::PathBuf};

use chrono::{DateTime, NaiveDate, NaiveDateTime};
use millstream_api::failures::StaleAsset;
use millstream_engine::{Engine, EngineError, Queries, QueryThreads, ReadSet, Stale};
use millstream_sql::{At, SqlError};
use millstream_types::{AssetId, TimestampMicros};

use crate::{
    CliError, Exit, human,
    output::{self, CAUTION, GOOD, styled},
    project, runs,
    session::Session,
    show::{
        format::Format,
        rows::{Apart, Target},
    },
    wire::{Of, QueryDocument},
};

/// Ask the tables in SQL, now or as they were
///
/// A table can be read at a version (`silver.orders VERSION AS OF 3`) or at a time (`silver.orders TIMESTAMP AS OF
/// '2026-03-01T00:00:00Z'`). Without any, all tables are read as the last run left them in which every step ended well.
/// Results of any size stream through bounded memory.
#[derive(clap::Args, Debug)]
pub(crate) struct Arguments {
    /// One SELECT; also EXPLAIN, DESCRIBE and SHOW TABLES
    pub(crate) sql: String,
    /// How rows look; without it, what the ending of `--output` says (`.csv`, `.json`, `.parquet`, `.arrow`, `.txt`),
    /// or aligned columns
    #[arg(long, value_enum)]
    pub(crate) format: Option<Format>,
    /// Read every table as it was then: `2026-03-01T12:00:00Z`, `2026-03-01 12:00:00` (UTC), `2026-03-01`
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub(crate) as_of: Option<TimestampMicros>,
    /// Read the tables as the set has them that this run published; `millstream status` names the last run
    #[arg(long, value_name = "RUN", conflicts_with = "as_of")]
    pub(crate) run: Option<String>,
    /// Write into this file instead of standard output; an existing file is replaced when all rows are written
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Stop after this many rows
    #[arg(long, value_name = "ROWS", value_parser = human::whole_number)]
    pub(crate) limit: Option<u64>,
}

pub(crate) async fn run(arguments: &Arguments, session: &Session) -> Result<Exit, CliError> {
    let json = session.settings.json;
    let format = Format::of_call(arguments.format, arguments.output.as_deref(), json)?;
    let engine = project::engine(project::open_sound(session)?, session).await?;
    let set = match &arguments.run {
        Some(run) => Some(runs::set_of(&engine, run).await?),
        None => None,
    };
    // Queries run on threads apart from the one that hears signals. They are not dropped but end with the process: a thread
    // that ends while its runtime is dropped may be touched once more.
    let queries = ManuallyDrop::new(Queries::new(&engine, QueryThreads::start(project::cores())?));
    // The versions of a run that is named are what was asked for, however old.
    let is_present = set.is_none();
    let mut writer = None;
    let answered = tokio::select! {
        rows = answer(arguments, set, format, &queries, &mut writer) => match rows {
            Ok(rows) => Some(rows),
            Err(error) => return Err(looked_into(&engine, error).await),
        },
        () = session.cancel.cancelled() => None,
    };
    let Some((rows, read)) = answered else {
        // A file takes the batches that wait, and is then removed. Standard output is not waited for: its reader may never
        // read on.
        if let (Some(writer), Some(_)) = (writer, &arguments.output) {
            drop(writer.end(false).await);
        }
        return Ok(Exit::Failure);
    };
    let stale = if is_present { stale_among(&engine, &read).await } else { Vec::new() };
    for (asset, stale) in &stale {
        output::tell(&format!("{} {}", styled(CAUTION, '!'), human::stale(asset, stale, engine.now())));
    }
    if let (Some(path), true) = (&arguments.output, json) {
        let stale = stale.iter().map(|(asset, stale)| StaleAsset::of((asset, stale))).collect();
        output::print_json(&QueryDocument { output: path.display().to_string(), rows, stale })?;
    } else if let Some(path) = &arguments.output {
        let said = human::count(rows, "row");
        output::print_line(&format!("{} {said} in {}", styled(GOOD, '✓'), path.display()))?;
    }
    Ok(Exit::Success)
}

/// The error of a statement, which may have met damage.
async fn looked_into(engine: &Engine, error: CliError) -> CliError {
    let CliError::Statement { sql, source } = error else { return error };
    let error = EngineError::Query(*source);
    engine.look_for_damage(&error).await;
    match error {
        EngineError::Query(source) => CliError::Statement { sql, source: Box::new(source) },
        other => other.into(),
    }
}

/// What was read and is stale.
async fn stale_among(engine: &Engine, read: &BTreeSet<AssetId>) -> Vec<(AssetId, Stale)> {
    if read.is_empty() {
        return Vec::new();
    }
    match engine.stale_among(read).await {
        Ok(stale) => {
            read.iter().filter_map(|asset| Some((asset.clone(), stale.get(asset)?.clone()))).collect()
        }
        // The rows are written, and stay right.
        Err(error) => {
            let said = format!("it is not known which of the tables are stale: {}", error.told());
            output::tell(&format!("{} {said} ({})", styled(CAUTION, '!'), error.code()));
            Vec::new()
        }
    }
}

/// Streams the rows into their format and returns their number, and what was read. `writer` holds what writes them, as long as it does.
async fn answer(
    arguments: &Arguments,
    set: Option<ReadSet>,
    format: Format,
    queries: &Queries,
    writer: &mut Option<Apart>,
) -> Result<(u64, BTreeSet<AssetId>), CliError> {
    let failed =
        |source: SqlError| CliError::Statement { sql: arguments.sql.clone(), source: Box::new(source) };
    let as_of = arguments.as_of.map(At::Timestamp);
    let sql = arguments.sql.clone();
    let mut stream = match set {
        Some(set) => queries.query_set(sql, set).await,
        None => queries.query(sql, as_of).await,
    }
    .map_err(failed)?;
    let read = stream.assets();
    let target = arguments.output.clone().map_or(Target::Stdout, Target::File);
    let apart = writer.insert(Apart::start(format, stream.schema(), target));
    let (mut left, mut written) = (arguments.limit.unwrap_or(u64::MAX), 0);
    let mut fault = None;
    while left > 0 {
        let batch = match stream.next_rows().await {
            Some(Ok(batch)) => batch,
            Some(Err(error)) => {
                fault = Some(failed(error));
                break;
            }
            None => break,
        };
        let wanted = usize::try_from(left).map_or(batch.num_rows(), |left| left.min(batch.num_rows()));
        if !apart.batch(batch.slice(0, wanted)).await {
            break;
        }
        left -= wanted as u64;
        written += wanted as u64;
    }
    let ended = match writer.take() {
        Some(writer) => writer.end(fault.is_none()).await,
        None => Ok(()),
    };
    // The fault that ended the rows says more than a fault of their writer.
    fault.map_or(ended, Err)?;
    Ok((written, read))
}

/// An instant; without an offset it is UTC.
pub(crate) fn parse_time(text: &str) -> Result<TimestampMicros, String> {
    let text = text.trim();
    let instant = DateTime::parse_from_rfc3339(text).map(|instant| instant.timestamp_micros());
    let naive =
        |format| NaiveDateTime::parse_from_str(text, format).map(|time| time.and_utc().timestamp_micros());
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc().timestamp_micros());
    instant
        .or_else(|_| naive("%Y-%m-%d %H:%M:%S%.f"))
        .or_else(|_| naive("%Y-%m-%dT%H:%M:%S%.f"))
        .or(day)
        .map(TimestampMicros)
        .map_err(|_| "write `2026-03-01T12:00:00Z`, `2026-03-01 12:00:00` or `2026-03-01`".to_owned())
}
