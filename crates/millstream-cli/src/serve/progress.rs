//! What happens in the engine's work, told to the job that asked for it.

use std::sync::Arc;

use millstream_api::{
    jobs::{JobProgress, ProgressUnit},
    runs::RunEvent,
};
use millstream_engine::{Engine, Event, Observer, Publisher};
use millstream_server::JobReporter;

use crate::wire::Of;

/// Announces a run to the engine, every event of which the job tells.
pub(super) fn of_run(engine: &Engine, job: JobReporter) -> Publisher {
    engine.begin().observed_by(Arc::new(Steps(job)))
}

/// Announces work on single assets to the engine, of which the job tells how many rows it has come to.
pub(super) fn of_rows(engine: &Engine, job: JobReporter) -> Publisher {
    engine.begin().observed_by(Arc::new(Rows(job)))
}

struct Steps(JobReporter);

impl Observer for Steps {
    fn event(&self, event: &Event) {
        self.0.event(&RunEvent::of(event));
    }
}

struct Rows(JobReporter);

impl Observer for Rows {
    fn event(&self, event: &Event) {
        match event {
            Event::RunStarted { run, .. } => self.0.recorded_as(run.as_str()),
            Event::Waiting { because } => {
                let doing = format!("waiting: {because}");
                self.0.progress(JobProgress { doing, done: 0, total: None, unit: ProgressUnit::Rows });
            }
            Event::StepProgress(progress) => {
                let doing = progress.doing.clone().unwrap_or_else(|| progress.asset.name().to_owned());
                let (done, total) = (progress.rows, progress.rows_total);
                self.0.progress(JobProgress { doing, done, total, unit: ProgressUnit::Rows });
            }
            _ => {}
        }
    }
}
