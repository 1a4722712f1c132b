//! `run --json`: one object per event.

use std::time::Duration;

use millstream_api::maintain::MaintainedTable;
use millstream_api::pipelines::PipelineEvent;
use millstream_api::runs::{Cause, CheckResult, PlannedStep, RunEvent, RunSummary, StepResult};
use millstream_engine::{CheckReport, Event, RunReport, StepOutcome, StepReport};
use millstream_types::AssetVersion;

use super::Of;

impl Of<&Event> for RunEvent {
    fn of(event: &Event) -> Self {
        match event {
            Event::Waiting { because } => Self::Waiting { because: because.clone() },
            Event::RunStarted { run, steps } => Self::RunStarted {
                run: run.to_string(),
                steps: steps
                    .iter()
                    .map(|step| PlannedStep {
                        asset: step.asset.to_string(),
                        cause: Cause::of(&step.reason),
                        upkeep: None,
                    })
                    .collect(),
            },
            Event::StepStarted { asset, reason } => {
                Self::StepStarted { asset: asset.to_string(), cause: Cause::of(reason) }
            }
            Event::StepProgress(progress) => Self::StepProgress {
                asset: progress.asset.to_string(),
                doing: progress.doing.clone(),
                rows: progress.rows,
                rows_total: progress.rows_total,
                bytes: progress.bytes,
                bytes_total: progress.bytes_total,
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
            Event::Alarm { about, message, is_over } => {
                Self::Alarm { about: about.clone(), message: message.clone(), is_over: *is_over }
            }
            Event::StepFinished(step) => Self::StepFinished(StepResult::of(step.as_ref())),
            Event::RunFinished(report) => Self::RunFinished(RunSummary::of(report)),
            Event::TableMaintained(report) => Self::TableMaintained(MaintainedTable::of(report)),
            Event::Pipeline(told) => Self::Pipeline(PipelineEvent::of(told)),
        }
    }
}

impl Of<&StepReport> for StepResult {
    fn of(step: &StepReport) -> Self {
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
            cause: Cause::of(&step.reason),
            outcome,
            code,
            message,
            hint,
            rows_written: step.rows_written,
            rows_deleted: step.rows_deleted,
            rows_rejected: step.rows_rejected,
            version: step.version.map(AssetVersion::number),
            checks: step.checks.iter().map(CheckResult::of).collect(),
            elapsed_ms: milliseconds(step.elapsed),
        }
    }
}

impl Of<&CheckReport> for CheckResult {
    fn of(check: &CheckReport) -> Self {
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

impl Of<&RunReport> for RunSummary {
    fn of(report: &RunReport) -> Self {
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
