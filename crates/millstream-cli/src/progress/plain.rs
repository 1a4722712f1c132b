//! Plain lines on standard error, for logs and pipes.

use std::sync::atomic::{AtomicUsize, Ordering};

use millstream_engine::{Event, Observer};

use super::line::{alarm_line, name_width, note_line, retry_line, step_line, waiting_line};
use crate::output;

/// One line per finished step; nothing is redrawn.
#[derive(Debug, Default)]
pub(crate) struct Plain {
    name_width: AtomicUsize,
}

impl Observer for Plain {
    fn event(&self, event: &Event) {
        match event {
            Event::RunStarted { steps, .. } => self.name_width.store(name_width(steps), Ordering::Relaxed),
            Event::StepFinished(step) => {
                output::tell(&step_line(step, self.name_width.load(Ordering::Relaxed)));
            }
            Event::Waiting { because } => output::tell(&waiting_line(because)),
            Event::StepNote { asset, note } => output::tell(&note_line(asset.as_str(), note)),
            Event::StepRetry { asset, attempt, wait, error } => {
                output::tell(&retry_line(asset.as_str(), *attempt, *wait, error));
            }
            Event::Alarm { message, is_over, .. } => output::tell(&alarm_line(message, *is_over)),
            Event::StepStarted { .. }
            | Event::StepProgress(_)
            | Event::RunFinished(_)
            | Event::TableMaintained(_)
            | Event::Pipeline(_) => {}
        }
    }
}
