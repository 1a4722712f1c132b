//! What failures leave behind: circuits of connections, assets that are set aside, promises that were broken, assets that are
//! stale.

use serde::Serialize;
use utoipa::ToSchema;

/// The places that steps ask.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConnectionsAnswer {
    pub connections: Vec<ConnectionState>,
    /// The attempts of all assets together that followed on failed ones within the last hour.
    pub retries: u64,
    /// How many an hour may hold.
    pub retries_max: u32,
}

/// One place that steps ask.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ConnectionState {
    /// The name of the connection, or `source:…` for a source without one.
    pub name: String,
    /// `closed` while the place answers, `open` while nobody asks it, `half_open` when one step may try.
    pub circuit: &'static str,
    /// Since when the circuit is not closed, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Until when nobody asks, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<String>,
    /// The attempts in a row that could not reach the place.
    pub failures: usize,
    /// The retries of the last hour, where the connection has a budget of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries_max: Option<u32>,
}

/// An asset that runs by itself no more, because it failed too often in a row.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct AsideState {
    pub asset: String,
    /// RFC 3339.
    pub since: String,
}

/// The breaker of a streaming source: its events are kept in the log and do not land, until its contract is another one or a person
/// lets them.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BreakerState {
    pub source: String,
    /// RFC 3339.
    pub since: String,
    /// The events that were judged.
    pub rows: u64,
    /// Those among them that were rejected.
    pub rejected: u64,
    /// The figures in words, with the checks that rejected most.
    pub because: String,
}

/// Why an asset is not what it should be. Its last good version is served all the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StaleMark {
    /// Since when, RFC 3339; absent where that is not on record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// `damaged`, `failed`, `halted`, `upstream`, `set_aside`, `circuit_open`, `promise_broken`, `definition_changed`, `not_defined`,
    /// `withheld`, `unreadable`, `incomplete` or `too_old`.
    pub cause: &'static str,
    /// The cause in words.
    pub because: String,
}

/// An asset that is stale, among what an answer is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct StaleAsset {
    pub asset: String,
    #[serde(flatten)]
    pub mark: StaleMark,
}

/// What was found damaged or lost, and what was done about it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RepairsAnswer {
    /// The newest first.
    pub repairs: Vec<RepairInfo>,
}

/// One repair.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct RepairInfo {
    /// The asset, or `online` for the online store as a whole.
    pub asset: String,
    /// The code of the error by which the damage was found.
    pub code: String,
    /// What was damaged or lost, in words.
    pub cause: String,
    /// `rebuild`, `resync`, `replace`, or `leave` where only a person can decide.
    pub action: &'static str,
    /// RFC 3339.
    pub found: String,
    /// `due`, `repaired`, `failed` or `given_up`.
    pub state: &'static str,
    /// RFC 3339; absent while it is due.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended: Option<String>,
    /// How it ended, where it did not help.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// An asset was asked for. The process that schedules the project lets it run by itself again within a few seconds.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ResumeAnswer {
    pub asset: String,
}

/// What is promised of assets, and whether it was kept.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct SlaAnswer {
    pub promises: Vec<PromiseAnswer>,
}

/// One promise about an asset.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PromiseAnswer {
    pub asset: String,
    /// `fresh_by`, `at_most` or `step_at_most`.
    pub promise: &'static str,
    /// What is promised, in words.
    pub says: String,
    /// `kept`, `at_risk`, `broken`, or `unknown` where nobody has watched yet.
    pub state: &'static str,
    /// Since when it is broken, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub broken_since: Option<String>,
    /// The days that were asked for, the oldest first.
    pub days: Vec<PromiseDay>,
    /// The stretches of time in which it was broken, the oldest first.
    pub breaches: Vec<BreachAnswer>,
}

/// One day of a promise, in the time zone of its deadline, or in UTC.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PromiseDay {
    /// `2026-11-30`.
    pub day: String,
    /// `met`, `missed`, `open` while the day is not over, or `unknown` where nothing was promised or nobody watched.
    pub state: &'static str,
}

/// A stretch of time in which a promise was broken.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct BreachAnswer {
    /// RFC 3339.
    pub broken_at: String,
    /// RFC 3339; absent while it is still broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met_at: Option<String>,
}
