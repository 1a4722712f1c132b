//! Where a source's landing stands, according to lake and state store together.
//!
//! The lake decides: its `landing` transaction is the epoch, and each landing commit carries the parts that it
//! took in. The state store is a copy that is quick to read.

use std::{cmp::Ordering, collections::BTreeSet, sync::Arc};

use arrow::{array::AsArray, compute::cast, datatypes::DataType};
use futures::TryStreamExt;
use millstream_connector::{KnownPart, PartVersion};
use millstream_lake::{At, Snapshot};
use millstream_project::SourceSpec;
use millstream_state::LandingUpdate;
use millstream_types::{SEQUENCE, SOURCE};

use super::schemas;
use crate::{
    EngineError,
    commit_info::{CommitInfo, Committed, LANDING_TXN},
    engine::World,
    resolver::provider,
    stored,
};

/// The point up to which a source has been landed.
#[derive(Clone, Debug, Default)]
pub(crate) struct Landing {
    /// The epoch that was committed last; 0 before the first.
    pub epoch: i64,
    /// The `_sequence` of the next row.
    pub next_sequence: i64,
    pub parts: Vec<KnownPart>,
}

/// The present state of a source's bronze table.
#[derive(Clone, Debug)]
pub(crate) struct Standing {
    pub snapshot: Option<Arc<Snapshot>>,
    pub landing: Landing,
}

/// Reads the standing, bringing the state store up to date when it missed commits.
pub(crate) async fn standing(world: &World, source: &SourceSpec) -> Result<Standing, EngineError> {
    let reconciled = ReconciledLanding::of(world, source).await?;
    if reconciled.is_complete() {
        reconciled.remembered(world, source).await
    } else {
        Err(reconciled.gap(source))
    }
}

/// The standing for a landing that replaces everything. Where no record says how far the source was landed, the stored
/// rows tell which parts they came from, so that no part is given up unnoticed.
pub(crate) async fn standing_before_anew(
    world: &World,
    source: &SourceSpec,
) -> Result<Standing, EngineError> {
    let mut reconciled = ReconciledLanding::of(world, source).await?;
    if reconciled.is_complete() {
        return reconciled.remembered(world, source).await;
    }
    if let Some(snapshot) = &reconciled.snapshot {
        let parts = parts_of_rows(world, snapshot).await?;
        reconciled.landing.parts = merge(parts, std::mem::take(&mut reconciled.landing.parts));
    }
    // This landing is not written to the state store: a landing that goes on from it needs more than these parts.
    let landing = Landing { epoch: reconciled.epoch, ..reconciled.landing };
    Ok(Standing {
        landing: beyond_stored(landing, reconciled.snapshot.as_deref()),
        snapshot: reconciled.snapshot,
    })
}

/// The landing of a source as lake and state store together tell it.
struct ReconciledLanding {
    snapshot: Option<Arc<Snapshot>>,
    /// The landing as far as the records of state store and lake follow each other.
    landing: Landing,
    /// The epoch that the lake's transaction names.
    epoch: i64,
    /// Whether the state store lacks a landing, which it has to be told of.
    is_news: bool,
}

impl ReconciledLanding {
    async fn of(world: &World, source: &SourceSpec) -> Result<Self, EngineError> {
        let snapshot = world.lake.snapshot(&source.table(), At::Latest).await?;
        let landing = remembered(world, source).await?;
        let epoch = snapshot.as_ref().and_then(|snapshot| snapshot.txn(LANDING_TXN)).unwrap_or(0);
        let is_news = epoch != landing.epoch;
        let landing = match epoch.cmp(&landing.epoch) {
            Ordering::Equal => landing,
            Ordering::Greater => replay(world, source, landing, epoch).await?,
            // The lake went back or is another one: what the state store remembers was never landed here.
            Ordering::Less => replay(world, source, Landing::default(), epoch).await?,
        };
        Ok(Self { snapshot, landing, epoch, is_news })
    }

    fn is_complete(&self) -> bool {
        self.landing.epoch == self.epoch
    }

    async fn remembered(self, world: &World, source: &SourceSpec) -> Result<Standing, EngineError> {
        if self.is_news {
            remember_alone(world, source, &self.landing).await?;
        }
        let landing = beyond_stored(self.landing, self.snapshot.as_deref());
        Ok(Standing { landing, snapshot: self.snapshot })
    }

    fn gap(&self, source: &SourceSpec) -> EngineError {
        EngineError::Refused {
            table: source.table(),
            message: format!(
                "was landed up to epoch {}, but the record of epoch {} is gone from the lake's log and from the \
                 state store",
                self.epoch,
                self.landing.epoch + 1
            ),
            hint: format!(
                "restore the state store, or land everything anew with `millstream run source:{} --full-refresh`",
                source.name
            ),
        }
    }
}

/// The next sequence number is above every stored one, also when a crash kept the last commit from being
/// recorded.
fn beyond_stored(mut landing: Landing, snapshot: Option<&Snapshot>) -> Landing {
    let stored = snapshot.into_iter().flat_map(Snapshot::files).filter_map(|file| {
        match file.column(SEQUENCE, &DataType::Int64).max {
            Some(datafusion::common::ScalarValue::Int64(max)) => max,
            _ => None,
        }
    });
    let after = stored.max().map_or(0, |max| max.saturating_add(1));
    landing.next_sequence = landing.next_sequence.max(after);
    landing
}

/// Writes a landing's epoch and its parts to the state store; parts that it does not name stay.
pub(crate) async fn remember(
    world: &World,
    source: &SourceSpec,
    landing: &Landing,
) -> Result<(), EngineError> {
    let parts: Vec<_> = landing.parts.iter().map(as_stored).collect();
    Ok(world.state.record_landing(&source.name, &update(landing, &parts)).await?)
}

/// Writes a landing's epoch and its parts in the place of everything that the state store remembers of the source.
pub(crate) async fn remember_alone(
    world: &World,
    source: &SourceSpec,
    landing: &Landing,
) -> Result<(), EngineError> {
    let parts: Vec<_> = landing.parts.iter().map(as_stored).collect();
    Ok(world.state.replace_landing(&source.name, &update(landing, &parts)).await?)
}

fn update<'a>(landing: &Landing, parts: &'a [millstream_state::KnownPart]) -> LandingUpdate<'a> {
    LandingUpdate { epoch: landing.epoch, next_sequence: landing.next_sequence, parts }
}

async fn remembered(world: &World, source: &SourceSpec) -> Result<Landing, EngineError> {
    let landing = world.state.landing(&source.name).await?;
    let parts = landing.parts.into_iter().map(|part| KnownPart {
        id: part.id,
        version: PartVersion(part.version),
        position: part.position,
    });
    Ok(Landing { epoch: landing.epoch, next_sequence: landing.next_sequence, parts: parts.collect() })
}

fn as_stored(part: &KnownPart) -> millstream_state::KnownPart {
    millstream_state::KnownPart {
        id: part.id.clone(),
        version: part.version.0.clone(),
        position: part.position,
    }
}

/// Applies the landing commits after `landing.epoch`, oldest first, as far as they follow each other: what comes behind a
/// gap counts from the next landing on that replaced everything. Schemas that they accepted go to the catalog.
async fn replay(
    world: &World,
    source: &SourceSpec,
    mut landing: Landing,
    epoch: i64,
) -> Result<Landing, EngineError> {
    if epoch == 0 {
        return Ok(landing);
    }
    let table = source.table();
    let commits = world.lake.history(&table, None).await?;
    // The newest come first.
    for info in commits.iter().rev().filter_map(|commit| CommitInfo::from_json(&commit.info)) {
        match info.what {
            Committed::Landing { epoch: reached, parts, next_sequence, full, schemas }
                if reached > landing.epoch && (full || reached == landing.epoch + 1) =>
            {
                let before = if full { Vec::new() } else { std::mem::take(&mut landing.parts) };
                landing = Landing { epoch: reached, parts: merge(before, parts), next_sequence };
                schemas::record(world, &table, &info.run, info.at, &schemas).await?;
            }
            Committed::Reprocess { next_sequence, .. } => {
                landing.next_sequence = landing.next_sequence.max(next_sequence);
            }
            _ => {}
        }
    }
    Ok(landing)
}

/// The parts that the table has rows of; how far they were landed is not known.
async fn parts_of_rows(world: &World, snapshot: &Snapshot) -> Result<Vec<KnownPart>, EngineError> {
    let table = snapshot.table();
    let (rows, columns) = (provider(&world.lake, snapshot)?, [SOURCE.to_owned()]);
    let mut rows = stored::scan(world, table, rows, &columns, None).await?;
    let mut parts = BTreeSet::new();
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        let sources = cast(batch.column(0), &DataType::Utf8)
            .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
        for part in sources.as_string::<i32>().iter().flatten() {
            if !parts.contains(part) {
                parts.insert(part.to_owned());
            }
        }
    }
    let unknown = |id| KnownPart { id, version: PartVersion(String::new()), position: 0 };
    Ok(parts.into_iter().map(unknown).collect())
}

/// `before` with the parts of `after` added or replaced.
fn merge(before: Vec<KnownPart>, after: Vec<KnownPart>) -> Vec<KnownPart> {
    let mut parts: indexmap::IndexMap<_, _> =
        before.into_iter().map(|part| (part.id.clone(), part)).collect();
    parts.extend(after.into_iter().map(|part| (part.id.clone(), part)));
    parts.into_values().collect()
}
