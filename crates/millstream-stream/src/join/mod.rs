//! The join of two streams within a bound of time.
//!
//! Each side holds its rows as long as a row of the other side can still meet them. A pair is told when its second row comes; a row
//! of the left side without any pair, where such rows are wanted, when no partner can come any more.

mod side;

use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{Array, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::{Field, Schema, SchemaRef},
};
use millstream_types::Span;

use crate::{
    Output, RefusedReason, StreamError, TIME_MAX, TIME_MIN,
    held::RowPlace,
    key::{KeyEncoder, KeyTable, NO_KEY, arrays_of, key_columns},
    operator::Operator,
    source::sift,
    state::{Entries, Reader, StateWriter, Writer},
    time::{WATERMARK_END, WATERMARK_MIN, micros, times},
    window::check_names,
};
use side::{HeldRow, LEFT_ROWS, RIGHT_ROWS, Side};

const POSITION: u8 = b'p';
/// The most rows that are told at once.
const BATCH_ROWS: usize = 8_192;
const LEFT: usize = 0;
const RIGHT: usize = 1;

/// A join of rows with equal keys, of which the right one is neither earlier than `from` nor later than `until` after the left one; both bounds
/// are part of it. A key that is null has no partner. The result has the columns of the left side and then those of the right side;
/// its event time is that of the left row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinDefinition {
    pub name: String,
    pub kind: JoinKind,
    /// The key columns of the left side, each with its partner on the right side.
    pub on: Vec<(String, String)>,
    pub from: Distance,
    pub until: Distance,
    /// What is put before the names of the right side's columns, so that no two columns have one name.
    pub right_prefix: String,
}

/// Which rows of the left side are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JoinKind {
    /// Those with a partner.
    Inner,
    /// All; those without a partner once, with nulls, when the watermark says that none can come.
    Left,
}

/// How far, and to which side, the right row is from the left one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Distance {
    Earlier(Span),
    Later(Span),
}

#[derive(Debug)]
pub(crate) struct IntervalJoin {
    stage: String,
    kind: JoinKind,
    schema: SchemaRef,
    /// The bounds of the right time less the left time.
    lower: i64,
    upper: i64,
    table: KeyTable,
    sides: [Side; 2],
    inputs: [i64; 2],
    settled: i64,
    probe: Probe,
    ready: VecDeque<Output>,
    ids: Vec<u32>,
    moved: bool,
}

/// New rows that still have to meet those of the other side.
#[derive(Debug, Default)]
struct Probe {
    side: usize,
    rows: Vec<HeldRow>,
    at: usize,
    /// How many rows of the other side the present one has met.
    met: usize,
}

impl IntervalJoin {
    pub(crate) fn new(
        definition: &JoinDefinition,
        schemas: [&SchemaRef; 2],
        time_columns: [usize; 2],
    ) -> Result<(Self, SchemaRef), StreamError> {
        let stage = definition.name.as_str();
        let [left, right] = schemas;
        let names = |side: fn(&(String, String)) -> &String| {
            definition.on.iter().map(side).cloned().collect::<Vec<_>>()
        };
        let (left_keys, types) = key_columns(stage, left, &names(|(left, _)| left))?;
        let (right_keys, right_types) = key_columns(stage, right, &names(|(_, right)| right))?;
        for ((ours, theirs), (_, name)) in types.iter().zip(&right_types).zip(&definition.on) {
            if ours != theirs {
                return Err(StreamError::ColumnType {
                    stage: stage.into(),
                    column: name.clone(),
                    data_type: theirs.clone(),
                    role: "a key, as its partner has another type",
                });
            }
        }
        let bound = |distance: Distance| match distance {
            Distance::Earlier(span) => micros(stage, "a bound", span).map(|length| -length),
            Distance::Later(span) => micros(stage, "a bound", span),
        };
        let (lower, upper) = (bound(definition.from)?, bound(definition.until)?);
        if lower > upper {
            return Err(StreamError::parameter(stage, "the bound `from` lies after the bound `until`"));
        }
        let mut fields: Vec<Field> = left.fields().iter().map(|field| field.as_ref().clone()).collect();
        fields.extend(right.fields().iter().map(|field| {
            let name = format!("{}{}", definition.right_prefix, field.name());
            let nullable = field.is_nullable() || definition.kind == JoinKind::Left;
            field.as_ref().clone().with_name(name).with_nullable(nullable)
        }));
        check_names(stage, &fields)?;
        let schema: SchemaRef = Arc::new(Schema::new(fields));
        let [left_time, right_time] = time_columns;
        let join = Self {
            stage: stage.into(),
            kind: definition.kind,
            schema: Arc::clone(&schema),
            lower,
            upper,
            table: KeyTable::new(KeyEncoder::new(types)?),
            sides: [
                Side::new(LEFT_ROWS, Arc::clone(left), left_keys, left_time),
                Side::new(RIGHT_ROWS, Arc::clone(right), right_keys, right_time),
            ],
            inputs: [WATERMARK_MIN; 2],
            settled: WATERMARK_MIN,
            probe: Probe::default(),
            ready: VecDeque::new(),
            ids: Vec::new(),
            moved: true,
        };
        Ok((join, schema))
    }

    fn least_watermark(&self) -> i64 {
        let [left, right] = self.inputs;
        left.min(right)
    }

    /// Rows of each side before these instants meet nobody at a watermark.
    fn thresholds(&self, watermark: i64) -> [i64; 2] {
        match watermark {
            WATERMARK_MIN | WATERMARK_END => [watermark; 2],
            _ => [watermark.saturating_sub(self.upper), watermark.saturating_add(self.lower)],
        }
    }

    /// The numbers of the keys of rows; those with a null have none.
    fn intern(&mut self, input: usize, rows: &RecordBatch) -> Result<Vec<u32>, StreamError> {
        let mut ids = std::mem::take(&mut self.ids);
        let columns = self.sides.get(input).map(|side| arrays_of(rows, &side.keys)).unwrap_or_default();
        self.table.intern(&columns, rows.num_rows(), &mut ids)?;
        for column in &columns {
            if let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
                for (id, valid) in ids.iter_mut().zip(nulls.iter()) {
                    if !valid {
                        *id = NO_KEY;
                    }
                }
            }
        }
        Ok(ids)
    }

    /// Pairs of new rows with those of the other side, a batch at most.
    fn pairs(&mut self) -> Result<Option<RecordBatch>, StreamError> {
        let mut left = Vec::new();
        let mut right = Vec::new();
        let (own, other) = if self.probe.side == LEFT { (LEFT, RIGHT) } else { (RIGHT, LEFT) };
        while let Some(row) = self.probe.rows.get(self.probe.at).copied() {
            let (earliest, latest) = if own == LEFT {
                (row.time.saturating_add(self.lower), row.time.saturating_add(self.upper))
            } else {
                (row.time.saturating_sub(self.upper), row.time.saturating_sub(self.lower))
            };
            let partners = self.sides.get(other).map(|side| side.between(row.key, earliest, latest));
            let partners = partners.into_iter().flatten().skip(self.probe.met);
            let room = BATCH_ROWS - left.len();
            let mut met = 0;
            for partner in partners.take(room) {
                met += 1;
                let (ours, theirs) = if own == LEFT { (row.place, partner) } else { (partner, row.place) };
                left.push(Some(ours));
                right.push(Some(theirs));
            }
            if met == room {
                self.probe.met += met;
                break;
            }
            self.probe.met = 0;
            self.probe.at += 1;
        }
        if left.is_empty() {
            self.probe = Probe::default();
            return Ok(None);
        }
        if self.kind == JoinKind::Left {
            let [side, _] = &mut self.sides;
            left.iter().flatten().for_each(|place| side.mark(*place));
        }
        self.joined(&left, &right).map(Some)
    }

    fn joined(
        &self,
        left: &[Option<RowPlace>],
        right: &[Option<RowPlace>],
    ) -> Result<RecordBatch, StreamError> {
        let [left_side, right_side] = &self.sides;
        let mut columns = left_side.held.gather(left)?;
        columns.extend(right_side.held.gather(right)?);
        RecordBatch::try_new(Arc::clone(&self.schema), columns)
            .map_err(StreamError::arrow("put pairs together"))
    }

    /// Lets go of rows that nobody can meet; those of the left side that never met anybody are told, a batch at most.
    fn let_go(&mut self, watermark: i64) -> Result<Option<RecordBatch>, StreamError> {
        let [left_threshold, right_threshold] = self.thresholds(watermark);
        let mut alone = Vec::new();
        let mut passed = Vec::new();
        let [left, _] = &mut self.sides;
        while alone.len() < BATCH_ROWS {
            let Some(row) = left.pop_before(left_threshold) else { break };
            if self.kind == JoinKind::Left && !left.is_marked(row.place) {
                alone.push(Some(row.place));
            }
            passed.push(row);
        }
        let batch =
            if alone.is_empty() { None } else { Some(self.joined(&alone, &vec![None; alone.len()])?) };
        for row in passed {
            self.release(LEFT, row);
        }
        if batch.is_none() {
            while let Some(row) = self.sides.get_mut(RIGHT).and_then(|side| side.pop_before(right_threshold))
            {
                self.release(RIGHT, row);
            }
        }
        Ok(batch)
    }

    fn release(&mut self, side: usize, row: HeldRow) {
        if let Some(side) = self.sides.get_mut(side) {
            side.release(row);
        }
        if row.key != NO_KEY {
            self.table.release(row.key);
        }
    }
}

impl Operator for IntervalJoin {
    fn rows(&mut self, input: usize, rows: RecordBatch) -> Result<(), StreamError> {
        let watermark = self.least_watermark();
        let reason = |time: Option<i64>| match time {
            None => Some(RefusedReason::NoTime),
            Some(time) if !(TIME_MIN..=TIME_MAX).contains(&time) => Some(RefusedReason::TimeOutOfRange),
            Some(time) => (time < watermark).then_some(RefusedReason::Late),
        };
        let safe = (watermark.max(TIME_MIN), TIME_MAX);
        let time = self.sides.get(input).map_or(0, |side| side.time);
        let (mut rows, refused) = sift(&self.stage, watermark, rows, time, safe, reason)?;
        self.ready.extend(refused);
        let mut ids = self.intern(input, &rows)?;
        // Only rows of the left side are told without a partner.
        if ids.contains(&NO_KEY) && (input == RIGHT || self.kind == JoinKind::Inner) {
            let mask: BooleanArray = ids.iter().map(|id| Some(*id != NO_KEY)).collect();
            rows = filter_record_batch(&rows, &mask).map_err(StreamError::arrow("part rows"))?;
            ids.retain(|id| *id != NO_KEY);
        }
        if let Some(side) = self.sides.get_mut(input).filter(|_| rows.num_rows() > 0) {
            ids.iter().filter(|id| **id != NO_KEY).for_each(|id| self.table.acquire(*id));
            let rows = side.hold(&rows, times(&rows, time), &ids, self.table.bound())?;
            self.probe = Probe { side: input, rows, at: 0, met: 0 };
        }
        self.ids = ids;
        self.table.drop_unused();
        Ok(())
    }

    fn watermark(&mut self, input: usize, watermark: i64) -> Result<(), StreamError> {
        if let Some(known) = self.inputs.get_mut(input) {
            *known = watermark.max(*known);
            self.moved = true;
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Output>, StreamError> {
        if let Some(output) = self.ready.pop_front() {
            return Ok(Some(output));
        }
        if let Some(rows) = self.pairs()? {
            return Ok(Some(Output::Rows(rows)));
        }
        let watermark = self.least_watermark();
        if watermark <= self.settled {
            return Ok(None);
        }
        if let Some(rows) = self.let_go(watermark)? {
            return Ok(Some(Output::Rows(rows)));
        }
        self.settled = watermark;
        // A left row that is told later is at most so much earlier than the rows that follow.
        let told = match watermark {
            WATERMARK_MIN | WATERMARK_END => watermark,
            _ => watermark.saturating_sub(self.upper.max(0)),
        };
        Ok(Some(Output::Watermark(told)))
    }

    fn state_bytes(&mut self) -> usize {
        self.table.bytes() + self.sides.iter().map(Side::bytes).sum::<usize>()
    }

    fn save(&mut self, state: &mut StateWriter<'_>) -> Result<(), StreamError> {
        if state.whole() || std::mem::take(&mut self.moved) {
            let mut out = Writer::default();
            self.inputs.iter().for_each(|watermark| out.i64(*watermark));
            state.put(POSITION, &[], out.bytes);
        }
        self.sides.iter_mut().try_for_each(|side| side.save(state))
    }

    fn restore(&mut self, entries: &Entries<'_>) -> Result<(), StreamError> {
        let mut position = Reader::new(
            entries.one(POSITION).ok_or(StreamError::Damaged { reason: "a watermark is missing" })?,
        );
        self.inputs = [position.i64()?, position.i64()?];
        position.end()?;
        self.settled = self.least_watermark();
        let thresholds = self.thresholds(self.settled);
        for (input, threshold) in [LEFT, RIGHT].into_iter().zip(thresholds) {
            let batches = self.sides.get_mut(input).map(|side| side.read(entries, threshold)).transpose()?;
            for (number, rows) in batches.unwrap_or_default() {
                let ids = self.intern(input, &rows)?;
                let time = self.sides.get(input).map_or(0, |side| side.time);
                if let Some(side) = self.sides.get_mut(input) {
                    let held = side.index(number, 0, times(&rows, time), &ids, self.table.bound(), threshold);
                    held.iter().filter(|row| row.key != NO_KEY).for_each(|row| self.table.acquire(row.key));
                }
                self.ids = ids;
                self.table.drop_unused();
            }
        }
        self.moved = false;
        Ok(())
    }
}
