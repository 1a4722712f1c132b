//! Which keys a whole table holds: the first row with a key wins, any later one is a duplicate.
//!
//! Memory: a key is hashed into a table of 16-byte slots that is between 35 % and 70 % full, so a key of text,
//! decimals, floats or several columns takes 23 to 46 bytes. Integers (dates and instants too) share a slot
//! with their 63 neighbours: consecutive ids take less than one byte, scattered ones 23 to 46 bytes.

use arrow::{
    array::RecordBatch,
    buffer::{BooleanBuffer, NullBuffer},
};

use crate::{
    QualityError, bitmap,
    contract::{Contract, UniqueCheck},
    evaluated::Evaluated,
    key::{KeyValues, Keys},
};

/// The keys of every unique check of a contract.
#[derive(Debug)]
pub struct UniqueIndex {
    checks: Vec<(UniqueCheck, Seen)>,
}

impl UniqueIndex {
    /// An empty index. `rows_expected` sizes it once; 0 when unknown.
    #[must_use]
    pub fn new(contract: &Contract, rows_expected: usize) -> Self {
        let seen = |check: &UniqueCheck| {
            if check.is_int {
                Seen::Int(IntSet::default())
            } else {
                Seen::Hash(HashSet::with_capacity(rows_expected))
            }
        };
        Self { checks: contract.unique_checks().iter().map(|check| (check.clone(), seen(check))).collect() }
    }

    /// An index that judges nothing: for rows that replace those with the same key.
    #[must_use]
    pub fn none() -> Self {
        Self { checks: Vec::new() }
    }

    /// Whether the contract has no unique check, so that no preloading is needed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }

    /// The columns of each check's key.
    pub fn keys(&self) -> impl Iterator<Item = &[String]> {
        self.checks.iter().map(|(check, _)| &*check.names)
    }

    /// Columns that `preload` needs, each once.
    #[must_use]
    pub fn key_columns(&self) -> Vec<String> {
        let mut names: Vec<String> = Vec::new();
        for name in self.checks.iter().flat_map(|(check, _)| &check.names) {
            if !names.contains(name) {
                names.push(name.clone());
            }
        }
        names
    }

    /// Takes the keys of rows that the table holds and keeps. `rows` needs the key columns only, in any order; a check
    /// takes no keys when one of its columns is absent, because the table does not have it yet.
    pub fn preload(&mut self, rows: &RecordBatch) -> Result<(), QualityError> {
        let present = |name: &String| rows.column_by_name(name).is_some();
        for (check, seen) in self.checks.iter_mut().filter(|(check, _)| check.names.iter().all(present)) {
            let keys = check.keys_by_name(rows)?;
            seen.insert_all(&keys, None, |_| {});
        }
        Ok(())
    }

    /// Judges the rows of a batch, in order, and adds the failures to `evaluated`. Rows that another check
    /// rejected are not in the table: they are not judged and take no key.
    pub fn check(&mut self, evaluated: &mut Evaluated) {
        let keys = std::mem::take(&mut evaluated.keys);
        let rows = evaluated.rows.num_rows();
        let rejected = evaluated.rejected().cloned();
        let duplicates = match (&mut *self.checks, &*keys) {
            ([(_, seen)], [keys]) => {
                let mut duplicates = Vec::new();
                seen.insert_all(keys, rejected.as_ref(), |row| duplicates.push(row));
                vec![duplicates]
            }
            (checks, keys) => insert_rows(checks, keys, rejected.as_ref(), rows),
        };
        for ((check, _), duplicates) in self.checks.iter().zip(duplicates) {
            if let Some(failed) = bitmap::of_list(rows, &duplicates) {
                evaluated.add(check.check, failed, check.rejects);
            }
        }
    }
}

/// With several checks a row that one of them rejects takes no key in any of them.
fn insert_rows(
    checks: &mut [(UniqueCheck, Seen)],
    keys: &[Keys],
    rejected: Option<&BooleanBuffer>,
    rows: usize,
) -> Vec<Vec<usize>> {
    let mut duplicates = vec![Vec::new(); checks.len()];
    for row in (0..rows).filter(|row| !rejected.is_some_and(|rejected| rejected.value(*row))) {
        let mut rejects = false;
        for (((check, seen), keys), duplicates) in checks.iter().zip(keys).zip(&mut duplicates) {
            if seen.contains(keys, row) {
                duplicates.push(row);
                rejects |= check.rejects;
            }
        }
        if !rejects {
            for ((_, seen), keys) in checks.iter_mut().zip(keys) {
                seen.insert(keys, row);
            }
        }
    }
    duplicates
}

/// A set of keys.
#[derive(Debug)]
pub(crate) enum Seen {
    Int(IntSet),
    Hash(HashSet),
}

impl Seen {
    /// Whether the row's key is in the set; a row without a key never is.
    pub(crate) fn contains(&self, keys: &Keys, row: usize) -> bool {
        if keys.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return false;
        }
        match (self, &keys.values) {
            (Self::Int(set), KeyValues::Int(values)) => set.contains(signed(values[row])),
            (Self::Int(set), KeyValues::UInt(values)) => set.contains(unsigned(values[row])),
            (Self::Hash(set), KeyValues::Hash(values)) => set.contains(values[row]),
            _ => false,
        }
    }

    fn insert(&mut self, keys: &Keys, row: usize) {
        if keys.nulls.as_ref().is_some_and(|nulls| nulls.is_null(row)) {
            return;
        }
        match (self, &keys.values) {
            (Self::Int(set), KeyValues::Int(values)) => _ = set.insert(signed(values[row])),
            (Self::Int(set), KeyValues::UInt(values)) => _ = set.insert(unsigned(values[row])),
            (Self::Hash(set), KeyValues::Hash(values)) => _ = set.insert(values[row]),
            _ => {}
        }
    }

    /// Adds the key of every row that has one and is not in `skipped`; reports the rows whose key was there.
    pub(crate) fn insert_all(
        &mut self,
        keys: &Keys,
        skipped: Option<&BooleanBuffer>,
        duplicate: impl FnMut(usize),
    ) {
        let wanted = wanted(keys.nulls.as_ref(), skipped);
        match (self, &keys.values) {
            (Self::Int(set), KeyValues::Int(values)) => {
                set.insert_all(values, signed, wanted.as_ref(), duplicate);
            }
            (Self::Int(set), KeyValues::UInt(values)) => {
                set.insert_all(values, unsigned, wanted.as_ref(), duplicate);
            }
            (Self::Hash(set), KeyValues::Hash(values)) => set.insert_all(values, wanted.as_ref(), duplicate),
            _ => {}
        }
    }
}

/// The rows to look at; `None` for all.
fn wanted(nulls: Option<&NullBuffer>, skipped: Option<&BooleanBuffer>) -> Option<BooleanBuffer> {
    let valid = nulls.filter(|nulls| nulls.null_count() > 0).map(NullBuffer::inner);
    match (valid, skipped) {
        (None, None) => None,
        (Some(valid), None) => Some(valid.clone()),
        (None, Some(skipped)) => Some(!skipped),
        (Some(valid), Some(skipped)) => Some(valid & &!skipped),
    }
}

/// An integer as the block of 64 that it is in and its bit there.
fn signed(value: i64) -> (i64, u64) {
    (value >> 6, 1 << (value & 63))
}

fn unsigned(value: u64) -> (i64, u64) {
    ((value >> 6).cast_signed(), 1 << (value & 63))
}

const SLOTS_MIN: usize = 1 << 10;

/// Whether a table of `slots` may not take one more entry: beyond 70 % probing gets long.
fn is_full(entries: usize, slots: usize) -> bool {
    entries.saturating_mul(10) >= slots.saturating_mul(7)
}

/// Integers, 64 neighbours a slot; open addressing with linear probing.
#[derive(Debug, Default)]
pub(crate) struct IntSet {
    /// Each slot has a block and the bits of its members; a slot without bits is empty. The number of slots is a power of
    /// two, or 0.
    slots: Vec<(i64, u64)>,
    blocks: usize,
    /// The slot of the last key that was inserted.
    last: usize,
}

impl IntSet {
    fn start(&self, block: i64) -> usize {
        // The finaliser of MurmurHash3: blocks that differ in any bit spread over all slots.
        let mut hash = block.cast_unsigned();
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
        hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
        slot_of(hash ^ (hash >> 33), self.slots.len())
    }

    fn contains(&self, (block, bit): (i64, u64)) -> bool {
        if self.slots.is_empty() {
            return false;
        }
        let mut at = self.start(block);
        loop {
            let (held, bits) = self.slots[at];
            if bits == 0 {
                return false;
            }
            if held == block {
                return bits & bit != 0;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Inserts a key. Returns whether it is new.
    fn insert(&mut self, (block, bit): (i64, u64)) -> bool {
        if is_full(self.blocks, self.slots.len()) {
            self.grow();
        }
        self.insert_with_room(block, bit)
    }

    #[inline]
    fn insert_with_room(&mut self, block: i64, bits_added: u64) -> bool {
        // Ids mostly follow each other, so that the last slot is tried first.
        let (held, bits) = self.slots[self.last];
        let mut at = if held == block && bits != 0 { self.last } else { self.start(block) };
        let mask = self.slots.len() - 1;
        loop {
            let (held, bits) = &mut self.slots[at];
            if *bits == 0 {
                (*held, *bits) = (block, bits_added);
                self.blocks += 1;
                self.last = at;
                return true;
            }
            if *held == block {
                let is_new = *bits & bits_added == 0;
                *bits |= bits_added;
                self.last = at;
                return is_new;
            }
            at = (at + 1) & mask;
        }
    }

    fn insert_all<T: Copy>(
        &mut self,
        values: &[T],
        place: impl Fn(T) -> (i64, u64),
        wanted: Option<&BooleanBuffer>,
        mut duplicate: impl FnMut(usize),
    ) {
        for first in (0..values.len()).step_by(AHEAD) {
            let group = first..(first + AHEAD).min(values.len());
            while is_full(self.blocks + group.len(), self.slots.len()) {
                self.grow();
            }
            let block_of = |row: usize| place(values[row]).0;
            if self.slots.len() > CACHED_SLOTS && block_of(group.start).abs_diff(block_of(group.end - 1)) > 1
            {
                let touched = group.clone().fold(0, |sum, row| sum ^ self.slots[self.start(block_of(row))].1);
                std::hint::black_box(touched);
            }
            for row in group {
                let (block, bit) = place(values[row]);
                if wanted.is_none_or(|wanted| wanted.value(row)) && !self.insert_with_room(block, bit) {
                    duplicate(row);
                }
            }
        }
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(SLOTS_MIN);
        let old = std::mem::replace(&mut self.slots, vec![(0, 0); slots]);
        (self.blocks, self.last) = (0, 0);
        for (block, bits) in old.into_iter().filter(|(_, bits)| *bits != 0) {
            self.insert_with_room(block, bits);
        }
    }
}

/// A table of this many slots stays in the processor's cache: reading ahead would cost more than it saves.
const CACHED_SLOTS: usize = 1 << 14;

/// The slot that a hash's low bits name; `slots` is a power of two.
#[inline]
fn slot_of(hash: u64, slots: usize) -> usize {
    // Only low bits are kept, so that cutting the high ones changes nothing.
    #[allow(clippy::cast_possible_truncation)]
    let low = hash as usize;
    low & (slots - 1)
}

/// Hashes of 128 bits; open addressing with linear probing, 0 marks an empty slot.
#[derive(Debug, Default)]
pub(crate) struct HashSet {
    slots: Vec<u128>,
    entries: usize,
}

/// The number of keys whose slots are read ahead of their use, so that the reads of memory overlap.
const AHEAD: usize = 32;

impl HashSet {
    pub(crate) fn with_capacity(keys: usize) -> Self {
        let mut set = Self::default();
        set.reserve(keys);
        set
    }

    fn reserve(&mut self, keys: usize) {
        let entries = self.entries.saturating_add(keys);
        let mut slots = self.slots.len().max(SLOTS_MIN);
        while is_full(entries, slots) {
            slots *= 2;
        }
        if slots > self.slots.len() {
            self.resize(slots);
        }
    }

    #[inline]
    fn start(&self, key: u128) -> usize {
        // The hash's low half; its high half takes part in the comparison only.
        #[allow(clippy::cast_possible_truncation)]
        slot_of(key as u64, self.slots.len())
    }

    fn contains(&self, key: u128) -> bool {
        if self.slots.is_empty() {
            return false;
        }
        let key = key.max(1);
        let mut at = self.start(key);
        loop {
            match self.slots[at] {
                0 => return false,
                held if held == key => return true,
                _ => at = (at + 1) & (self.slots.len() - 1),
            }
        }
    }

    /// Inserts a key. Returns whether it is new.
    fn insert(&mut self, key: u128) -> bool {
        if is_full(self.entries, self.slots.len()) {
            self.resize((self.slots.len() * 2).max(SLOTS_MIN));
        }
        self.insert_with_room(key)
    }

    #[inline]
    fn insert_with_room(&mut self, key: u128) -> bool {
        let key = key.max(1);
        let mask = self.slots.len() - 1;
        let mut at = self.start(key);
        loop {
            let held = &mut self.slots[at];
            if *held == 0 {
                *held = key;
                self.entries += 1;
                return true;
            }
            if *held == key {
                return false;
            }
            at = (at + 1) & mask;
        }
    }

    fn insert_all(
        &mut self,
        keys: &[u128],
        wanted: Option<&BooleanBuffer>,
        mut duplicate: impl FnMut(usize),
    ) {
        for first in (0..keys.len()).step_by(AHEAD) {
            let group = first..(first + AHEAD).min(keys.len());
            while is_full(self.entries + group.len(), self.slots.len()) {
                self.resize((self.slots.len() * 2).max(SLOTS_MIN));
            }
            let touched = keys[group.clone()].iter().fold(0, |sum, key| sum ^ self.slots[self.start(*key)]);
            std::hint::black_box(touched);
            for row in group {
                if wanted.is_none_or(|wanted| wanted.value(row)) && !self.insert_with_room(keys[row]) {
                    duplicate(row);
                }
            }
        }
    }

    fn resize(&mut self, slots: usize) {
        let old = std::mem::replace(&mut self.slots, vec![0; slots]);
        self.entries = 0;
        for key in old.into_iter().filter(|key| *key != 0) {
            self.insert_with_room(key);
        }
    }
}
