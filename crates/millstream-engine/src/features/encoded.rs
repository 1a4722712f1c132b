//! Values as a model was trained on them: the encodings that were fitted for a version of a dataset.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use millstream_features::encode::apply_chain;
use millstream_ml::dataset::FittedColumn;

use super::server::{FeatureServer, ReadColumn};
use crate::{EngineError, dataset::manifest};

/// The fitted encodings of one version of a dataset, by the column that they encode.
pub(super) type Fitted = BTreeMap<String, FittedColumn>;

impl FeatureServer {
    /// The encodings of `dataset`: `churn` is the newest version, `churn@2` that one. Their parameters are taken out of
    /// the version's manifest once.
    fn fitted(&self, dataset: &str) -> Result<Arc<Fitted>, EngineError> {
        let known = self.0.world.dataset(dataset)?;
        let cached = || self.0.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(fitted) = cached().get(&known.id) {
            return Ok(fitted.clone());
        }
        let columns = manifest(&known)?.fitted.into_iter();
        let fitted: Arc<Fitted> = Arc::new(columns.map(|fitted| (fitted.column.clone(), fitted)).collect());
        cached().insert(known.id, fitted.clone());
        Ok(fitted)
    }

    /// The columns with those that the dataset's version encodes in their encoded form.
    pub(super) fn encode(
        &self,
        dataset: &str,
        answer: Vec<ReadColumn>,
    ) -> Result<Vec<ReadColumn>, EngineError> {
        let fitted = self.fitted(dataset)?;
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
