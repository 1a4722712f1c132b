//! `most_frequent`: the value that occurs most, the smallest of several. Counts are exact, so there is a bound on
//! different values; beyond it there is no result, and it is no null either. Nulls are skipped; all NaN are one value, both zeros too.

use std::collections::BTreeMap;

use super::{
    bytes::{Reader, Writer},
    finish::Outgrown,
    state::Partial,
    value::{Key, Order, Value, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone)]
pub(crate) struct Frequent {
    bound: usize,
    counts: BTreeMap<Key, u64>,
    over: bool,
}

impl Frequent {
    pub(crate) fn new(bound: usize) -> Self {
        Self { bound, counts: BTreeMap::new(), over: false }
    }

    /// The most frequent value; none without values.
    ///
    /// # Errors
    ///
    /// There are more different values than the bound.
    pub(crate) fn value(&self) -> Result<Option<Value>, Outgrown> {
        if self.over {
            return Err(Outgrown);
        }
        let mut best: Option<(&Key, u64)> = None;
        for (key, count) in &self.counts {
            if best.is_none_or(|(_, most)| *count > most) {
                best = Some((key, *count));
            }
        }
        Ok(best.map(|(key, _)| key.0.clone()))
    }

    fn insert(&mut self, key: Key, count: u64) {
        if self.over {
            return;
        }
        *self.counts.entry(key).or_default() += count;
        if self.counts.len() > self.bound {
            self.over = true;
            self.counts.clear();
        }
    }
}

impl Partial for Frequent {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        self.insert(Key::of(value), 1);
    }

    fn merge(&mut self, other: &Self) {
        if other.over {
            self.over = true;
            self.counts.clear();
        }
        other.counts.iter().for_each(|(key, count)| self.insert(key.clone(), *count));
    }

    fn write(&self, out: &mut Writer) {
        out.unsigned(self.bound as u64);
        out.flag(self.over);
        out.unsigned(self.counts.len() as u64);
        for (key, count) in &self.counts {
            out.value(&key.0);
            out.unsigned(*count);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let bound = usize::try_from(input.unsigned()?).unwrap_or(usize::MAX);
        let over = input.flag()?;
        let items = input.count(2)?;
        let counts = (0..items).map(|_| Ok((Key(input.value()?), input.unsigned()?)));
        Ok(Self { bound, counts: counts.collect::<Result<_, FeatureError>>()?, over })
    }
}
