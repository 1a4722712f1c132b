//! Which files a table's log has: their names, the versions they stand for, and where a version can be built from.

use std::collections::{BTreeMap, BTreeSet};

use millstream_types::TableName;

use crate::error::{LakeError, Result};

pub(crate) fn commit_name(version: i64) -> String {
    format!("{version:020}.json")
}

/// Which versions the log holds, as commits and as checkpoints.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    pub(crate) commits: BTreeSet<i64>,
    /// The complete checkpoints, by version.
    pub(crate) checkpoints: BTreeMap<i64, CheckpointFiles>,
    /// The parts that are there of each checkpoint in several files, by version and by how many parts it has.
    parts: BTreeMap<(i64, u64), BTreeSet<u64>>,
}

/// The files of one checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CheckpointFiles {
    /// When the checkpoint was written, in milliseconds since 1970.
    pub(crate) modified_ms: i64,
    /// How many files a checkpoint in several files has; `None` for one in a single file.
    parts: Option<u64>,
}

impl CheckpointFiles {
    /// The names of the files of the checkpoint of `version`.
    pub(crate) fn names(self, version: i64) -> Vec<String> {
        match self.parts {
            None => vec![checkpoint_name(version)],
            Some(of) => {
                (1..=of).map(|part| format!("{version:020}.checkpoint.{part:010}.{of:010}.parquet")).collect()
            }
        }
    }
}

pub(crate) fn checkpoint_name(version: i64) -> String {
    format!("{version:020}.checkpoint.parquet")
}

impl Listing {
    pub(crate) fn insert(&mut self, name: &str, modified_ms: i64) {
        let Some((version, rest)) = name.split_once('.') else { return };
        let Some(version) = version_of(version) else { return };
        if rest == "json" {
            self.commits.insert(version);
        } else if rest == "checkpoint.parquet" {
            self.checkpoints.insert(version, CheckpointFiles { modified_ms, parts: None });
        } else if let Some((part, of)) = part_of(rest) {
            let present = self.parts.entry((version, of)).or_default();
            present.insert(part);
            if present.len() as u64 == of {
                let parts = CheckpointFiles { modified_ms, parts: Some(of) };
                self.checkpoints.entry(version).or_insert(parts);
            }
        }
    }

    pub(crate) fn latest(&self) -> Option<i64> {
        let commit = self.commits.last().copied();
        commit.max(self.checkpoints.keys().next_back().copied())
    }

    /// The oldest version that can be rebuilt: 0, or the oldest checkpoint after the log was cleaned.
    pub(crate) fn earliest(&self) -> Option<i64> {
        if self.commits.contains(&0) { Some(0) } else { self.checkpoints.keys().next().copied() }
    }

    /// The first version in `from..=to` whose commit is not there.
    pub(crate) fn gap(&self, from: i64, to: i64) -> Option<i64> {
        if from > to {
            return None;
        }
        let present = self.commits.range(from..=to);
        let next = present.zip(from..).take_while(|(version, next)| *version == next).last();
        let next = next.map_or(from, |(version, _)| version + 1);
        (next <= to).then_some(next)
    }

    /// Where to start towards `version` when the checkpoint of `damaged` failed with `error`: below that checkpoint, as
    /// long as all commits from there on are still there. A checkpoint only repeats what they say.
    pub(crate) fn start_before_damage(
        &self,
        table: &TableName,
        damaged: i64,
        version: i64,
        error: LakeError,
    ) -> Result<i64> {
        let below = damaged - 1;
        let next = self.checkpoint_at_or_before(below).map_or(0, |(checkpoint, _)| checkpoint + 1);
        if self.gap(next, version).is_some() {
            return Err(error);
        }
        tracing::warn!(%table, checkpoint = damaged, %error, "a checkpoint cannot be read, the commits before it are");
        Ok(below)
    }

    pub(crate) fn checkpoint_at_or_before(&self, version: i64) -> Option<(i64, CheckpointFiles)> {
        self.checkpoints.range(..=version).next_back().map(|(version, files)| (*version, *files))
    }
}

/// The version that the first word of a file's name stands for. The largest number of all could have no version after it,
/// and is none itself.
fn version_of(word: &str) -> Option<i64> {
    let is_plain = word.len() == 20 && word.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| word.parse().ok()).flatten().filter(|version| *version < i64::MAX)
}

/// The part and the number of parts in a file's name: `checkpoint.0000000001.0000000003.parquet` says 1 of 3.
fn part_of(rest: &str) -> Option<(u64, u64)> {
    let mut words = rest.strip_prefix("checkpoint.")?.strip_suffix(".parquet")?.split('.');
    let (part, of) = (words.next()?, words.next()?);
    let number = |word: &str| (word.len() == 10).then(|| word.parse::<u64>().ok()).flatten();
    let (part, of) = (number(part)?, number(of)?);
    (words.next().is_none() && (1..=of).contains(&part)).then_some((part, of))
}
