//! Whether what was served is what training would have seen, and if not, why.
//!
//! Each sampled value is computed again from the lake, for the entity and the time it was served for. A difference is
//! traced: with the lake as it was known when the value was served, and as far as the online store had it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::cast,
    datatypes::TimestampMicrosecondType,
};
use futures::TryStreamExt;
use millstream_features::{
    asof::LabelRows,
    view::{JoinOptions, Status, ViewDefinition, ViewJoin, ViewValues},
};
use millstream_lake::At;
use millstream_types::{Span, TableName};
use serde::{Deserialize, Serialize};

use super::{
    rows::all_events,
    served::{SERVED, status_word, text},
    services,
};
use crate::{Engine, EngineError, engine::World, pinning::Pinning};

/// Examples of differences that are kept for each feature and cause.
const EXAMPLES_MAX: usize = 3;
/// States of the lake that differences are traced to; those beyond stay unexplained.
const GROUPS_MAX: usize = 16;

/// What to compare.
#[derive(Clone, Debug)]
pub struct VerifyRequest {
    /// How far back served values are taken.
    pub since: Span,
    /// At most so many served values, the newest.
    pub limit: u64,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct VerifyReport {
    pub features: Vec<FeatureMatch>,
    pub values: u64,
    pub equal: u64,
}

/// One feature's values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureMatch {
    /// `view.feature`
    pub feature: String,
    pub values: u64,
    pub equal: u64,
    /// How many differ, by cause.
    pub causes: BTreeMap<Difference, u64>,
    pub examples: Vec<DifferenceExample>,
}

/// Why a served value is not the one that training sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Difference {
    /// An event became known only after the value was served.
    LateEvent,
    /// The lake had the event, the online store did not yet.
    MaterializationLag,
    /// The store had a newer event than the lake has: it was pushed to the store only, or the lake lost it since.
    OnlineOnly,
    /// One side is expired and the other is not.
    Ttl,
    /// The values are equal but for their type.
    Type,
    /// The view is defined in another way now.
    DefinitionChanged,
    /// The store could not give the value exactly, and said so.
    Degraded,
    /// None of these.
    Unexplained,
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DifferenceExample {
    pub cause: Difference,
    /// The key as JSON.
    pub entity: String,
    /// Microseconds.
    pub at: i64,
    pub served: Option<String>,
    pub computed: Option<String>,
}

/// Served values of one view definition, row by row.
#[derive(Default)]
struct Sample {
    served_at: Vec<i64>,
    at: Vec<i64>,
    feature: Vec<String>,
    entity: Vec<String>,
    value: Vec<Option<String>>,
    status: Vec<String>,
    event_time: Vec<Option<i64>>,
}

impl Engine {
    /// Compares sampled values with the lake, and keeps the report.
    pub async fn verify_features(&self, request: &VerifyRequest) -> Result<VerifyReport, EngineError> {
        let world = self.world();
        let samples = samples(world, request).await?;
        let definitions: HashMap<u64, ViewDefinition> = services::stored_views(world)?.into_iter().collect();
        let mut report = VerifyReport::default();
        for ((view, space), sample) in samples {
            let found = match definitions.get(&space) {
                Some(definition) => compare(world, definition, &sample).await?,
                None => sample.all(Difference::DefinitionChanged),
            };
            report.add(&view, &sample, &found);
        }
        let text = serde_json::to_string(&report)
            .map_err(|source| EngineError::Definition { name: "verification".to_owned(), source })?;
        world.state.record_verification(world.options.clock.now(), &text)?;
        Ok(report)
    }
}

impl Sample {
    fn len(&self) -> usize {
        self.at.len()
    }

    /// Whether this was served.
    fn is(&self, row: usize, value: Option<&str>, status: Status) -> bool {
        self.value.get(row).is_some_and(|served| served.as_deref() == value)
            && self.status.get(row).is_some_and(|served| served == status_word(status))
    }

    fn all(&self, cause: Difference) -> Vec<Found> {
        (0..self.len()).map(|_| Found { cause: Some(cause), computed: None }).collect()
    }
}

/// What was found for one served value.
struct Found {
    /// None is equal.
    cause: Option<Difference>,
    computed: Option<String>,
}

impl VerifyReport {
    fn add(&mut self, view: &str, sample: &Sample, found: &[Found]) {
        for (row, found) in found.iter().enumerate() {
            let Some(feature) = sample.feature.get(row).map(|feature| format!("{view}.{feature}")) else {
                continue;
            };
            let at = match self.features.iter().position(|known| known.feature == feature) {
                Some(at) => at,
                None => {
                    self.features.push(FeatureMatch {
                        feature,
                        values: 0,
                        equal: 0,
                        causes: BTreeMap::new(),
                        examples: Vec::new(),
                    });
                    self.features.len() - 1
                }
            };
            let Some(known) = self.features.get_mut(at) else { continue };
            known.values += 1;
            self.values += 1;
            let Some(cause) = found.cause else {
                known.equal += 1;
                self.equal += 1;
                continue;
            };
            *known.causes.entry(cause).or_default() += 1;
            if known.examples.iter().filter(|example| example.cause == cause).count() < EXAMPLES_MAX {
                known.examples.push(DifferenceExample {
                    cause,
                    entity: sample.entity.get(row).cloned().unwrap_or_default(),
                    at: sample.at.get(row).copied().unwrap_or_default(),
                    served: sample.value.get(row).cloned().flatten(),
                    computed: found.computed.clone(),
                });
            }
        }
    }
}

/// The newest served values, by view and definition.
async fn samples(
    world: &World,
    request: &VerifyRequest,
) -> Result<BTreeMap<(String, u64), Sample>, EngineError> {
    let table: TableName = SERVED.parse().map_err(|_| EngineError::Worker { doing: "naming a table" })?;
    if world.lake.snapshot(&table, At::Latest).await?.is_none() {
        return Ok(BTreeMap::new());
    }
    let since_ms = i64::try_from(request.since.ms()).unwrap_or(i64::MAX);
    let since = world.options.clock.now().0.saturating_sub(since_ms.saturating_mul(1_000));
    let sql = format!(
        "SELECT served_at, \"at\", \"view\", space, feature, entity, value, status, event_time FROM {SERVED} \
         WHERE served_at >= to_timestamp_micros({since}) ORDER BY served_at DESC LIMIT {}",
        request.limit
    );
    let mut rows = world.sql.query(&sql, None).await.map_err(EngineError::Query)?;
    let mut samples: BTreeMap<(String, u64), Sample> = BTreeMap::new();
    while let Some(batch) = rows.try_next().await.map_err(EngineError::rows)? {
        take_in(&batch, &mut samples);
    }
    Ok(samples)
}

fn take_in(batch: &RecordBatch, samples: &mut BTreeMap<(String, u64), Sample>) {
    let instants = |column: usize| {
        let values = batch.column(column).as_primitive_opt::<TimestampMicrosecondType>().cloned();
        move |row: usize| {
            let values = values.as_ref()?;
            values.is_valid(row).then(|| values.value(row))
        }
    };
    let texts = |column: usize| {
        let values = batch.column(column).as_string_opt::<i32>().cloned();
        move |row: usize| {
            let values = values.as_ref()?;
            values.is_valid(row).then(|| values.value(row).to_owned())
        }
    };
    let (served_at, at, event_time) = (instants(0), instants(1), instants(8));
    let (view, space, feature, entity, value, status) =
        (texts(2), texts(3), texts(4), texts(5), texts(6), texts(7));
    for row in 0..batch.num_rows() {
        let space = space(row).and_then(|space| u64::from_str_radix(&space, 16).ok()).unwrap_or(0);
        let sample = samples.entry((view(row).unwrap_or_default(), space)).or_default();
        sample.served_at.push(served_at(row).unwrap_or_default());
        sample.at.push(at(row).unwrap_or_default());
        sample.feature.push(feature(row).unwrap_or_default());
        sample.entity.push(entity(row).unwrap_or_default());
        sample.value.push(value(row));
        sample.status.push(status(row).unwrap_or_default());
        sample.event_time.push(event_time(row));
    }
}

/// The values of one definition's features for some rows of a sample.
struct Computed(ViewValues);

impl Computed {
    /// Whether the store had a newer event than the lake, for the label with number `at`.
    fn is_older(&self, sample: &Sample, row: usize, at: usize) -> bool {
        let times = &self.0.event_times;
        let own = (at < times.len() && times.is_valid(at)).then(|| times.value(at));
        sample.event_time.get(row).copied().flatten() > own
    }

    /// The value and status of the feature that `row` of the sample is about, for the label with number `at`.
    fn value(
        &self,
        definition: &ViewDefinition,
        sample: &Sample,
        row: usize,
        at: usize,
    ) -> Option<(Option<String>, Status)> {
        let name = sample.feature.get(row)?;
        let feature = definition.features.iter().position(|feature| feature.name == *name)?;
        let value = text(self.0.features.get(feature)?, at);
        Some((value, self.0.statuses.get(feature)?.get(at)?))
    }
}

async fn compare(
    world: &Arc<World>,
    definition: &ViewDefinition,
    sample: &Sample,
) -> Result<Vec<Found>, EngineError> {
    let newest = Arc::new(Pinning::new(world));
    let all: Vec<usize> = (0..sample.len()).collect();
    let now = compute(world, &newest, definition, sample, &all).await?;
    let mut found = Vec::with_capacity(sample.len());
    let mut different: Vec<usize> = Vec::new();
    for row in all {
        found.push(match now.value(definition, sample, row, row) {
            None => Found { cause: Some(Difference::DefinitionChanged), computed: None },
            Some((value, status)) if sample.is(row, value.as_deref(), status) => {
                Found { cause: None, computed: value }
            }
            Some((value, _)) if now.is_older(sample, row, row) => {
                Found { cause: Some(Difference::OnlineOnly), computed: value }
            }
            Some((value, status)) => {
                different.push(row);
                Found { cause: Some(plain_cause(sample, row, value.as_deref(), status)), computed: value }
            }
        });
    }
    // What the lake had when a value was served tells an event that came late from one that was not carried over yet.
    for (versions, rows) in by_versions(world, &newest, sample, &different).await? {
        let then = match Pinning::at(world, &versions).await {
            Ok(pinning) => compute(world, &Arc::new(pinning), definition, sample, &rows).await?,
            // Versions that are gone explain nothing.
            Err(EngineError::Lake(_)) => continue,
            Err(error) => return Err(error),
        };
        for (at, row) in rows.iter().enumerate() {
            let Some(found) = found.get_mut(*row) else { continue };
            if found.cause != Some(Difference::Unexplained) {
                continue;
            }
            let known = then.value(definition, sample, *row, at);
            let is_known = known.is_some_and(|(value, status)| sample.is(*row, value.as_deref(), status));
            found.cause = Some(if is_known { Difference::LateEvent } else { Difference::MaterializationLag });
        }
    }
    Ok(found)
}

/// Rows by the versions that the tables had when they were served.
async fn by_versions(
    world: &World,
    newest: &Pinning,
    sample: &Sample,
    rows: &[usize],
) -> Result<BTreeMap<BTreeMap<TableName, i64>, Vec<usize>>, EngineError> {
    let mut commits = BTreeMap::new();
    if !rows.is_empty() {
        for table in newest.versions().into_keys() {
            let history = world.lake.history(&table, None).await?;
            let times: Vec<(i64, i64)> =
                history.iter().map(|commit| (commit.committed_at.0, commit.version)).collect();
            commits.insert(table, times);
        }
    }
    let mut groups: BTreeMap<BTreeMap<TableName, i64>, Vec<usize>> = BTreeMap::new();
    for row in rows {
        let Some(served_at) = sample.served_at.get(*row) else { continue };
        let version = |times: &Vec<(i64, i64)>| {
            times.iter().filter(|(at, _)| at <= served_at).map(|(_, version)| *version).max()
        };
        let versions = commits.iter().filter_map(|(table, times)| Some((table.clone(), version(times)?)));
        let versions: BTreeMap<TableName, i64> = versions.collect();
        if groups.len() < GROUPS_MAX || groups.contains_key(&versions) {
            groups.entry(versions).or_default().push(*row);
        }
    }
    Ok(groups)
}

/// Why a served value differs, as far as the two sides alone tell.
fn plain_cause(sample: &Sample, row: usize, computed: Option<&str>, status: Status) -> Difference {
    let served = sample.value.get(row).and_then(|value| value.as_deref());
    let served_status = sample.status.get(row).map_or("", String::as_str);
    let is_expired = |word: &str| word == status_word(Status::Expired);
    let as_number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    if served_status == status_word(Status::Degraded) {
        Difference::Degraded
    } else if is_expired(served_status) != (status == Status::Expired) {
        Difference::Ttl
    } else if served != computed && as_number(served).is_some() && as_number(served) == as_number(computed) {
        Difference::Type
    } else {
        Difference::Unexplained
    }
}

/// All features for the entities and times of some rows of a sample.
async fn compute(
    world: &Arc<World>,
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
    sample: &Sample,
    rows: &[usize],
) -> Result<Computed, EngineError> {
    let failed = |source| EngineError::View { view: definition.name.clone(), source };
    let features: Vec<usize> = (0..definition.features.len()).collect();
    let options = JoinOptions { as_known: false, threads: world.options.parallelism };
    let mut join = ViewJoin::new(definition, &features, options).map_err(failed)?;
    let mut events = all_events(pinning, definition).await?;
    while let Some(batch) = events.try_next().await? {
        join.push(&batch).map_err(failed)?;
    }
    let joined = join.build().map_err(failed)?;
    let keys = keys(definition, sample, rows)?;
    let times = rows.iter().map(|row| sample.at.get(*row).copied());
    let time: ArrayRef = Arc::new(times.collect::<TimestampMicrosecondArray>().with_timezone("UTC"));
    let labels = LabelRows { keys: &keys, time: &time, as_known: None };
    Ok(Computed(joined.join(&labels).map_err(failed)?))
}

/// The keys of a sample in the definition's types.
fn keys(definition: &ViewDefinition, sample: &Sample, rows: &[usize]) -> Result<Vec<ArrayRef>, EngineError> {
    let entity = |row: &usize| sample.entity.get(*row).and_then(|text| serde_json::from_str(text).ok());
    let entities: Vec<serde_json::Map<String, serde_json::Value>> =
        rows.iter().map(|row| entity(row).unwrap_or_default()).collect();
    definition
        .keys
        .iter()
        .map(|key| {
            let texts = entities.iter().map(|entity| entity.get(&key.name).and_then(|value| value.as_str()));
            let texts: ArrayRef = Arc::new(texts.collect::<StringArray>());
            cast(&texts, &key.data_type)
                .map_err(|source| EngineError::Arrow { action: "read the keys of served values", source })
        })
        .collect()
}
