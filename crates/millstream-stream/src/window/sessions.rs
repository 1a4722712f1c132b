//! Session windows: rows of a key that are close to each other.
//!
//! A row opens the interval from its time to its time plus the gap; intervals of a key that overlap are one session. A row can
//! join two sessions, whose states then become one.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap},
};

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
};

use super::{emission::Emission, groups::Groups};
use crate::{
    Output, Refused, RefusedReason, StreamError, TIME_MAX, TIME_MIN,
    aggregate::Taken,
    operator::Operator,
    source::sift,
    state::{Entries, Reader, StateWriter, Writer},
    time::{WATERMARK_END, WATERMARK_MIN, times},
};

const POSITION: u8 = b'p';
const NO_SLOT: u32 = u32::MAX;
/// Stale entries that the heap of starts may hold beside twice the sessions.
const STALE_MAX: usize = 1_024;

#[derive(Debug)]
pub(super) struct SessionWindows {
    stage: String,
    gap: i64,
    lateness: i64,
    keys: Vec<usize>,
    time: usize,
    groups: Groups,
    /// The sessions of each key, by start; they do not overlap.
    by_key: Vec<Vec<u32>>,
    /// When to look at a session again. It may have become longer meanwhile.
    timers: BTreeMap<i64, Vec<u32>>,
    /// At which instant each slot has its timer.
    timer_of: Vec<i64>,
    /// The starts of sessions, the earliest on top; entries whose session has another start by now are stale.
    starts: BinaryHeap<Reverse<(i64, u32)>>,
    watermark: i64,
    settled: i64,
    /// Sessions that were told and have changed since.
    corrected: BTreeSet<u32>,
    /// Told rows of sessions that are part of other ones now.
    gone: Vec<(u32, i64, i64)>,
    /// Sessions whose rows are being told.
    telling: Vec<u32>,
    /// Sessions that became part of others while rows are taken in, and of which.
    joined: Vec<(u32, u32)>,
    emission: Emission,
    slots: Vec<u32>,
    moved: bool,
}

impl SessionWindows {
    pub(super) fn new(
        stage: &str,
        gap: i64,
        lateness: i64,
        keys: Vec<usize>,
        time: usize,
        groups: Groups,
    ) -> Self {
        Self {
            stage: stage.into(),
            gap,
            lateness,
            keys,
            time,
            groups,
            by_key: Vec::new(),
            timers: BTreeMap::new(),
            timer_of: Vec::new(),
            starts: BinaryHeap::new(),
            watermark: WATERMARK_MIN,
            settled: WATERMARK_MIN,
            corrected: BTreeSet::new(),
            gone: Vec::new(),
            telling: Vec::new(),
            joined: Vec::new(),
            emission: Emission::default(),
            slots: Vec::new(),
            moved: true,
        }
    }

    /// The slot of a row, or none if it is late: its own session would have been forgotten, and it joins no other.
    fn place(&mut self, key: u32, time: i64) -> Result<u32, StreamError> {
        let end = time.saturating_add(self.gap);
        let Some(sessions) = self.by_key.get(key as usize) else { return Ok(NO_SLOT) };
        let session = |slot: &u32| {
            self.groups.get(*slot).map_or((i64::MIN, i64::MIN), |group| (group.start, group.end))
        };
        let from = sessions.partition_point(|slot| session(slot).1 <= time);
        let until = from + sessions.iter().skip(from).take_while(|slot| session(slot).0 < end).count();
        let Some(slot) = sessions.get(from).copied().filter(|_| until > from) else {
            if end.saturating_add(self.lateness) <= self.watermark {
                return Ok(NO_SLOT);
            }
            return Ok(self.open(key, from, time, end));
        };
        let others: Vec<u32> = sessions.get(from + 1..until).map(<[u32]>::to_vec).unwrap_or_default();
        self.extend(slot, time, end);
        for other in others {
            self.join(key, slot, other)?;
        }
        Ok(slot)
    }

    #[cold]
    fn open(&mut self, key: u32, at: usize, start: i64, end: i64) -> u32 {
        let slot = self.groups.add(key, start, end);
        if let Some(sessions) = self.by_key.get_mut(key as usize) {
            sessions.insert(at, slot);
        }
        self.set_timer(slot, end);
        self.starts.push(Reverse((start, slot)));
        slot
    }

    #[inline]
    fn extend(&mut self, slot: u32, start: i64, end: i64) {
        let Some(group) = self.groups.get_mut(slot) else { return };
        group.end = group.end.max(end);
        if start < group.start {
            group.start = start;
            self.starts.push(Reverse((start, slot)));
        }
        if group.told.is_some() {
            self.corrected.insert(slot);
        }
    }

    /// Makes a session part of another one. Its slot stays taken until the rows that were placed in it have been forwarded.
    fn join(&mut self, key: u32, into: u32, from: u32) -> Result<(), StreamError> {
        let Some(former) = self.groups.get(from).copied() else { return Ok(()) };
        self.extend(into, former.start, former.end);
        self.groups.merge(into, from)?;
        self.groups.touch(into);
        if let Some((start, end)) = former.told {
            self.gone.push((key, start, end));
            // The key stays until its row was told as gone.
            self.groups.keys.acquire(key);
        }
        self.corrected.remove(&from);
        if let Some(sessions) = self.by_key.get_mut(key as usize) {
            sessions.retain(|slot| *slot != from);
        }
        self.joined.push((from, into));
        Ok(())
    }

    /// Rows that were placed in a session before it became part of another one belong to that.
    fn forward(&mut self) {
        if self.joined.is_empty() {
            return;
        }
        let mut target: BTreeMap<u32, u32> = BTreeMap::new();
        // A later entry may forward the target of an earlier one.
        for (from, into) in self.joined.iter().rev() {
            let into = target.get(into).copied().unwrap_or(*into);
            target.insert(*from, into);
        }
        for slot in &mut self.slots {
            if let Some(into) = target.get(slot) {
                *slot = *into;
            }
        }
        for (from, _) in std::mem::take(&mut self.joined) {
            self.forget(from);
        }
    }

    fn forget(&mut self, slot: u32) {
        if let Some(timer) = self.timer_of.get_mut(slot as usize) {
            *timer = WATERMARK_MIN;
        }
        self.groups.remove(slot);
    }

    fn set_timer(&mut self, slot: u32, at: i64) {
        if self.timer_of.len() <= slot as usize {
            self.timer_of.resize(slot as usize + 1, WATERMARK_MIN);
        }
        if let Some(timer) = self.timer_of.get_mut(slot as usize) {
            *timer = at;
        }
        self.timers.entry(at).or_default().push(slot);
    }

    /// Tells what rows did to sessions that were told already.
    fn correct(&mut self) -> Result<(), StreamError> {
        let mut again = Vec::new();
        for slot in std::mem::take(&mut self.corrected) {
            let Some(group) = self.groups.get_mut(slot) else { continue };
            let Some((start, end)) = group.told else { continue };
            if (start, end) != (group.start, group.end) {
                let key = group.key;
                self.gone.push((key, start, end));
                self.groups.keys.acquire(key);
            }
            let Some(group) = self.groups.get_mut(slot) else { continue };
            let (start, end, open) = (group.start, group.end, group.end > self.watermark);
            group.told = if open { None } else { Some((group.start, group.end)) };
            self.groups.touch(slot);
            if open {
                self.set_timer(slot, end);
                self.starts.push(Reverse((start, slot)));
            } else {
                self.set_timer(slot, end.saturating_add(self.lateness));
                again.push(slot);
            }
        }
        if !self.gone.is_empty() {
            let mut gone = std::mem::take(&mut self.gone);
            let keys = &self.groups.keys;
            gone.sort_unstable_by(|left, right| {
                (left.2, left.1).cmp(&(right.2, right.1)).then_with(|| keys.compare(left.0, right.0))
            });
            self.emission.ready(Output::Delete(self.groups.merge_keys(&gone)?));
            gone.into_iter().for_each(|(key, ..)| self.groups.keys.release(key));
        }
        if !again.is_empty() {
            self.emission.begin(&self.groups, again, true, Vec::new());
        }
        Ok(())
    }

    /// Begins to tell the sessions that are over.
    fn begin(&mut self) -> bool {
        let mut due = Vec::new();
        while let Some(entry) = self.timers.first_entry().filter(|entry| *entry.key() <= self.watermark) {
            let (at, slots) = entry.remove_entry();
            for slot in slots {
                if self.timer_of.get(slot as usize) == Some(&at) {
                    due.push(slot);
                }
            }
        }
        // A slot that was given anew can have two timers at one instant.
        due.sort_unstable();
        due.dedup();
        let mut over = Vec::new();
        for slot in due {
            let Some(group) = self.groups.get(slot).copied() else { continue };
            let kept_until = group.end.saturating_add(self.lateness);
            if group.told.is_none() && group.end <= self.watermark {
                over.push(slot);
            } else if group.told.is_none() {
                self.set_timer(slot, group.end);
            } else if kept_until <= self.watermark {
                self.end(slot);
            } else {
                self.set_timer(slot, kept_until);
            }
        }
        if over.is_empty() {
            return false;
        }
        self.emission.begin(&self.groups, over.clone(), false, Vec::new());
        self.telling = over;
        true
    }

    /// Once sessions were told, they stay for late rows or go.
    fn told(&mut self) {
        for slot in std::mem::take(&mut self.telling) {
            let Some(group) = self.groups.get_mut(slot) else { continue };
            group.told = Some((group.start, group.end));
            let kept_until = group.end.saturating_add(self.lateness);
            if kept_until <= self.watermark {
                self.end(slot);
            } else {
                self.groups.touch(slot);
                self.set_timer(slot, kept_until);
            }
        }
    }

    fn end(&mut self, slot: u32) {
        let key = self.groups.key(slot);
        if let Some(sessions) = self.by_key.get_mut(key as usize) {
            sessions.retain(|other| *other != slot);
        }
        self.forget(slot);
    }

    /// Before which start no session follows.
    fn bound(&mut self) -> i64 {
        if matches!(self.watermark, WATERMARK_MIN | WATERMARK_END) {
            return self.watermark;
        }
        if self.starts.len() > 2 * self.groups.len() + STALE_MAX {
            self.starts = self.groups.slots().map(|(slot, group)| Reverse((group.start, slot))).collect();
        }
        while let Some(Reverse((start, slot))) = self.starts.peek().copied() {
            if self.groups.get(slot).is_some_and(|group| group.start == start && group.told.is_none()) {
                break;
            }
            self.starts.pop();
        }
        let earliest = self.starts.peek().map_or(i64::MAX, |Reverse((start, _))| *start);
        // A row that is behind the watermark by less than the gap opens a session that is not over.
        earliest.min(self.watermark.saturating_sub(self.gap).saturating_sub(self.lateness).saturating_add(1))
    }

    fn take_in(&mut self, rows: RecordBatch) -> Result<(), StreamError> {
        let ids = self.groups.intern(&rows, &self.keys)?;
        if self.by_key.len() < self.groups.keys.bound() {
            self.by_key.resize(self.groups.keys.bound(), Vec::new());
        }
        let mut slots = std::mem::take(&mut self.slots);
        slots.clear();
        for (time, id) in times(&rows, self.time).iter().zip(&ids) {
            slots.push(self.place(*id, *time)?);
        }
        self.slots = slots;
        self.forward();
        let mut rows = rows;
        if self.slots.contains(&NO_SLOT) {
            let mask = |late: bool| -> BooleanArray {
                self.slots.iter().map(|slot| Some((*slot == NO_SLOT) == late)).collect()
            };
            let part =
                |late: bool| filter_record_batch(&rows, &mask(late)).map_err(StreamError::arrow("part rows"));
            let refused = Refused {
                stage: self.stage.clone(),
                reason: RefusedReason::Late,
                watermark: self.watermark,
                rows: part(true)?,
            };
            rows = part(false)?;
            self.slots.retain(|slot| *slot != NO_SLOT);
            self.emission.ready(Output::Refused(refused));
        }
        let slots = std::mem::take(&mut self.slots);
        self.groups.update(Taken { rows: &rows, times: times(&rows, self.time), slots: &slots })?;
        self.slots = slots;
        self.groups.give_back(ids);
        self.correct()
    }
}

impl Operator for SessionWindows {
    fn rows(&mut self, _: usize, rows: RecordBatch) -> Result<(), StreamError> {
        let reason = |time: Option<i64>| match time {
            None => Some(RefusedReason::NoTime),
            Some(time) if !(TIME_MIN..=TIME_MAX).contains(&time) => Some(RefusedReason::TimeOutOfRange),
            Some(_) => None,
        };
        let (rows, refused) =
            sift(&self.stage, self.watermark, rows, self.time, (TIME_MIN, TIME_MAX), reason)?;
        refused.into_iter().for_each(|output| self.emission.ready(output));
        self.take_in(rows)
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
            self.told();
            if self.watermark <= self.settled {
                return Ok(None);
            }
            if !self.begin() {
                self.settled = self.watermark;
                self.moved = true;
                let bound = self.bound();
                self.emission.ready(Output::Watermark(bound));
            }
        }
    }

    fn state_bytes(&mut self) -> usize {
        let sessions: usize = self.by_key.iter().map(|sessions| sessions.capacity() * 4 + 24).sum();
        let timers: usize = self.timers.values().map(|slots| slots.capacity() * 4 + 48).sum();
        self.groups.bytes() + sessions + timers + self.timer_of.capacity() * 8 + self.starts.capacity() * 16
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
        self.settled = self.watermark;
        self.groups.restore(entries)?;
        self.by_key.resize(self.groups.keys.bound(), Vec::new());
        let slots: Vec<_> = self.groups.slots().map(|(slot, group)| (slot, *group)).collect();
        for (slot, group) in slots {
            if let Some(sessions) = self.by_key.get_mut(group.key as usize) {
                sessions.push(slot);
            }
            self.starts.push(Reverse((group.start, slot)));
            let kept_until = group.end.saturating_add(self.lateness);
            self.set_timer(slot, if group.told.is_some() { kept_until } else { group.end });
        }
        let groups = &self.groups;
        self.by_key.iter_mut().for_each(|sessions| sessions.sort_unstable_by_key(|slot| groups.start(*slot)));
        self.moved = false;
        Ok(())
    }
}
