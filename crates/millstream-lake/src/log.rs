//! The commits of a table's log: what each says, and how they are found and read.

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use millstream_types::{TableName, TimestampMicros};
use object_store::{ObjectStoreExt, path::Path as ObjectPath};

use crate::{
    delta::{Action, Add, CommitInfo, Metadata, Protocol, Remove},
    error::{LakeError, Result},
    listing::{Listing, commit_name},
    storage::Storage,
};

/// The key of commitInfo under which Millstream's own facts of a commit stand.
pub(crate) const INFO_KEY: &str = "millstream";
/// The key of commitInfo that tells one's own commit from another's of the same version.
pub(crate) const COMMIT_ID_KEY: &str = "commitId";
/// How many commits are read at the same time.
const PARALLEL_READS: usize = 16;
/// How many commits are held in memory on the way to a version.
pub(crate) const COMMITS_AT_A_TIME: i64 = 64;

/// What one commit did.
#[derive(Debug, Default)]
pub(crate) struct Commit {
    pub(crate) version: i64,
    pub(crate) info: Option<CommitInfo>,
    pub(crate) protocol: Option<Protocol>,
    pub(crate) metadata: Option<Metadata>,
    pub(crate) adds: Vec<Add>,
    pub(crate) removes: Vec<Remove>,
    pub(crate) txns: Vec<(String, i64)>,
}

impl Commit {
    pub(crate) fn from_actions(version: i64, actions: impl IntoIterator<Item = Action>) -> Self {
        let mut commit = Self { version, ..Self::default() };
        for action in actions {
            match action {
                Action::CommitInfo(info) => commit.info = Some(info),
                Action::Protocol(protocol) => commit.protocol = Some(protocol),
                Action::Metadata(metadata) => commit.metadata = Some(metadata),
                Action::Add(add) => commit.adds.push(add),
                Action::Remove(remove) => commit.removes.push(remove),
                Action::Txn(txn) => commit.txns.push((txn.app_id, txn.version)),
            }
        }
        commit
    }

    pub(crate) fn parse(table: &TableName, version: i64, bytes: &[u8]) -> Result<Self> {
        let actions = Action::parse_all(bytes).map_err(|error| LakeError::Log {
            table: table.clone(),
            version: Some(version),
            source: Box::new(error),
        })?;
        Ok(Self::from_actions(version, actions))
    }

    /// When the commit was made, if it says so.
    pub(crate) fn committed_at(&self) -> Option<TimestampMicros> {
        let info = self.info.as_ref()?;
        info.in_commit_timestamp.or(info.timestamp).map(TimestampMicros::from_ms)
    }

    pub(crate) fn commit_id(&self) -> Option<&str> {
        self.info.as_ref()?.info.get(COMMIT_ID_KEY)?.as_str()
    }

    /// Whether this program, of whatever version, made the commit.
    pub(crate) fn is_of_millstream(&self) -> bool {
        let engine = self.info.as_ref().and_then(|info| info.engine_info.as_deref());
        engine.is_some_and(|engine| engine.starts_with("millstream/"))
    }

    pub(crate) fn changes_table(&self) -> bool {
        self.metadata.is_some() || self.protocol.is_some()
    }

    pub(crate) fn removes_data(&self) -> bool {
        self.removes.iter().any(|remove| remove.data_change)
    }

    pub(crate) fn changes_data(&self) -> bool {
        self.removes_data() || self.adds.iter().any(|add| add.data_change)
    }
}

/// What the store says of a commit's file. It tells the file from another of the same version: a table may be deleted and
/// created again elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitMark {
    size: u64,
    modified: TimestampMicros,
    tag: Option<String>,
}

impl Storage {
    pub(crate) fn commit_path(&self, table: &TableName, version: i64) -> ObjectPath {
        self.log_path(table).join(commit_name(version))
    }

    /// Whether the commit is there; asking takes one stat (local) or one HEAD.
    pub(crate) async fn commit_exists(&self, table: &TableName, version: i64) -> Result<bool> {
        Ok(self.commit_mark(table, version).await?.is_some())
    }

    /// What the store says of a commit's file, `None` when there is no such commit. One stat (local) or one HEAD.
    pub(crate) async fn commit_mark(&self, table: &TableName, version: i64) -> Result<Option<CommitMark>> {
        if let Some(folder) = self.table_folder(table) {
            let path = folder.join(crate::storage::LOG_FOLDER).join(commit_name(version));
            let file = std::fs::metadata(&path).and_then(|file| Ok((file.len(), file.modified()?)));
            return match file {
                Ok((size, modified)) => {
                    let modified = TimestampMicros::from_system(modified);
                    Ok(Some(CommitMark { size, modified, tag: None }))
                }
                Err(error) if absent(&error) => Ok(None),
                Err(error) => Err(LakeError::io("look for", path.display(), error)),
            };
        }
        let path = self.commit_path(table, version);
        match self.store.head(&path).await {
            Ok(file) => {
                let modified = TimestampMicros(file.last_modified.timestamp_micros());
                Ok(Some(CommitMark { size: file.size, modified, tag: file.e_tag }))
            }
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(LakeError::store("look for", path, error)),
        }
    }

    /// When `commit` was made: the time that it says or, where it says none, the time of its file in the store. `None`
    /// when that file is gone.
    pub(crate) async fn commit_time(
        &self,
        table: &TableName,
        commit: &Commit,
    ) -> Result<Option<TimestampMicros>> {
        if let Some(said) = commit.committed_at() {
            return Ok(Some(said));
        }
        Ok(self.commit_mark(table, commit.version).await?.map(|mark| mark.modified))
    }

    /// The bytes of a commit, `None` when there is no such commit.
    pub(crate) async fn commit_bytes(&self, table: &TableName, version: i64) -> Result<Option<Bytes>> {
        if let Some(folder) = self.table_folder(table) {
            let path = folder.join(crate::storage::LOG_FOLDER).join(commit_name(version));
            return match std::fs::read(&path) {
                Ok(bytes) => Ok(Some(bytes.into())),
                Err(error) if absent(&error) => Ok(None),
                Err(error) => Err(LakeError::io("read", path.display(), error)),
            };
        }
        let path = self.commit_path(table, version);
        let read = async { self.store.get(&path).await?.bytes().await };
        match read.await {
            Ok(bytes) => Ok(Some(bytes)),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(LakeError::store("read", path, error)),
        }
    }

    pub(crate) async fn read_commit(&self, table: &TableName, version: i64) -> Result<Option<Commit>> {
        let bytes = self.commit_bytes(table, version).await?;
        bytes.map(|bytes| Commit::parse(table, version, &bytes)).transpose()
    }

    /// The commits `from..=to` in order, `None` when one is absent. What comes after an absent one is not looked for.
    pub(crate) async fn read_commits(
        &self,
        table: &TableName,
        from: i64,
        to: i64,
    ) -> Result<Option<Vec<Commit>>> {
        let mut commits = Vec::new();
        let mut next = from;
        while next <= to {
            let last = to.min(next.saturating_add(COMMITS_AT_A_TIME - 1));
            let Some(more) = self.read_some(table, next, last).await? else { return Ok(None) };
            commits.extend(more);
            next = last + 1;
        }
        Ok(Some(commits))
    }

    /// The commits `from..=to`, of which there are few.
    pub(crate) async fn read_some(
        &self,
        table: &TableName,
        from: i64,
        to: i64,
    ) -> Result<Option<Vec<Commit>>> {
        let read: Vec<Option<Commit>> = futures::stream::iter(from..=to)
            .map(|version| self.read_commit(table, version))
            .buffered(PARALLEL_READS)
            .try_collect()
            .await?;
        Ok(read.into_iter().collect())
    }

    pub(crate) async fn list_log(&self, table: &TableName) -> Result<Listing> {
        let mut listing = Listing::default();
        if let Some(folder) = self.table_folder(table) {
            let folder = folder.join(crate::storage::LOG_FOLDER);
            let failed = |error| LakeError::io("list", folder.display(), error);
            let entries = match std::fs::read_dir(&folder) {
                Ok(entries) => entries,
                Err(error) if absent(&error) => return Ok(listing),
                Err(error) => return Err(failed(error)),
            };
            for entry in entries {
                let entry = entry.map_err(failed)?;
                let name = entry.file_name();
                let Some(name) = name.to_str() else { continue };
                // Only the time of a checkpoint is ever needed.
                let modified = if name.ends_with(".parquet") { modified_ms(&entry) } else { 0 };
                listing.insert(name, modified);
            }
            return Ok(listing);
        }
        let path = self.log_path(table);
        // Folders below the log belong to features that are not supported.
        let listed = self.store.list_with_delimiter(Some(&path)).await;
        for entry in listed.map_err(|error| LakeError::store("list", &path, error))?.objects {
            if let Some(name) = entry.location.filename() {
                listing.insert(name, entry.last_modified.timestamp_millis());
            }
        }
        Ok(listing)
    }
}

fn absent(error: &std::io::Error) -> bool {
    matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory)
}

fn modified_ms(entry: &std::fs::DirEntry) -> i64 {
    let modified = entry.metadata().and_then(|metadata| metadata.modified());
    modified.map_or(0, |time| TimestampMicros::from_system(time).as_ms())
}
