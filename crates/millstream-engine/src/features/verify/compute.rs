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
    features::{
        rows::all_events,
        served::text,
        server::{ReadColumn, Readable},
    },
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
    /// The computed columns by the name of their feature.
    columns: HashMap<String, Column>,
}

struct Column {
    values: ArrayRef,
    statuses: Vec<Status>,
    /// The newest event behind each row.
    event_times: Arc<[Option<i64>]>,
}

impl Computed {
    /// Whether the store had a newer event than the lake has. `at` is the place of `row` among the computed ones.
    pub(super) fn is_older(&self, sample: &Sample, row: usize, at: usize) -> bool {
        let own = self.column(sample, row).and_then(|column| column.event_times.get(at).copied().flatten());
        sample.event_time(row) > own
    }

    /// The value and status of the feature that `row` of the sample is about; none if it is defined no more.
    pub(super) fn value(&self, sample: &Sample, row: usize, at: usize) -> Option<(Option<String>, Status)> {
        let column = self.column(sample, row)?;
        Some((text(&column.values, at), *column.statuses.get(at)?))
    }

    fn column(&self, sample: &Sample, row: usize) -> Option<&Column> {
        self.columns.get(sample.feature.get(row)?)
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
                let event_times: Arc<[Option<i64>]> = event_times.iter().collect();
                let computed = values.into_iter().zip(statuses).map(|(values, statuses)| Column {
                    values,
                    statuses,
                    event_times: event_times.clone(),
                });
                let names = definition.features.iter().map(|feature| feature.name.clone());
                Ok(Computed { columns: names.zip(computed).collect() })
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
    for (definition, features) in readable.definition.views.iter().zip(readable.needed()) {
        views.push(join(world, pinning, definition, &features, sample, rows).await?);
    }
    let request = readable.request.iter().map(|field| (field.name().as_str(), field.data_type()));
    let names = readable.request.iter().map(|field| field.name().clone());
    let request: IndexMap<String, ArrayRef> = names.zip(asked(request, sample, rows)?).collect();
    let answer = readable.answer(&views, &request, rows.len()).map_err(|error| {
        let views = readable.definition.views.iter().map(|view| view.name.as_str());
        world.project.told_of_views(views, error)
    })?;
    let features = readable.definition.features.iter().zip(answer);
    let computed = features.filter_map(|(feature, column)| {
        let FeatureSource::OnDemand(index) = feature.source else { return None };
        let mut event_times: Vec<Option<i64>> = vec![None; rows.len()];
        for (view, _) in readable.inputs_of(index) {
            let times = views.get(view).into_iter().flat_map(|view| &view.event_times);
            event_times.iter_mut().zip(times).for_each(|(newest, time)| *newest = (*newest).max(time));
        }
        let ReadColumn { name, values, statuses, .. } = column;
        Some((name, Column { values, statuses, event_times: event_times.into() }))
    });
    Ok(Computed { columns: computed.collect() })
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
    let told = |error| world.project.told_of_views(std::iter::once(definition.name.as_str()), error);
    while let Some(batch) = events.try_next().await.map_err(told)? {
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
