//! Where a source's landing stands, according to lake and state store together.
//!
//! The lake decides: its `landing` transaction is the epoch, and each landing commit carries the parts that it
//! took in. The state store is a copy that is quick to read.

use std::sync::Arc;

use millstream_connector::{KnownPart, PartVersion};
use millstream_lake::{At, Snapshot};
use millstream_project::SourceSpec;
use millstream_state::LandingUpdate;
use millstream_types::SEQUENCE;

use crate::{
    EngineError,
    commit_info::{CommitInfo, Committed, LANDING_TXN},
    engine::World,
};

/// How far a source has been landed.
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
    let table = source.table();
    let snapshot = world.lake.snapshot(&table, At::Latest).await?;
    let landing = remembered(world, source)?;
    let epoch = match &snapshot {
        Some(snapshot) => snapshot.txn(LANDING_TXN).unwrap_or(0),
        None => 0,
    };
    if epoch == landing.epoch {
        return Ok(Standing { landing: beyond_stored(landing, snapshot.as_deref()), snapshot });
    }
    let landing = if epoch > landing.epoch {
        replay(world, source, landing, epoch).await?
    } else {
        // The lake went back or is another one: what the state store remembers was never landed here.
        replay(world, source, Landing::default(), epoch).await?
    };
    world.state.forget_landing(&source.name)?;
    remember(world, source, &landing)?;
    Ok(Standing { landing: beyond_stored(landing, snapshot.as_deref()), snapshot })
}

/// The next sequence number is above every stored one, also when a crash kept the last commit from being
/// recorded.
fn beyond_stored(mut landing: Landing, snapshot: Option<&Snapshot>) -> Landing {
    let stored = snapshot.into_iter().flat_map(Snapshot::files).filter_map(|file| {
        match file.column(SEQUENCE, &arrow::datatypes::DataType::Int64).max {
            Some(datafusion::common::ScalarValue::Int64(max)) => max,
            _ => None,
        }
    });
    let after = stored.max().map_or(0, |max| max.saturating_add(1));
    landing.next_sequence = landing.next_sequence.max(after);
    landing
}

/// Writes a landing's epoch and its parts to the state store; parts that it does not name stay.
pub(crate) fn remember(world: &World, source: &SourceSpec, landing: &Landing) -> Result<(), EngineError> {
    let parts: Vec<_> = landing.parts.iter().map(stored).collect();
    let update = LandingUpdate { epoch: landing.epoch, next_sequence: landing.next_sequence, parts: &parts };
    Ok(world.state.record_landing(&source.name, &update)?)
}

fn remembered(world: &World, source: &SourceSpec) -> Result<Landing, EngineError> {
    let landing = world.state.landing(&source.name)?;
    let parts = landing.parts.into_iter().map(|part| KnownPart {
        id: part.id,
        version: PartVersion(part.version),
        position: part.position,
    });
    Ok(Landing { epoch: landing.epoch, next_sequence: landing.next_sequence, parts: parts.collect() })
}

fn stored(part: &KnownPart) -> millstream_state::KnownPart {
    millstream_state::KnownPart {
        id: part.id.clone(),
        version: part.version.0.clone(),
        position: part.position,
    }
}

/// Applies the landing commits after `landing.epoch` up to `epoch`, oldest first.
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
    let mut commits: Vec<_> = world
        .lake
        .history(&table, None)
        .await?
        .into_iter()
        .filter_map(|commit| CommitInfo::from_json(&commit.info))
        .collect();
    commits.sort_by_key(|info| match info.what {
        Committed::Landing { epoch, .. } => epoch,
        _ => 0,
    });
    for info in commits {
        match info.what {
            Committed::Landing { epoch: reached, parts, next_sequence, full } if reached > landing.epoch => {
                if reached != landing.epoch + 1 && !full {
                    break;
                }
                let before = if full { Vec::new() } else { std::mem::take(&mut landing.parts) };
                landing = Landing { epoch: reached, parts: merge(before, parts), next_sequence };
            }
            Committed::Reprocess { next_sequence, .. } => {
                landing.next_sequence = landing.next_sequence.max(next_sequence);
            }
            _ => {}
        }
    }
    if landing.epoch == epoch {
        return Ok(landing);
    }
    Err(EngineError::Refused {
        table,
        message: format!(
            "was landed up to epoch {epoch}, but the record of epoch {} is gone from the lake's log and from \
             the state store",
            landing.epoch + 1
        ),
        hint: format!(
            "restore the state store, or land everything anew with `millstream run source:{} --full-refresh`",
            source.name
        ),
    })
}

/// `before` with the parts of `after` added or replaced.
fn merge(before: Vec<KnownPart>, after: Vec<KnownPart>) -> Vec<KnownPart> {
    let mut parts: indexmap::IndexMap<_, _> =
        before.into_iter().map(|part| (part.id.clone(), part)).collect();
    parts.extend(after.into_iter().map(|part| (part.id.clone(), part)));
    parts.into_values().collect()
}
