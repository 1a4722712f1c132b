//! Where a source's landing stands, according to lake and state store together.
//!
//! The lake decides: its `landing` transaction is the epoch, and each landing commit carries the parts that it
//! took in. The state store is a copy that is quick to read.

use std::sync::Arc;

use millstream_lake::{At, Snapshot};
use millstream_project::SourceSpec;
use millstream_state::Landing;

use crate::{
    EngineError,
    commit_info::{CommitInfo, Committed, LANDING_TXN},
    engine::World,
};

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
    let landing = world.state.landing(&source.name)?;
    let epoch = match &snapshot {
        Some(snapshot) => snapshot.txn(LANDING_TXN).await?.unwrap_or(0),
        None => 0,
    };
    if epoch == landing.epoch {
        return Ok(Standing { snapshot, landing });
    }
    let landing = if epoch > landing.epoch {
        replay(world, source, landing, epoch).await?
    } else {
        // The lake went back or is another one: what the state store remembers was never landed here.
        replay(world, source, Landing::default(), epoch).await?
    };
    world.state.replace_landing(&source.name, &landing)?;
    Ok(Standing { snapshot, landing })
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
        .filter_map(|commit| CommitInfo::from_json(commit.info.as_ref()?))
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
        hint: format!("restore the state store, or land everything anew with `millstream run source:{} --full-refresh`", source.name),
    })
}

/// `before` with the parts of `after` added or replaced.
pub(crate) fn merge(
    before: Vec<millstream_connector::KnownPart>,
    after: Vec<millstream_connector::KnownPart>,
) -> Vec<millstream_connector::KnownPart> {
    let mut parts: indexmap::IndexMap<_, _> = before.into_iter().map(|part| (part.id.clone(), part)).collect();
    parts.extend(after.into_iter().map(|part| (part.id.clone(), part)));
    parts.into_values().collect()
}
