//! The one commit path of the product.
//!
//! A commit is one file that is put only if its version is absent. Every error is answered by reading the
//! log: the commit's id and its txns say whether it landed.

use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_types::TableName;
use object_store::{PutMode, PutOptions};

use crate::{
    Lake,
    change::TableChange,
    draft::{Draft, held, validate},
    durable,
    error::{LakeError, Result},
    listing::commit_name,
    log::Commit,
    snapshot::{At, Snapshot},
    state::LogState,
    storage::LOG_FOLDER,
};

/// How many commits of others an append may step over before it is planned again.
const STEPS_MAX: usize = 64;
/// How often the log is looked at again when a commit got no answer and the log cannot be read.
const LOOKS_MAX: u32 = 4;

impl Lake {
    /// Makes `change` the next version of `table` and returns that version. `base` is the snapshot the
    /// change was computed from; `None` creates the table. On return the commit and all it names are
    /// durable.
    ///
    /// An append steps over commits of others that took nothing away, did not touch the schema and carry
    /// none of its txns' applications; any other meeting is [`LakeError::Conflict`].
    /// A change whose txn the log holds already is [`LakeError::AlreadyCommitted`].
    pub fn commit<'a>(
        &'a self,
        table: &'a TableName,
        base: Option<&'a Snapshot>,
        change: TableChange,
    ) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            let files = change.add.clone();
            // Whoever waits for the commit may be told to end, and the put goes on without: from here on nobody may delete
            // what a commit names, or may name.
            self.forget_staged(&files);
            let committed = self.commit_change(table, base, change).await;
            let is_local = self.storage().local.is_some();
            if committed.as_ref().err().is_some_and(|error| !error.may_be_committed(is_local)) {
                self.remember_staged(&files);
            }
            committed
        })
    }

    fn commit_change<'a>(
        &'a self,
        table: &'a TableName,
        base: Option<&'a Snapshot>,
        change: TableChange,
    ) -> BoxFuture<'a, Result<i64>> {
        Box::pin(async move {
            let lock = self.commit_lock(table);
            let _turn = lock.lock().await;
            if let Some(base) = base {
                validate(table, base, &change)?;
            }
            let mut draft = Draft::new(table, base, change)?;
            self.prepare_folders(table, base.is_none()).await?;
            let base_version = base.map(Snapshot::version);
            self.check_base(table, base_version).await?;
            let mut version = base_version.map_or(0, |version| version + 1);
            for _ in 0..STEPS_MAX {
                match self.put_commit(table, version, &draft).await? {
                    Put::Done => {
                        self.advance(table, base, version, draft);
                        return Ok(version);
                    }
                    Put::Taken(winner) => {
                        draft.step_over(table, base_version, &winner)?;
                        draft.retime(table, winner.committed_at())?;
                        version += 1;
                    }
                }
            }
            Err(LakeError::Conflict { table: table.clone(), base: base_version, found: version })
        })
    }

    /// Makes the table's folder durable, so that the names of new data files are on disk before a commit names them.
    async fn prepare_folders(&self, table: &TableName, create: bool) -> Result<()> {
        let Some(folder) = self.storage().table_folder(table) else { return Ok(()) };
        let shown = folder.display().to_string();
        blocking(shown, "prepare", move || {
            if create {
                durable::create_folders(&folder.join(LOG_FOLDER))?;
            }
            durable::sync_folder(&folder)
        })
        .await
    }

    async fn put_commit(&self, table: &TableName, version: i64, draft: &Draft) -> Result<Put> {
        match self.put_once(table, version, &draft.bytes).await {
            Ok(true) => Ok(Put::Done),
            Ok(false) => match self.storage().read_commit(table, version).await? {
                Some(winner) if draft.is(&winner) => Ok(Put::Done),
                Some(winner) => Ok(Put::Taken(Box::new(winner))),
                // The version was taken and its commit is gone again: the log was cleaned far beyond the base.
                None => Err(self.moved(table, version).await?),
            },
            Err(error) => self.settle(table, version, draft, error).await,
        }
    }

    /// Puts the commit if its version is free; `Ok(false)` when the version is taken.
    async fn put_once(&self, table: &TableName, version: i64, bytes: &Bytes) -> Result<bool> {
        if let Some(folder) = self.storage().table_folder(table) {
            let folder = folder.join(LOG_FOLDER);
            let name = commit_name(version);
            let shown = folder.join(&name).display().to_string();
            let bytes = bytes.clone();
            return blocking(shown, "commit", move || {
                let token = uuid::Uuid::now_v7().to_string();
                match durable::write_new(&folder, &name, &bytes, &token) {
                    Ok(()) => Ok(true),
                    Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => Ok(false),
                    Err(error) => Err(error),
                }
            })
            .await;
        }
        let path = self.storage().commit_path(table, version);
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.storage().store.put_opts(&path, bytes.clone().into(), options).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
                Ok(false)
            }
            Err(error) => Err(LakeError::store("commit", path, error)),
        }
    }

    /// Finds out from the log whether a commit landed whose put ended in `error`: nothing else can tell.
    async fn settle(&self, table: &TableName, version: i64, draft: &Draft, error: LakeError) -> Result<Put> {
        let mut looks = 0;
        let found = loop {
            match self.storage().read_commit(table, version).await {
                Ok(found) => break found,
                Err(_) if looks < LOOKS_MAX => {
                    looks += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(25 << looks)).await;
                }
                Err(_) => {
                    let source = Box::new(error);
                    return Err(LakeError::CommitUnknown { table: table.clone(), version, source });
                }
            }
        };
        match found {
            Some(commit) if draft.is(&commit) => {
                self.prepare_log(table).await?;
                Ok(Put::Done)
            }
            Some(winner) => Ok(Put::Taken(Box::new(winner))),
            None => Err(error),
        }
    }

    /// Refuses a base that the log does not hold any more. Where maintenance on another machine has deleted the commit
    /// after the base, that commit's number is free again, and nobody would ever read what is put under it. Clean-up
    /// deletes the oldest commits first, so a base whose commit is there has all that follows it. The check comes before
    /// the commit is put, when a failure does no harm.
    async fn check_base(&self, table: &TableName, base: Option<i64>) -> Result<()> {
        if let Some(base) = base
            && self.storage().commit_exists(table, base).await?
        {
            return Ok(());
        }
        let listing = self.storage().list_log(table).await?;
        let latest = listing.latest();
        let is_held = match base {
            // A version may be held by its checkpoint alone.
            Some(base) => {
                listing.checkpoints.contains_key(&base)
                    && listing.gap(base + 1, latest.unwrap_or(base)).is_none()
            }
            None => latest.is_none() || listing.commits.contains(&0),
        };
        if is_held {
            return Ok(());
        }
        self.forget(table);
        Err(LakeError::Conflict { table: table.clone(), base, found: latest.unwrap_or(0) })
    }

    /// Makes the names in the log durable: a commit that landed although its write failed may still lack the sync of its
    /// name.
    async fn prepare_log(&self, table: &TableName) -> Result<()> {
        let Some(folder) = self.storage().table_folder(table) else { return Ok(()) };
        let folder = folder.join(LOG_FOLDER);
        blocking(folder.display().to_string(), "sync", move || durable::sync_folder(&folder)).await
    }

    async fn moved(&self, table: &TableName, version: i64) -> Result<LakeError> {
        let found = self.probe(table, None).await?.unwrap_or(version);
        Ok(LakeError::Conflict { table: table.clone(), base: Some(version - 1), found })
    }

    /// Brings the cache forward by this process's own commit, without reading it.
    fn advance(&self, table: &TableName, base: Option<&Snapshot>, version: i64, draft: Draft) {
        let commit = Commit::from_actions(version, draft.actions);
        let time = commit.committed_at().unwrap_or(draft.time);
        let next = match base {
            None => LogState::first(table, commit, time),
            Some(base) if base.version() + 1 == version => base.state().clone().apply(commit, time),
            // Commits of others lie in between; the next read brings the cache forward.
            Some(_) => return,
        };
        match next.and_then(|state| Snapshot::of(state, base)) {
            Ok(snapshot) => drop(self.remember(snapshot)),
            Err(_) => self.forget(table),
        }
    }

    /// Whether `table` exists and holds the txns; a caller asks this after an unknown outcome.
    pub fn holds<'a>(
        &'a self,
        table: &'a TableName,
        txns: &'a [(String, i64)],
    ) -> BoxFuture<'a, Result<bool>> {
        Box::pin(async move {
            let snapshot = self.snapshot(table, At::Latest).await?;
            Ok(snapshot.is_some_and(|snapshot| held(&snapshot, txns)))
        })
    }
}

enum Put {
    Done,
    Taken(Box<Commit>),
}

pub(crate) async fn blocking<T: Send + 'static>(
    path: String,
    action: &'static str,
    work: impl FnOnce() -> std::io::Result<T> + Send + 'static,
) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| LakeError::io(action, path, error)),
        Err(error) => Err(LakeError::io(action, path, std::io::Error::other(error))),
    }
}
