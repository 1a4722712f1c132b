//! Where a test's store is: a folder, or a part of a Redis server.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use millstream_online::{
    Append, Change, EmbeddedOptions, EntityKey, OnlineError, OnlineStore, RecordKey, StoreOptions, Update,
    Updated, open,
};
use tempfile::TempDir;

pub(crate) type Store = Arc<dyn OnlineStore>;

/// A place that only this test uses.
pub(crate) enum Place {
    Folder(TempDir),
    #[cfg(feature = "redis")]
    Server {
        url: String,
        prefix: String,
    },
}

impl Place {
    pub(crate) fn folder() -> Self {
        Self::Folder(TempDir::new().unwrap())
    }

    /// A part of the server that `cargo xtask test` started; none without one.
    #[cfg(feature = "redis")]
    pub(crate) fn server(test: &str) -> Option<Self> {
        use std::sync::atomic::{AtomicU64, Ordering};
        static PLACES: AtomicU64 = AtomicU64::new(0);
        let url = given("MILLSTREAM_TEST_REDIS", test, "no Redis server")?;
        let place = PLACES.fetch_add(1, Ordering::Relaxed);
        Some(Self::Server { url, prefix: format!("test-{}-{place}", std::process::id()) })
    }

    /// The store, as a process finds it that starts now. The last one has to be dropped before.
    pub(crate) async fn open(&self) -> Store {
        let mut options = StoreOptions::default();
        // Small, so that tests get to see tables, compactions and records that give way to others.
        options.embedded.memtable_bytes = 256 * 1024;
        options.embedded.record_cache_bytes = 64 * 1024;
        match self {
            Self::Folder(folder) => open(&embedded(&folder.path().join("store")), &options).await.unwrap(),
            #[cfg(feature = "redis")]
            Self::Server { url, prefix } => {
                options.redis.prefix.clone_from(prefix);
                open(url, &options).await.unwrap()
            }
        }
    }
}

pub(crate) fn embedded(folder: &Path) -> String {
    format!("embedded:{}", folder.display())
}

pub(crate) async fn open_folder(folder: &Path) -> Result<Store, OnlineError> {
    open(&embedded(folder), &StoreOptions { embedded: EmbeddedOptions::default(), ..StoreOptions::default() })
        .await
}

/// What `cargo xtask test` gives to suites that need a service; a suite without it writes down why it was skipped.
#[cfg(feature = "redis")]
#[allow(clippy::disallowed_methods, reason = "a test is its own edge: it asks the environment")]
pub(crate) fn given(variable: &str, suite: &str, missing: &str) -> Option<String> {
    if let Ok(value) = std::env::var(variable) {
        return Some(value);
    }
    if let Ok(skips) = std::env::var("MILLSTREAM_TEST_SKIPS") {
        use std::io::Write;
        let mut file = fs::OpenOptions::new().create(true).append(true).open(skips).unwrap();
        writeln!(file, "millstream-online: {suite} ({missing})").unwrap();
    }
    None
}

pub(crate) fn entity(name: &str) -> EntityKey {
    EntityKey::new(name.as_bytes().to_vec())
}

pub(crate) fn key(space: u64, name: &str) -> RecordKey {
    RecordKey { space, entity: entity(name) }
}

/// The records as text, `-` for none.
pub(crate) async fn texts(store: &Store, keys: &[(u64, &str)]) -> Vec<String> {
    let keys: Vec<_> = keys.iter().map(|(space, name)| key(*space, name)).collect();
    let records = store.read(&keys).await.unwrap();
    records.into_iter().map(|record| record.map_or("-".into(), |record| text(&record))).collect()
}

pub(crate) fn text(bytes: &Bytes) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// An update that stores these texts, durably.
pub(crate) async fn put(store: &Store, space: u64, records: &[(&str, &str)]) {
    let entities: Vec<_> = records.iter().map(|(name, _)| entity(name)).collect();
    let mut change = |index: usize, _: Option<&[u8]>| Ok(Change::Put(records[index].1.as_bytes().to_vec()));
    let update =
        Update { space, entities: &entities, change: &mut change, marks: &[], append: None, durable: true };
    store.update(update).await.unwrap();
}

/// Adds one to the number that each record holds.
pub(crate) async fn add_one(
    store: &Store,
    space: u64,
    entities: &[EntityKey],
    marks: &[(&str, &[u8])],
    append: Option<Append<'_>>,
    durable: bool,
) -> Result<Updated, OnlineError> {
    let mut change =
        |_: usize, record: Option<&[u8]>| Ok(Change::Put((count(record) + 1).to_be_bytes().to_vec()));
    store.update(Update { space, entities, change: &mut change, marks, append, durable }).await
}

/// The number that a record holds.
pub(crate) fn count(record: Option<&[u8]>) -> u64 {
    record.map_or(0, |record| u64::from_be_bytes(record.try_into().unwrap()))
}

pub(crate) async fn counts(store: &Store, space: u64, entities: &[EntityKey]) -> Vec<u64> {
    let keys: Vec<_> = entities.iter().map(|entity| RecordKey { space, entity: entity.clone() }).collect();
    store.read(&keys).await.unwrap().iter().map(|record| count(record.as_deref())).collect()
}

/// Bytes of all files below a folder. An open store removes files meanwhile, and these count as nothing.
pub(crate) fn disk_bytes(folder: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(folder) else { return 0 };
    let bytes = |path: PathBuf| match fs::metadata(&path) {
        Ok(found) if found.is_dir() => disk_bytes(&path),
        found => found.map_or(0, |found| found.len()),
    };
    entries.filter_map(|entry| Some(bytes(entry.ok()?.path()))).sum()
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { files.extend(self::files(&path)) } else { files.push(path) }
    }
    files.sort();
    files
}
