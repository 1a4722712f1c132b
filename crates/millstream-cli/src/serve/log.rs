//! The log of a server: how every step ended, whoever asked for it.

use std::collections::HashMap;

use millstream_engine::{Event, Heard, StepOutcome, StepReport, Subscription, WorkChange, WorkEvent, WorkId};
use millstream_types::RunId;

/// Writes the ends of steps to the log for as long as there may be any.
pub(crate) async fn log_steps(mut heard: Subscription) {
    let mut runs = HashMap::new();
    loop {
        match heard.hear().await {
            None => return,
            Some(Heard::Missed(events)) => {
                // The end of a run may be among what was missed.
                runs.clear();
                tracing::warn!(events, "events of work were missed; ends of steps may be among them");
            }
            Some(Heard::Change(event)) => log(&event, &mut runs),
        }
    }
}

fn log(WorkEvent { work, change }: &WorkEvent, runs: &mut HashMap<WorkId, RunId>) {
    match change {
        WorkChange::Began => {}
        WorkChange::Told(event) => match event.as_ref() {
            Event::RunStarted { run, .. } => {
                runs.insert(work.id, run.clone());
            }
            Event::StepFinished(step) => {
                let run = runs.get(&work.id).map(RunId::as_str).unwrap_or_default();
                ended(step, &work.command, run);
            }
            Event::TableMaintained(report) => {
                let (compacted, deleted) = (report.files_compacted, report.files_deleted);
                let notes = report.notes.join("; ");
                tracing::info!(table = %report.table, compacted, deleted, notes, command = work.command, "a table was tidied");
            }
            _ => {}
        },
        WorkChange::Ended => {
            runs.remove(&work.id);
        }
    }
}

fn ended(step: &StepReport, command: &str, run: &str) {
    let asset = &step.asset;
    match &step.outcome {
        StepOutcome::Failed { code, error, .. } => {
            tracing::warn!(%asset, code, error, run, command, "a step failed");
        }
        StepOutcome::Halted { reason, .. } => {
            tracing::warn!(%asset, reason, run, command, "a step was halted");
        }
        outcome => {
            let (outcome, rows) = (outcome.as_str(), step.rows_written);
            tracing::info!(%asset, outcome, rows, run, command, "a step ended");
        }
    }
}
