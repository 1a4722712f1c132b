//! What was built before, and where it is.

use std::path::PathBuf;

use millstream_ml::dataset::Manifest;
use millstream_types::TimestampMicros;

use crate::{Engine, EngineError};

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

impl Engine {
    /// Every version of every dataset, by name and version.
    pub fn datasets(&self) -> Result<Vec<BuiltDataset>, EngineError> {
        let known = self.world().state.dataset_versions()?;
        known
            .into_iter()
            .map(|known| {
                let manifest: Manifest = serde_json::from_str(&known.manifest)
                    .map_err(|source| EngineError::Definition { name: known.dataset.clone(), source })?;
                Ok(BuiltDataset {
                    version: known.version,
                    id: known.id,
                    path: PathBuf::from(known.path),
                    service: known.service,
                    at: known.at,
                    rows: manifest.data.rows,
                    columns: manifest
                        .columns
                        .iter()
                        .map(|column| (column.name.clone(), column.data_type.clone()))
                        .collect(),
                    manifest,
                    dataset: known.dataset,
                })
            })
            .collect()
    }

    /// `churn` is the newest version, `churn@2` that one; `version` says it too.
    pub fn dataset_version(&self, name: &str, version: Option<&str>) -> Result<BuiltDataset, EngineError> {
        let (dataset, written) = match name.split_once('@') {
            Some((dataset, version)) => (dataset, Some(version)),
            None => (name, version),
        };
        let number = written.map(|version| version.trim_start_matches('v').to_owned());
        let all = self.datasets()?;
        let of_name: Vec<&BuiltDataset> = all.iter().filter(|built| built.dataset == dataset).collect();
        let found = match &number {
            Some(number) => of_name.iter().find(|built| built.version.to_string() == *number),
            None => of_name.last(),
        };
        if let Some(found) = found {
            return Ok((*found).clone());
        }
        let versions: Vec<String> = of_name.iter().map(|built| built.version.to_string()).collect();
        let is_defined = self.world().project.spec.datasets.iter().any(|spec| spec.name == dataset);
        let hint = match (versions.is_empty(), is_defined) {
            (false, _) => format!("there are the versions {}", versions.join(", ")),
            (true, true) => format!("build it with `millstream dataset build {dataset}`"),
            (true, false) => "`millstream dataset list` shows what was built".to_owned(),
        };
        Err(EngineError::UnknownFeature { what: "dataset", name: name.to_owned(), hint })
    }
}
