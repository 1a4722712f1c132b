//! Rows of which a key was seen a short while before are left out.
//!
//! Rows wait until the watermark has passed them and are then looked at in the order of events. So which one of several stays does not depend on
//! which came first, and neither do the rows that follow.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use arrow::{
    array::{BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::SchemaRef,
};
use millstream_types::Span;

use crate::{
    Output, RefusedReason, StreamError, TIME_MAX, TIME_MIN,
    key::{KeyEncoder, KeyTable, arrays_of, key_columns},
    operator::Operator,
    ordered::OrderedRows,
    source::sift,
    state::{Entries, Reader, StateWriter, Writer},
    time::{WATERMARK_MIN, micros_positive, times},
};

const POSITION: u8 = b'p';
const KEPT: u8 = b'k';
/// The most rows that are told at once.
const BATCH_ROWS: usize = 8_192;

/// Leaves out rows whose key a kept row had less than `within` before. A row is told once the watermark has passed it. A key is forgotten
/// when no row can repeat it any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeduplicateDefinition {
    pub name: String,
    pub keys: Vec<String>,
    pub within: Span,
}

#[derive(Debug)]
pub(crate) struct Deduplicate {
    stage: String,
    keys: Vec<usize>,
    time: usize,
    within: i64,
    table: KeyTable,
    waiting: OrderedRows,
    /// The event time of the last kept row of each key, by the key's number.
    kept: Vec<Option<i64>>,
    /// When keys are forgotten.
    timers: BTreeMap<i64, Vec<u32>>,
    watermark: i64,
    settled: i64,
    ready: VecDeque<Output>,
    due: Option<RecordBatch>,
    duplicates: u64,
    changed: Vec<u32>,
    marks: Vec<bool>,
    gone: Vec<Vec<u8>>,
    ids: Vec<u32>,
}

impl Deduplicate {
    pub(crate) fn new(
        definition: &DeduplicateDefinition,
        schema: &SchemaRef,
        time: usize,
    ) -> Result<Self, StreamError> {
        let stage = definition.name.as_str();
        let (keys, types) = key_columns(stage, schema, &definition.keys)?;
        Ok(Self {
            stage: stage.into(),
            keys,
            time,
            within: micros_positive(stage, "a bound", definition.within)?,
            table: KeyTable::new(KeyEncoder::new(types)?),
            waiting: OrderedRows::new(stage, Arc::clone(schema), time)?,
            kept: Vec::new(),
            timers: BTreeMap::new(),
            watermark: WATERMARK_MIN,
            settled: WATERMARK_MIN,
            ready: VecDeque::new(),
            due: None,
            duplicates: 0,
            changed: Vec::new(),
            marks: Vec::new(),
            gone: Vec::new(),
            ids: Vec::new(),
        })
    }

    /// Keeps the rows, in order, whose key no kept row had a short while before.
    fn keep(&mut self, rows: &RecordBatch) -> Result<RecordBatch, StreamError> {
        let mut ids = std::mem::take(&mut self.ids);
        self.table.intern(&arrays_of(rows, &self.keys), rows.num_rows(), &mut ids)?;
        self.kept.resize(self.table.bound(), None);
        self.marks.resize(self.table.bound(), false);
        let mut mask = Vec::with_capacity(rows.num_rows());
        for (time, id) in times(rows, self.time).iter().zip(&ids) {
            let Some(kept) = self.kept.get_mut(*id as usize) else { continue };
            let fresh = kept.is_none_or(|kept| time.saturating_sub(kept) >= self.within);
            mask.push(fresh);
            if !fresh {
                continue;
            }
            if kept.replace(*time).is_none() {
                self.table.acquire(*id);
                self.timers.entry(time.saturating_add(self.within)).or_default().push(*id);
            }
            if let Some(mark) = self.marks.get_mut(*id as usize).filter(|mark| !**mark) {
                *mark = true;
                self.changed.push(*id);
            }
        }
        self.ids = ids;
        self.table.drop_unused();
        let kept =
            filter_record_batch(rows, &BooleanArray::from(mask)).map_err(StreamError::arrow("part rows"))?;
        self.duplicates += (rows.num_rows() - kept.num_rows()) as u64;
        Ok(kept)
    }

    /// Forgets keys that no row to come can repeat.
    fn forget(&mut self) {
        while let Some(entry) = self.timers.first_entry().filter(|entry| *entry.key() <= self.watermark) {
            for id in entry.remove() {
                let Some(Some(kept)) = self.kept.get(id as usize).copied() else { continue };
                let until = kept.saturating_add(self.within);
                if until > self.watermark {
                    self.timers.entry(until).or_default().push(id);
                    continue;
                }
                if let Some(kept) = self.kept.get_mut(id as usize) {
                    *kept = None;
                }
                // The number stays among the changed ones, where it stands for the key that has it then.
                if let Some(mark) = self.marks.get_mut(id as usize) {
                    *mark = false;
                }
                self.gone.push(self.table.write(id));
                self.table.release(id);
            }
        }
    }
}

impl Operator for Deduplicate {
    fn rows(&mut self, _: usize, rows: RecordBatch) -> Result<(), StreamError> {
        let watermark = self.watermark;
        let reason = |time: Option<i64>| match time {
            None => Some(RefusedReason::NoTime),
            Some(time) if !(TIME_MIN..=TIME_MAX).contains(&time) => Some(RefusedReason::TimeOutOfRange),
            Some(time) => (time < watermark).then_some(RefusedReason::Late),
        };
        let safe = (watermark.max(TIME_MIN), TIME_MAX);
        let (rows, refused) = sift(&self.stage, watermark, rows, self.time, safe, reason)?;
        self.ready.extend(refused);
        self.waiting.push(&rows)
    }

    fn watermark(&mut self, _: usize, watermark: i64) -> Result<(), StreamError> {
        self.watermark = self.watermark.max(watermark);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Output>, StreamError> {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return Ok(Some(output));
            }
            if let Some(rows) = self.due.take() {
                let count = rows.num_rows();
                let chunk = rows.slice(0, count.min(BATCH_ROWS));
                if count > BATCH_ROWS {
                    self.due = Some(rows.slice(BATCH_ROWS, count - BATCH_ROWS));
                }
                let kept = self.keep(&chunk)?;
                if kept.num_rows() > 0 {
                    return Ok(Some(Output::Rows(kept)));
                }
                continue;
            }
            if self.watermark <= self.settled {
                return Ok(None);
            }
            self.due = self.waiting.due(self.watermark)?;
            if self.due.is_none() {
                self.settled = self.watermark;
                self.forget();
                self.ready.push_back(Output::Watermark(self.watermark));
            }
        }
    }

    fn state_bytes(&mut self) -> usize {
        let timers: usize = self.timers.values().map(|ids| ids.capacity() * 4 + 48).sum();
        self.waiting.bytes() + self.table.bytes() + self.kept.capacity() * 17 + timers
    }

    fn left_out(&self) -> u64 {
        self.duplicates
    }

    fn save(&mut self, state: &mut StateWriter<'_>) -> Result<(), StreamError> {
        let mut out = Writer::default();
        out.i64(self.watermark);
        state.put(POSITION, &[], out.bytes);
        self.waiting.save(state)?;
        let ids = if state.whole() {
            let kept = self.kept.iter().enumerate().filter(|(_, kept)| kept.is_some());
            kept.filter_map(|(id, _)| u32::try_from(id).ok()).collect()
        } else {
            // A key that came back stands after its removal.
            std::mem::take(&mut self.gone).iter().for_each(|key| state.delete(KEPT, key));
            std::mem::take(&mut self.changed)
        };
        for id in ids {
            if let Some(mark) = self.marks.get_mut(id as usize).filter(|_| !state.whole()) {
                *mark = false;
            }
            if let Some(Some(kept)) = self.kept.get(id as usize) {
                state.put(KEPT, &self.table.write(id), kept.to_le_bytes().to_vec());
            }
        }
        Ok(())
    }

    fn restore(&mut self, entries: &Entries<'_>) -> Result<(), StreamError> {
        let mut position = Reader::new(
            entries.one(POSITION).ok_or(StreamError::Damaged { reason: "a watermark is missing" })?,
        );
        self.watermark = position.i64()?;
        position.end()?;
        self.settled = self.watermark;
        self.waiting.restore(entries)?;
        for (key, value) in entries.each(KEPT) {
            let id = self.table.read(key)?;
            let mut input = Reader::new(value);
            let time = input.i64()?;
            input.end()?;
            self.kept.resize(self.table.bound(), None);
            self.marks.resize(self.table.bound(), false);
            self.table.acquire(id);
            if let Some(kept) = self.kept.get_mut(id as usize) {
                *kept = Some(time);
            }
            self.timers.entry(time.saturating_add(self.within)).or_default().push(id);
        }
        self.table.drop_unused();
        Ok(())
    }
}
