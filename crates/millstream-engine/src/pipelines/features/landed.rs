//! Up to which offsets of its topic a source has landed in one version of its table: from there the log goes on.

use std::collections::BTreeMap;

use millstream_connector::KnownPart;
use millstream_lake::{CommitRecord, Snapshot};
use millstream_project::SourceSpec;
use serde::Deserialize;

use crate::{
    EngineError,
    commit_info::{CommitInfo, Committed, LANDING_TXN},
    engine::World,
};

/// The commits of a table that are read at first; most of the time every partition is among them.
const COMMITS_FIRST: usize = 64;

/// The offset behind the last record that has landed, by partition.
pub(super) type LandedOffsets = BTreeMap<u32, u64>;

/// The offsets up to which this version of the source's table has the events of the topic with this id, the version's own commit
/// included. A partition is missing of which nothing has landed. `None` where neither the table's log nor the state store tells any
/// more.
pub(super) async fn landed(
    world: &World,
    source: &SourceSpec,
    topic: &str,
    snapshot: &Snapshot,
) -> Result<Option<LandedOffsets>, EngineError> {
    let epoch = snapshot.txn(LANDING_TXN).unwrap_or(0);
    let known = world.state.landing(&source.name).await?;
    let parts = known.parts.iter().map(|part| (part.id.as_str(), part.version.as_str(), part.position));
    let recorded = Recorded { epoch: known.epoch, parts: offsets(topic, parts) };
    if recorded.epoch == epoch {
        return Ok(Some(recorded.parts));
    }
    for limit in [Some(COMMITS_FIRST), None] {
        let commits = world.lake.history(&source.table(), limit).await?;
        let is_whole = limit.is_none_or(|limit| commits.len() < limit);
        let landings: Vec<Landed> = commits.iter().filter_map(|commit| landed_by(topic, commit)).collect();
        if let Some(found) = offsets_at(snapshot.version(), &landings, &recorded, is_whole) {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// What a commit of the table landed.
#[derive(Debug)]
struct Landed {
    version: i64,
    epoch: i64,
    /// Whether it replaced everything that was landed before.
    full: bool,
    parts: LandedOffsets,
}

/// What the state store has of a source's landings.
#[derive(Debug)]
struct Recorded {
    epoch: i64,
    parts: LandedOffsets,
}

fn landed_by(topic: &str, commit: &CommitRecord) -> Option<Landed> {
    match CommitInfo::from_json(&commit.info)?.what {
        Committed::Landing { epoch, parts, full, .. } => {
            let told = |part: &'_ KnownPart| (part.id.clone(), part.version.0.clone(), part.position);
            let parts: Vec<_> = parts.iter().map(told).collect();
            let parts = parts.iter().map(|(id, version, at)| (id.as_str(), version.as_str(), *at));
            Some(Landed { version: commit.version, epoch, full, parts: offsets(topic, parts) })
        }
        _ => None,
    }
}

/// The offsets at a version, of landings with the newest first. `is_whole` says that the landings go back to the table's first.
/// Otherwise a partition that none of them names stands where the state store says, which knows every landing up to one of them.
fn offsets_at(
    version: i64,
    landings: &[Landed],
    recorded: &Recorded,
    is_whole: bool,
) -> Option<LandedOffsets> {
    let mut found = LandedOffsets::new();
    let (mut reaches_back, mut later) = (is_whole, BTreeMap::new());
    for landing in landings {
        if landing.version > version {
            later.extend(landing.parts.iter().map(|(partition, offset)| (*partition, *offset)));
            continue;
        }
        for (partition, offset) in &landing.parts {
            found.entry(*partition).or_insert(*offset);
        }
        // The first landing of all, and one that replaced all others, say where every partition stands.
        if landing.full || landing.epoch == 1 {
            reaches_back = true;
            break;
        }
    }
    if reaches_back {
        return Some(found);
    }
    // The state store has a partition where the last of its landings left it. One that none of the known landings names was left
    // there before them.
    let newest = landings.first().map_or(0, |landing| landing.epoch);
    let knows = landings.last().is_some_and(|oldest| oldest.epoch <= recorded.epoch.saturating_add(1));
    if !knows || recorded.epoch > newest {
        return None;
    }
    for (partition, offset) in &recorded.parts {
        if !found.contains_key(partition) {
            if later.contains_key(partition) {
                return None;
            }
            found.insert(*partition, *offset);
        }
    }
    Some(found)
}

/// The offsets behind the positions of parts that are partitions of the topic with this id.
fn offsets<'a>(topic: &str, parts: impl Iterator<Item = (&'a str, &'a str, i64)>) -> LandedOffsets {
    let after = |position: i64| u64::try_from(position.saturating_add(1)).unwrap_or(0);
    let of_topic = parts.filter(|(_, version, _)| {
        serde_json::from_str::<TopicVersion>(version).is_ok_and(|version| version.topic == topic)
    });
    of_topic.filter_map(|(id, _, position)| Some((partition_of(id)?, after(position)))).collect()
}

/// What the version of a part says of its topic.
#[derive(Deserialize)]
struct TopicVersion {
    topic: String,
}

/// The partition that a part is.
fn partition_of(part: &str) -> Option<u32> {
    part.rsplit_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn landing(version: i64, epoch: i64, parts: &[(u32, u64)]) -> Landed {
        Landed { version, epoch, full: false, parts: parts.iter().copied().collect() }
    }

    fn recorded(epoch: i64, parts: &[(u32, u64)]) -> Recorded {
        Recorded { epoch, parts: parts.iter().copied().collect() }
    }

    #[test]
    fn offsets_are_those_of_the_newest_landing_that_names_the_partition() {
        let all = [
            landing(9, 4, &[(0, 40)]),
            landing(7, 3, &[(1, 30)]),
            landing(5, 2, &[(0, 20)]),
            landing(3, 1, &[(0, 10), (1, 5)]),
        ];
        let none = recorded(0, &[]);
        for (version, expected) in [
            (2, vec![]),
            (3, vec![(0, 10), (1, 5)]),
            (6, vec![(0, 20), (1, 5)]),
            (8, vec![(0, 20), (1, 30)]),
            (9, vec![(0, 40), (1, 30)]),
        ] {
            let expected = Some(expected.into_iter().collect::<LandedOffsets>());
            assert_eq!(offsets_at(version, &all, &none, true), expected, "version {version}");
        }
    }

    #[test]
    fn what_is_cleaned_away_is_asked_of_the_state_store() {
        let last = [landing(9, 4, &[(0, 40)]), landing(7, 3, &[(0, 30)])];
        let known = recorded(4, &[(0, 40), (1, 5)]);
        assert_eq!(offsets_at(8, &last, &known, false), Some(LandedOffsets::from([(0, 30), (1, 5)])));
        // Partition 1 moved after the version, and nothing says from where.
        let moved = [landing(9, 4, &[(1, 40)]), landing(7, 3, &[(0, 30)])];
        assert_eq!(offsets_at(8, &moved, &recorded(4, &[(0, 30), (1, 40)]), false), None);
        // A state store that was lost knows nothing of what came before.
        assert_eq!(offsets_at(8, &last, &recorded(0, &[]), false), None);
        assert_eq!(
            offsets_at(8, &last, &recorded(2, &[(1, 5)]), false),
            Some(LandedOffsets::from([(0, 30), (1, 5)]))
        );
    }

    #[test]
    fn parts_of_another_topic_of_the_same_name_do_not_count() {
        let parts =
            [("clicks/0", r#"{"topic":"a","end":9}"#, 7), ("clicks/1", r#"{"topic":"b","end":9}"#, 8)];
        assert_eq!(offsets("a", parts.into_iter()), LandedOffsets::from([(0, 8)]));
        assert_eq!(offsets("b", parts.into_iter()), LandedOffsets::from([(1, 9)]));
    }

    #[test]
    fn a_landing_that_replaced_everything_begins_anew() {
        let mut all = [landing(9, 3, &[(0, 4)]), landing(7, 2, &[(1, 30)]), landing(5, 1, &[(0, 20)])];
        all[0].full = true;
        assert_eq!(offsets_at(9, &all, &recorded(0, &[]), false), Some(LandedOffsets::from([(0, 4)])));
    }
}
