//! What a partition remembers of its producers, so that a batch that is sent again is not appended again. Pure: batches in,
//! verdicts out.

use std::{
    collections::{BTreeMap, HashMap},
    ops::Range,
};

use bytes::{Buf, BufMut};

use crate::Sequenced;

/// The batches of a producer whose offsets are remembered; as many as Kafka's clients have on their way at once.
const RECENT_MAX: usize = 5;
/// The first bytes of a file of producers; the last one is the version of the format.
const MAGIC: [u8; 4] = *b"MSP\x01";

/// The producers of a partition, those that appended last.
#[derive(Clone, Debug)]
pub(super) struct Producers {
    states: HashMap<u128, ProducerState>,
    /// The producers by the offset that they appended at last; the first one is forgotten first.
    order: BTreeMap<u64, u128>,
    max: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct ProducerState {
    epoch: u32,
    /// The number of the record that comes next.
    next: u64,
    /// The last batches, oldest first.
    recent: Vec<RecentBatch>,
    /// Numbers that a crash may have left out although later ones are there.
    missing: Vec<Range<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct RecentBatch {
    sequence: u64,
    records: u32,
    offset: u64,
}

/// What becomes of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Append,
    /// It was appended before, at these offsets where they are remembered.
    Repeated(Option<Range<u64>>),
    OutOfOrder {
        expected: u64,
    },
    Fenced {
        current: u32,
    },
}

/// What a producer was before a batch, to take the batch back.
#[derive(Debug)]
pub(super) struct Former(u128, Option<ProducerState>);

impl Producers {
    pub(super) fn new(max: usize) -> Self {
        Self { states: HashMap::new(), order: BTreeMap::new(), max }
    }

    pub(super) fn judge(&self, batch: &Sequenced, records: u32) -> Verdict {
        let Some(state) = self.states.get(&batch.producer) else { return Verdict::Append };
        if batch.epoch != state.epoch {
            let later = batch.epoch > state.epoch;
            return if later { Verdict::Append } else { Verdict::Fenced { current: state.epoch } };
        }
        let end = batch.sequence.saturating_add(u64::from(records));
        let same = |recent: &&RecentBatch| recent.sequence == batch.sequence && recent.records == records;
        if let Some(recent) = state.recent.iter().find(same) {
            return Verdict::Repeated(Some(recent.offset..recent.offset + u64::from(recent.records)));
        }
        if batch.sequence == state.next
            || state.missing.iter().any(|range| within(batch.sequence, end, range))
        {
            return Verdict::Append;
        }
        let known_from = state.recent.first().map_or(state.next, |recent| recent.sequence);
        if end <= known_from {
            return Verdict::Repeated(None);
        }
        Verdict::OutOfOrder { expected: state.next }
    }

    /// Notes a batch that is appended at this offset. `after_hole` says that earlier batches of the partition may be missing.
    pub(super) fn note(&mut self, batch: &Sequenced, records: u32, offset: u64, after_hole: bool) -> Former {
        let former = self.states.get(&batch.producer).cloned();
        let same_life = former.clone().filter(|state| state.epoch == batch.epoch);
        let end = batch.sequence.saturating_add(u64::from(records));
        let mut state = same_life.unwrap_or_else(|| ProducerState {
            epoch: batch.epoch,
            next: if after_hole { 0 } else { batch.sequence },
            recent: Vec::with_capacity(1),
            missing: Vec::new(),
        });
        if batch.sequence > state.next {
            state.missing.push(state.next..batch.sequence);
        } else if let Some(place) = state.missing.iter().position(|range| within(batch.sequence, end, range))
        {
            let range = state.missing.remove(place);
            let rest = [range.start..batch.sequence, end..range.end];
            state.missing.extend(rest.into_iter().filter(|range| !range.is_empty()));
        }
        state.next = state.next.max(end);
        if state.recent.len() == RECENT_MAX {
            state.recent.remove(0);
        }
        state.recent.push(RecentBatch { sequence: batch.sequence, records, offset });
        self.put(batch.producer, Some(state));
        Former(batch.producer, former)
    }

    /// Makes the producer what it was before a batch.
    pub(super) fn take_back(&mut self, Former(producer, state): Former) {
        self.put(producer, state);
    }

    fn put(&mut self, producer: u128, state: Option<ProducerState>) {
        let last = |state: &ProducerState| state.recent.last().map(|recent| recent.offset);
        if let Some(offset) = self.states.get(&producer).and_then(last) {
            self.order.remove(&offset);
        }
        match state {
            None => {
                self.states.remove(&producer);
            }
            Some(state) => {
                if let Some(offset) = last(&state) {
                    self.order.insert(offset, producer);
                }
                self.states.insert(producer, state);
            }
        }
    }

    /// Forgets the producers beyond the bound that appended longest ago.
    pub(super) fn forget_oldest(&mut self) {
        while self.states.len() > self.max {
            let Some((_, producer)) = self.order.pop_first() else { return };
            self.states.remove(&producer);
        }
    }

    /// The content of a file that says what is known before the segment with this salt.
    pub(super) fn encode(&self, salt: &[u8; 16]) -> Vec<u8> {
        let mut out = Vec::with_capacity(32 + 96 * self.states.len());
        out.put_slice(&MAGIC);
        out.put_slice(salt);
        for (producer, state) in
            self.order.values().filter_map(|producer| self.states.get_key_value(producer))
        {
            out.put_u128_le(*producer);
            out.put_u32_le(state.epoch);
            out.put_u64_le(state.next);
            out.put_u64_le(state.missing.len() as u64);
            for range in &state.missing {
                out.put_u64_le(range.start);
                out.put_u64_le(range.end);
            }
            out.put_u64_le(state.recent.len() as u64);
            for recent in &state.recent {
                out.put_u64_le(recent.sequence);
                out.put_u32_le(recent.records);
                out.put_u64_le(recent.offset);
            }
        }
        out.put_u32_le(crc32fast::hash(&out));
        out
    }

    /// The producers, if the bytes are those that [`Self::encode`] gave for a segment with this salt.
    pub(super) fn parse(bytes: &[u8], salt: &[u8; 16], max: usize) -> Option<Self> {
        let (content, crc) = bytes.split_last_chunk::<4>()?;
        let mut from = content.strip_prefix(&MAGIC)?.strip_prefix(salt)?;
        if u32::from_le_bytes(*crc) != crc32fast::hash(content) {
            return None;
        }
        let mut producers = Self::new(max);
        while from.has_remaining() {
            let producer = from.try_get_u128_le().ok()?;
            let epoch = from.try_get_u32_le().ok()?;
            let next = from.try_get_u64_le().ok()?;
            let mut missing = Vec::new();
            for _ in 0..from.try_get_u64_le().ok()? {
                missing.push(from.try_get_u64_le().ok()?..from.try_get_u64_le().ok()?);
            }
            let mut recent = Vec::with_capacity(1);
            for _ in 0..from.try_get_u64_le().ok()? {
                let (sequence, records) = (from.try_get_u64_le().ok()?, from.try_get_u32_le().ok()?);
                recent.push(RecentBatch { sequence, records, offset: from.try_get_u64_le().ok()? });
            }
            producers.put(producer, Some(ProducerState { epoch, next, recent, missing }));
        }
        producers.forget_oldest();
        Some(producers)
    }
}

fn within(sequence: u64, end: u64, range: &Range<u64>) -> bool {
    range.contains(&sequence) && end <= range.end
}
