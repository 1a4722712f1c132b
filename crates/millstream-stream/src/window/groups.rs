//! The groups of windows: for each slot a key, the bounds of its window, and the states of its aggregates.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{ArrayRef, BooleanArray, RecordBatch, TimestampMicrosecondArray},
    compute::filter_record_batch,
    datatypes::SchemaRef,
};

use crate::{
    StreamError,
    aggregate::{Accumulator, Taken},
    key::{KeyTable, arrays_of},
    state::{Entries, Reader, StateWriter, Writer},
};

const GROUP: u8 = b'g';
/// The most slots that a state is read into.
const SLOTS_MAX: u32 = 1 << 30;

#[derive(Debug)]
pub(super) struct Groups {
    pub(super) keys: KeyTable,
    accumulators: Vec<Box<dyn Accumulator>>,
    groups: Vec<Group>,
    free: Vec<u32>,
    /// The slots for which the accumulators have room.
    room: usize,
    /// Slots that have changed since they were saved, each once.
    changed: Vec<u32>,
    schema: SchemaRef,
    key_schema: SchemaRef,
    scratch: Vec<u32>,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    pub(super) key: u32,
    pub(super) start: i64,
    pub(super) end: i64,
    live: bool,
    changed: bool,
    /// Whether a row of the group was told, and with which bounds.
    pub(super) told: Option<(i64, i64)>,
}

impl Groups {
    pub(super) fn new(
        keys: KeyTable,
        accumulators: Vec<Box<dyn Accumulator>>,
        schema: SchemaRef,
        key_schema: SchemaRef,
    ) -> Self {
        Self {
            keys,
            accumulators,
            groups: Vec::new(),
            free: Vec::new(),
            room: 0,
            changed: Vec::new(),
            schema,
            key_schema,
            scratch: Vec::new(),
        }
    }

    /// The numbers of the rows' keys. The caller gives the list back with [`Groups::give_back`].
    pub(super) fn intern(&mut self, rows: &RecordBatch, columns: &[usize]) -> Result<Vec<u32>, StreamError> {
        let mut ids = std::mem::take(&mut self.scratch);
        self.keys.intern(&arrays_of(rows, columns), rows.num_rows(), &mut ids)?;
        Ok(ids)
    }

    pub(super) fn give_back(&mut self, ids: Vec<u32>) {
        self.scratch = ids;
        self.keys.drop_unused();
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Group> {
        self.groups.get(slot as usize).filter(|group| group.live)
    }

    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Group> {
        self.groups.get_mut(slot as usize).filter(|group| group.live)
    }

    pub(super) fn key(&self, slot: u32) -> u32 {
        self.groups.get(slot as usize).map_or(u32::MAX, |group| group.key)
    }

    pub(super) fn start(&self, slot: u32) -> i64 {
        self.groups.get(slot as usize).map_or(i64::MIN, |group| group.start)
    }

    /// A slot without rows.
    pub(super) fn add(&mut self, key: u32, start: i64, end: i64) -> u32 {
        let group = Group { key, start, end, live: true, changed: false, told: None };
        self.keys.acquire(key);
        if let Some(slot) = self.free.pop()
            && let Some(place) = self.groups.get_mut(slot as usize)
        {
            *place = Group { changed: place.changed, ..group };
            return slot;
        }
        self.groups.push(group);
        if self.groups.len() > self.room {
            self.room = self.groups.len().next_power_of_two();
            let room = self.room;
            self.accumulators.iter_mut().for_each(|states| states.resize(room));
        }
        u32::try_from(self.groups.len() - 1).unwrap_or(u32::MAX)
    }

    pub(super) fn remove(&mut self, slot: u32) {
        let Some(group) = self.groups.get_mut(slot as usize).filter(|group| group.live) else { return };
        group.live = false;
        group.told = None;
        let key = group.key;
        self.keys.release(key);
        self.accumulators.iter_mut().for_each(|states| states.reset(slot));
        self.free.push(slot);
        self.touch(slot);
    }

    /// Marks a slot as changed.
    #[inline]
    pub(super) fn touch(&mut self, slot: u32) {
        if let Some(group) = self.groups.get_mut(slot as usize)
            && !group.changed
        {
            group.changed = true;
            self.changed.push(slot);
        }
    }

    /// Adds rows to the slots that are named for them.
    pub(super) fn update(&mut self, taken: Taken<'_>) -> Result<(), StreamError> {
        taken.slots.iter().for_each(|slot| self.touch(*slot));
        self.accumulators.iter_mut().try_for_each(|states| states.update(taken))
    }

    pub(super) fn merge(&mut self, into: u32, from: u32) -> Result<(), StreamError> {
        self.accumulators.iter_mut().try_for_each(|states| states.merge(into, from))
    }

    /// The order in which rows of groups are told.
    pub(super) fn compare(&self, left: u32, right: u32) -> Ordering {
        match (self.groups.get(left as usize), self.groups.get(right as usize)) {
            (Some(left), Some(right)) => (left.end, left.start)
                .cmp(&(right.end, right.start))
                .then_with(|| self.keys.compare(left.key, right.key)),
            (left, right) => left.is_some().cmp(&right.is_some()),
        }
    }

    /// The rows of groups. The second batch holds those of which an aggregate is beyond its type.
    pub(super) fn rows(&self, slots: &[u32]) -> Result<(RecordBatch, Option<RecordBatch>), StreamError> {
        let groups: Vec<&Group> = slots.iter().filter_map(|slot| self.groups.get(*slot as usize)).collect();
        let bounds: Vec<(u32, i64, i64)> =
            groups.iter().map(|group| (group.key, group.start, group.end)).collect();
        let mut columns = self.key_arrays(&bounds)?;
        let ends: Vec<i64> = groups.iter().map(|group| group.end).collect();
        let mut outgrown: Vec<usize> = Vec::new();
        for states in &self.accumulators {
            let results = states.results(slots, &ends)?;
            columns.push(results.values);
            outgrown.extend(results.outgrown);
        }
        let rows = RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(StreamError::arrow("put the rows of windows together"))?;
        if outgrown.is_empty() {
            return Ok((rows, None));
        }
        let mut is_outgrown = vec![false; rows.num_rows()];
        for row in outgrown {
            if let Some(place) = is_outgrown.get_mut(row) {
                *place = true;
            }
        }
        let part = |wanted: bool| {
            let mask: BooleanArray = is_outgrown.iter().map(|outgrown| Some(*outgrown == wanted)).collect();
            filter_record_batch(&rows, &mask).map_err(StreamError::arrow("part rows"))
        };
        Ok((part(false)?, Some(part(true)?)))
    }

    /// The merge keys of windows.
    pub(super) fn merge_keys(&self, bounds: &[(u32, i64, i64)]) -> Result<RecordBatch, StreamError> {
        RecordBatch::try_new(Arc::clone(&self.key_schema), self.key_arrays(bounds)?)
            .map_err(StreamError::arrow("put the keys of windows together"))
    }

    fn key_arrays(&self, bounds: &[(u32, i64, i64)]) -> Result<Vec<ArrayRef>, StreamError> {
        let ids: Vec<u32> = bounds.iter().map(|(key, ..)| *key).collect();
        let mut columns = self.keys.columns(&ids)?;
        let instants = |times: Vec<i64>| -> ArrayRef {
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC"))
        };
        columns.push(instants(bounds.iter().map(|(_, start, _)| *start).collect()));
        columns.push(instants(bounds.iter().map(|(.., end)| *end).collect()));
        Ok(columns)
    }

    /// All slots in use.
    pub(super) fn slots(&self) -> impl Iterator<Item = (u32, &Group)> {
        let slots = self.groups.iter().enumerate().filter(|(_, group)| group.live);
        slots.filter_map(|(slot, group)| Some((u32::try_from(slot).ok()?, group)))
    }

    pub(super) fn len(&self) -> usize {
        self.groups.len() - self.free.len()
    }

    pub(super) fn bytes(&mut self) -> usize {
        let states: usize = self.accumulators.iter_mut().map(|states| states.bytes()).sum();
        let own = self.groups.capacity() * size_of::<Group>()
            + (self.free.capacity() + self.changed.capacity()) * 4;
        states + own + self.keys.bytes()
    }

    pub(super) fn save(&mut self, state: &mut StateWriter<'_>) {
        if state.whole() {
            let slots: Vec<u32> = self.slots().map(|(slot, _)| slot).collect();
            slots.into_iter().for_each(|slot| self.save_slot(slot, state));
            return;
        }
        for slot in std::mem::take(&mut self.changed) {
            if let Some(group) = self.groups.get_mut(slot as usize) {
                group.changed = false;
            }
            self.save_slot(slot, state);
        }
    }

    fn save_slot(&self, slot: u32, state: &mut StateWriter<'_>) {
        let id = slot.to_be_bytes();
        let Some(group) = self.get(slot) else {
            state.delete(GROUP, &id);
            return;
        };
        let mut out = Writer::default();
        out.block(&self.keys.write(group.key));
        out.i64(group.start);
        out.i64(group.end);
        out.flag(group.told.is_some());
        if let Some((start, end)) = group.told {
            out.i64(start);
            out.i64(end);
        }
        self.accumulators.iter().for_each(|states| states.write(slot, &mut out));
        state.put(GROUP, &id, out.bytes);
    }

    pub(super) fn restore(&mut self, entries: &Entries<'_>) -> Result<(), StreamError> {
        let slot_of = |id: &[u8]| id.try_into().map(u32::from_be_bytes).ok().filter(|slot| *slot < SLOTS_MAX);
        let wrong = || StreamError::damaged("a group has no number");
        let mut free = Vec::new();
        for (id, value) in entries.each(GROUP) {
            let slot = slot_of(id).ok_or_else(wrong)?;
            let mut input = Reader::new(value);
            let key = self.keys.read(input.block()?)?;
            let (start, end) = (input.i64()?, input.i64()?);
            // Entries come by slot, so that what lies between two of them is free.
            while self.groups.len() < slot as usize {
                free.push(self.add(key, 0, 0));
            }
            let slot = self.add(key, start, end);
            let told = if input.flag()? { Some((input.i64()?, input.i64()?)) } else { None };
            if let Some(group) = self.get_mut(slot) {
                group.told = told;
            }
            self.accumulators.iter_mut().try_for_each(|states| states.read(slot, &mut input))?;
            input.end()?;
        }
        free.into_iter().for_each(|slot| self.remove(slot));
        self.keys.drop_unused();
        self.changed.clear();
        self.groups.iter_mut().for_each(|group| group.changed = false);
        Ok(())
    }
}
