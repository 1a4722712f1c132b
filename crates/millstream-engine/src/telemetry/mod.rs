//! What receivers outside are told of runs and steps: messages that are kept in the transaction that records what they tell, and
//! sent from there until they were taken (`sending.rs`). Nothing is told, and nothing looked up, where the project names no
//! receiver.
//!
//! A message is told at least once, and a repeated one has the ids of the first. Work whose process ends without a word is told
//! to have ended by the next run, with the last words that were kept when it began.

mod joined;
mod openlineage;
mod otlp;
mod sending;

use std::{collections::BTreeMap, sync::Arc};

use millstream_lake::{At, Snapshot};
use millstream_plan::Reason;
use millstream_state::{Begun, CheckResult, NewMessage, StepOutcome};
use millstream_types::{AssetId, RunId, TableName, TimestampMicros};

pub use sending::{Sending, TelemetryStatus};

use crate::{EngineError, RunReport, StepReport, assets::table_of, engine::World};

/// The words for receivers in the state store.
pub(crate) const OPENLINEAGE: &str = "openlineage";
pub(crate) const TRACES: &str = "otlp_traces";
pub(crate) const LOGS: &str = "otlp_logs";

/// A run, as it is told.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ToldRun<'a> {
    pub run: &'a RunId,
    pub command: &'a str,
    /// When the run was due or asked for.
    pub asked: TimestampMicros,
    pub started: TimestampMicros,
}

/// What is looked up to tell of the end of a step. What cannot be read is left out: telling fails no step.
#[derive(Debug, Default)]
pub(crate) struct Surroundings {
    /// The table that the step made.
    pub output: Option<Arc<Snapshot>>,
    /// What is known of the checks of each input.
    pub checks: BTreeMap<AssetId, Vec<CheckResult>>,
}

impl World {
    /// Whether anybody is told anything.
    pub(crate) fn is_told(&self) -> bool {
        let telemetry = &self.project.spec.telemetry;
        telemetry.openlineage.is_some() || telemetry.otlp.is_some()
    }

    /// Keeps what is told of a run that begins.
    pub(crate) async fn tell_run_begun(&self, run: ToldRun<'_>) -> Result<(), EngineError> {
        if self.project.spec.telemetry.openlineage.is_none() {
            return Ok(());
        }
        let messages = [openlineage::message(openlineage::run_event(self, run, "START", None))];
        let last_words = [openlineage::message(openlineage::run_event(self, run, "ABORT", None))];
        self.tell_begun(run.run, None, run.started, &messages, &last_words).await
    }

    /// Keeps what is told of a step that begins.
    pub(crate) async fn tell_step_begun(
        &self,
        run: &RunId,
        asset: &AssetId,
        reason: &Reason,
        at: TimestampMicros,
    ) -> Result<(), EngineError> {
        if self.project.spec.telemetry.openlineage.is_none() {
            return Ok(());
        }
        let event = |kind| openlineage::message(openlineage::step_event(self, run, asset, reason, kind));
        self.tell_begun(run, Some(asset), at, &[event("START")], &[event("ABORT")]).await
    }

    async fn tell_begun(
        &self,
        run: &RunId,
        asset: Option<&AssetId>,
        at: TimestampMicros,
        messages: &[NewMessage],
        last_words: &[NewMessage],
    ) -> Result<(), EngineError> {
        Ok(self.state.tell_begun(&Begun { run, asset, at, messages, last_words }).await?)
    }

    /// What is told of the end of a step. A step that never began was not told to begin, and is not told to end.
    pub(crate) async fn told_of_step(&self, run: &RunId, report: &StepReport) -> Vec<NewMessage> {
        let has_begun = report.figures.as_ref().is_some_and(|figures| figures.started.is_some());
        if !has_begun || !self.is_told() {
            return Vec::new();
        }
        let mut messages = Vec::new();
        if self.project.spec.telemetry.openlineage.is_some() {
            let surroundings = self.surroundings(report).await;
            messages.push(openlineage::message(openlineage::step_end(self, run, report, &surroundings)));
        }
        if self.project.spec.telemetry.otlp.is_some() {
            messages.extend(otlp::step(self, run, report));
        }
        messages
    }

    /// What is told of the end of a run.
    pub(crate) fn told_of_run(
        &self,
        run: ToldRun<'_>,
        report: &RunReport,
        broke: Option<&str>,
    ) -> Vec<NewMessage> {
        let mut messages = Vec::new();
        if self.project.spec.telemetry.openlineage.is_some() {
            messages.push(openlineage::message(openlineage::run_end(self, run, report, broke)));
        }
        if self.project.spec.telemetry.otlp.is_some() {
            messages.extend(otlp::run(self, run, report, broke, self.options.clock.now()));
        }
        messages
    }

    async fn surroundings(&self, report: &StepReport) -> Surroundings {
        // The version that the step leaves, whatever was committed since. A step that failed or was halted leaves none.
        let ended_well = matches!(report.outcome, StepOutcome::Built | StepOutcome::Unchanged);
        let version = report.version.filter(|_| ended_well);
        let output = match (table_of(&report.asset), version) {
            (Ok(table), Some(version)) => {
                self.lake.snapshot(&table, At::Version(version.number())).await.ok().flatten()
            }
            _ => None,
        };
        let mut checks = BTreeMap::new();
        for input in self.project.graph.inputs(&report.asset) {
            if let Ok(known) = self.state.known_checks(&input.id).await {
                checks.insert(input.id.clone(), known);
            }
        }
        Surroundings { output, checks }
    }
}

/// Where a table of a lake lies: the store, and the path within it, by the names that OpenLineage gives to them.
fn place(lake: &str, table: &TableName) -> (String, String) {
    let below = table.to_string().replace('.', "/");
    match lake.split_once("://") {
        Some((scheme, rest)) => {
            let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
            let path = path.trim_matches('/');
            let name = if path.is_empty() { below } else { format!("{path}/{below}") };
            (format!("{scheme}://{bucket}"), name)
        }
        None => ("file".to_owned(), format!("{}/{below}", lake.trim_end_matches('/'))),
    }
}
