//! Datasets.

use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    failures::{StaleAsset, StaleMark},
    features::ValueInfo,
};

#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DatasetsAnswer {
    pub datasets: Vec<DatasetInfo>,
}

/// A version of a dataset as the API describes it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DatasetInfo {
    pub name: String,
    pub version: String,
    pub rows: u64,
    pub columns: Vec<ValueInfo>,
    /// RFC 3339.
    pub built_at: String,
    /// Why the dataset is not what it should be; absent while it is fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<StaleMark>,
}

/// A dataset that a job built.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct DatasetBuildAnswer {
    pub name: String,
    pub version: String,
    /// Whether an earlier build of the same inputs and definitions stands.
    pub unchanged: bool,
    pub rows: u64,
    pub warnings: Vec<String>,
    /// What it was made of that was stale then; absent when nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleAsset>,
    pub elapsed_ms: u64,
}
