//! The figures of a process in the text format of Prometheus. Counting is a few atomic additions; what is asked of the operating
//! system is asked when somebody reads.

mod declare;
mod pipelines;
mod process;
mod requests;
mod steps;

use std::time::Duration;

use prometheus::{Histogram, IntCounterVec, IntGauge, IntGaugeVec, Registry, TextEncoder};

use declare::Declare;
use pipelines::PipelineFigures;
use process::ProcessFigures;
use requests::RequestFigures;
use steps::StepFigures;

pub use pipelines::PipelineSeen;
pub use requests::RouteFigures;
pub use steps::StepSeen;

/// The bounds of the buckets of steps and runs, in seconds.
const WORK_BUCKETS: [f64; 12] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];

/// How far a source of events is.
#[derive(Clone, Copy, Debug)]
pub struct IntakeSeen<'a> {
    pub source: &'a str,
    /// The events that ever came.
    pub events: u64,
    /// Those that have not landed.
    pub lag_events: u64,
    /// How long the oldest of them waits; 0 while all have landed.
    pub lag_seconds: u64,
    /// What the log holds of it on disk.
    pub bytes: u64,
}

/// All figures of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    runs: IntCounterVec,
    run_seconds: Histogram,
    steps: StepFigures,
    pipelines: PipelineFigures,
    decisions: IntCounterVec,
    queue_depth: IntGauge,
    running: IntGauge,
    messages: IntGaugeVec,
    dropped_messages: IntCounterVec,
    intake_events: IntGaugeVec,
    intake_lag: IntGaugeVec,
    intake_lag_seconds: IntGaugeVec,
    intake_bytes: IntGaugeVec,
    requests: RequestFigures,
    process: ProcessFigures,
}

impl Metrics {
    /// The figures of this process, of which there is one set.
    ///
    /// # Errors
    ///
    /// Never: names are distinct and well formed, which a test of this room sees to.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let of = Declare(&registry);
        Ok(Self {
            runs: of.counters("millstream_runs_total", "Runs that have ended.", &["outcome"])?,
            run_seconds: of.histogram(
                "millstream_run_duration_seconds",
                "How long runs took.",
                &WORK_BUCKETS,
            )?,
            steps: StepFigures::declare(&of)?,
            pipelines: PipelineFigures::declare(&of)?,
            decisions: of.counters(
                "millstream_schedule_decisions_total",
                "What the scheduler decided.",
                &["decision"],
            )?,
            queue_depth: of.gauge("millstream_schedule_queue_depth", "Assets that are due and wait.")?,
            running: of
                .gauge("millstream_schedule_running_steps", "Steps that the scheduler has started.")?,
            messages: of.gauges(
                "millstream_telemetry_waiting_messages",
                "Messages that wait for a receiver outside.",
                &["receiver"],
            )?,
            dropped_messages: of.counters(
                "millstream_telemetry_dropped_messages_total",
                "Messages that a receiver outside never took, and that are gone.",
                &["receiver"],
            )?,
            intake_events: of.gauges(
                "millstream_source_events",
                "Events that ever came to a source.",
                &["source"],
            )?,
            intake_lag: of.gauges(
                "millstream_source_lag_events",
                "Events of a source that have not landed yet.",
                &["source"],
            )?,
            intake_lag_seconds: of.gauges(
                "millstream_source_lag_seconds",
                "How long the oldest event of a source that has not landed waits.",
                &["source"],
            )?,
            intake_bytes: of.gauges(
                "millstream_source_log_bytes",
                "What the event log holds of a source on disk.",
                &["source"],
            )?,
            requests: RequestFigures::declare(&of)?,
            process: ProcessFigures::declare(&of)?,
            registry,
        })
    }

    /// Counts a run that ended so, in one word.
    pub fn run_ended(&self, outcome: &str, took: Duration) {
        self.runs.with_label_values(&[outcome]).inc();
        self.run_seconds.observe(took.as_secs_f64());
    }

    pub fn step_ended(&self, step: &StepSeen<'_>) {
        self.steps.ended(step);
    }

    /// Shows how a pipeline is.
    pub fn pipeline(&self, seen: &PipelineSeen<'_>) {
        self.pipelines.seen(seen);
    }

    /// Counts a decision of the scheduler.
    pub fn decided(&self, decision: &str) {
        self.decisions.with_label_values(&[decision]).inc();
    }

    /// How many assets are due and wait, and how many steps run.
    pub fn scheduled(&self, waiting: usize, running: usize) {
        self.queue_depth.set(i64::try_from(waiting).unwrap_or(i64::MAX));
        self.running.set(i64::try_from(running).unwrap_or(i64::MAX));
    }

    /// How many messages wait for a receiver outside.
    pub fn messages_waiting(&self, receiver: &str, waiting: u64) {
        self.messages.with_label_values(&[receiver]).set(i64::try_from(waiting).unwrap_or(i64::MAX));
    }

    /// How far a source of events is.
    pub fn intake(&self, seen: &IntakeSeen<'_>) {
        let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        let of = |gauges: &IntGaugeVec, value: u64| gauges.with_label_values(&[seen.source]).set(count(value));
        of(&self.intake_events, seen.events);
        of(&self.intake_lag, seen.lag_events);
        of(&self.intake_lag_seconds, seen.lag_seconds);
        of(&self.intake_bytes, seen.bytes);
    }

    /// Counts messages for a receiver outside that were dropped.
    pub fn messages_dropped(&self, receiver: &str, count: u64) {
        self.dropped_messages.with_label_values(&[receiver]).inc_by(count);
    }

    /// The figures of the requests to one path, as the server declares it (`/v1/runs/{id}`), so that there are only so many.
    #[must_use]
    pub fn route(&self, path: &str) -> RouteFigures {
        self.requests.route(path)
    }

    /// All figures as text, and the type of that text for HTTP.
    ///
    /// # Errors
    ///
    /// Never, since a text takes everything.
    pub fn text(&self) -> Result<(String, &'static str), prometheus::Error> {
        self.process.update();
        let mut text = String::new();
        TextEncoder::new().encode_utf8(&self.registry.gather(), &mut text)?;
        Ok((text, "text/plain; version=0.0.4; charset=utf-8"))
    }
}
