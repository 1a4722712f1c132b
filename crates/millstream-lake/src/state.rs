//! What the log says up to one version, taken together but not yet judged.
//!
//! A version on the way to the wanted one may have used a feature, a partition column or a type that is gone again. Only the
//! wanted version has to be understood, so `snapshot.rs` judges at the end.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use millstream_types::{TableName, TimestampMicros};

use crate::{
    delta::{Metadata, Protocol},
    error::{LakeError, Result},
    file::{DataFile, unsupported},
    log::Commit,
};

/// The sum of a log up to `version`.
#[derive(Clone, Debug)]
pub(crate) struct LogState {
    pub(crate) table: TableName,
    pub(crate) version: i64,
    pub(crate) committed_at: TimestampMicros,
    pub(crate) metadata: Arc<Metadata>,
    pub(crate) protocol: Arc<Protocol>,
    pub(crate) files: Vec<DataFile>,
    pub(crate) txns: HashMap<String, i64>,
}

impl LogState {
    /// The state after the first commit, which is version 0.
    pub(crate) fn first(
        table: &TableName,
        mut commit: Commit,
        committed_at: TimestampMicros,
    ) -> Result<Self> {
        let (Some(protocol), Some(metadata)) = (commit.protocol.take(), commit.metadata.take()) else {
            let source = "the first commit has no protocol or no metadata".into();
            return Err(LakeError::Log { table: table.clone(), version: Some(commit.version), source });
        };
        let empty = Self {
            table: table.clone(),
            version: commit.version - 1,
            committed_at,
            metadata: Arc::new(metadata),
            protocol: Arc::new(protocol),
            files: Vec::new(),
            txns: HashMap::new(),
        };
        empty.apply(commit, committed_at)
    }

    /// The state after one more commit. It costs one pass over the list of files where a file leaves it, not a replay of
    /// the log.
    pub(crate) fn apply(mut self, commit: Commit, committed_at: TimestampMicros) -> Result<Self> {
        // A path that is added again takes the place of the one before: the file is the same, and what the log says of it
        // is newer. Files that Millstream wrote have names that never come again.
        let may_replace =
            !commit.removes.is_empty() || (!commit.adds.is_empty() && !commit.is_of_millstream());
        if let Some(protocol) = commit.protocol {
            self.protocol = Arc::new(protocol);
        }
        if let Some(metadata) = commit.metadata {
            self.metadata = Arc::new(metadata);
        }
        // The clocks of writers differ, but the times of versions never fall.
        self.committed_at = self.committed_at.max(committed_at);
        self.version = commit.version;
        if commit.removes.iter().any(|remove| remove.deletion_vector.is_some()) {
            return Err(unsupported(&self.table, "deletion vectors"));
        }
        if may_replace {
            let removed = commit.removes.iter().map(|remove| remove.path.plain());
            let replaced: HashSet<&str> =
                removed.chain(commit.adds.iter().map(|add| add.path.plain())).collect();
            self.files.retain(|file| !replaced.contains(file.path()));
        }
        for add in commit.adds {
            self.files.push(DataFile::from_add(&self.table, add)?);
        }
        self.txns.extend(commit.txns);
        Ok(self)
    }
}
