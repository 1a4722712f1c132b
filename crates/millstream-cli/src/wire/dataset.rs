//! `dataset --json`.

use millstream_api::failures::{StaleAsset, StaleMark};
use millstream_engine::{BuiltDataset, DatasetReport, FileState, StaleAssets};
use millstream_ml::dataset::Manifest;
use millstream_types::AssetId;
use serde::Serialize;

use super::Of;

/// A dataset that was built.
#[derive(Clone, Debug, Serialize)]
pub struct DatasetBuilt {
    pub name: String,
    pub version: i64,
    /// Whether an earlier build of the same inputs and definitions stands.
    pub unchanged: bool,
    pub path: String,
    pub manifest_path: String,
    /// The Delta table that has the file as its newest version.
    pub delta: Option<DeltaDocument>,
    pub elapsed_ms: u64,
    pub spilled_bytes: u64,
    pub warnings: Vec<String>,
    /// What it was made of that was stale then; absent when nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stale: Vec<StaleAsset>,
    /// The manifest, as in its file.
    pub manifest: Manifest,
}

/// A version of a Delta table.
#[derive(Clone, Debug, Serialize)]
pub struct DeltaDocument {
    pub folder: String,
    pub version: i64,
}

impl From<&DatasetReport> for DatasetBuilt {
    fn from(report: &DatasetReport) -> Self {
        Self {
            name: report.name.clone(),
            version: report.version,
            unchanged: report.is_unchanged,
            path: report.path.display().to_string(),
            manifest_path: report.manifest_path.display().to_string(),
            delta: report.delta.as_ref().map(|delta| DeltaDocument {
                folder: delta.folder.display().to_string(),
                version: delta.version,
            }),
            elapsed_ms: u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX),
            spilled_bytes: report.spilled_bytes,
            warnings: report.warnings.iter().map(ToString::to_string).collect(),
            stale: report.stale.iter().map(|(asset, stale)| StaleAsset::of((asset, stale))).collect(),
            manifest: report.manifest.clone(),
        }
    }
}

/// What was built so far.
#[derive(Clone, Debug, Serialize)]
pub struct DatasetListDocument {
    pub datasets: Vec<DatasetEntry>,
}

/// One version of a dataset.
#[derive(Clone, Debug, Serialize)]
pub struct DatasetEntry {
    pub name: String,
    pub version: i64,
    /// The hash of everything that defines the version.
    pub id: String,
    pub path: String,
    /// `present`, `missing`, or `changed`: what lies at `path` is not this version's file.
    pub file: &'static str,
    pub service: Option<String>,
    pub rows: u64,
    /// Microseconds since 1970 UTC.
    pub built_at: i64,
    /// Why the dataset is not what it should be; absent while it is fresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<StaleMark>,
}

impl Of<(&BuiltDataset, &StaleAssets)> for DatasetEntry {
    fn of((built, stale): (&BuiltDataset, &StaleAssets)) -> Self {
        Self {
            stale: stale.get(&AssetId::of_kind("dataset", &built.dataset)).map(StaleMark::of),
            name: built.dataset.clone(),
            version: built.version,
            id: built.id.clone(),
            path: built.path.display().to_string(),
            file: match built.file_state() {
                FileState::Present => "present",
                FileState::Missing => "missing",
                FileState::Changed => "changed",
            },
            service: built.service.clone(),
            rows: built.rows,
            built_at: built.at.0,
        }
    }
}
