//! Values as a model was trained on them: the encodings that were fitted for a version of a dataset.

use std::collections::BTreeMap;

use millstream_features::encode::apply_chain;
use millstream_ml::dataset::{FittedColumn, Manifest};

use super::server::{FeatureServer, ReadColumn};
use crate::{EngineError, engine::World};

/// The fitted encodings of one version of a dataset, by the column that they encode.
pub(super) type Fitted = BTreeMap<String, FittedColumn>;

/// Reads the encodings of `dataset`: `churn` is the newest version, `churn@2` that one.
pub(super) fn fitted(world: &World, dataset: &str) -> Result<Fitted, EngineError> {
    let (name, version) = match dataset.split_once('@') {
        Some((name, version)) => (name, Some(version.trim_start_matches('v'))),
        None => (dataset, None),
    };
    let known = world.state.dataset_versions()?;
    let mut of_name = known.iter().filter(|known| known.dataset == name);
    let found = match version {
        Some(version) => of_name.find(|known| known.version.to_string() == version),
        None => of_name.next_back(),
    };
    let found = found.ok_or_else(|| {
        let names = known.iter().map(|known| known.dataset.as_str());
        EngineError::unknown_feature("dataset", dataset, names)
    })?;
    let manifest: Manifest = serde_json::from_str(&found.manifest)
        .map_err(|source| EngineError::Definition { name: dataset.to_owned(), source })?;
    Ok(manifest.fitted.into_iter().map(|fitted| (fitted.column.clone(), fitted)).collect())
}

impl FeatureServer {
    /// The columns with those that the dataset's version encodes in their encoded form.
    pub(super) fn encode(
        &self,
        dataset: &str,
        answer: Vec<ReadColumn>,
    ) -> Result<Vec<ReadColumn>, EngineError> {
        let fitted = fitted(&self.0.world, dataset)?;
        let mut encoded = Vec::with_capacity(answer.len());
        for column in answer {
            let Some(fitted) = fitted.get(&column.name) else {
                encoded.push(column);
                continue;
            };
            let values = apply_chain(&fitted.fitted, &column.values)
                .map_err(|source| EngineError::View { view: column.name.clone(), source })?;
            encoded.extend(fitted.columns.iter().zip(values).map(|(name, values)| ReadColumn {
                name: name.clone(),
                values,
                statuses: column.statuses.clone(),
                event_times: column.event_times.clone(),
            }));
        }
        Ok(encoded)
    }
}
