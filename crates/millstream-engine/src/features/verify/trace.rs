//! Why a served value is not what the lake gives.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use millstream_features::view::Status;
use millstream_types::TableName;

use super::{Difference, compute::Subject, sample::Sample};
use crate::{EngineError, engine::World, pinning::Pinning};

/// The most states of the lake that differences are traced to; differences beyond them stay unexplained.
const GROUPS_MAX: usize = 16;

/// A served value, compared with what the lake gives.
pub(super) struct ComparedValue {
    /// The cause of the difference; equal values have none.
    pub cause: Option<Difference>,
    pub computed: Option<String>,
}

impl ComparedValue {
    /// The outcome for `values` values whose differences all have the same cause.
    pub(super) fn all(cause: Difference, values: usize) -> Vec<Self> {
        (0..values).map(|_| Self { cause: Some(cause), computed: None }).collect()
    }
}

/// Compares each value of a sample with the lake.
pub(super) async fn compare(
    world: &Arc<World>,
    subject: &Subject<'_>,
    sample: &Sample,
) -> Result<Vec<ComparedValue>, EngineError> {
    let newest = Arc::new(Pinning::new(world));
    let all: Vec<usize> = (0..sample.len()).collect();
    let now = subject.compute(world, &newest, sample, &all).await?;
    let mut compared = Vec::with_capacity(sample.len());
    let mut different: Vec<usize> = Vec::new();
    for row in all {
        compared.push(match now.value(sample, row, row) {
            None => ComparedValue { cause: Some(Difference::DefinitionChanged), computed: None },
            Some((value, status)) if sample.is(row, value.as_deref(), status) => {
                ComparedValue { cause: None, computed: value }
            }
            // The store could not say that the value is exact, but it is.
            Some((value, _)) if sample.is(row, value.as_deref(), Status::Degraded) => {
                ComparedValue { cause: None, computed: value }
            }
            Some((value, _)) if !sample.has(row, Status::Degraded) && now.is_older(sample, row, row) => {
                ComparedValue { cause: Some(Difference::OnlineOnly), computed: value }
            }
            Some((value, status)) => {
                different.push(row);
                ComparedValue {
                    cause: Some(plain_cause(sample, row, value.as_deref(), status)),
                    computed: value,
                }
            }
        });
    }
    // What the lake had when a value was served tells an event that came late from one that was not carried over yet.
    for (versions, rows) in by_versions(world, &newest, sample, &different).await? {
        // A table without a version was empty then: the table of pushed rows begins with the first of them.
        let tables = newest.versions().into_keys();
        let absent: BTreeSet<TableName> = tables.filter(|table| !versions.contains_key(table)).collect();
        let then = match Pinning::at(world, &versions).await.map(|pinning| pinning.without(absent)) {
            Ok(pinning) => subject.compute(world, &Arc::new(pinning), sample, &rows).await?,
            // Versions that are gone explain nothing.
            Err(EngineError::Lake(_)) => continue,
            Err(error) => return Err(error),
        };
        for (at, row) in rows.iter().enumerate() {
            let Some(compared) = compared.get_mut(*row) else { continue };
            if compared.cause != Some(Difference::Unexplained) {
                continue;
            }
            let known = then.value(sample, *row, at);
            let is_known = known.is_some_and(|(value, status)| sample.is(*row, value.as_deref(), status));
            compared.cause =
                Some(if is_known { Difference::LateEvent } else { Difference::MaterializationLag });
        }
    }
    Ok(compared)
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
    let as_number = |text: Option<&str>| text.and_then(|text| text.parse::<f64>().ok());
    if sample.has(row, Status::Degraded) {
        Difference::Degraded
    } else if sample.has(row, Status::Expired) != (status == Status::Expired) {
        Difference::Ttl
    } else if served != computed && as_number(served).is_some() && as_number(served) == as_number(computed) {
        Difference::Type
    } else {
        Difference::Unexplained
    }
}
