//! Figures of a view's features: their values for every entity just after the view's newest event.
//!
//! The figures are those of a dataset with one label for each entity, made as for training and thrown away once its
//! figures are known.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType},
};
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use millstream_features::view::{
    EntityDefinition, FeatureSource, ServiceDefinition, ServiceFeature, TIME, ViewDefinition,
};
use millstream_ml::{
    Cause,
    dataset::{ColumnStatistics, DatasetPlan, LabelColumns, Resources, Rows, build},
};
use millstream_usage::charged;

use super::rows::all_events;
use crate::{Engine, EngineError, blocking::Blocking, engine::World, pinning::Pinning};

/// Name of the label time; a key cannot have it, since the time of events begins like this too.
const AT: &str = "_at";

/// What the features of a view look like.
#[derive(Clone, Debug)]
pub struct ViewStatistics {
    /// The time of the values, in microseconds; none for a view without events.
    pub at: Option<i64>,
    pub entities: u64,
    /// The figures of each feature, with the feature's name.
    pub features: Vec<(String, ColumnStatistics)>,
}

impl Engine {
    /// The figures of a view's features, computed from the lake.
    pub fn view_statistics<'a>(
        &'a self,
        view: &'a str,
    ) -> BoxFuture<'a, Result<ViewStatistics, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let analyzed = world.project.features.views.get(view).ok_or_else(|| {
                let known = world.project.features.views.keys().map(String::as_str);
                EngineError::unknown_feature("view", view, known)
            })?;
            let definition = analyzed.definition.clone();
            let pinning = Arc::new(Pinning::new(world));
            pinning.pin(&analyzed.dependencies).await?;
            let Some(newest) = newest(&pinning, &definition).await? else {
                return Ok(ViewStatistics { at: None, entities: 0, features: Vec::new() });
            };
            let at = newest.saturating_add(1);
            let keys = keys(&pinning, &definition).await?;
            figures(world, &pinning, definition, keys, at).await
        })
    }
}

/// The newest event time of the view's tables.
async fn newest(pinning: &Arc<Pinning>, definition: &ViewDefinition) -> Result<Option<i64>, EngineError> {
    let sql = format!("SELECT max(\"{TIME}\") AS newest FROM ({})", definition.query);
    let mut rows = pinning.session().query(&sql, None).await.map_err(EngineError::Query)?;
    let batch = rows.try_next().await.map_err(EngineError::rows)?;
    let column =
        batch.as_ref().and_then(|batch| batch.column(0).as_primitive_opt::<TimestampMicrosecondType>());
    Ok(column.filter(|column| column.len() == 1 && column.is_valid(0)).map(|column| column.value(0)))
}

/// The key of every entity, each once.
async fn keys(pinning: &Arc<Pinning>, definition: &ViewDefinition) -> Result<Vec<RecordBatch>, EngineError> {
    let names: Vec<String> =
        definition.keys.iter().map(|key| format!("\"{}\"", key.name.replace('"', "\"\""))).collect();
    let names = names.join(", ");
    let sql = format!("SELECT DISTINCT {names} FROM ({}) ORDER BY {names}", definition.query);
    let rows = pinning.session().query(&sql, None).await.map_err(EngineError::Query)?;
    rows.map_err(EngineError::rows).try_collect().await
}

/// The label of each entity: its key and the time.
fn label_schema(definition: &ViewDefinition) -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let keys = definition.keys.iter().map(|key| Field::new(&key.name, key.data_type.clone(), true));
    Arc::new(Schema::new(keys.chain([Field::new(AT, instant, true)]).collect::<Vec<_>>()))
}

async fn figures(
    world: &Arc<World>,
    pinning: &Arc<Pinning>,
    definition: ViewDefinition,
    keys: Vec<RecordBatch>,
    at: i64,
) -> Result<ViewStatistics, EngineError> {
    let name = definition.name.clone();
    let spill = world.made_spill_dir()?;
    let folder = tempfile::tempdir_in(&spill).map_err(|source| EngineError::File {
        verb: "create a folder in",
        path: spill,
        source,
    })?;
    let schema = label_schema(&definition);
    let labels = labels(&schema, &keys, at)?;
    let entities = labels.iter().map(|batch| batch.num_rows() as u64).sum();
    let plan = plan(world, &definition, schema, folder.path());
    let events = all_events(pinning, &definition).await?;
    let work = tokio::task::spawn_blocking(charged(move || {
        let cause = |error: EngineError| -> Cause { error.into() };
        let labels: Rows<'_> = Box::new(labels.into_iter().map(Ok));
        let mut rows = Some(events);
        let mut events = |_: usize| -> Result<Rows<'static>, Cause> {
            let rows = rows.take().ok_or("the events of a view are read once")?;
            Ok(Box::new(Blocking::new(Box::pin(rows.map(move |batch| batch.map_err(cause))))))
        };
        build(&plan, labels, &mut events, &mut |_: &RecordBatch| Ok(Vec::new()), &|_| {})
            .map_err(|source| EngineError::Dataset { name: plan.name.clone(), source })
    }));
    let built = work.await.map_err(|_| EngineError::Worker { doing: "computing statistics" })?;
    let project = &world.project;
    let built = built.map_err(|error| {
        project.told_of_views(std::iter::once(name.as_str()), project.without_personal_keys(error))
    })?;
    drop(folder);
    let prefix = format!("{name}.");
    let features = built
        .manifest
        .columns
        .into_iter()
        .filter_map(|column| Some((column.name.strip_prefix(&prefix)?.to_owned(), column.statistics)));
    Ok(ViewStatistics { at: Some(at), entities, features: features.collect() })
}

fn labels(schema: &SchemaRef, keys: &[RecordBatch], at: i64) -> Result<Vec<RecordBatch>, EngineError> {
    let with_time = |batch: &RecordBatch| {
        let times = TimestampMicrosecondArray::from(vec![at; batch.num_rows()]).with_timezone("UTC");
        let columns: Vec<ArrayRef> = batch.columns().iter().cloned().chain([Arc::new(times) as _]).collect();
        RecordBatch::try_new(schema.clone(), columns)
            .map_err(|source| EngineError::Arrow { action: "put keys and times together", source })
    };
    keys.iter().map(with_time).collect()
}

fn plan(
    world: &World,
    definition: &ViewDefinition,
    schema: SchemaRef,
    folder: &std::path::Path,
) -> DatasetPlan {
    let count = definition.keys.len();
    let features = definition.features.iter().enumerate().map(|(feature, known)| ServiceFeature {
        name: format!("{}.{}", definition.name, known.name),
        source: FeatureSource::View { view: 0, feature },
    });
    let service = ServiceDefinition {
        name: definition.name.clone(),
        entities: vec![EntityDefinition { name: definition.entity.clone(), keys: definition.keys.clone() }],
        features: features.collect(),
        views: vec![definition.clone()],
        on_demand: Vec::new(),
    };
    DatasetPlan {
        name: definition.name.clone(),
        labels: LabelColumns {
            origin: format!("the entities of `{}`", definition.name),
            blake3: None,
            schema,
            keys: vec![(0..count).collect()],
            time: count,
            as_known: None,
            kept: (0..count).collect(),
            targets: Vec::new(),
        },
        service,
        split: None,
        encodings: Vec::new(),
        inputs: Vec::new(),
        code_version: env!("CARGO_PKG_VERSION").to_owned(),
        output: folder.join("statistics.parquet"),
        named_by_hash: false,
        now: world.options.clock.now(),
        resources: Resources {
            memory_bytes: world.options.memory_bytes,
            spill: folder.to_owned(),
            threads: world.options.parallelism,
        },
    }
}
