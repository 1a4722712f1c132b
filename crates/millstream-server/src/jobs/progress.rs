//! What the events of a job say of how far it is.

use millstream_api::{
    jobs::{JobKind, JobProgress, ProgressUnit},
    runs::RunEvent,
};

/// The name of an event, as in the data itself.
pub(super) fn name(event: &RunEvent) -> &'static str {
    match event {
        RunEvent::Waiting { .. } => "waiting",
        RunEvent::RunStarted { .. } => "run_started",
        RunEvent::StepStarted { .. } => "step_started",
        RunEvent::StepProgress { .. } => "step_progress",
        RunEvent::StepNote { .. } => "step_note",
        RunEvent::StepRetry { .. } => "step_retry",
        RunEvent::Alarm { .. } => "alarm",
        RunEvent::StepFinished(_) => "step_finished",
        RunEvent::RunFinished(_) => "run_finished",
        RunEvent::TableMaintained(_) => "table_maintained",
        RunEvent::Pipeline(_) => "pipeline",
    }
}

/// How far a job is after an event. A run counts the steps that were carried out, and names the one that was started last; other
/// jobs count the rows of the asset that they are at.
pub(super) fn after(kind: JobKind, before: Option<JobProgress>, event: &RunEvent) -> JobProgress {
    let unit = if kind == JobKind::Run { ProgressUnit::Steps } else { ProgressUnit::Rows };
    let mut progress = before.unwrap_or(JobProgress { doing: String::new(), done: 0, total: None, unit });
    match (event, unit) {
        (RunEvent::Waiting { because }, _) => progress.doing = format!("waiting: {because}"),
        (RunEvent::RunStarted { steps, .. }, _) => {
            let total = (unit == ProgressUnit::Steps).then_some(steps.len() as u64);
            progress = JobProgress { doing: String::new(), done: 0, total, unit };
        }
        (RunEvent::StepStarted { asset, .. }, ProgressUnit::Steps) => progress.doing.clone_from(asset),
        (RunEvent::StepStarted { asset, .. }, ProgressUnit::Rows) => {
            progress = JobProgress { doing: asset.clone(), done: 0, total: None, unit };
        }
        (RunEvent::StepFinished(step), ProgressUnit::Steps)
            if !["skipped", "cancelled"].contains(&step.outcome) =>
        {
            progress.done += 1;
        }
        (RunEvent::StepProgress { asset, doing, rows, rows_total, .. }, ProgressUnit::Rows) => {
            let doing = doing.as_ref().map_or_else(|| asset.clone(), |doing| format!("{asset}: {doing}"));
            progress = JobProgress { doing, done: *rows, total: *rows_total, unit };
        }
        _ => {}
    }
    progress
}
