//! Counts what work tells, for `/metrics`.

use std::sync::{Arc, Weak};

use millstream_engine::{Clock, Engine, Event, Observer, RunReport, StepOutcome, StepReport, SystemClock};
use millstream_telemetry::{Metrics, StepSeen};

use super::Backend;
use crate::CliError;

/// The figures of a server, and whom to ask for the kind of an asset.
pub(crate) struct Counting {
    metrics: Arc<Metrics>,
    backend: Weak<Backend>,
}

impl Counting {
    /// Counts all work that is told on the engine's bus from now on.
    pub(crate) fn begin(engine: &Engine, backend: &Arc<Backend>) -> Result<Arc<Metrics>, CliError> {
        let metrics = Arc::new(Metrics::new().map_err(|error| CliError::Format(error.into()))?);
        let counting = Self { metrics: metrics.clone(), backend: Arc::downgrade(backend) };
        engine.events().observe(Arc::new(counting));
        Ok(metrics)
    }

    fn kind(&self, step: &StepReport) -> &'static str {
        let live = self.backend.upgrade().map(|backend| backend.live());
        let facts = live.as_ref().and_then(|live| live.engine.project().graph.get(&step.asset));
        facts.map_or("unknown", |facts| facts.kind.as_str())
    }

    fn step(&self, step: &StepReport) {
        let figures = step.figures.clone().unwrap_or_default();
        // What never began took nothing.
        let has_begun = figures.started.is_some();
        let micros = |micros: u64| std::time::Duration::from_micros(micros);
        self.metrics.step_ended(&StepSeen {
            asset: step.asset.as_str(),
            kind: self.kind(step),
            outcome: step.outcome.as_str(),
            is_well: matches!(step.outcome, StepOutcome::Built | StepOutcome::Unchanged),
            finished: SystemClock.now().0 / 1_000_000,
            took: has_begun.then_some(step.elapsed),
            queued: figures.queued_us().map(micros),
            rows_written: step.rows_written,
            rows_rejected: step.rows_rejected,
            bytes_read: figures.bytes_read.unwrap_or(0),
            bytes_written: figures.bytes_written.unwrap_or(0),
            cpu: micros(figures.cpu_us.unwrap_or(0)),
            retries: figures.retries.unwrap_or(0),
        });
    }

    fn run(&self, report: &RunReport) {
        let outcome = match (report.cancelled, report.succeeded()) {
            (true, _) => "cancelled",
            (false, true) => "succeeded",
            (false, false) => "failed",
        };
        self.metrics.run_ended(outcome, report.elapsed);
    }
}

impl Observer for Counting {
    fn event(&self, event: &Event) {
        match event {
            Event::StepFinished(step) => self.step(step),
            Event::RunFinished(report) => self.run(report),
            _ => {}
        }
    }

    fn scheduled(&self, decisions: &[&'static str], waiting: usize, running: usize) {
        decisions.iter().for_each(|decision| self.metrics.decided(decision));
        self.metrics.scheduled(waiting, running);
    }
}
