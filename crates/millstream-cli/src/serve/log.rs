//! The log of a server: how every step ended, whoever asked for it.

use millstream_engine::{Event, EventBus, Heard, StepOutcome};

/// Writes the ends of steps to the log for as long as there may be any.
pub(crate) async fn log_steps(events: EventBus) {
    let mut heard = events.subscribe();
    drop(events);
    loop {
        match heard.hear().await {
            None => return,
            Some(Heard::Missed(events)) => tracing::warn!(events, "steps ended faster than they were logged"),
            Some(Heard::Event(told)) => log(&told.event),
        }
    }
}

fn log(event: &Event) {
    let Event::StepFinished(step) = event else { return };
    match &step.outcome {
        StepOutcome::Failed { code, error, .. } => {
            tracing::warn!(asset = %step.asset, code, error, "a step failed");
        }
        StepOutcome::Halted { reason, .. } => {
            tracing::warn!(asset = %step.asset, reason, "a step was halted");
        }
        outcome => {
            tracing::info!(asset = %step.asset, outcome = outcome.as_str(), rows = step.rows_written, "a step ended");
        }
    }
}
