//! State as entries of a key and a value, so that a store can keep it beside positions in one atomic batch, and writes only what
//! has changed.

mod bytes;
mod snapshot;

pub(crate) use bytes::{Reader, Writer};
pub(crate) use snapshot::{FORMAT, decode, encode};

use std::collections::BTreeMap;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::StreamError;

/// One entry of the state that has changed. Keys sort by stage; each value ends with a checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    pub key: Vec<u8>,
    /// The new value, or none if the entry is gone.
    pub value: Option<Vec<u8>>,
}

/// The state as a store holds it.
pub(crate) type Stored = BTreeMap<Vec<u8>, Vec<u8>>;

/// Collects the entries of one stage.
#[derive(Debug)]
pub(crate) struct StateWriter<'a> {
    stage: u16,
    whole: bool,
    changes: &'a mut Vec<StateChange>,
}

impl<'a> StateWriter<'a> {
    pub(crate) fn new(stage: u16, whole: bool, changes: &'a mut Vec<StateChange>) -> Self {
        Self { stage, whole, changes }
    }

    /// Whether everything is to be written, without forgetting what has changed since the last saved changes.
    pub(crate) fn whole(&self) -> bool {
        self.whole
    }

    pub(crate) fn put(&mut self, kind: u8, id: &[u8], mut value: Vec<u8>) {
        let key = entry_key(self.stage, kind, id);
        let checksum = checksum(&key, &value);
        value.extend_from_slice(&checksum);
        self.changes.push(StateChange { key, value: Some(value) });
    }

    pub(crate) fn delete(&mut self, kind: u8, id: &[u8]) {
        if !self.whole {
            self.changes.push(StateChange { key: entry_key(self.stage, kind, id), value: None });
        }
    }
}

/// The entries of one stage.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entries<'a> {
    stage: u16,
    stored: &'a Stored,
}

impl<'a> Entries<'a> {
    pub(crate) fn new(stage: u16, stored: &'a Stored) -> Self {
        Self { stage, stored }
    }

    pub(crate) fn one(&self, kind: u8) -> Option<&'a [u8]> {
        self.stored.get(&entry_key(self.stage, kind, &[])).map(Vec::as_slice)
    }

    /// Identifiers and values of a kind, by identifier.
    pub(crate) fn each(&self, kind: u8) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let prefix = entry_key(self.stage, kind, &[]);
        let length = prefix.len();
        let entries = self.stored.range(prefix.clone()..);
        entries
            .take_while(move |(key, _)| key.starts_with(&prefix))
            .map(move |(key, value)| (key.get(length..).unwrap_or(&[]), value.as_slice()))
    }
}

/// The entries that a store gave back, without their checksums.
pub(crate) fn verified(entries: impl IntoIterator<Item = (Vec<u8>, Vec<u8>)>) -> Result<Stored, StreamError> {
    let mut stored = Stored::new();
    for (key, mut value) in entries {
        let short = || StreamError::damaged("an entry is shorter than its checksum");
        let length = value.len().checked_sub(CHECKSUM_BYTES).ok_or_else(short)?;
        let found = value.split_off(length);
        if found != checksum(&key, &value) {
            return Err(StreamError::damaged("the checksum of an entry is that of other bytes"));
        }
        stored.insert(key, value);
    }
    Ok(stored)
}

const CHECKSUM_BYTES: usize = 4;

fn checksum(key: &[u8], value: &[u8]) -> [u8; CHECKSUM_BYTES] {
    let [first, second, third, fourth, ..] = xxh3_64_with_seed(value, xxh3_64(key)).to_le_bytes();
    [first, second, third, fourth]
}

fn entry_key(stage: u16, kind: u8, id: &[u8]) -> Vec<u8> {
    let mut key = Vec::with_capacity(3 + id.len());
    key.extend_from_slice(&stage.to_be_bytes());
    key.push(kind);
    key.extend_from_slice(id);
    key
}
