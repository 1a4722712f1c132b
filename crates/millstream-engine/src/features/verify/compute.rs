//! Served values computed again from the lake, as training computes them.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{ArrayRef, StringArray, TimestampMicrosecondArray},
    compute::cast,
    datatypes::DataType,
};
use futures::TryStreamExt;
use indexmap::IndexMap;
use millstream_features::{
    asof::LabelRows,
    view::{Columns, FeatureSource, JoinOptions, Status, ViewDefinition, ViewJoin},
};

use super::sample::Sample;
use crate::{
    EngineError,
    engine::World,
    features::{rows::all_events, served::text, server::Readable},
    pinning::Pinning,
};

/// What defines the values of a sample.
pub(super) enum Subject<'a> {
    View(&'a ViewDefinition),
    /// The on-demand features of a service.
    OnDemand(Box<Readable>),
}

/// The values of some rows of a sample.
pub(super) struct Computed {
    /// By the feature's name.
    columns: HashMap<String, (ArrayRef, Vec<Status>)>,
    /// The newest event behind each row.
    event_times: Vec<Option<i64>>,
}

impl Computed {
    /// Whether the store had a newer event than the lake has. `at` is the place of `row` among the computed ones.
    pub(super) fn is_older(&self, sample: &Sample, row: usize, at: usize) -> bool {
        sample.event_time(row) > self.event_times.get(at).copied().flatten()
    }

    /// The value and status of the feature that `row` of the sample is about; none if it is defined no more.
    pub(super) fn value(&self, sample: &Sample, row: usize, at: usize) -> Option<(Option<String>, Status)> {
        let (values, statuses) = self.columns.get(sample.feature.get(row)?)?;
        Some((text(values, at), *statuses.get(at)?))
    }
}

impl Subject<'_> {
    /// All features for the entities and times of some rows of a sample.
    pub(super) async fn compute(
        &self,
        world: &World,
        pinning: &Arc<Pinning>,
        sample: &Sample,
        rows: &[usize],
    ) -> Result<Computed, EngineError> {
        match self {
            Self::View(definition) => {
                let all: Vec<usize> = (0..definition.features.len()).collect();
                let Columns { values, statuses, event_times } =
                    join(world, pinning, definition, &all, sample, rows).await?;
                let names = definition.features.iter().map(|feature| feature.name.clone());
                Ok(Computed {
                    columns: names.zip(values.into_iter().zip(statuses)).collect(),
                    event_times: event_times.iter().collect(),
                })
            }
            Self::OnDemand(readable) => on_demand(world, pinning, readable, sample, rows).await,
        }
    }
}

async fn on_demand(
    world: &World,
    pinning: &Arc<Pinning>,
    readable: &Readable,
    sample: &Sample,
    rows: &[usize],
) -> Result<Computed, EngineError> {
    let mut views = Vec::with_capacity(readable.definition.views.len());
    let mut newest: Vec<Option<i64>> = vec![None; rows.len()];
    for (definition, features) in readable.definition.views.iter().zip(readable.needed()) {
        let columns = join(world, pinning, definition, &features, sample, rows).await?;
        for (newest, time) in newest.iter_mut().zip(&columns.event_times) {
            *newest = (*newest).max(time);
        }
        views.push(columns);
    }
    let request = readable.request.iter().map(|field| (field.name().as_str(), field.data_type()));
    let names = readable.request.iter().map(|field| field.name().clone());
    let request: IndexMap<String, ArrayRef> = names.zip(asked(request, sample, rows)?).collect();
    let answer = readable.answer(&views, &request, rows.len())?;
    let features = readable.definition.features.iter().zip(answer);
    let computed = features.filter(|(feature, _)| matches!(feature.source, FeatureSource::OnDemand(_)));
    let columns = computed.map(|(_, column)| (column.name, (column.values, column.statuses)));
    Ok(Computed { columns: columns.collect(), event_times: newest })
}

/// Features of a view, by number, for the entities and times of some rows of a sample.
async fn join(
    world: &World,
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
    features: &[usize],
    sample: &Sample,
    rows: &[usize],
) -> Result<Columns, EngineError> {
    let failed = |source| EngineError::View { view: definition.name.clone(), source };
    let options = JoinOptions { as_known: false, threads: world.options.parallelism };
    let mut join = ViewJoin::new(definition, features, options).map_err(failed)?;
    let mut events = all_events(pinning, definition).await?;
    while let Some(batch) = events.try_next().await? {
        join.push(&batch).map_err(failed)?;
    }
    let joined = join.build().map_err(failed)?;
    let keys = asked(definition.keys.iter().map(|key| (key.name.as_str(), &key.data_type)), sample, rows)?;
    let times = rows.iter().map(|row| sample.at.get(*row).copied());
    let time: ArrayRef = Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"));
    let found = joined.join(&LabelRows { keys: &keys, time: &time, as_known: None }).map_err(failed)?;
    let statuses = |feature: &millstream_features::view::Statuses| {
        (0..rows.len()).map(|row| feature.get(row).unwrap_or(Status::Degraded)).collect()
    };
    Ok(Columns {
        statuses: found.statuses.iter().map(statuses).collect(),
        values: found.features,
        event_times: found.event_times,
    })
}

/// Columns that a sample was asked with, in their types.
fn asked<'a>(
    columns: impl Iterator<Item = (&'a str, &'a DataType)>,
    sample: &Sample,
    rows: &[usize],
) -> Result<Vec<ArrayRef>, EngineError> {
    let entity = |row: &usize| sample.entity.get(*row).and_then(|text| serde_json::from_str(text).ok());
    let entities: Vec<serde_json::Map<String, serde_json::Value>> =
        rows.iter().map(|row| entity(row).unwrap_or_default()).collect();
    columns
        .map(|(name, data_type)| {
            let texts = entities.iter().map(|entity| entity.get(name).and_then(|value| value.as_str()));
            let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
            cast(&texts, data_type)
                .map_err(|source| EngineError::Arrow { action: "read the keys of served values", source })
        })
        .collect()
}
