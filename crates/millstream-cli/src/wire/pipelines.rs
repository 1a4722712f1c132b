//! Pipelines in `--json` and over HTTP.

use std::time::Duration;

use millstream_api::pipelines::{PipelineEvent, PipelineInfo};
use millstream_engine::{PipelineChange, PipelineStatus, PipelineTold};
use millstream_types::{AssetVersion, TimestampMicros};

use super::{Of, instant};

impl Of<&PipelineTold> for PipelineEvent {
    fn of(told: &PipelineTold) -> Self {
        let plain = Self {
            asset: told.asset.to_string(),
            change: told.change.as_str(),
            version: None,
            rows: None,
            rows_rejected: None,
            rows_late: None,
            code: None,
            error: None,
            hint: None,
            wait_ms: None,
        };
        match &told.change {
            PipelineChange::Started | PipelineChange::Ended => plain,
            PipelineChange::Committed { version, rows, rows_rejected, rows_late } => Self {
                version: version.map(AssetVersion::number),
                rows: Some(*rows),
                rows_rejected: Some(*rows_rejected),
                rows_late: Some(*rows_late),
                ..plain
            },
            PipelineChange::Failed { code, error, hint, wait } => Self {
                code: Some(code),
                error: Some(error.clone()),
                hint: hint.clone(),
                wait_ms: Some(whole_millis(*wait)),
                ..plain
            },
            PipelineChange::SetAside { code, error, hint } => {
                Self { code: Some(code), error: Some(error.clone()), hint: hint.clone(), ..plain }
            }
        }
    }
}

impl Of<&PipelineStatus> for PipelineInfo {
    fn of(status: &PipelineStatus) -> Self {
        let millis = |took: Duration| took.as_secs_f64() * 1_000.0;
        // The end of bounded input has no instant.
        let watermark = status.watermark.filter(|watermark| *watermark != i64::MAX);
        Self {
            asset: status.asset.to_string(),
            state: status.state.as_str().to_owned(),
            error: status.state.error().map(str::to_owned),
            lag_rows: status.lag_rows,
            lag_ms: whole_millis(status.lag),
            rows_in: status.rows_in,
            rows_out: status.rows_out,
            rows_per_second: status.rows_per_second,
            watermark: watermark.map(|watermark| instant(TimestampMicros(watermark))),
            rows_late: status.rows_late,
            rows_rejected: status.rows_rejected,
            commits: status.commits,
            version: status.version.map(AssetVersion::number),
            commit_p50_ms: millis(status.commit_p50),
            commit_p99_ms: millis(status.commit_p99),
            state_bytes: status.state_bytes,
            state_entries: status.state_entries,
            failures: status.failures,
        }
    }
}

fn whole_millis(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}
