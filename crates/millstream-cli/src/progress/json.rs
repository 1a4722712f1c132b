//! One JSON object per event on standard output.

use std::io::Write;

use millstream_engine::{Event, Observer};

use crate::wire::{Of, RunEvent};

/// JSON lines, flushed one by one so that a reader sees them as they happen.
#[derive(Debug)]
pub(crate) struct JsonLines;

impl Observer for JsonLines {
    fn event(&self, event: &Event) {
        let Ok(mut line) = serde_json::to_vec(&RunEvent::of(event)) else { return };
        line.push(b'\n');
        let mut stdout = std::io::stdout().lock();
        // When the reader is gone the run still ends well; its exit code tells the outcome.
        let _ = stdout.write_all(&line).and_then(|()| stdout.flush());
    }
}
