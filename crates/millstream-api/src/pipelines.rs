//! Pipelines: what is kept up to date from events as they arrive, and how it goes.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Something that happened in a pipeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PipelineEvent {
    pub asset: String,
    /// `started`, `committed`, `failed`, `set_aside`, `ended`.
    pub change: &'static str,
    /// The version that became visible.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// Rows that a commit added or put in the place of others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_rejected: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows_late: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// How long it waits before it begins again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait_ms: Option<u64>,
}

/// The pipelines of a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PipelinesAnswer {
    pub pipelines: Vec<PipelineInfo>,
}

/// How a pipeline is. Counts begin with the process that keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct PipelineInfo {
    pub asset: String,
    /// `waiting` for its asset, `working`, `retrying` after an error, `set_aside`, `ended`.
    pub state: String,
    /// The error that keeps it from working.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The rows of its sources that are not in what it has committed.
    pub lag_rows: u64,
    /// For how long the first of those rows has been in the log.
    pub lag_ms: u64,
    pub rows_in: u64,
    pub rows_out: u64,
    /// Rows taken in for each second, over the last ten seconds.
    pub rows_per_second: f64,
    /// No row with an earlier event time is expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watermark: Option<String>,
    pub rows_late: u64,
    pub rows_rejected: u64,
    pub commits: u64,
    /// The version of the newest commit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<i64>,
    /// How long a commit takes from its rows to a version that others see: the median, and the longest but for one in a hundred.
    pub commit_p50_ms: f64,
    pub commit_p99_ms: f64,
    pub state_bytes: u64,
    pub state_entries: u64,
    /// The errors that have ended its work.
    pub failures: u64,
}
