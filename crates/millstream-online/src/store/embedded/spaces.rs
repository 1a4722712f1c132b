//! The keyspaces of an open store: one for each space's records, so that dropping a space frees its files, and three
//! for everything else.

use std::{
    collections::BTreeMap,
    fmt, io,
    ops::Deref,
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError, RwLock},
};

use fjall::{Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{
    fault::Faults,
    layout::{self, FACTS, FORMAT, FORMAT_FACT, LOGS, MARKS},
    owner,
    record_cache::RecordCache,
    unfinished,
};
use crate::{
    error::{OnlineError, Result},
    store::EmbeddedOptions,
};

/// The size in bytes of the memtable of a keyspace with few and small values.
const SMALL_MEMTABLE_BYTES: u64 = 4 * 1024 * 1024;

pub(super) struct Spaces {
    pub(super) database: Database,
    pub(super) marks: Keyspace,
    pub(super) logs: Keyspace,
    pub(super) facts: Keyspace,
    pub(super) faults: Faults,
    pub(super) cache: RecordCache,
    records: RwLock<BTreeMap<u64, Keyspace>>,
    /// Held while a keyspace is made, so that two callers do not make the same.
    making: Mutex<()>,
    memtable_bytes: u64,
}

impl fmt::Debug for Spaces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Spaces").field("location", &self.faults.location).finish_non_exhaustive()
    }
}

impl Spaces {
    /// Opens or makes the store and ends what a crash left half dropped. Blocks on the disk.
    pub(super) fn open(folder: &Path, options: &EmbeddedOptions, faults: Faults) -> Result<Self> {
        let fault = |error| faults.of("be opened", error);
        unfinished::remove(folder, &faults)?;
        check_files(folder, &faults)?;
        let database = Database::builder(folder)
            .cache_size(options.cache_bytes)
            .max_journaling_size(options.journal_bytes.max(64 * 1024 * 1024))
            .manual_journal_persist(true)
            .open()
            .map_err(fault)?;
        owner::note(folder);
        let names = database.list_keyspace_names();
        if !names.is_empty() && !names.iter().any(|name| &**name == FACTS) {
            return Err(faults.damaged("the folder holds a database of something else", None));
        }
        let has_more = names.iter().any(|name| &**name != FACTS);
        let small = || keyspace_options(SMALL_MEMTABLE_BYTES.min(options.memtable_bytes));
        let facts = database.keyspace(FACTS, small).map_err(fault)?;
        check_format(&database, &facts, has_more, &faults)?;
        check_keyspaces(&facts, &names, &faults)?;
        let marks = database.keyspace(MARKS, small).map_err(fault)?;
        let logs = database.keyspace(LOGS, small).map_err(fault)?;
        let mut records = BTreeMap::new();
        for name in &names {
            if let Some(space) = layout::space_of(name) {
                let keyspace = database.keyspace(name, || keyspace_options(options.memtable_bytes));
                records.insert(space, keyspace.map_err(fault)?);
            }
        }
        let spaces = Self {
            database,
            marks,
            logs,
            facts,
            faults,
            cache: RecordCache::new(options.record_cache_bytes),
            records: RwLock::new(records),
            making: Mutex::default(),
            memtable_bytes: options.memtable_bytes,
        };
        spaces.note_keyspaces()?;
        spaces.finish_drops()?;
        Ok(spaces)
    }

    /// The records of a space that has any.
    pub(super) fn find(&self, space: u64) -> Option<Keyspace> {
        self.records.read().unwrap_or_else(PoisonError::into_inner).get(&space).cloned()
    }

    /// The records of a space, which begins with this call if it is new.
    pub(super) fn find_or_make(&self, space: u64) -> Result<Keyspace> {
        if let Some(keyspace) = self.find(space) {
            return Ok(keyspace);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keyspace) = self.find(space) {
            return Ok(keyspace);
        }
        let (name, fault) = (layout::space_name(space), |error| self.faults.of("begin a space", error));
        let made = self.database.keyspace(&name, || keyspace_options(self.memtable_bytes));
        let keyspace = made.map_err(fault)?;
        self.facts.insert(layout::keyspace_key(&name), b"".as_slice()).map_err(fault)?;
        self.records.write().unwrap_or_else(PoisonError::into_inner).insert(space, keyspace.clone());
        Ok(keyspace)
    }

    pub(super) fn all(&self) -> Vec<(u64, Keyspace)> {
        let records = self.records.read().unwrap_or_else(PoisonError::into_inner);
        records.iter().map(|(space, keyspace)| (*space, keyspace.clone())).collect()
    }

    /// Removes a space and its marks. The intent is stored first, so that no crash leaves records without marks or
    /// marks without records.
    pub(super) fn drop_space(&self, space: u64) -> Result<()> {
        const ACTION: &str = "drop a space";
        let fault = |error| self.faults.of(ACTION, error);
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        batch.insert(&self.facts, layout::dropping_key(space), b"".as_slice());
        batch.remove(&self.facts, layout::keyspace_key(&layout::space_name(space)));
        for entry in self.marks.prefix(space.to_be_bytes()) {
            batch.remove(&self.marks, entry.key().map_err(fault)?);
        }
        batch.commit().map_err(fault)?;
        let keyspace = self.records.write().unwrap_or_else(PoisonError::into_inner).remove(&space);
        if let Some(keyspace) = keyspace {
            self.database.delete_keyspace(keyspace).map_err(fault)?;
        }
        let mut batch = self.database.batch().durability(Some(PersistMode::SyncData));
        batch.remove(&self.facts, layout::dropping_key(space));
        batch.commit().map_err(fault)
    }

    /// Notes every keyspace, so that one that is not there the next time is missed.
    fn note_keyspaces(&self) -> Result<()> {
        let fault = |error| self.faults.of("be opened", error);
        let names = self.all().into_iter().map(|(space, _)| layout::space_name(space));
        for name in names.chain([MARKS.to_owned(), LOGS.to_owned()]) {
            let key = layout::keyspace_key(&name);
            if self.facts.get(&key).map_err(fault)?.is_none() {
                self.facts.insert(key, b"".as_slice()).map_err(fault)?;
            }
        }
        Ok(())
    }

    fn finish_drops(&self) -> Result<()> {
        let mut dropping = Vec::new();
        for entry in self.facts.prefix(layout::dropping_prefix()) {
            let key = entry.key().map_err(|error| self.faults.of("be opened", error))?;
            dropping.extend(layout::dropping_space(&key));
        }
        dropping.into_iter().try_for_each(|space| self.drop_space(space))
    }
}

fn keyspace_options(memtable_bytes: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default().max_memtable_size(memtable_bytes).manual_journal_persist(true)
}

/// Refuses a store without its journal, or without the list of its keyspaces. The library would take it for an empty one, and
/// remove the files of its keyspaces.
fn check_files(folder: &Path, faults: &Faults) -> Result<()> {
    // The library writes this file before it makes any keyspace.
    if !folder.join("version").exists() {
        return Ok(());
    }
    let entries = |folder: &Path| -> Result<Vec<PathBuf>> {
        let read = std::fs::read_dir(folder).and_then(|entries| {
            entries.map(|entry| entry.map(|entry| entry.path())).collect::<io::Result<_>>()
        });
        read.map_err(|error| faults.io("be opened", error))
    };
    let is_journal = |path: &PathBuf| path.extension().is_some_and(|ending| ending == "jnl");
    if !entries(folder)?.iter().any(is_journal) {
        return Err(faults.damaged("its journal is missing", None));
    }
    let keyspaces = folder.join("keyspaces");
    let list = keyspaces.join("0");
    let has_others = keyspaces.exists() && entries(&keyspaces)?.iter().any(|path| *path != list);
    if has_others && !list.join("current").exists() {
        return Err(faults.damaged("the list of its parts is missing", None));
    }
    Ok(())
}

/// Refuses a store in which a keyspace that was noted is missing. The library passes over one whose files are incomplete.
fn check_keyspaces(facts: &Keyspace, names: &[impl Deref<Target = str>], faults: &Faults) -> Result<()> {
    for entry in facts.prefix(layout::keyspace_prefix()) {
        let key = entry.key().map_err(|error| faults.of("be opened", error))?;
        let name = layout::keyspace_of(&key);
        if !names.iter().any(|known| Some(known.as_bytes()) == name) {
            return Err(faults.damaged("the files of one of its parts are missing", None));
        }
    }
    Ok(())
}

/// Writes the layout's version into a new store and refuses one with another. The version is written before any other
/// part is made.
fn check_format(database: &Database, facts: &Keyspace, has_more: bool, faults: &Faults) -> Result<()> {
    let fault = |error| faults.of("be opened", error);
    match facts.get(FORMAT_FACT).map_err(fault)? {
        Some(found) if *found == [FORMAT] => Ok(()),
        Some(found) => Err(OnlineError::Format {
            location: faults.location.clone(),
            found: found.escape_ascii().to_string(),
            readable: FORMAT,
        }),
        None if has_more => Err(faults.damaged("the facts about it are missing", None)),
        None => {
            let mut batch = database.batch().durability(Some(PersistMode::SyncAll));
            batch.insert(facts, FORMAT_FACT, [FORMAT]);
            batch.commit().map_err(fault)
        }
    }
}
