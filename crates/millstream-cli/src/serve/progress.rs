//! What happens in the engine's work, told to the job that asked for it.

use std::sync::Arc;

use millstream_api::runs::RunEvent;
use millstream_engine::{Engine, Event, Observer, Publisher};
use millstream_server::JobReporter;

use crate::wire::Of;

/// Announces work that `command` asks for to the engine, every event of which the job tells.
pub(super) fn begin(engine: &Engine, command: &str, job: JobReporter) -> Publisher {
    engine.begin(command).observed_by(Arc::new(JobEvents(job)))
}

struct JobEvents(JobReporter);

impl Observer for JobEvents {
    fn event(&self, event: &Event) {
        self.0.event(&RunEvent::of(event));
    }
}
