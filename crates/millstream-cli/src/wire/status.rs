//! `status --json`.

use millstream_engine::{AssetStatus, Status};
use millstream_plan::AssetStatus as Ended;
use millstream_types::TimestampMicros;
use serde::Serialize;

use super::CheckResult;

/// The project as the state store knows it.
#[derive(Clone, Debug, Serialize)]
pub struct StatusDocument {
    pub last_run: Option<LastRun>,
    pub assets: Vec<AssetState>,
}

/// The newest run.
#[derive(Clone, Debug, Serialize)]
pub struct LastRun {
    pub run: String,
    pub command: String,
    pub started: String,
    pub finished: Option<String>,
    /// `succeeded`, `failed`, `cancelled`, `interrupted`; absent while it runs.
    pub outcome: Option<&'static str>,
}

/// Where one asset stands.
#[derive(Clone, Debug, Serialize)]
pub struct AssetState {
    pub asset: String,
    pub kind: &'static str,
    pub version: Option<i64>,
    pub rows: Option<u64>,
    pub built_at: Option<String>,
    /// `built`, `halted`, `failed`; absent when nothing was ever tried.
    pub state: Option<&'static str>,
    pub message: Option<String>,
    pub checks: Vec<CheckResult>,
}

impl From<&Status> for StatusDocument {
    fn from(status: &Status) -> Self {
        let last_run = status.last_run.as_ref().map(|run| LastRun {
            run: run.run.to_string(),
            command: run.command.clone(),
            started: instant(run.started),
            finished: run.finished.map(instant),
            outcome: run.outcome.map(|outcome| outcome.as_str()),
        });
        Self { last_run, assets: status.assets.iter().map(AssetState::from).collect() }
    }
}

impl From<&AssetStatus> for AssetState {
    fn from(asset: &AssetStatus) -> Self {
        let recorded = asset.recorded.as_ref();
        let (state, message) = match recorded.map(|recorded| &recorded.status) {
            None => (None, None),
            Some(Ended::Built) => (Some("built"), None),
            Some(Ended::Halted { reason }) => (Some("halted"), Some(reason.clone())),
            Some(Ended::Failed { error, .. }) => (Some("failed"), Some(error.clone())),
        };
        Self {
            asset: asset.asset.to_string(),
            kind: asset.kind.as_str(),
            version: recorded.and_then(|recorded| recorded.version),
            rows: recorded.and_then(|recorded| recorded.rows),
            built_at: recorded.map(|recorded| instant(recorded.built_at)),
            state,
            message,
            checks: asset
                .checks
                .iter()
                .map(|check| CheckResult {
                    check: check.check.to_string(),
                    severity: check.severity.as_str(),
                    passed: check.passed,
                    failed: check.failed,
                    observed: check.observed.clone(),
                })
                .collect(),
        }
    }
}

/// RFC 3339, UTC, microseconds.
fn instant(time: TimestampMicros) -> String {
    chrono::DateTime::from_timestamp_micros(time.0)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
        .unwrap_or_default()
}
