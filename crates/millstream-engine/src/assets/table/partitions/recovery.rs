//! What the commits of a table tell of its partitions. The state store is behind them when a process ended between a commit and
//! its record, and knows nothing when it was lost.

use std::collections::BTreeMap;

use millstream_lake::Snapshot;
use millstream_plan::{PartitionSet, PartitionStanding, PartitionStates, PartitionStatus};
use millstream_types::AssetVersion;

use super::grid::Grid;
use crate::{
    EngineError,
    assets::version_of,
    commit_info::{BuiltPartitions, CommitInfo, Committed},
    engine::World,
    publish::is_outdated,
};

/// What is known of the partitions once the commits have been read that were not recorded.
#[derive(Debug)]
pub(super) struct CaughtUp {
    /// `None` where nobody knows, so that all of them are to be built.
    pub states: Option<PartitionStates>,
    /// What backfills built with commits that were not recorded, by backfill.
    pub filled: BTreeMap<String, PartitionSet>,
}

impl CaughtUp {
    fn with(states: Option<PartitionStates>) -> Self {
        Self { states, filled: BTreeMap::new() }
    }
}

/// Where the partitions stand at the newest version of the table, by what is `recorded` and by the commits since.
pub(super) async fn caught_up(
    world: &World,
    grid: &mut Grid,
    base: &Snapshot,
    recorded: Option<PartitionStates>,
) -> Result<CaughtUp, EngineError> {
    let version = version_of(base);
    // What was recorded before the first commit has no version.
    let before = |recorded: &PartitionStates| recorded.version.map_or(-1, AssetVersion::number);
    let known = recorded.as_ref().map(before);
    match known {
        Some(known) if known == version.number() => return Ok(CaughtUp::with(recorded)),
        // The table was put back, or made anew.
        Some(known) if known > version.number() => return Ok(CaughtUp::with(None)),
        _ => {}
    }
    let since = known.map(|known| usize::try_from(version.number() - known).unwrap_or(usize::MAX));
    let commits = world.lake.history(base.table(), since).await?;
    let mut filled: BTreeMap<String, PartitionSet> = BTreeMap::new();
    let (mut last, mut agrees) = (PartitionSet::new(), true);
    let mut states = recorded;
    // Of the commits since the recorded version none may be missing from the log.
    let mut next = known.map(|known| known + 1);
    for commit in commits.iter().rev().filter(|commit| known.is_none_or(|known| commit.version > known)) {
        if next.is_some_and(|next| next != commit.version) {
            states = None;
        }
        next = Some(commit.version + 1);
        let Some(info) = CommitInfo::from_json(&commit.info) else { continue };
        match &info.what {
            Committed::Build { inputs, partitions: Some(partitions), .. } => {
                agrees &= grid.learn(&partitions.values);
                last = partitions.built.parse().unwrap_or_default();
                if let (Some(backfill), Ok(built)) = (&partitions.backfill, partitions.built.parse()) {
                    let known = filled.entry(backfill.clone()).or_default();
                    *known = known.union(&built);
                }
                let applied = apply(states.take(), &info, partitions);
                states = applied.map(|mut applied| {
                    applied.seen.clone_from(inputs);
                    applied
                });
            }
            // What was built before the table had partitions says nothing of them.
            Committed::Build { partitions: None, .. } => states = None,
            Committed::Landing { .. } | Committed::Reprocess { .. } | Committed::Pipeline { .. } => {}
        }
    }
    // The newest build has left rejected rows behind, which building its partitions once more takes away.
    let left_behind = if is_outdated(world, base).await? { last } else { PartitionSet::new() };
    // Where a number means two values, nobody knows which of them was built.
    let states = states.filter(|_| agrees).map(|mut states| {
        states.outdate(&left_behind);
        states.version = Some(version);
        states
    });
    Ok(CaughtUp { states, filled })
}

fn apply(
    states: Option<PartitionStates>,
    info: &CommitInfo,
    partitions: &BuiltPartitions,
) -> Option<PartitionStates> {
    let read = |text: &str| text.parse::<PartitionSet>().ok();
    let (built, open) = (read(&partitions.built)?, read(&partitions.open)?);
    let mut states = match states {
        _ if partitions.whole => PartitionStates::new(info.fingerprint),
        // Under another definition a number may be another partition; those that it made stale are the open ones.
        Some(states) if states.fingerprint != info.fingerprint => PartitionStates::new(info.fingerprint),
        Some(states) => states,
        None => return None,
    };
    let parameters = partitions.parameters.clone();
    states.set(&built, &PartitionStanding { status: PartitionStatus::Built, parameters });
    states.outdate(&open);
    Some(states)
}
