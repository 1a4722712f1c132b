//! What happened to a table between two versions, and the list of its commits.

use std::{collections::HashMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use millstream_types::{TableName, TimestampMicros};
use object_store::ObjectStoreExt;
use serde_json::Value;

use crate::{
    Lake,
    error::{LakeError, Result},
    file::DataFile,
    log::{Commit, INFO_KEY},
    snapshot::{At, Snapshot},
};

/// The net difference of two versions: rows of `added` minus rows of `removed`, as multisets. Files that
/// came and went in between cancel out; compaction does not show.
#[derive(Clone, Debug)]
pub struct Changes {
    pub from: i64,
    pub to: i64,
    pub added: Vec<DataFile>,
    pub removed: Vec<DataFile>,
    pub from_schema: SchemaRef,
    pub to_schema: SchemaRef,
}

impl Changes {
    /// Whether no file was removed, so that the rows of `added` are exactly the new rows.
    #[must_use]
    pub fn only_adds(&self) -> bool {
        self.removed.is_empty()
    }

    /// Whether no row came or went.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.added.is_empty() && self.removed.is_empty()
    }
}

/// One commit of a table's history.
#[derive(Clone, Debug, PartialEq)]
pub struct CommitRecord {
    pub version: i64,
    pub committed_at: TimestampMicros,
    /// The name that Delta tools show: `WRITE`, `MERGE`, `OPTIMIZE`.
    pub operation: String,
    pub files_added: usize,
    pub files_removed: usize,
    pub txns: Vec<(String, i64)>,
    /// What the change carried in [`crate::TableChange::info`]; null for other writers' commits.
    pub info: Value,
}

impl Lake {
    /// What commits in `(from, to]` did to the rows of `table`. [`LakeError::ChangesUnavailable`] when the
    /// log or a file of that time is cleaned away.
    pub fn changes<'a>(&'a self, table: &'a TableName, from: i64, to: i64) -> BoxFuture<'a, Result<Changes>> {
        Box::pin(async move {
            let gone =
                |reason: String| LakeError::ChangesUnavailable { table: table.clone(), from, to, reason };
            if from > to || from < 0 {
                return Err(gone("the versions are not in order".into()));
            }
            let end = match self.snapshot(table, At::Version(to)).await {
                Ok(Some(end)) => end,
                Ok(None) => return Err(gone("there is no such table".into())),
                Err(LakeError::VersionUnavailable { earliest, latest, .. }) => {
                    return Err(gone(format!("the table has versions {earliest} to {latest}")));
                }
                Err(error) => return Err(error),
            };
            let commits = self.storage().read_commits(table, from + 1, to).await?;
            let commits = commits.ok_or_else(|| gone("its commits have been cleaned away".into()))?;
            let start = self.start(table, from, &end, &commits).await?;
            let from_schema = start.as_ref().map_or_else(|| end.schema(), |start| start.schema());
            let net = Net::of(table, commits, start.as_deref())?;
            // Callers read the removed files as well, so these have to exist too.
            let lost = match self.first_lost(table, &net.added, &end).await? {
                None => self.first_lost(table, &net.removed, &end).await?,
                lost => lost,
            };
            if let Some(lost) = lost {
                return Err(gone(format!("the file `{}` has been cleaned away", lost.path())));
            }
            let (added, removed) = (net.added, net.removed);
            Ok(Changes { from, to, added, removed, from_schema, to_schema: end.schema() })
        })
    }

    /// The snapshot at `from`, when it is needed: files were removed, the schema changed, or another writer added files,
    /// which may be files that the table had already. Millstream gives every file a new name.
    async fn start(
        &self,
        table: &TableName,
        from: i64,
        end: &Arc<Snapshot>,
        commits: &[Commit],
    ) -> Result<Option<Arc<Snapshot>>> {
        let needs_start = |commit: &Commit| {
            let may_repeat = !commit.adds.is_empty() && !commit.is_of_millstream();
            commit.metadata.is_some() || !commit.removes.is_empty() || may_repeat
        };
        if !commits.iter().any(needs_start) {
            return Ok(None);
        }
        match self.snapshot(table, At::Version(from)).await {
            Err(LakeError::VersionUnavailable { earliest, latest, .. }) => {
                Err(LakeError::ChangesUnavailable {
                    table: table.clone(),
                    from,
                    to: end.version(),
                    reason: format!("the table has versions {earliest} to {latest}"),
                })
            }
            other => other,
        }
    }

    /// The first of `files` that the store no longer has. Only files that `end` does not list are looked for: they were
    /// compacted or removed since, so that a vacuum may have deleted them.
    async fn first_lost<'a>(
        &self,
        table: &TableName,
        files: &'a [DataFile],
        end: &Snapshot,
    ) -> Result<Option<&'a DataFile>> {
        if !files.is_empty() {
            let listed: std::collections::HashSet<&str> = end.files().iter().map(DataFile::path).collect();
            for file in files.iter().filter(|file| !listed.contains(file.path())) {
                let path = self.storage().file_path(table, file.path());
                match self.storage().store.head(&path).await {
                    Ok(_) => {}
                    Err(object_store::Error::NotFound { .. }) => return Ok(Some(file)),
                    Err(error) => return Err(LakeError::store("look for", path, error)),
                }
            }
        }
        Ok(None)
    }

    async fn record(&self, table: &TableName, version: i64) -> Result<Option<CommitRecord>> {
        let Some(commit) = self.storage().read_commit(table, version).await? else { return Ok(None) };
        let committed_at = self.storage().commit_time(table, &commit).await?.unwrap_or(TimestampMicros(0));
        let mut info = commit.info.unwrap_or_default();
        Ok(Some(CommitRecord {
            version,
            committed_at,
            operation: info.operation.take().unwrap_or_default(),
            files_added: commit.adds.len(),
            files_removed: commit.removes.len(),
            txns: commit.txns,
            info: info.info.remove(INFO_KEY).unwrap_or(Value::Null),
        }))
    }

    /// A text that tells this version from another one under the same number, which there is when the table was deleted
    /// and created again, or put back to an earlier version and written to from there. `None` when the version's commit
    /// is gone from the log.
    pub fn identity<'a>(
        &'a self,
        table: &'a TableName,
        version: i64,
    ) -> BoxFuture<'a, Result<Option<String>>> {
        Box::pin(async move {
            let Some(commit) = self.storage().read_commit(table, version).await? else { return Ok(None) };
            if let Some(id) = commit.commit_id() {
                return Ok(Some(id.to_owned()));
            }
            // A commit without an id is another tool's. Its time and the name of its first file stand in for the id: all
            // tools give files random names.
            let at = commit.committed_at().map_or(0, |at| at.0);
            let file = commit.adds.first().map(|add| add.path.plain()).unwrap_or_default();
            Ok(Some(format!("{at} {file}")))
        })
    }

    /// The commits that the log still holds, newest first.
    pub fn history<'a>(
        &'a self,
        table: &'a TableName,
        limit: Option<usize>,
    ) -> BoxFuture<'a, Result<Vec<CommitRecord>>> {
        Box::pin(async move {
            let listing = self.storage().list_log(table).await?;
            let versions = listing.commits.iter().rev().copied().take(limit.unwrap_or(usize::MAX));
            let records: Vec<Option<CommitRecord>> = futures::stream::iter(versions.collect::<Vec<_>>())
                .map(|version| self.record(table, version))
                .buffered(16)
                .try_collect()
                .await?;
            Ok(records.into_iter().flatten().collect())
        })
    }
}

/// The files that came and that went, without those that did both.
#[derive(Default)]
struct Net {
    added: Vec<DataFile>,
    removed: Vec<DataFile>,
}

impl Net {
    fn of(table: &TableName, commits: Vec<Commit>, start: Option<&Snapshot>) -> Result<Self> {
        let mut net = Self::default();
        // The files that the table has at this point. They give a removed file its statistics, and an add or a remove
        // that says nothing new is known by them and counts for nothing.
        let mut live: HashMap<String, DataFile> = HashMap::new();
        if let Some(start) = start {
            live.extend(start.files().iter().map(|file| (file.path().to_owned(), file.clone())));
        }
        for commit in commits {
            for remove in &commit.removes {
                if let Some(file) = live.remove(remove.path.plain()).filter(|_| remove.data_change) {
                    net.remove(file);
                }
            }
            for add in commit.adds {
                let file = DataFile::from_add(table, add)?;
                if live.insert(file.path().to_owned(), file.clone()).is_none() && file.data_change() {
                    net.added.push(file);
                }
            }
        }
        Ok(net)
    }

    fn remove(&mut self, file: DataFile) {
        match self.added.iter().position(|added| *added == file) {
            Some(index) => drop(self.added.remove(index)),
            None => self.removed.push(file),
        }
    }
}
