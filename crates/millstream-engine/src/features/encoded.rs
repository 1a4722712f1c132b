//! Values as a model was trained on them: the encodings that were fitted for a version of a dataset.

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError},
};

use millstream_features::encode::apply_chain;
use millstream_ml::dataset::FittedColumn;

use super::{
    server::{FeatureServer, ReadColumn},
    services::with_version,
};
use crate::{EngineError, assets::dataset::manifest};

/// The fitted encodings of one version of a dataset, by the column that they encode.
pub(super) type Fitted = BTreeMap<String, FittedColumn>;

impl FeatureServer {
    /// The encodings of `dataset`: `churn` means the newest version, `churn@2` a certain one. The encodings of a
    /// version are read from its manifest once and kept under `churn@2`, which always means the same; the state store
    /// says which version is the newest.
    async fn fitted(&self, dataset: &str) -> Result<Arc<Fitted>, EngineError> {
        let cache = || self.0.fitted.lock().unwrap_or_else(PoisonError::into_inner);
        let world = &self.0.world;
        let name = match with_version(dataset) {
            (name, Some(version)) => match version.parse::<i64>() {
                Ok(version) => format!("{name}@{version}"),
                Err(_) => dataset.to_owned(),
            },
            (name, None) => match world.newest_dataset(name).await? {
                Some(version) => format!("{name}@{version}"),
                // The look-up below reports that there is no such dataset.
                None => name.to_owned(),
            },
        };
        if let Some(fitted) = cache().get(&name) {
            return Ok(fitted.clone());
        }
        let known = world.dataset(&name).await?;
        let read = tokio::task::spawn_blocking(move || manifest(&known)).await;
        let columns =
            read.map_err(|_| EngineError::Worker { doing: "reading encodings" })??.fitted.into_iter();
        let fitted: Arc<Fitted> = Arc::new(columns.map(|fitted| (fitted.column.clone(), fitted)).collect());
        cache().insert(name, fitted.clone());
        Ok(fitted)
    }

    /// The columns with those that the dataset's version encodes in their encoded form.
    pub(super) async fn encode(
        &self,
        dataset: &str,
        answer: Vec<ReadColumn>,
    ) -> Result<Vec<ReadColumn>, EngineError> {
        let fitted = self.fitted(dataset).await?;
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
