//! The rows that one side of a join holds.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap, VecDeque},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use crate::{
    StreamError,
    held::{HeldRows, RowPlace, batch_to_bytes},
    key::NO_KEY,
    state::{Entries, StateWriter},
    time::times,
};

/// The kinds of entries: the batches of each side, and which rows of the left one have met somebody.
pub(super) const LEFT_ROWS: u8 = b'l';
pub(super) const RIGHT_ROWS: u8 = b'r';
const MARKS: u8 = b'm';

/// A row that is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct HeldRow {
    pub(super) time: i64,
    pub(super) place: RowPlace,
    /// The number of its key, or [`NO_KEY`].
    pub(super) key: u32,
}

#[derive(Debug)]
pub(super) struct Side {
    /// The kind of the entries that hold its batches.
    kind: u8,
    pub(super) keys: Vec<usize>,
    pub(super) time: usize,
    pub(super) held: HeldRows,
    /// The rows of each key by time.
    by_key: Vec<VecDeque<(i64, RowPlace)>>,
    /// All rows, the earliest on top.
    by_time: BinaryHeap<Reverse<HeldRow>>,
    /// Which rows of a batch have met somebody.
    marks: BTreeMap<u64, Marks>,
}

#[derive(Debug, Default)]
struct Marks {
    met: Vec<bool>,
    changed: bool,
}

impl Side {
    pub(super) fn new(kind: u8, schema: SchemaRef, keys: Vec<usize>, time: usize) -> Self {
        Self {
            kind,
            keys,
            time,
            held: HeldRows::new(schema),
            by_key: Vec::new(),
            by_time: BinaryHeap::new(),
            marks: BTreeMap::new(),
        }
    }

    /// Holds rows, whose keys have these numbers.
    pub(super) fn hold(
        &mut self,
        rows: &RecordBatch,
        times: &[i64],
        ids: &[u32],
        keys: usize,
    ) -> Result<Vec<HeldRow>, StreamError> {
        let first = self.held.add(rows)?;
        Ok(self.index(first.batch, first.row, times, ids, keys, i64::MIN))
    }

    /// Makes the rows of a batch from number `first` on known by key and by time, but for those before a threshold.
    pub(super) fn index(
        &mut self,
        batch: u64,
        first: u32,
        times: &[i64],
        ids: &[u32],
        keys: usize,
        threshold: i64,
    ) -> Vec<HeldRow> {
        if self.by_key.len() < keys {
            self.by_key.resize(keys, VecDeque::new());
        }
        let mut held = Vec::with_capacity(times.len());
        for (row, (time, key)) in (first..).zip(times.iter().zip(ids)) {
            if *time < threshold {
                continue;
            }
            let row = HeldRow { time: *time, place: RowPlace { batch, row }, key: *key };
            if let Some(rows) = self.by_key.get_mut(*key as usize) {
                // Most rows come after the others.
                let at = if rows.back().is_none_or(|(last, _)| last <= time) {
                    rows.len()
                } else {
                    rows.partition_point(|(other, _)| other <= time)
                };
                rows.insert(at, (*time, row.place));
            }
            self.by_time.push(Reverse(row));
            held.push(row);
        }
        held
    }

    /// The rows of a key between two instants, both included.
    pub(super) fn between(&self, key: u32, earliest: i64, latest: i64) -> impl Iterator<Item = RowPlace> {
        let rows = self.by_key.get(key as usize).filter(|_| key != NO_KEY);
        let from = rows.map_or(0, |rows| rows.partition_point(|(time, _)| *time < earliest));
        let rows = rows.into_iter().flat_map(move |rows| rows.range(from..));
        rows.take_while(move |(time, _)| *time <= latest).map(|(_, place)| *place)
    }

    /// Marks a row as one that has met somebody.
    pub(super) fn mark(&mut self, place: RowPlace) {
        let marks = self.marks.entry(place.batch).or_default();
        let row = place.row as usize;
        if marks.met.len() <= row {
            marks.met.resize(row + 1, false);
        }
        if let Some(met) = marks.met.get_mut(row)
            && !*met
        {
            *met = true;
            marks.changed = true;
        }
    }

    pub(super) fn is_marked(&self, place: RowPlace) -> bool {
        self.marks
            .get(&place.batch)
            .and_then(|marks| marks.met.get(place.row as usize))
            .copied()
            .unwrap_or(false)
    }

    /// Takes the earliest row out of the order of time, if it is before a threshold. Its place is held until [`Side::release`].
    pub(super) fn pop_before(&mut self, threshold: i64) -> Option<HeldRow> {
        self.by_time.peek().filter(|Reverse(row)| row.time < threshold)?;
        self.by_time.pop().map(|Reverse(row)| row)
    }

    /// Forgets a row. Of each key the earliest rows are forgotten first.
    pub(super) fn release(&mut self, row: HeldRow) {
        if let Some(rows) = self.by_key.get_mut(row.key as usize) {
            if let Some(at) = rows.iter().position(|(_, place)| *place == row.place) {
                rows.remove(at);
            }
            if rows.capacity() > 4 * rows.len() + 16 {
                rows.shrink_to(2 * rows.len());
            }
        }
        let batch = row.place.batch;
        self.held.release(batch, 1);
        if self.held.rows(batch).is_none() {
            self.marks.remove(&batch);
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let by_key: usize =
            self.by_key.iter().map(|rows| rows.capacity() * 16 + size_of::<VecDeque<u8>>()).sum();
        let marks: usize = self.marks.values().map(|marks| marks.met.capacity() + 64).sum();
        self.held.bytes() + by_key + marks + self.by_time.capacity() * size_of::<HeldRow>()
    }

    pub(super) fn save(&mut self, state: &mut StateWriter<'_>) -> Result<(), StreamError> {
        let whole = state.whole();
        let batches = if whole { self.held.numbers().collect() } else { self.held.take_changed() };
        for number in batches {
            match self.held.rows(number) {
                Some(rows) => state.put(self.kind, &number.to_be_bytes(), batch_to_bytes(rows)?),
                None => {
                    state.delete(self.kind, &number.to_be_bytes());
                    if self.kind == LEFT_ROWS {
                        state.delete(MARKS, &number.to_be_bytes());
                    }
                }
            }
        }
        for (number, marks) in &mut self.marks {
            if whole || marks.changed {
                let bytes = marks.met.iter().map(|met| u8::from(*met)).collect();
                state.put(MARKS, &number.to_be_bytes(), bytes);
                marks.changed &= whole;
            }
        }
        Ok(())
    }

    /// Takes over the batches that were saved. The caller makes their rows from `threshold` on known.
    pub(super) fn read(
        &mut self,
        entries: &Entries<'_>,
        threshold: i64,
    ) -> Result<Vec<(u64, RecordBatch)>, StreamError> {
        let number = |id: &[u8]| {
            let number = id.try_into().map(u64::from_be_bytes);
            number.map_err(|_| StreamError::damaged("a batch has no number"))
        };
        let mut batches = Vec::new();
        for (id, value) in entries.each(self.kind) {
            let number = number(id)?;
            let time = self.time;
            let live =
                |rows: &RecordBatch| times(rows, time).iter().filter(|time| **time >= threshold).count();
            batches.push((number, self.held.restore(number, value, live)?));
        }
        if self.kind == LEFT_ROWS {
            for (id, value) in entries.each(MARKS) {
                let met = value.iter().map(|met| *met == 1).collect();
                self.marks.insert(number(id)?, Marks { met, changed: false });
            }
        }
        Ok(batches)
    }
}
