//! Acts that an engine is asked to do, each with its outcome in a few lines.

use std::{
    collections::BTreeSet,
    fmt::Write,
    num::NonZeroUsize,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use millstream_engine::{
    BackfillReport, BackfillRequest, DatasetRequest, Engine, EngineError, Event, FeatureServer,
    HousekeepingReport, MaintainRequest, MaintenanceReport, MaterializeRequest, Materialized, Observer,
    RunReport, RunRequest, StepOutcome, StepReport,
};
use tokio_util::sync::CancellationToken;

/// An act that an engine is asked to do.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A run of sources and tables.
    Run(RunRequest),
    /// A run of every kind of asset.
    RunAll(RunRequest),
    Reprocess(&'static str),
    /// Maintenance of all tables that keeps old versions for so long.
    Maintain(Duration),
    /// The housekeeping that is due.
    KeepHouse,
    Materialize(MaterializeRequest),
    Dataset(&'static str),
    /// A backfill, which asks again for what is left until nothing is.
    Backfill(BackfillRequest),
}

/// The outcome of an act.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    Well(String),
    Badly(String),
    /// The process died.
    Died,
}

/// The lines of an engine's events that say more than the report.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    /// Takes what was noted so far.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Observer for Notes {
    fn event(&self, event: &Event) {
        let line = match event {
            Event::StepStarted { asset, .. } => format!("{asset} begins"),
            Event::StepNote { asset, note } => format!("{asset}: {note}"),
            Event::StepRetry { asset, attempt, .. } => format!("{asset} fails at attempt {attempt}"),
            Event::StepFinished(report) => format!("{} ends", report.asset),
            _ => return,
        };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
    }
}

impl Act {
    /// Lets `engine` do the act, with at most `concurrency` steps at the same time.
    pub(super) async fn perform(
        &self,
        concurrency: NonZeroUsize,
        notes: &Notes,
        engine: &Engine,
        cancel: CancellationToken,
    ) -> Result<Ended, EngineError> {
        let events = engine.begin("test").observed_by(Arc::new(notes.clone()));
        match self {
            Act::Run(request) | Act::RunAll(request) => {
                let exclude = match self {
                    Act::RunAll(_) => request.exclude.clone(),
                    _ => other_kinds(engine),
                };
                let concurrency = request.concurrency.or(Some(concurrency));
                let request = RunRequest { concurrency, exclude, ..request.clone() };
                let run = engine.run(&request, Duration::ZERO, events, cancel);
                Ok(judged(&Box::pin(run).await?))
            }
            Act::Reprocess(table) => {
                let table = table.parse().unwrap();
                let run = engine.reprocess(&table, "reprocess", Duration::ZERO, events, cancel);
                Ok(judged(&Box::pin(run).await?))
            }
            Act::Maintain(retention) => {
                let request = MaintainRequest {
                    selection: Vec::new(),
                    retention: *retention,
                    command: "maintain".to_owned(),
                };
                let done = engine.maintain(&request, Duration::ZERO, engine.begin("test"), cancel).await?;
                let lines: Vec<_> = done
                    .tables
                    .iter()
                    .filter(|report| report.files_compacted + report.files_deleted > 0)
                    .map(|MaintenanceReport { table, files_compacted, files_deleted, .. }| {
                        format!("{table}: {files_compacted} put together, {files_deleted} gone")
                    })
                    .collect();
                Ok(Ended::Well(lines.join("\n")))
            }
            Act::KeepHouse => Ok(match engine.keep_house(cancel).await? {
                Some(report) => kept(&report),
                None => Ended::Well("not due".to_owned()),
            }),
            Act::Materialize(request) => {
                let server = FeatureServer::open(engine, 0.0).await?;
                let done = server.materialize(request, engine.begin("test"), cancel).await?;
                Ok(materialized(&done))
            }
            Act::Backfill(request) => {
                Ok(filled(&engine.backfill(request, Duration::ZERO, events, cancel).await?))
            }
            Act::Dataset(name) => {
                let request = DatasetRequest {
                    name: (*name).to_owned(),
                    memory_bytes: 64 << 20,
                    output: None,
                    command: String::new(),
                    principal: None,
                };
                let report = engine.build_dataset(&request, engine.begin("test"), cancel).await?;
                let unchanged = if report.is_unchanged { ", unchanged" } else { "" };
                Ok(Ended::Well(format!("{} v{}{unchanged}", report.name, report.version)))
            }
        }
    }
}

/// The terms that exclude all assets but sources and tables from a run.
pub(super) fn other_kinds(engine: &Engine) -> Vec<String> {
    let assets = engine.project().graph.assets().iter();
    let kinds: BTreeSet<String> =
        assets.filter_map(|asset| Some(format!("{}:*", asset.id.kind()?))).collect();
    kinds.into_iter().collect()
}

fn filled(done: &BackfillReport) -> Ended {
    let backfill = &done.backfill;
    let (status, ended) = (backfill.status.as_str(), judged(&done.run));
    let line = format!("{status}, {} of {}", backfill.done.len(), backfill.wanted.len());
    match ended {
        Ended::Well(text) if done.succeeded() => Ended::Well(format!("{text}\n{line}")),
        Ended::Well(text) | Ended::Badly(text) => Ended::Badly(format!("{text}\n{line}")),
        Ended::Died => Ended::Died,
    }
}

fn kept(report: &HousekeepingReport) -> Ended {
    let tidied = report.tables.iter().map(|report| {
        let MaintenanceReport { table, files_compacted, files_deleted, notes, .. } = report;
        let notes: String = notes.iter().map(|note| format!("; {note}")).collect();
        format!("{table}: {files_compacted} put together, {files_deleted} gone{notes}")
    });
    let forgotten = report.forgotten.runs;
    let runs = (forgotten > 0).then(|| format!("{forgotten} runs forgotten"));
    let failed = report.failed.iter().map(|(what, because)| format!("{what} failed: {because}"));
    let text = tidied.chain(runs).chain(failed).collect::<Vec<_>>().join("\n");
    if report.failed.is_empty() { Ended::Well(text) } else { Ended::Badly(text) }
}

fn materialized(done: &Materialized) -> Ended {
    let failed = done.failures.iter().map(|failure| format!("{}: {}", failure.error, failure.error.code()));
    let lines: Vec<_> = done
        .reports
        .iter()
        .map(|report| {
            let left_out = match report.left_out {
                0 => String::new(),
                rows => format!(", {rows} left out"),
            };
            format!(
                "{}: {:?}, {} rows of {}{left_out}",
                report.view, report.mode, report.rows, report.entities
            )
        })
        .chain(failed)
        .collect();
    let text = lines.join("\n");
    if done.failures.is_empty() { Ended::Well(text) } else { Ended::Badly(text) }
}

fn judged(report: &RunReport) -> Ended {
    let text = report.steps.iter().map(step).collect::<Vec<_>>().join("\n");
    if report.succeeded() { Ended::Well(text) } else { Ended::Badly(text) }
}

/// A step's end in a line: `bronze.orders built +3 -1, 2 rejected`.
fn step(report: &StepReport) -> String {
    let mut text = report.asset.to_string();
    match &report.outcome {
        StepOutcome::Built => text.push_str(" built"),
        StepOutcome::Unchanged => text.push_str(" unchanged"),
        StepOutcome::Halted { reason, .. } => write!(text, " halted: {reason}").unwrap(),
        StepOutcome::Failed { code, error, .. } => write!(text, " failed: {code} {error}").unwrap(),
        StepOutcome::Skipped { because } => write!(text, " skipped for {because}").unwrap(),
        StepOutcome::Cancelled => text.push_str(" cancelled"),
    }
    for (sign, rows) in [(" +", report.rows_written), (" -", report.rows_deleted)] {
        if rows > 0 {
            write!(text, "{sign}{rows}").unwrap();
        }
    }
    if report.rows_rejected > 0 {
        write!(text, ", {} rejected", report.rows_rejected).unwrap();
    }
    text
}

pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        write!(text, ": {error}").unwrap();
        cause = error.source();
    }
    text
}
