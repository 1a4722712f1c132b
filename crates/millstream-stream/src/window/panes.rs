//! Tumbling and hopping windows. Rows are aggregated once, in panes; a hopping window is put together of the panes that it shares with
//! others.

use std::{
    collections::{BTreeMap, BTreeSet},
    hash::BuildHasher,
};

use arrow::array::RecordBatch;
use hashbrown::{DefaultHashBuilder, HashTable, hash_table::Entry};
use millstream_types::Span;

use super::{PANES_MAX, emission::Emission, groups::Groups};
use crate::{
    Output, RefusedReason, StreamError, TIME_MAX,
    aggregate::Taken,
    operator::Operator,
    source::sift,
    state::{Entries, Reader, StateWriter, Writer},
    time::{WATERMARK_END, WATERMARK_MIN, floor, micros, micros_positive, times},
};

const POSITION: u8 = b'p';
const NO_SLOT: u32 = u32::MAX;

/// Where windows and panes lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Grid {
    size: i64,
    hop: i64,
    pane: i64,
    offset: i64,
}

impl Grid {
    pub(super) fn new(stage: &str, size: Span, hop: Span, offset: Span) -> Result<Self, StreamError> {
        let (length, step) =
            (micros_positive(stage, "a window", size)?, micros_positive(stage, "a hop", hop)?);
        if step > length {
            let reason =
                format!("a hop of {hop} is longer than its window of {size}: rows between would be in none");
            return Err(StreamError::parameter(stage, reason));
        }
        let pane = greatest_divisor(length, step);
        if length / pane > PANES_MAX {
            let reason = format!(
                "windows of {size} that hop by {hop} would be put together of {} pieces, more than {PANES_MAX}: choose a hop that divides the window",
                length / pane
            );
            return Err(StreamError::parameter(stage, reason));
        }
        Ok(Self { size: length, hop: step, pane, offset: micros(stage, "an offset", offset)? % step })
    }

    fn pane_of(&self, time: i64) -> i64 {
        floor(time, self.pane, self.offset)
    }

    /// The end of the last window that holds a time.
    fn last_end(&self, time: i64) -> i64 {
        floor(time, self.hop, self.offset).saturating_add(self.size)
    }

    /// The end of the first window that ends after a time.
    fn end_after(&self, time: i64) -> i64 {
        floor(time.saturating_sub(self.size), self.hop, self.offset)
            .saturating_add(self.hop)
            .saturating_add(self.size)
    }

    fn is_tumbling(&self) -> bool {
        self.pane == self.size
    }
}

fn greatest_divisor(left: i64, right: i64) -> i64 {
    let (mut left, mut right) = (left, right);
    while right != 0 {
        (left, right) = (right, left % right);
    }
    left
}

#[derive(Debug)]
pub(super) struct PaneWindows {
    stage: String,
    grid: Grid,
    lateness: i64,
    keys: Vec<usize>,
    time: usize,
    groups: Groups,
    /// Slots by key and pane.
    table: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// The pane and slot that each key had last.
    recent: Vec<(i64, u32)>,
    /// The slots of each pane by its start.
    panes: BTreeMap<i64, Vec<u32>>,
    /// All windows that end at this instant or earlier were told.
    closed: i64,
    watermark: i64,
    /// The watermark that was passed on, after all its windows were told.
    settled: i64,
    /// Slots of panes of windows that were told already, to which rows came.
    corrected: BTreeSet<u32>,
    /// Corrected windows and keys, of which the rows are still to be told.
    corrections: BTreeMap<i64, BTreeSet<u32>>,
    emission: Emission,
    slots: Vec<u32>,
    moved: bool,
}

impl PaneWindows {
    pub(super) fn new(
        stage: &str,
        grid: Grid,
        lateness: i64,
        keys: Vec<usize>,
        time: usize,
        groups: Groups,
    ) -> Self {
        Self {
            stage: stage.into(),
            grid,
            lateness,
            keys,
            time,
            groups,
            table: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            recent: Vec::new(),
            panes: BTreeMap::new(),
            closed: WATERMARK_MIN,
            watermark: WATERMARK_MIN,
            settled: WATERMARK_MIN,
            corrected: BTreeSet::new(),
            corrections: BTreeMap::new(),
            emission: Emission::default(),
            slots: Vec::new(),
            moved: true,
        }
    }

    /// Finds the slot of each row.
    fn assign(&mut self, times: &[i64], ids: &[u32]) {
        self.slots.clear();
        self.slots.reserve(times.len());
        if self.recent.len() < self.groups.keys.bound() {
            self.recent.resize(self.groups.keys.bound(), (0, NO_SLOT));
        }
        let (mut pane, mut pane_end) = (0, 0);
        for (time, id) in times.iter().zip(ids) {
            if *time < pane || *time >= pane_end {
                pane = self.grid.pane_of(*time);
                pane_end = pane + self.grid.pane;
            }
            let slot = match self.recent.get(*id as usize) {
                Some((recent, slot)) if *recent == pane && *slot != NO_SLOT => *slot,
                _ => self.find(*id, pane),
            };
            if *time < self.closed && self.lateness > 0 {
                self.corrected.insert(slot);
            }
            self.slots.push(slot);
        }
    }

    #[cold]
    fn find(&mut self, key: u32, pane: i64) -> u32 {
        let hash = self.hasher.hash_one((key, pane));
        let found = self.lookup(hash, key, pane);
        let slot = found.unwrap_or_else(|| self.insert(hash, key, pane));
        if let Some(recent) = self.recent.get_mut(key as usize) {
            *recent = (pane, slot);
        }
        slot
    }

    fn lookup(&self, hash: u64, key: u32, pane: i64) -> Option<u32> {
        let groups = &self.groups;
        self.table.find(hash, |slot| groups.key(*slot) == key && groups.start(*slot) == pane).copied()
    }

    fn insert(&mut self, hash: u64, key: u32, pane: i64) -> u32 {
        let slot = self.groups.add(key, pane, pane.saturating_add(self.grid.size));
        let Self { groups, hasher, table, .. } = self;
        table.insert_unique(hash, slot, |slot| hasher.hash_one((groups.key(*slot), groups.start(*slot))));
        self.panes.entry(pane).or_default().push(slot);
        slot
    }

    /// Which rows of which windows were corrected.
    fn correct(&mut self) {
        for slot in std::mem::take(&mut self.corrected) {
            let Some(group) = self.groups.get(slot) else { continue };
            let (pane, key) = (group.start, group.key);
            let mut end = self.grid.end_after(pane);
            while end <= self.closed && end <= self.grid.last_end(pane) {
                if end.saturating_add(self.lateness) > self.closed {
                    self.corrections.entry(end).or_default().insert(key);
                }
                end = end.saturating_add(self.grid.hop);
            }
        }
    }

    /// Begins to tell the next window, if one is due.
    fn begin(&mut self) -> Result<bool, StreamError> {
        if let Some((end, keys)) = self.corrections.pop_first() {
            let start = end - self.grid.size;
            let mut slots = Vec::new();
            for key in keys {
                let panes = self.panes.range(start..end).map(|(pane, _)| *pane);
                let found =
                    panes.filter_map(|pane| self.lookup(self.hasher.hash_one((key, pane)), key, pane));
                slots.extend(found);
            }
            self.tell(start, end, slots, true)?;
            return Ok(true);
        }
        if self.watermark <= self.settled {
            return Ok(false);
        }
        // Panes whose windows were all told may still be here for late rows.
        let live = self.panes.range(self.closed.saturating_sub(self.grid.size)..);
        let next = live.map(|(pane, _)| *pane).find(|pane| self.grid.last_end(*pane) > self.closed);
        let end = next.map(|pane| self.grid.end_after(pane.max(self.closed)));
        let Some(end) = end.filter(|end| *end <= self.watermark) else {
            self.settle();
            return Ok(false);
        };
        let start = end - self.grid.size;
        let slots: Vec<u32> = self.panes.range(start..end).flat_map(|(_, slots)| slots).copied().collect();
        self.closed = end;
        self.tell(start, end, slots, false)?;
        Ok(true)
    }

    /// Tells a window that is made of these slots, several of which may have one key.
    fn tell(&mut self, start: i64, end: i64, slots: Vec<u32>, merge: bool) -> Result<(), StreamError> {
        if self.grid.is_tumbling() {
            self.emission.begin(&self.groups, slots, merge, Vec::new());
            return Ok(());
        }
        let mut combined = vec![NO_SLOT; self.groups.keys.bound()];
        let mut whole = Vec::new();
        for slot in slots {
            let key = self.groups.key(slot);
            let Some(place) = combined.get_mut(key as usize) else { continue };
            if *place == NO_SLOT {
                *place = self.groups.add(key, start, end);
                whole.push(*place);
            }
            self.groups.merge(*place, slot)?;
        }
        self.emission.begin(&self.groups, whole.clone(), merge, whole);
        Ok(())
    }

    /// Forgets panes of which no window takes in rows any more, once all windows up to the watermark were told.
    fn settle(&mut self) {
        self.closed = self.watermark;
        self.settled = self.watermark;
        self.moved = true;
        while let Some(entry) = self.panes.first_entry() {
            if self.grid.last_end(*entry.key()).saturating_add(self.lateness) > self.watermark {
                break;
            }
            let (pane, slots) = entry.remove_entry();
            for slot in slots {
                let key = self.groups.key(slot);
                let Self { groups, hasher, table, recent, .. } = self;
                let hash = hasher.hash_one((key, pane));
                let rehash = |slot: &u32| hasher.hash_one((groups.key(*slot), groups.start(*slot)));
                if let Entry::Occupied(entry) = table.entry(hash, |other| *other == slot, rehash) {
                    entry.remove();
                }
                if let Some(recent) = recent.get_mut(key as usize).filter(|recent| recent.1 == slot) {
                    *recent = (0, NO_SLOT);
                }
                groups.remove(slot);
            }
        }
        let Self { groups, hasher, table, .. } = self;
        if table.capacity() > 4 * table.len() + 1024 {
            table
                .shrink_to(2 * table.len(), |slot| hasher.hash_one((groups.key(*slot), groups.start(*slot))));
        }
        let watermark = match self.watermark {
            WATERMARK_MIN | WATERMARK_END => self.watermark,
            watermark => self.grid.end_after(watermark).saturating_sub(self.grid.size),
        };
        self.emission.ready(Output::Watermark(watermark));
    }
}

impl Operator for PaneWindows {
    fn rows(&mut self, _: usize, rows: RecordBatch) -> Result<(), StreamError> {
        let (watermark, lateness, grid) = (self.watermark, self.lateness, self.grid);
        let late = |time: i64| grid.last_end(time).saturating_add(lateness) <= watermark;
        let reason = |time: Option<i64>| match time {
            None => Some(RefusedReason::NoTime),
            Some(time) if !(crate::TIME_MIN..=TIME_MAX).contains(&time) => {
                Some(RefusedReason::TimeOutOfRange)
            }
            Some(time) => late(time).then_some(RefusedReason::Late),
        };
        // A window that holds a row ends after it.
        let safe = (watermark.saturating_sub(lateness).max(crate::TIME_MIN), TIME_MAX);
        let (rows, refused) = sift(&self.stage, watermark, rows, self.time, safe, reason)?;
        refused.into_iter().for_each(|output| self.emission.ready(output));
        let ids = self.groups.intern(&rows, &self.keys)?;
        let times = times(&rows, self.time);
        self.assign(times, &ids);
        self.groups.give_back(ids);
        let slots = std::mem::take(&mut self.slots);
        self.groups.update(Taken { rows: &rows, times, slots: &slots })?;
        self.slots = slots;
        self.correct();
        Ok(())
    }

    fn watermark(&mut self, _: usize, watermark: i64) -> Result<(), StreamError> {
        self.watermark = self.watermark.max(watermark);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Output>, StreamError> {
        loop {
            if let Some(output) = self.emission.next(&self.stage, self.watermark, &mut self.groups)? {
                return Ok(Some(output));
            }
            if !self.begin()? && self.emission.is_empty() {
                return Ok(None);
            }
        }
    }

    fn state_bytes(&mut self) -> usize {
        let panes: usize = self.panes.values().map(|slots| slots.capacity() * 4 + 48).sum();
        self.groups.bytes() + self.table.capacity() * 5 + self.recent.capacity() * 16 + panes
    }

    fn save(&mut self, state: &mut StateWriter<'_>) -> Result<(), StreamError> {
        if state.whole() || std::mem::take(&mut self.moved) {
            let mut out = Writer::default();
            out.i64(self.watermark);
            state.put(POSITION, &[], out.bytes);
        }
        self.groups.save(state);
        Ok(())
    }

    fn restore(&mut self, entries: &Entries<'_>) -> Result<(), StreamError> {
        let mut position = Reader::new(
            entries.one(POSITION).ok_or(StreamError::Damaged { reason: "a watermark is missing" })?,
        );
        self.watermark = position.i64()?;
        position.end()?;
        self.closed = self.watermark;
        self.settled = self.watermark;
        self.groups.restore(entries)?;
        let slots: Vec<(u32, u32, i64)> =
            self.groups.slots().map(|(slot, group)| (slot, group.key, group.start)).collect();
        for (slot, key, pane) in slots {
            let Self { groups, hasher, table, .. } = self;
            let rehash = |slot: &u32| hasher.hash_one((groups.key(*slot), groups.start(*slot)));
            table.insert_unique(hasher.hash_one((key, pane)), slot, rehash);
            self.panes.entry(pane).or_default().push(slot);
        }
        self.moved = false;
        Ok(())
    }
}
