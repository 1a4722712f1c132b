//! What a run's events say of how far it is.

use millstream_api::{
    jobs::{JobProgress, ProgressUnit},
    runs::RunEvent,
};

/// The name of an event, as in the data itself.
pub(crate) fn name(event: &RunEvent) -> &'static str {
    match event {
        RunEvent::Waiting { .. } => "waiting",
        RunEvent::RunStarted { .. } => "run_started",
        RunEvent::StepStarted { .. } => "step_started",
        RunEvent::StepProgress { .. } => "step_progress",
        RunEvent::StepNote { .. } => "step_note",
        RunEvent::StepRetry { .. } => "step_retry",
        RunEvent::StepFinished(_) => "step_finished",
        RunEvent::RunFinished(_) => "run_finished",
        RunEvent::TableMaintained(_) => "table_maintained",
    }
}

/// How far a run is after an event: how many of its steps have ended, and which one was started last.
pub(crate) fn after(before: Option<JobProgress>, event: &RunEvent) -> Option<JobProgress> {
    let mut progress = before.unwrap_or(JobProgress {
        doing: String::new(),
        done: 0,
        total: None,
        unit: ProgressUnit::Steps,
    });
    match event {
        RunEvent::RunStarted { steps, .. } => progress.total = Some(steps.len() as u64),
        RunEvent::StepStarted { asset, .. } => progress.doing.clone_from(asset),
        RunEvent::StepFinished(_) => progress.done += 1,
        _ => {}
    }
    Some(progress)
}
