//! What was built before, and where it is.

use std::path::PathBuf;

use millstream_ml::dataset::Manifest;
use millstream_state::DatasetVersion;
use millstream_types::TimestampMicros;

use crate::{Engine, EngineError, engine::World, features::services::with_version};

/// One version of a dataset.
#[derive(Clone, Debug)]
pub struct BuiltDataset {
    pub dataset: String,
    pub version: i64,
    /// Of everything that defines the version.
    pub id: String,
    pub path: PathBuf,
    /// `churn_v1@2`; none for a dataset that lists features itself.
    pub service: Option<String>,
    pub at: TimestampMicros,
    pub rows: u64,
    /// Names and types.
    pub columns: Vec<(String, String)>,
    pub manifest: Manifest,
}

impl BuiltDataset {
    fn new(known: DatasetVersion) -> Result<Self, EngineError> {
        let manifest = manifest(&known)?;
        let columns = manifest.columns.iter();
        Ok(Self {
            version: known.version,
            id: known.id,
            path: PathBuf::from(known.path),
            service: known.service,
            at: known.at,
            rows: manifest.data.rows,
            columns: columns.map(|column| (column.name.clone(), column.data_type.clone())).collect(),
            manifest,
            dataset: known.dataset,
        })
    }
}

/// The manifest as it was recorded.
pub(crate) fn manifest(known: &DatasetVersion) -> Result<Manifest, EngineError> {
    serde_json::from_str(&known.manifest)
        .map_err(|source| EngineError::Definition { name: known.dataset.clone(), source })
}

impl Engine {
    /// Every version of every dataset, by name and version.
    pub fn datasets(&self) -> Result<Vec<BuiltDataset>, EngineError> {
        self.world().state.dataset_versions()?.into_iter().map(BuiltDataset::new).collect()
    }

    /// `churn` is the newest version, `churn@2` that one; `version` says it too.
    pub fn dataset_version(&self, name: &str, version: Option<&str>) -> Result<BuiltDataset, EngineError> {
        match version {
            Some(version) if !name.contains('@') => self.world().dataset(&format!("{name}@{version}")),
            _ => self.world().dataset(name),
        }
        .and_then(BuiltDataset::new)
    }
}

impl World {
    /// What is recorded of a version: `churn` is the newest, `churn@2` that one.
    pub(crate) fn dataset(&self, name: &str) -> Result<DatasetVersion, EngineError> {
        let (dataset, version) = with_version(name);
        let mut of_name = self.state.dataset_versions()?;
        of_name.retain(|known| known.dataset == dataset);
        let place = match version {
            Some(version) => of_name.iter().position(|known| known.version.to_string() == version),
            None => of_name.len().checked_sub(1),
        };
        if let Some(place) = place {
            return Ok(of_name.swap_remove(place));
        }
        let versions: Vec<String> = of_name.iter().map(|known| known.version.to_string()).collect();
        let is_defined = self.project.spec.datasets.iter().any(|spec| spec.name == dataset);
        let hint = match (versions.is_empty(), is_defined) {
            (false, _) => format!("there are the versions {}", versions.join(", ")),
            (true, true) => format!("build it with `millstream dataset build {dataset}`"),
            (true, false) => "`millstream dataset list` shows what was built".to_owned(),
        };
        Err(EngineError::UnknownFeature { what: "dataset", name: name.to_owned(), hint })
    }
}
