//! Distinct values in bounded memory: all of them while they are few, then an even sample of them.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

/// What is remembered of distinct values, by their hash. When there are more than fit, those whose hash ends with a one
/// go, then those with a one in the next bit, and so on. What is left depends on the set of values only, not on
/// their order, and each value that is left has been seen from its first row to its last.
#[derive(Debug)]
pub(crate) struct Distinct<T> {
    entries: HashMap<u64, T, BuildHasherDefault<Identity>>,
    /// How many last bits of a hash must be zero.
    level: u32,
    entries_max: usize,
}

impl<T> Distinct<T> {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self { entries: HashMap::default(), level: 0, entries_max }
    }

    /// What is remembered of the value; none if the value is not in the sample.
    pub(crate) fn entry(&mut self, hash: u64, new: impl FnOnce() -> T) -> Option<&mut T> {
        if hash.trailing_zeros() < self.level {
            return None;
        }
        if self.entries.len() >= self.entries_max && !self.entries.contains_key(&hash) {
            while self.entries.len() >= self.entries_max && self.level < 64 {
                self.level += 1;
                self.entries.retain(|hash, _| hash.trailing_zeros() >= self.level);
            }
            if hash.trailing_zeros() < self.level {
                return None;
            }
        }
        Some(self.entries.entry(hash).or_insert_with(new))
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.level == 0
    }

    /// How many values of the whole one value of the sample stands for.
    pub(crate) fn scale(&self) -> u64 {
        1_u64.checked_shl(self.level).unwrap_or(u64::MAX)
    }

    /// The number of distinct values: exact, or within some percent where values are sampled.
    pub(crate) fn count(&self) -> u64 {
        (self.entries.len() as u64).saturating_mul(self.scale())
    }

    /// What is remembered of each value of the sample, in no order.
    pub(crate) fn values(&self) -> impl Iterator<Item = &T> {
        self.entries.values()
    }
}

/// A hasher for keys that are hashes already, which it returns as they are.
#[derive(Debug, Default)]
pub(crate) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word.iter_mut().zip(chunk).for_each(|(to, from)| *to = *from);
            self.0 ^= u64::from_le_bytes(word);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}
