//! `status --json`.

use millstream_engine::{AssetStatus, Status};
use millstream_state::RunRecord;
use millstream_types::TimestampMicros;
use serde::Serialize;

use super::CheckResult;
use crate::standing::Standing;

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
    /// The version that readers take, where it is another one: a run that fails leaves them the set before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub published: Option<i64>,
    pub rows: Option<u64>,
    pub built_at: Option<String>,
    /// `built`, `halted`, `failed`, `unreadable` (built, and what is there can no longer be read); absent when nothing was ever
    /// tried.
    pub state: Option<&'static str>,
    /// Why it halted or failed, or cannot be read; which parts could not be, of a source that landed all others.
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    pub checks: Vec<CheckResult>,
}

impl From<&Status> for StatusDocument {
    fn from(status: &Status) -> Self {
        let last_run = status.last_run.as_ref().map(LastRun::from);
        Self { last_run, assets: status.assets.iter().map(AssetState::from).collect() }
    }
}

impl From<&RunRecord> for LastRun {
    fn from(run: &RunRecord) -> Self {
        Self {
            run: run.run.to_string(),
            command: run.command.clone(),
            started: instant(run.started),
            finished: run.finished.map(instant),
            outcome: run.outcome.map(|outcome| outcome.as_str()),
        }
    }
}

impl From<&AssetStatus> for AssetState {
    fn from(asset: &AssetStatus) -> Self {
        let recorded = asset.recorded.as_ref();
        let standing = Standing::of(asset);
        let state = match standing {
            Standing::View | Standing::NeverBuilt => None,
            Standing::Built | Standing::Stale | Standing::Incomplete(_) => Some("built"),
            Standing::Halted(_) => Some("halted"),
            Standing::Failed(_) => Some("failed"),
            Standing::Unreadable(_) => Some("unreadable"),
        };
        let trouble = standing.trouble().map(|(_, trouble)| trouble);
        Self {
            asset: asset.asset.to_string(),
            kind: asset.kind.as_str(),
            version: recorded.and_then(|recorded| recorded.version),
            published: asset
                .published
                .filter(|published| recorded.is_some_and(|recorded| recorded.version != Some(*published))),
            rows: recorded.and_then(|recorded| recorded.rows),
            built_at: recorded.map(|recorded| instant(recorded.built_at)),
            state,
            message: trouble.map(|trouble| trouble.reason.to_owned()),
            hint: trouble.and_then(|trouble| trouble.hint).map(str::to_owned),
            checks: asset
                .checks
                .iter()
                .map(|check| CheckResult {
                    check: check.check.to_string(),
                    severity: check.severity.as_str(),
                    passed: check.passed,
                    failed: check.failed,
                    observed: check.observed.clone(),
                    message: None,
                })
                .collect(),
        }
    }
}

/// RFC 3339, UTC, microseconds.
pub(super) fn instant(time: TimestampMicros) -> String {
    chrono::DateTime::from_timestamp_micros(time.0)
        .map(|time| time.to_rfc3339_opts(chrono::SecondsFormat::Micros, true))
        .unwrap_or_default()
}
