//! Datasets.

use serde::Serialize;
use utoipa::ToSchema;

use crate::features::ValueInfo;

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
    pub elapsed_ms: u64,
}
