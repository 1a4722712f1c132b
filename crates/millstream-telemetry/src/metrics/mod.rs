//! The figures of a process in the text format of Prometheus. Counting is a few atomic additions; what is asked of the operating
//! system is asked when somebody reads.

mod process;

use std::time::Duration;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use process::ProcessFigures;

/// The bounds of the buckets of steps and runs, in seconds.
const WORK_BUCKETS: [f64; 12] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];

/// The bounds of the buckets of requests, in seconds.
const REQUEST_BUCKETS: [f64; 12] =
    [0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 10.0];

/// The assets that have figures of their own; further ones are counted together, so that a project of any size has a bounded
/// number of series.
const ASSETS_MAX: usize = 1_000;

/// The name under which further assets are counted.
const OTHER_ASSETS: &str = "other";

/// All figures of a process.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    runs: IntCounterVec,
    run_seconds: Histogram,
    steps: IntCounterVec,
    step_seconds: HistogramVec,
    queue_seconds: HistogramVec,
    asset_steps: IntCounterVec,
    last_success: IntGaugeVec,
    rows_written: IntCounterVec,
    rows_rejected: IntCounterVec,
    bytes_read: IntCounterVec,
    bytes_written: IntCounterVec,
    cpu_seconds: prometheus::CounterVec,
    retries: IntCounterVec,
    decisions: IntCounterVec,
    queue_depth: IntGauge,
    running: IntGauge,
    messages: IntGaugeVec,
    requests: IntCounterVec,
    request_seconds: HistogramVec,
    read_seconds: Histogram,
    push_seconds: Histogram,
    missed: IntCounter,
    process: ProcessFigures,
    assets: std::sync::Mutex<std::collections::HashSet<String>>,
}

/// A step that has ended.
#[derive(Clone, Copy, Debug)]
pub struct StepSeen<'a> {
    pub asset: &'a str,
    /// The word for the kind of asset.
    pub kind: &'a str,
    /// The word for how the step ended.
    pub outcome: &'a str,
    /// Whether the step ended well.
    pub is_well: bool,
    /// When the step ended, in seconds since 1970.
    pub finished: i64,
    /// `None` of a step that never began.
    pub took: Option<Duration>,
    /// How long the step waited although it could have started; `None` where that is not known.
    pub queued: Option<Duration>,
    pub rows_written: u64,
    pub rows_rejected: u64,
    pub bytes_read: u64,
    pub bytes_written: u64,
    pub cpu: Duration,
    pub retries: u32,
}

/// The figures of the requests to one path.
#[derive(Clone, Debug)]
pub struct RouteFigures {
    /// Answers by the class of their status, `1xx` first.
    classes: [IntCounter; 5],
    seconds: Histogram,
    /// The figures of all reads, or of all pushes, if the path is one of theirs.
    online: Option<Histogram>,
}

impl RouteFigures {
    /// Counts a request that was answered.
    pub fn answered(&self, status: u16, took: Duration) {
        let took = took.as_secs_f64();
        let class = usize::from(status / 100).clamp(1, self.classes.len()) - 1;
        if let Some(counter) = self.classes.get(class) {
            counter.inc();
        }
        self.seconds.observe(took);
        if let Some(online) = &self.online {
            online.observe(took);
        }
    }
}

/// How a run ended, in one word.
pub type Outcome<'a> = &'a str;

impl Metrics {
    /// The figures of this process, of which there is one set.
    ///
    /// # Errors
    ///
    /// Never: names are distinct and well formed, which a test of this room sees to.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let of = Declare(&registry);
        let metrics = Self {
            runs: of.counters("millstream_runs_total", "Runs that have ended.", &["outcome"])?,
            run_seconds: of.histogram(
                "millstream_run_duration_seconds",
                "How long runs took.",
                &WORK_BUCKETS,
            )?,
            steps: of.counters("millstream_steps_total", "Steps that have ended.", &["kind", "outcome"])?,
            step_seconds: of.histograms(
                "millstream_step_duration_seconds",
                "How long steps took that were begun, their retries included.",
                &WORK_BUCKETS,
                &["kind"],
            )?,
            queue_seconds: of.histograms(
                "millstream_step_queue_seconds",
                "How long steps waited although they could have started.",
                &WORK_BUCKETS,
                &["kind"],
            )?,
            asset_steps: of.counters(
                "millstream_asset_steps_total",
                "Steps that have ended, by asset; further assets than the first 1,000 are counted as other.",
                &["asset", "outcome"],
            )?,
            last_success: of.gauges(
                "millstream_asset_last_success_timestamp_seconds",
                "When the last step of the asset ended well, in this process.",
                &["asset"],
            )?,
            rows_written: of.counters(
                "millstream_rows_written_total",
                "Rows that steps wrote.",
                &["kind"],
            )?,
            rows_rejected: of.counters(
                "millstream_rows_rejected_total",
                "Rows that checks kept out.",
                &["kind"],
            )?,
            bytes_read: of.counters(
                "millstream_step_read_bytes_total",
                "Bytes that steps read from sources and from the lake.",
                &["kind"],
            )?,
            bytes_written: of.counters(
                "millstream_step_written_bytes_total",
                "Bytes of data files that steps wrote.",
                &["kind"],
            )?,
            cpu_seconds: of.real_counters(
                "millstream_step_cpu_seconds_total",
                "Processor time that steps took.",
                &["kind"],
            )?,
            retries: of.counters(
                "millstream_step_retries_total",
                "Attempts after the first one.",
                &["kind"],
            )?,
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
            requests: of.counters(
                "millstream_http_requests_total",
                "Requests that were answered, by class of the status.",
                &["route", "status"],
            )?,
            request_seconds: of.histograms(
                "millstream_http_request_duration_seconds",
                "How long requests took to be answered.",
                &REQUEST_BUCKETS,
                &["route"],
            )?,
            read_seconds: of.histogram(
                "millstream_online_read_duration_seconds",
                "How long reads of features took.",
                &REQUEST_BUCKETS,
            )?,
            push_seconds: of.histogram(
                "millstream_online_push_duration_seconds",
                "How long pushes of rows took.",
                &REQUEST_BUCKETS,
            )?,
            missed: of.counter(
                "millstream_events_missed_total",
                "Events of work that went by before they were heard, as in a log.",
            )?,
            process: ProcessFigures::declare(&of)?,
            assets: std::sync::Mutex::default(),
            registry,
        };
        Ok(metrics)
    }

    pub fn run_ended(&self, outcome: Outcome<'_>, took: Duration) {
        self.runs.with_label_values(&[outcome]).inc();
        self.run_seconds.observe(took.as_secs_f64());
    }

    pub fn step_ended(&self, step: &StepSeen<'_>) {
        let kind = [step.kind];
        self.steps.with_label_values(&[step.kind, step.outcome]).inc();
        if let Some(took) = step.took {
            self.step_seconds.with_label_values(&kind).observe(took.as_secs_f64());
        }
        if let Some(queued) = step.queued {
            self.queue_seconds.with_label_values(&kind).observe(queued.as_secs_f64());
        }
        self.rows_written.with_label_values(&kind).inc_by(step.rows_written);
        self.rows_rejected.with_label_values(&kind).inc_by(step.rows_rejected);
        self.bytes_read.with_label_values(&kind).inc_by(step.bytes_read);
        self.bytes_written.with_label_values(&kind).inc_by(step.bytes_written);
        self.cpu_seconds.with_label_values(&kind).inc_by(step.cpu.as_secs_f64());
        self.retries.with_label_values(&kind).inc_by(u64::from(step.retries));
        let asset = self.series(step.asset);
        self.asset_steps.with_label_values(&[asset, step.outcome]).inc();
        if step.is_well && asset != OTHER_ASSETS {
            self.last_success.with_label_values(&[asset]).set(step.finished);
        }
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

    /// Counts events that nobody took in time.
    pub fn missed(&self, events: u64) {
        self.missed.inc_by(events);
    }

    /// The figures of the requests to one path, as the server declares it (`/v1/runs/{id}`), so that there are only so many.
    #[must_use]
    pub fn route(&self, path: &str) -> RouteFigures {
        let class = |class: &str| self.requests.with_label_values(&[path, class]);
        let online = match path {
            "/v1/features/read" | "/get-online-features" => Some(self.read_seconds.clone()),
            "/v1/features/views/{view}/push" | "/push" | "/write-to-online-store" => {
                Some(self.push_seconds.clone())
            }
            _ => None,
        };
        RouteFigures {
            classes: ["1xx", "2xx", "3xx", "4xx", "5xx"].map(class),
            seconds: self.request_seconds.with_label_values(&[path]),
            online,
        }
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

    /// The name under which an asset is counted.
    fn series<'a>(&self, asset: &'a str) -> &'a str {
        let mut assets = self.assets.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if assets.contains(asset) {
            return asset;
        }
        if assets.len() >= ASSETS_MAX {
            return OTHER_ASSETS;
        }
        assets.insert(asset.to_owned());
        asset
    }
}

/// Declares figures in a registry.
struct Declare<'a>(&'a Registry);

impl Declare<'_> {
    fn add<C: Collector + Clone + 'static>(&self, collector: C) -> Result<C, prometheus::Error> {
        self.0.register(Box::new(collector.clone()))?;
        Ok(collector)
    }

    fn counter(&self, name: &str, help: &str) -> Result<IntCounter, prometheus::Error> {
        self.add(IntCounter::new(name, help)?)
    }

    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec, prometheus::Error> {
        self.add(IntCounterVec::new(Opts::new(name, help), labels)?)
    }

    fn real_counters(
        &self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> Result<prometheus::CounterVec, prometheus::Error> {
        self.add(prometheus::CounterVec::new(Opts::new(name, help), labels)?)
    }

    fn gauge(&self, name: &str, help: &str) -> Result<IntGauge, prometheus::Error> {
        self.add(IntGauge::new(name, help)?)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec, prometheus::Error> {
        self.add(IntGaugeVec::new(Opts::new(name, help), labels)?)
    }

    fn histogram(&self, name: &str, help: &str, buckets: &[f64]) -> Result<Histogram, prometheus::Error> {
        self.add(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    fn histograms(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
        labels: &[&str],
    ) -> Result<HistogramVec, prometheus::Error> {
        self.add(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}
