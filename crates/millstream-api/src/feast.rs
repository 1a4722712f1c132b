//! The contract of Feast's feature server. Fields that are not known are skipped, as Feast's own server does: newer clients send
//! more.

use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use crate::Columns;

#[derive(Debug, Deserialize, ToSchema)]
pub struct FeastReadBody<'a> {
    #[serde(borrow)]
    #[schema(value_type = BTreeMap<String, Vec<Value>>)]
    pub entities: Columns<'a>,
    #[schema(min_length = 1)]
    pub feature_service: Option<String>,
    /// `view:feature`.
    #[schema(min_items = 1)]
    pub features: Option<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub full_feature_names: bool,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub include_feature_view_version_metadata: bool,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FeastReadAnswer {
    pub results: Vec<FeastColumn>,
    pub metadata: FeastMetadata,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FeastColumn {
    pub values: Vec<Value>,
    pub statuses: Vec<String>,
    pub event_timestamps: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FeastMetadata {
    pub feature_names: Vec<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct FeastPushBody<'a> {
    #[schema(min_length = 1)]
    pub push_source_name: String,
    #[serde(borrow)]
    #[schema(value_type = BTreeMap<String, Vec<Value>>)]
    pub df: Columns<'a>,
    /// `online`, `offline` or `online_and_offline`.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub to: String,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct FeastWriteBody<'a> {
    #[schema(min_length = 1)]
    pub feature_view_name: String,
    #[serde(borrow)]
    #[schema(value_type = BTreeMap<String, Vec<Value>>)]
    pub df: Columns<'a>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct FeastMaterializeBody {
    pub start_ts: Option<String>,
    pub end_ts: Option<String>,
    pub feature_views: Option<Vec<String>>,
    #[serde(default)]
    #[schema(value_type = Option<bool>)]
    pub disable_event_timestamp: bool,
    #[schema(ignore)]
    pub version: Option<String>,
}

#[derive(Debug, Deserialize, ToSchema)]
pub struct FeastMaterializeIncrementalBody {
    pub end_ts: String,
    pub feature_views: Option<Vec<String>>,
    #[schema(ignore)]
    pub version: Option<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FeastAccepted {
    pub status: &'static str,
    pub feature_views: Vec<String>,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct FeastRunning {
    pub error: String,
    pub feature_views: Vec<String>,
}
