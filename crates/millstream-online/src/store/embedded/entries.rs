//! Entries of a key and a value in spaces with names: the state of somebody who keeps it beside a position. One process has it open.
//!
//! It is another folder than the online store's, since what lies in it follows the lake: it may be removed as a whole, and is made again from
//! there.

use std::{
    collections::BTreeMap,
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};
use futures::future::BoxFuture;

use super::{fault::Faults, owner};
use crate::error::{Fault, OnlineError, Result};

/// The memory for blocks that were read, in bytes: entries are read once, when a space is taken up.
const CACHE_BYTES: u64 = 16 * 1024 * 1024;

/// The memory for one space's changes that are in the journal only, in bytes.
const MEMTABLE_BYTES: u64 = 16 * 1024 * 1024;

/// The journal's size beyond which spaces with old changes are written out, in bytes.
const JOURNAL_BYTES: u64 = 256 * 1024 * 1024;

/// The space with what is known of the store itself; it is none that callers can name.
const FACTS: &str = "_facts";
const FORMAT_FACT: &[u8] = b"format";
const FORMAT: u8 = 1;

/// A key with its new value, or without one if the entry is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryChange {
    pub key: Vec<u8>,
    pub value: Option<Vec<u8>>,
}

/// Whether a change survives a loss of power when it is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    Synced,
    /// It survives the end of the process, and is synced with the next change that is.
    Written,
}

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries of a key and a value, in spaces with names, each of which is changed atomically. Cloning shares it.
#[derive(Clone)]
pub struct EntryStore {
    inner: Arc<Inner>,
}

struct Inner {
    spaces: Mutex<BTreeMap<String, Keyspace>>,
    database: Database,
    faults: Faults,
}

impl fmt::Debug for EntryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EntryStore").field("location", &self.inner.faults.location).finish_non_exhaustive()
    }
}

impl EntryStore {
    /// Opens the store in an absolute folder, which is made if it is missing.
    ///
    /// # Errors
    ///
    /// Another process has it open, it is damaged, or of another format.
    pub fn open(folder: PathBuf) -> BoxFuture<'static, Result<Self>> {
        Box::pin(async move {
            let faults = Faults { location: folder.display().to_string(), folder: folder.clone() };
            let opening = faults.clone();
            let opened = tokio::task::spawn_blocking(move || open(folder, opening)).await;
            // The library panics on some damaged files; that is no reason for the process to end.
            opened.unwrap_or_else(|error| Err(faults.damaged("it cannot be opened", Some(Box::new(error)))))
        })
    }

    /// All entries of a space whose keys begin with `prefix`, in the order of their keys; none of a space that is not there.
    pub fn entries<'a>(&'a self, space: &'a str, prefix: &'a [u8]) -> BoxFuture<'a, Result<Vec<Entry>>> {
        let (space, prefix) = (space.to_owned(), prefix.to_vec());
        self.blocking("be read", move |inner| {
            let Some(entries) = inner.find(&space)? else { return Ok(Vec::new()) };
            let entries = entries.prefix(prefix).map(|entry| {
                let (key, value) = entry.into_inner().map_err(|error| inner.faults.of("be read", error))?;
                Ok((key.to_vec(), value.to_vec()))
            });
            entries.collect()
        })
    }

    /// The value of a key.
    pub fn get<'a>(&'a self, space: &'a str, key: &'a [u8]) -> BoxFuture<'a, Result<Option<Vec<u8>>>> {
        let (space, key) = (space.to_owned(), key.to_vec());
        self.blocking("be read", move |inner| {
            let Some(entries) = inner.find(&space)? else { return Ok(None) };
            let value = entries.get(key).map_err(|error| inner.faults.of("be read", error))?;
            Ok(value.map(|value| value.to_vec()))
        })
    }

    /// Changes entries of a space, all of them or none. Each key is named at most once.
    pub fn change<'a>(
        &'a self,
        space: &'a str,
        changes: Vec<EntryChange>,
        durability: Durability,
    ) -> BoxFuture<'a, Result<()>> {
        const ACTION: &str = "store entries";
        let space = space.to_owned();
        self.blocking(ACTION, move |inner| {
            let fault = |error| inner.faults.of(ACTION, error);
            let entries = inner.find_or_make(&space)?;
            let durability = match durability {
                Durability::Synced => PersistMode::SyncData,
                Durability::Written => PersistMode::Buffer,
            };
            let mut batch = inner.database.batch().durability(Some(durability));
            for EntryChange { key, value } in changes {
                match value {
                    Some(value) => batch.insert(&entries, key, value),
                    None => batch.remove(&entries, key),
                }
            }
            batch.commit().map_err(fault)
        })
    }

    /// About how many entries a space has.
    pub fn approximate_len<'a>(&'a self, space: &'a str) -> BoxFuture<'a, Result<u64>> {
        let space = space.to_owned();
        self.blocking("be read", move |inner| {
            let entries = inner.find(&space)?;
            Ok(entries.map_or(0, |entries| entries.approximate_len() as u64))
        })
    }

    /// Removes a space with its entries and frees their room.
    pub fn remove<'a>(&'a self, space: &'a str) -> BoxFuture<'a, Result<()>> {
        let space = space.to_owned();
        self.blocking("remove a space", move |inner| {
            let found = inner.find(&space)?;
            inner.spaces.lock().unwrap_or_else(PoisonError::into_inner).remove(&space);
            match found {
                Some(entries) => inner
                    .database
                    .delete_keyspace(entries)
                    .map_err(|error| inner.faults.of("remove a space", error)),
                None => Ok(()),
            }
        })
    }

    /// The names of the spaces.
    #[must_use]
    pub fn spaces(&self) -> Vec<String> {
        let names = self.inner.database.list_keyspace_names();
        let mut names: Vec<String> =
            names.iter().filter(|name| &***name != FACTS).map(|name| name.to_string()).collect();
        names.sort();
        names
    }

    fn blocking<T: Send + 'static>(
        &self,
        action: &'static str,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> BoxFuture<'static, Result<T>> {
        let inner = Arc::clone(&self.inner);
        Box::pin(async move {
            let ended =
                |error| OnlineError::Storage { action, fault: Fault::Other, source: Box::new(error) };
            let work = tokio::task::spawn_blocking(move || work(&inner));
            work.await.unwrap_or_else(|error| Err(ended(error)))
        })
    }
}

impl Inner {
    /// A space that is there.
    fn find(&self, space: &str) -> Result<Option<Keyspace>> {
        let known = self.spaces.lock().unwrap_or_else(PoisonError::into_inner).get(space).cloned();
        if known.is_none() && self.database.keyspace_exists(space) {
            return self.find_or_make(space).map(Some);
        }
        Ok(known)
    }

    /// A space, which begins with this call if it is new.
    fn find_or_make(&self, space: &str) -> Result<Keyspace> {
        let mut spaces = self.spaces.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = spaces.get(space) {
            return Ok(known.clone());
        }
        if space.is_empty() || space == FACTS || space.len() > 255 {
            let reason = format!("`{space}` is no name of a space");
            return Err(OnlineError::Request { reason });
        }
        let made = self.database.keyspace(space, options);
        let made = made.map_err(|error| self.faults.of("begin a space", error))?;
        spaces.insert(space.to_owned(), made.clone());
        Ok(made)
    }
}

fn options() -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(MEMTABLE_BYTES).manual_journal_persist(true)
}

fn open(folder: PathBuf, faults: Faults) -> Result<EntryStore> {
    let fault = |error| faults.of("be opened", error);
    let database = Database::builder(&folder)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES)
        .manual_journal_persist(true)
        .open()
        .map_err(fault)?;
    owner::note(&folder);
    let names = database.list_keyspace_names();
    let facts = database.keyspace(FACTS, options).map_err(fault)?;
    match facts.get(FORMAT_FACT).map_err(fault)? {
        Some(found) if *found == [FORMAT] => {}
        Some(found) => {
            return Err(OnlineError::Format {
                location: faults.location.clone(),
                found: found.escape_ascii().to_string(),
                readable: FORMAT,
            });
        }
        None if names.iter().any(|name| &**name != FACTS) => {
            return Err(faults.damaged("the facts about it are missing", None));
        }
        None => {
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(&facts, FORMAT_FACT, [FORMAT]);
            batch.commit().map_err(fault)?;
        }
    }
    let spaces = Mutex::default();
    Ok(EntryStore { inner: Arc::new(Inner { spaces, database, faults }) })
}
