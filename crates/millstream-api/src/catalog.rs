//! What the project has, where each asset stands, and what its columns are made of.

use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    failures::{AsideState, BreakerState, ConnectionState, RepairInfo, StaleMark},
    housekeeping::HousekeepingState,
    pipelines::PipelineInfo,
    project::FailedReload,
    runs::{CheckResult, LastRun, LastStep},
};

/// The project as the state store knows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StatusDocument {
    /// The newest run.
    pub last_run: Option<LastRun>,
    /// How housekeeping goes; absent where no server has done any.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub housekeeping: Option<HousekeepingState>,
    /// How a server failed to load the project again, if it goes on with what it had loaded before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed_reload: Option<FailedReload>,
    pub assets: Vec<AssetState>,
    /// The places that do not answer, so that steps which ask them wait.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub held: Vec<ConnectionState>,
    /// The assets that run by themselves no more, because they failed too often in a row.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub set_aside: Vec<AsideState>,
    /// What is damaged and not made again yet, or left to a person.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub repairs: Vec<RepairInfo>,
    /// How the pipelines are, as the process that keeps them told last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pipelines: Vec<PipelineInfo>,
    /// How far the sources of events are; absent where the process does not have the event log open.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub intakes: Vec<IntakeState>,
    /// The streaming sources of which nothing lands, because too many of their events were rejected.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub breakers: Vec<BreakerState>,
}

/// How far a source of events is.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct IntakeState {
    pub source: String,
    /// The events that ever came.
    pub events: u64,
    /// The events that have not landed yet.
    pub lag_events: u64,
    /// How long the oldest of them waits; 0 while all have landed.
    pub lag_seconds: f64,
    /// What the event log holds of the source on disk.
    pub log_bytes: u64,
    /// The events that cannot be read, in words; absent while all can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub damage: Option<String>,
}

/// Where one asset stands.
#[derive(Clone, Debug, Serialize, ToSchema)]
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
    /// Why the asset is not what it should be; absent while it is fresh, or was never built. What was built last is served all
    /// the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<StaleMark>,
    pub checks: Vec<CheckResult>,
    /// Who writes the asset at this moment; absent while nobody does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub written_by: Option<Writer>,
}

/// A command that holds the right to write some assets.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Writer {
    /// The command, as `run silver.*`.
    pub command: String,
    /// The number of its process.
    pub pid: u32,
    /// The name of its machine, where the system tells it.
    pub host: Option<String>,
    pub started: String,
}

/// All that is known of one asset.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct TableStatusDocument {
    #[serde(flatten)]
    pub state: AssetState,
    /// The last step that a run had for the asset.
    pub last_step: Option<LastStep>,
    /// Of a source's table, oldest first.
    pub schema_versions: Vec<SchemaState>,
    /// Of a table, the newest commits of the lake, newest first.
    pub versions: Vec<VersionState>,
}

/// A schema that landing accepted.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SchemaState {
    pub version: i64,
    pub at: String,
    pub run: Option<String>,
    /// The file that brought the change.
    pub part: Option<String>,
    pub change: String,
    pub columns: Value,
}

/// One commit of the lake.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct VersionState {
    pub version: i64,
    pub committed_at: String,
    pub operation: String,
    /// Absent for commits that are not of a run.
    pub run: Option<String>,
    pub rows_written: Option<u64>,
    pub files_added: usize,
    pub files_removed: usize,
}

/// The lineage of columns, up to the sources and down to every user.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LineageDocument {
    /// What was asked for, as `schema.table.column`.
    pub columns: Vec<String>,
    pub sources: Vec<String>,
    pub upstream: Vec<LineageStep>,
    pub downstream: Vec<LineageStep>,
    /// Feature views, services and datasets that read the table, directly or through others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read_by: Vec<String>,
}

/// What an asset that is no table is made of, and what is made of it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AssetLineageDocument {
    pub asset: String,
    pub kind: &'static str,
    /// The file that defines the asset, from the project's folder on.
    pub path: String,
    /// What makes it run: `by hand`, `on change`, `every …`, `cron …`.
    pub trigger: String,
    /// What it reads and what belongs to its definition, directly.
    pub inputs: Vec<String>,
    pub users: Vec<String>,
    /// All that it needs, directly or not.
    pub upstream: Vec<String>,
    pub downstream: Vec<String>,
}

/// One step in the direction in which data flows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LineageStep {
    pub from: String,
    pub to_table: String,
    /// Absent when `from` decides which rows of `to_table` there are.
    pub to_column: Option<String>,
    /// Whether the value itself flows on, rather than deciding about others.
    pub direct: bool,
    /// `identity`, `transformation`, `aggregation`; `join`, `filter`, `group_by`, `sort`, `window`, `conditional`.
    #[serde(rename = "use")]
    pub used: &'static str,
    /// Steps from the column that was asked for, from 1.
    pub distance: usize,
}
