//! The lake itself: a root, a cache of newest snapshots, a lock per table for this process's commits.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use arrow::datatypes::SchemaRef;
use datafusion::execution::runtime_env::RuntimeEnv;
use futures::{StreamExt, TryStreamExt, future::BoxFuture};
use millstream_types::TableName;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::{
    error::{LakeError, Result},
    file::StagedFile,
    log::CommitMark,
    snapshot::Snapshot,
    storage::{LOG_FOLDER, Storage},
    writer::{TableWriter, WriteOptions},
};

/// How many tables' newest snapshots are kept.
const CACHED_TABLES: usize = 1024;

/// The Delta tables under one root. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Lake {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Storage,
    newest: Mutex<HashMap<TableName, Known>>,
    commits: Mutex<HashMap<TableName, Arc<tokio::sync::Mutex<()>>>>,
    /// The paths of files that this process finished writing and has neither committed nor discarded yet.
    staged: Mutex<HashMap<TableName, HashSet<String>>>,
}

/// The newest snapshot of a table as far as this process knows.
struct Known {
    snapshot: Arc<Snapshot>,
    /// What the store said of the commit's file when it was first looked at again; `None` until then.
    mark: Option<CommitMark>,
}

impl fmt::Debug for Lake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Lake").field(&self.inner.storage).finish()
    }
}

impl Lake {
    /// Opens the lake at an absolute folder or at `s3://`, `gs://`, `az://`. `storage` holds the store's
    /// options (`aws_endpoint`, `aws_access_key_id`, …); what it lacks is taken from the process
    /// environment. Touches neither disk nor network.
    pub fn open(location: &str, storage: &BTreeMap<String, String>) -> Result<Self> {
        Storage::open(location, storage).map(Self::new)
    }

    /// A lake on any store, its root being the path of `url`; for stores that the address cannot name.
    pub fn with_store(url: &str, store: Arc<dyn ObjectStore>) -> Result<Self> {
        Storage::with_store(url, store).map(Self::new)
    }

    /// A lake of one table, which lies in the absolute folder itself, whatever its name.
    pub(crate) fn of_table(folder: &std::path::Path) -> Result<Self> {
        Storage::of_table(folder).map(Self::new)
    }

    fn new(storage: Storage) -> Self {
        let (newest, commits, staged) = Default::default();
        Self { inner: Arc::new(Inner { storage, newest, commits, staged }) }
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.inner.storage
    }

    /// Makes the lake's store known to whoever executes plans, so that a [`crate::LakeTable`] can be scanned there.
    pub fn register(&self, environment: &RuntimeEnv) -> Result<()> {
        self.storage().register(environment)
    }

    /// Writes rows of `schema` into new files of `table`, which need not exist yet.
    #[must_use]
    pub fn writer(&self, table: &TableName, schema: SchemaRef, options: WriteOptions) -> TableWriter {
        TableWriter::new(self.clone(), table.clone(), &schema, options)
    }

    /// Deletes files that will not be committed. What cannot be deleted is left for `maintain`.
    pub fn discard<'a>(&'a self, files: Vec<StagedFile>) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            self.forget_staged(&files);
            for staged in files {
                self.delete_staged(staged.0.table(), staged.0.path()).await;
            }
        })
    }

    /// Deletes the files that this process wrote for `table` and that nobody committed or discarded, after work on the
    /// table has failed. Nobody else may be writing to it.
    pub fn abandon<'a>(&'a self, table: &'a TableName) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            let left = held(&self.inner.staged).remove(table).unwrap_or_default();
            for path in left {
                self.delete_staged(table, &path).await;
            }
        })
    }

    async fn delete_staged(&self, table: &TableName, path: &str) {
        let path = self.storage().table_path(table).join(path);
        match self.storage().store.delete(&path).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => {}
            Err(error) => {
                tracing::warn!(%path, %error, "a discarded file stays until the next maintenance");
            }
        }
    }

    pub(crate) fn remember_staged(&self, files: &[StagedFile]) {
        let mut staged = held(&self.inner.staged);
        for file in files {
            staged.entry(file.0.table().clone()).or_default().insert(file.0.path().to_owned());
        }
    }

    pub(crate) fn forget_staged(&self, files: &[StagedFile]) {
        let mut staged = held(&self.inner.staged);
        for file in files {
            let of_table = staged.get_mut(file.0.table());
            let is_last = of_table.is_some_and(|paths| paths.remove(file.0.path()) && paths.is_empty());
            if is_last {
                staged.remove(file.0.table());
            }
        }
    }

    /// All tables of the lake, sorted.
    pub fn tables<'a>(&'a self) -> BoxFuture<'a, Result<Vec<TableName>>> {
        Box::pin(async move {
            let mut tables = match &self.storage().local {
                Some(root) => local_tables(root)?,
                None => self.remote_tables().await?,
            };
            tables.sort();
            Ok(tables)
        })
    }

    async fn remote_tables(&self) -> Result<Vec<TableName>> {
        let root = self.storage().root().clone();
        let mut tables = Vec::new();
        for schema in self.folders(root).await? {
            let folders = self.folders(schema.clone()).await?;
            let found: Vec<Option<TableName>> = futures::stream::iter(folders)
                .map(|folder| async move {
                    let name = folder_name(&folder);
                    let inside = self.folders(folder).await?;
                    let is_table = inside.iter().any(|inner| inner.filename() == Some(LOG_FOLDER));
                    Ok::<_, LakeError>(name.filter(|_| is_table))
                })
                .buffered(16)
                .try_collect()
                .await?;
            tables.extend(found.into_iter().flatten());
        }
        Ok(tables)
    }

    async fn folders(&self, path: object_store::path::Path) -> Result<Vec<object_store::path::Path>> {
        let listed = self.storage().store.list_with_delimiter(Some(&path)).await;
        Ok(listed.map_err(|error| LakeError::store("list", &path, error))?.common_prefixes)
    }

    pub(crate) fn cached(&self, table: &TableName) -> Option<Arc<Snapshot>> {
        held(&self.inner.newest).get(table).map(|known| known.snapshot.clone())
    }

    /// Whether `mark` is of the very commit that `snapshot` came from. The first mark that is seen is believed.
    pub(crate) fn recognises(&self, snapshot: &Arc<Snapshot>, mark: &CommitMark) -> bool {
        let mut newest = held(&self.inner.newest);
        let known = newest.get_mut(snapshot.table());
        known
            .filter(|known| Arc::ptr_eq(&known.snapshot, snapshot))
            .is_none_or(|known| known.mark.get_or_insert_with(|| mark.clone()) == mark)
    }

    /// Keeps `snapshot` unless a newer one is kept already.
    pub(crate) fn remember(&self, snapshot: Snapshot) -> Arc<Snapshot> {
        let snapshot = Arc::new(snapshot);
        let mut newest = held(&self.inner.newest);
        let known = newest.get(snapshot.table()).map(|known| known.snapshot.version());
        if known.is_none_or(|known| known < snapshot.version()) {
            if known.is_none() && newest.len() >= CACHED_TABLES {
                // Any table will do: reading one again costs little and lakes this large are rare.
                if let Some(victim) = newest.keys().next().cloned() {
                    newest.remove(&victim);
                }
            }
            let known = Known { snapshot: snapshot.clone(), mark: None };
            newest.insert(snapshot.table().clone(), known);
        }
        snapshot
    }

    pub(crate) fn forget(&self, table: &TableName) {
        held(&self.inner.newest).remove(table);
    }

    /// The lock that lets commits to one table follow each other inside this process; between processes the store
    /// decides.
    pub(crate) fn commit_lock(&self, table: &TableName) -> Arc<tokio::sync::Mutex<()>> {
        held(&self.inner.commits).entry(table.clone()).or_default().clone()
    }
}

/// Locks one of the maps, which are valid between any two operations, so that a panic elsewhere does not spoil them.
fn held<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn folder_name(folder: &object_store::path::Path) -> Option<TableName> {
    let parts: Vec<_> = folder.parts().collect();
    let [.., schema, name] = parts.as_slice() else { return None };
    TableName::new(schema.as_ref(), name.as_ref()).ok()
}

fn local_tables(root: &std::path::Path) -> Result<Vec<TableName>> {
    let mut tables = Vec::new();
    for schema in local_folders(root)? {
        for name in local_folders(&root.join(&schema))? {
            if root.join(&schema).join(&name).join(LOG_FOLDER).is_dir() {
                tables.extend(TableName::new(&schema, &name).ok());
            }
        }
    }
    Ok(tables)
}

fn local_folders(path: &std::path::Path) -> Result<Vec<String>> {
    let failed = |error| LakeError::io("list", path.display(), error);
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}
