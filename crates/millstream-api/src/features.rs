//! Features: what can be read, values of entities, pushed rows, and materialising.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::{
    Columns,
    failures::{StaleAsset, StaleMark},
};

/// What is to be read, of which entities.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ReadBody<'a> {
    /// A service, with a version as in `churn_v1@3` if it is not to be the newest. Excludes `features`.
    #[schema(example = "churn_v1", min_length = 1)]
    pub service: Option<String>,
    /// `view.feature`, `view.*`, or the name of an on-demand feature.
    #[schema(min_items = 1)]
    pub features: Option<Vec<String>>,
    /// Values of every key column.
    #[serde(borrow, default)]
    #[schema(value_type = BTreeMap<String, Vec<Value>>, required = true, example = json!({"customer_id": [1, 2]}))]
    pub entities: Columns<'a>,
    /// Values that on-demand features take.
    #[serde(borrow, default)]
    #[schema(value_type = Option<BTreeMap<String, Vec<Value>>>)]
    pub request: Columns<'a>,
    /// RFC 3339; now if left out.
    pub at: Option<String>,
    /// `full` or `none`.
    #[schema(value_type = Option<String>)]
    pub metadata: Option<Metadata>,
    /// A dataset's version whose fitted encodings are applied.
    pub encoding: Option<String>,
}

/// The word of a request on whether it wants statuses and event times.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged, expecting = "`metadata` has to be \"full\", \"none\", true or false")]
pub enum Metadata {
    Flag(bool),
    Word(MetadataWord),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MetadataWord {
    Full,
    None,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReadAnswer {
    /// Left out for a list of features.
    pub service: Option<String>,
    pub version: Option<u32>,
    pub rows: u64,
    /// The views behind the values that are stale; absent when none is, and without metadata.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleAsset>,
    pub columns: BTreeMap<String, ReadColumn>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ReadColumn {
    pub values: Vec<Value>,
    pub statuses: Vec<Status>,
    /// RFC 3339, or null.
    pub event_times: Vec<Option<String>>,
}

/// How a value came about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// A value.
    Present,
    /// The value is null: an empty window, or a null in the newest event.
    Null,
    /// The entity has no visible event.
    Missing,
    /// The newest event is older than the time to live.
    Expired,
    /// The value could not be computed exactly, or its store did not answer.
    Degraded,
}

#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PushBody<'a> {
    #[serde(borrow)]
    #[schema(value_type = BTreeMap<String, Vec<Value>>)]
    pub rows: Columns<'a>,
    /// `online` if left out.
    #[serde(default)]
    #[schema(value_type = Option<PushTarget>)]
    pub to: PushTarget,
}

/// Where pushed rows go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum PushTarget {
    #[default]
    Online,
    Offline,
    OnlineAndOffline,
}

/// What became of pushed rows.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PushAnswer {
    /// Rows that are durable.
    pub rows: u64,
}

/// What to materialise.
#[derive(Clone, Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct MaterializeBody {
    /// Every view if left out.
    pub views: Option<Vec<String>>,
    /// Only what is new since the last time.
    #[serde(default = "yes")]
    pub incremental: bool,
    /// Whether to answer when it is done rather than when it is started.
    #[serde(default = "yes")]
    pub wait: bool,
}

fn yes() -> bool {
    true
}

/// What was materialised.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct MaterializeAnswer {
    pub views: Vec<ViewMaterialized>,
    /// Older definitions that a served version of a service still reads and that could not be brought up to date.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed: Vec<ViewFailed>,
}

/// An older definition of a view that could not be brought up to date.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ViewFailed {
    /// With the versions of services that read it: `orders of churn@1`.
    pub view: String,
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
}

/// What was materialised of one view.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ViewMaterialized {
    pub view: String,
    /// Rows read from the lake.
    pub rows: u64,
    /// Rows that were left out because the store cannot hold a key as long as theirs.
    pub left_out: u64,
    /// The version up to which the view is materialised of the table that it is computed from; null where a SQL view reads
    /// several tables.
    pub table_version: Option<i64>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServicesAnswer {
    pub services: Vec<ServiceInfo>,
}

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ViewsAnswer {
    pub views: Vec<ViewInfo>,
}

/// A service as the API describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ServiceInfo {
    pub name: String,
    /// The newest version.
    pub version: u32,
    /// Every version that can be read, oldest first.
    pub versions: Vec<u32>,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub features: Vec<FeatureInfo>,
    pub entities: Vec<EntityInfo>,
    /// Values that the request has to carry for on-demand features.
    pub request: Vec<ValueInfo>,
}

/// A feature as the API describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct FeatureInfo {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub description: Option<String>,
}

/// An entity with its key columns.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct EntityInfo {
    pub name: String,
    pub keys: Vec<ValueInfo>,
}

/// A column with its type.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ValueInfo {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
}

/// A view as the API describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct ViewInfo {
    pub name: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub entity: EntityInfo,
    pub features: Vec<FeatureInfo>,
    /// Columns of a row that is pushed.
    pub push: Vec<ValueInfo>,
    /// Why what the view holds is not what it should be; absent while it is fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<StaleMark>,
}

/// What `features list --json` prints: everything that can be read, and how far it is in the online store.
#[derive(Clone, Debug, Serialize)]
pub struct FeatureListDocument {
    pub views: Vec<ViewDocument>,
    pub on_demand: Vec<OnDemandDocument>,
    pub services: Vec<ServiceDocument>,
    /// Whether the online store could be asked; without it `materialized` is unknown.
    pub store_open: bool,
}

/// One view in the list.
#[derive(Clone, Debug, Serialize)]
pub struct ViewDocument {
    pub name: String,
    pub entity: String,
    /// Key columns with their types.
    pub keys: BTreeMap<String, String>,
    pub from: String,
    pub time: String,
    pub ttl: Option<String>,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub features: Vec<FeatureDocument>,
    pub materialized: Option<MaterializedDocument>,
    /// Why what the view holds is not what it should be; absent while it is fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<StaleMark>,
}

/// One feature in the list.
#[derive(Clone, Debug, Serialize)]
pub struct FeatureDocument {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub definition: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    pub sources: Vec<String>,
    pub services: Vec<String>,
    pub datasets: Vec<String>,
}

/// How far a view is in the online store. Times are microseconds since 1970 UTC.
#[derive(Clone, Debug, Serialize)]
pub struct MaterializedDocument {
    pub versions: BTreeMap<String, i64>,
    pub newest_event: Option<i64>,
    pub at: i64,
    pub rows: u64,
}

/// One on-demand feature in the list.
#[derive(Clone, Debug, Serialize)]
pub struct OnDemandDocument {
    pub name: String,
    #[serde(rename = "type")]
    pub data_type: String,
    pub sql: String,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub inputs: Vec<String>,
    /// Request values with their types.
    pub request: BTreeMap<String, String>,
}

/// One service in the list.
#[derive(Clone, Debug, Serialize)]
pub struct ServiceDocument {
    pub name: String,
    /// The version that the project defines now; null when the project no longer has the service, or nothing has served its
    /// present definition yet.
    pub version: Option<i64>,
    pub versions: Vec<i64>,
    /// Features with their types, in order.
    pub features: Vec<(String, String)>,
    pub datasets: Vec<String>,
}
