//! Steps, by the kind of their asset, and some of them by the asset itself.

use std::{
    collections::HashSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use prometheus::{CounterVec, HistogramVec, IntCounterVec, IntGaugeVec};

use super::{Declare, WORK_BUCKETS};

/// The assets that have figures of their own; further ones are counted together, so that a project of any size has a bounded
/// number of series.
const ASSETS_MAX: usize = 1_000;

/// The name under which further assets are counted.
const OTHER_ASSETS: &str = "other";

/// The figures of all steps.
#[derive(Debug)]
pub(super) struct StepFigures {
    steps: IntCounterVec,
    seconds: HistogramVec,
    queue_seconds: HistogramVec,
    by_asset: IntCounterVec,
    last_success: IntGaugeVec,
    rows_written: IntCounterVec,
    rows_rejected: IntCounterVec,
    bytes_read: IntCounterVec,
    bytes_written: IntCounterVec,
    cpu_seconds: CounterVec,
    retries: IntCounterVec,
    /// The assets that have figures of their own.
    assets: Mutex<HashSet<String>>,
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
    /// How long the step took; `None` of a step that never began.
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

impl StepFigures {
    pub(super) fn declare(of: &Declare<'_>) -> Result<Self, prometheus::Error> {
        let by_kind = |name, help| of.counters(name, help, &["kind"]);
        Ok(Self {
            steps: of.counters("millstream_steps_total", "Steps that have ended.", &["kind", "outcome"])?,
            seconds: of.histograms(
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
            by_asset: of.counters(
                "millstream_asset_steps_total",
                "Steps that have ended, by asset; further assets than the first 1,000 are counted as other.",
                &["asset", "outcome"],
            )?,
            last_success: of.gauges(
                "millstream_asset_last_success_timestamp_seconds",
                "When the last step of the asset ended well, in this process.",
                &["asset"],
            )?,
            rows_written: by_kind("millstream_rows_written_total", "Rows that steps wrote.")?,
            rows_rejected: by_kind("millstream_rows_rejected_total", "Rows that checks kept out.")?,
            bytes_read: by_kind(
                "millstream_step_read_bytes_total",
                "Bytes that steps read from sources and from the lake.",
            )?,
            bytes_written: by_kind(
                "millstream_step_written_bytes_total",
                "Bytes of data files that steps wrote.",
            )?,
            cpu_seconds: of.real_counters(
                "millstream_step_cpu_seconds_total",
                "Processor time that steps took.",
                &["kind"],
            )?,
            retries: by_kind("millstream_step_retries_total", "Attempts after the first one.")?,
            assets: Mutex::default(),
        })
    }

    pub(super) fn ended(&self, step: &StepSeen<'_>) {
        let kind = [step.kind];
        self.steps.with_label_values(&[step.kind, step.outcome]).inc();
        if let Some(took) = step.took {
            self.seconds.with_label_values(&kind).observe(took.as_secs_f64());
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
        self.by_asset.with_label_values(&[asset, step.outcome]).inc();
        if step.is_well && asset != OTHER_ASSETS {
            self.last_success.with_label_values(&[asset]).set(step.finished);
        }
    }

    /// The name under which an asset is counted.
    fn series<'a>(&self, asset: &'a str) -> &'a str {
        let mut assets = self.assets.lock().unwrap_or_else(PoisonError::into_inner);
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
