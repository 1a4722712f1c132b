//! Runs over HTTP, carried out by the engine.

use std::time::Duration;

use async_trait::async_trait;
use millstream_api::runs::{RunDetail, RunInfo, RunSummary};
use millstream_engine::{RunReport, RunRequest as EngineRun, StepOutcome};
use millstream_server::{ApiError, ErrorKind, JobReporter, RunBackend, RunEnd, RunRequest};
use millstream_types::RunId;

use super::{Backend, errors::api_error, progress};
use crate::{runs, wire::Of};

#[async_trait]
impl RunBackend for Backend {
    async fn run(&self, request: RunRequest, job: JobReporter) -> Result<RunEnd, ApiError> {
        let live = self.live();
        if request.selection.is_empty() && !live.engine.project().is_whole {
            let message = "the project has errors, and everything is to run";
            let hint = "`millstream check` shows them; select what does not depend on them";
            return Err(ApiError::new(ErrorKind::Invalid, message).with_field("selection").with_hint(hint));
        }
        let command = line(&request);
        let RunRequest { selection, exclude, full_refresh, forget_gone, force, concurrency, wait_for_others } =
            request;
        let principal = Some(job.principal().to_owned());
        let run = EngineRun {
            selection,
            exclude,
            full_refresh,
            forget_gone,
            force,
            concurrency,
            command,
            principal,
            due: None,
        };
        let cancel = job.cancelled().clone();
        let events = progress::begin(&live.engine, &run.command, job);
        let wait = if wait_for_others { Duration::MAX } else { Duration::ZERO };
        let report = live.engine.run(&run, wait, events, cancel).await;
        let report = report.map_err(api_error)?;
        Ok(RunEnd { failure: failure(&report), summary: RunSummary::of(&report) })
    }

    async fn runs(&self, limit: usize) -> Result<Vec<RunInfo>, ApiError> {
        Ok(self.live().engine.runs(limit).await.map_err(api_error)?.iter().map(RunInfo::of).collect())
    }

    async fn run_detail(&self, run: &str) -> Result<RunDetail, ApiError> {
        let id = RunId::new(run);
        let Some(record) = self.live().engine.run_record(&id).await.map_err(api_error)? else {
            return Err(ApiError::new(ErrorKind::UnknownRun, format!("there is no run `{run}`")));
        };
        let run = runs::in_full(&self.live().engine, record).await.map_err(api_error)?;
        Ok(RunDetail::of(&run))
    }
}

/// The command that does the same, for the record.
fn line(request: &RunRequest) -> String {
    let mut words = vec!["run".to_owned()];
    words.extend(request.selection.iter().cloned());
    words.extend(request.exclude.iter().map(|excluded| format!("--exclude {excluded}")));
    let flags = [
        (request.full_refresh, "--full-refresh"),
        (request.forget_gone, "--forget-gone"),
        (request.force, "--force"),
    ];
    words.extend(flags.into_iter().filter(|(is_set, _)| *is_set).map(|(_, flag)| flag.to_owned()));
    words.extend(request.concurrency.map(|steps| format!("--concurrency {steps}")));
    words.extend(request.wait_for_others.then(|| "--wait".to_owned()));
    words.join(" ")
}

/// Why a run did not succeed: that it was cancelled, or the first of its steps that did not end well.
fn failure(report: &RunReport) -> Option<ApiError> {
    if report.cancelled {
        return Some(ApiError::new(ErrorKind::Cancelled, "the run was told to end"));
    }
    if report.succeeded() {
        return None;
    }
    let words = |asset: &str, outcome: &StepOutcome| match outcome {
        StepOutcome::Halted { reason, .. } => Some(format!("`{asset}` was halted: {reason}")),
        StepOutcome::Failed { code, error, .. } => Some(format!("`{asset}` failed: {error} ({code})")),
        _ => None,
    };
    let first = report.steps.iter().find_map(|step| words(&step.asset.to_string(), &step.outcome));
    let message = first.unwrap_or_else(|| "a source could not be read whole".to_owned());
    Some(ApiError::new(ErrorKind::RunFailed, message))
}
