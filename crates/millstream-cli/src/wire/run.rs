//! `run --json`: one object per event.

use std::time::Duration;

use millstream_engine::{CheckReport, Event, RunReport, StepOutcome, StepReport};
use serde::Serialize;

use super::{Cause, PlannedStep};

/// One line. `event` says which.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    RunStarted {
        run: String,
        steps: Vec<PlannedStep>,
    },
    StepStarted {
        asset: String,
        #[serde(flatten)]
        cause: Cause,
    },
    StepProgress {
        asset: String,
        rows: u64,
        bytes: u64,
        bytes_total: Option<u64>,
    },
    StepNote {
        asset: String,
        note: String,
    },
    StepRetry {
        asset: String,
        attempt: u32,
        wait_ms: u64,
        error: String,
    },
    StepFinished(StepResult),
    RunFinished(RunSummary),
}

/// The end of one step.
#[derive(Clone, Debug, Serialize)]
pub struct StepResult {
    pub asset: String,
    #[serde(flatten)]
    pub cause: Cause,
    /// `built`, `unchanged`, `halted`, `failed`, `skipped`, `cancelled`.
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it halted or failed, or which asset it was skipped for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    pub version: Option<i64>,
    pub checks: Vec<CheckResult>,
    pub elapsed_ms: u64,
}

/// What one check found.
#[derive(Clone, Debug, Serialize)]
pub struct CheckResult {
    pub check: String,
    pub severity: &'static str,
    pub passed: bool,
    pub failed: u64,
    pub observed: Option<String>,
    /// What a failed table check found and expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The end of a run; the steps were reported one by one.
#[derive(Clone, Debug, Serialize)]
pub struct RunSummary {
    pub run: String,
    pub succeeded: bool,
    pub cancelled: bool,
    pub steps: usize,
    pub up_to_date: usize,
    pub rows_written: u64,
    pub rows_rejected: u64,
    pub elapsed_ms: u64,
}

impl From<&Event> for RunEvent {
    fn from(event: &Event) -> Self {
        match event {
            Event::RunStarted { run, steps } => Self::RunStarted {
                run: run.to_string(),
                steps: steps
                    .iter()
                    .map(|step| PlannedStep {
                        asset: step.asset.to_string(),
                        cause: Cause::from(&step.reason),
                        upkeep: None,
                    })
                    .collect(),
            },
            Event::StepStarted { asset, reason } => {
                Self::StepStarted { asset: asset.to_string(), cause: Cause::from(reason) }
            }
            Event::StepProgress { asset, rows, bytes, bytes_total } => Self::StepProgress {
                asset: asset.to_string(),
                rows: *rows,
                bytes: *bytes,
                bytes_total: *bytes_total,
            },
            Event::StepNote { asset, note } => {
                Self::StepNote { asset: asset.to_string(), note: note.clone() }
            }
            Event::StepRetry { asset, attempt, wait, error } => Self::StepRetry {
                asset: asset.to_string(),
                attempt: *attempt,
                wait_ms: milliseconds(*wait),
                error: error.clone(),
            },
            Event::StepFinished(step) => Self::StepFinished(StepResult::from(step.as_ref())),
            Event::RunFinished(report) => Self::RunFinished(RunSummary::from(report)),
        }
    }
}

impl From<&StepReport> for StepResult {
    fn from(step: &StepReport) -> Self {
        let (outcome, code, message, hint) = match &step.outcome {
            StepOutcome::Built => ("built", None, None, None),
            StepOutcome::Unchanged => ("unchanged", None, None, None),
            StepOutcome::Halted { reason, hint } => ("halted", None, Some(reason.clone()), hint.clone()),
            StepOutcome::Failed { code, error, hint } => {
                ("failed", Some(code.clone()), Some(error.clone()), hint.clone())
            }
            StepOutcome::Skipped { because } => ("skipped", None, Some(because.to_string()), None),
            StepOutcome::Cancelled => ("cancelled", None, None, None),
        };
        Self {
            asset: step.asset.to_string(),
            cause: Cause::from(&step.reason),
            outcome,
            code,
            message,
            hint,
            rows_written: step.rows_written,
            rows_deleted: step.rows_deleted,
            rows_rejected: step.rows_rejected,
            version: step.version,
            checks: step.checks.iter().map(CheckResult::from).collect(),
            elapsed_ms: milliseconds(step.elapsed),
        }
    }
}

impl From<&CheckReport> for CheckResult {
    fn from(check: &CheckReport) -> Self {
        Self {
            check: check.check.to_string(),
            severity: check.severity.as_str(),
            passed: check.passed,
            failed: check.failed,
            observed: check.observed.clone(),
            message: check.message.clone(),
        }
    }
}

impl From<&RunReport> for RunSummary {
    fn from(report: &RunReport) -> Self {
        Self {
            run: report.run.to_string(),
            succeeded: report.succeeded(),
            cancelled: report.cancelled,
            steps: report.steps.len(),
            up_to_date: report.up_to_date,
            rows_written: report.steps.iter().map(|step| step.rows_written).sum(),
            rows_rejected: report.steps.iter().map(|step| step.rows_rejected).sum(),
            elapsed_ms: milliseconds(report.elapsed),
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
