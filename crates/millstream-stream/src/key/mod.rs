//! Keys of rows as small numbers.
//!
//! A [`KeyTable`] gives each different key a number, which everything else then uses as an index. A number is given back when nothing
//! refers to its key any more, so that the table holds the keys of what is open and not of all time.

mod encode;
mod store;

use std::{cmp::Ordering, hash::BuildHasher};

use arrow::array::{ArrayRef, RecordBatch};
use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};

use crate::StreamError;
use encode::Encoded;
use store::KeyStore;

pub(crate) use encode::{KeyEncoder, key_columns};

/// The number of a key that is null in one of its columns, where such keys are left out.
pub(crate) const NO_KEY: u32 = u32::MAX;

#[derive(Debug)]
pub(crate) struct KeyTable {
    encoder: KeyEncoder,
    store: KeyStore,
    /// The number of users of each key.
    users: Vec<u32>,
    free: Vec<u32>,
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// Keys that were made by the last [`KeyTable::intern`].
    fresh: Vec<u32>,
}

impl KeyTable {
    pub(crate) fn new(encoder: KeyEncoder) -> Self {
        let store = KeyStore::for_encoder(&encoder);
        Self {
            encoder,
            store,
            users: Vec::new(),
            free: Vec::new(),
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            fresh: Vec::new(),
        }
    }

    /// Writes the number of each row's key to `ids`. New keys have no user yet: [`KeyTable::drop_unused`] takes those that got none.
    pub(crate) fn intern(
        &mut self,
        columns: &[ArrayRef],
        rows: usize,
        ids: &mut Vec<u32>,
    ) -> Result<(), StreamError> {
        ids.clear();
        ids.reserve(rows);
        match self.encoder.encode(columns, rows)? {
            Encoded::Ints { values, nulls: None } => {
                for value in values.values() {
                    let id = self.intern_int(Some(*value));
                    ids.push(id);
                }
            }
            Encoded::Ints { values, nulls: Some(nulls) } => {
                for (value, valid) in values.values().iter().zip(nulls.iter()) {
                    let id = self.intern_int(valid.then_some(*value));
                    ids.push(id);
                }
            }
            Encoded::Bytes(encoded) => {
                for row in &encoded {
                    let id = self.intern_bytes(row.data());
                    ids.push(id);
                }
            }
            Encoded::One => {
                let id = self.intern_bytes(&[]);
                ids.resize(rows, id);
            }
        }
        Ok(())
    }

    #[inline]
    fn intern_int(&mut self, value: Option<i64>) -> u32 {
        let Self { store, table, hasher, .. } = self;
        let hash = hasher.hash_one(value);
        if let Some(id) = table.find(hash, |id| store.int(*id) == value) {
            return *id;
        }
        self.add(hash, |store, id| store.set_int(id, value))
    }

    #[inline]
    fn intern_bytes(&mut self, bytes: &[u8]) -> u32 {
        let Self { store, table, hasher, .. } = self;
        let hash = hasher.hash_one(bytes);
        if let Some(id) = table.find(hash, |id| store.bytes(*id) == bytes) {
            return *id;
        }
        self.add(hash, |store, id| store.set_bytes(id, bytes))
    }

    #[cold]
    fn add(&mut self, hash: u64, set: impl FnOnce(&mut KeyStore, u32)) -> u32 {
        let id = self.free.pop().unwrap_or_else(|| {
            self.users.push(0);
            u32::try_from(self.users.len() - 1).unwrap_or(NO_KEY)
        });
        set(&mut self.store, id);
        let Self { store, table, hasher, .. } = self;
        table.insert_unique(hash, id, |id| store.hash(*id, hasher));
        self.fresh.push(id);
        id
    }

    /// The number of a key as [`KeyTable::write`] wrote it.
    pub(crate) fn read(&mut self, bytes: &[u8]) -> Result<u32, StreamError> {
        if matches!(self.store, KeyStore::Ints { .. }) {
            let value = match bytes.split_first() {
                Some((0, [])) => None,
                Some((1, value)) => Some(i64::from_le_bytes(
                    value.try_into().map_err(|_| StreamError::damaged("a key has another length"))?,
                )),
                _ => return Err(StreamError::damaged("a key is neither null nor a number")),
            };
            return Ok(self.intern_int(value));
        }
        Ok(self.intern_bytes(bytes))
    }

    /// The key as bytes for the state.
    pub(crate) fn write(&self, id: u32) -> Vec<u8> {
        match (&self.store, self.store.int(id)) {
            (KeyStore::Bytes { .. }, _) => self.store.bytes(id).to_vec(),
            (KeyStore::Ints { .. }, None) => vec![0],
            (KeyStore::Ints { .. }, Some(value)) => [&[1][..], &value.to_le_bytes()].concat(),
        }
    }

    #[inline]
    pub(crate) fn acquire(&mut self, id: u32) {
        if let Some(users) = self.users.get_mut(id as usize) {
            *users += 1;
        }
    }

    /// Ends one use of a key. The key goes with its last user.
    pub(crate) fn release(&mut self, id: u32) {
        let Some(users) = self.users.get_mut(id as usize) else { return };
        *users = users.saturating_sub(1);
        if *users == 0 {
            self.remove(id);
        }
    }

    /// Takes the keys of the last [`KeyTable::intern`] that nobody uses.
    pub(crate) fn drop_unused(&mut self) {
        for id in std::mem::take(&mut self.fresh) {
            if self.users.get(id as usize) == Some(&0) {
                self.remove(id);
            }
        }
    }

    fn remove(&mut self, id: u32) {
        let Self { store, table, hasher, .. } = self;
        let hash = store.hash(id, hasher);
        if let Entry::Occupied(entry) =
            table.entry(hash, |other| *other == id, |other| store.hash(*other, hasher))
        {
            entry.remove();
            self.store.clear(id);
            self.free.push(id);
        }
        if self.table.capacity() > 4 * self.table.len() + 1024 {
            let Self { store, table, hasher, .. } = self;
            table.shrink_to(2 * table.len(), |id| store.hash(*id, hasher));
        }
    }

    /// The order of two keys, by their columns; nulls come first.
    pub(crate) fn compare(&self, left: u32, right: u32) -> Ordering {
        match &self.store {
            KeyStore::Ints { .. } => self.store.int(left).cmp(&self.store.int(right)),
            KeyStore::Bytes { .. } => self.store.bytes(left).cmp(self.store.bytes(right)),
        }
    }

    /// The key columns of some keys.
    pub(crate) fn columns(&self, ids: &[u32]) -> Result<Vec<ArrayRef>, StreamError> {
        self.encoder.decode(&self.store, ids)
    }

    /// One more than the highest number of a key so far.
    pub(crate) fn bound(&self) -> usize {
        self.users.len()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.store.size() + (self.users.capacity() + self.free.capacity()) * 4 + self.table.capacity() * 5
    }
}

/// The arrays of the key columns with these numbers.
pub(crate) fn arrays_of(rows: &RecordBatch, columns: &[usize]) -> Vec<ArrayRef> {
    columns.iter().filter_map(|column| rows.columns().get(*column).cloned()).collect()
}
