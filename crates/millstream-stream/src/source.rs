//! Where rows enter a pipeline: what is refused at once, and how far the stream has come.

use std::{collections::VecDeque, sync::Arc};

use arrow::{
    array::{Array, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::{Schema, SchemaRef},
};
use millstream_types::Span;

use crate::{
    Output, Refused, RefusedReason, StreamError, TIME_MAX, TIME_MIN,
    state::{Entries, Reader, StateWriter, Writer},
    time::{is_time, micros, micros_positive, times},
    watermark::{Partition, Watermarks},
};

/// The most partitions of a source.
pub const PARTITIONS_MAX: u32 = 65_536;
/// The watermark of a source goes forward in whole steps of this length, unless its definition says another one.
pub const GRAIN: Span = Span::from_ms(100);

const STATE: u8 = b's';

/// A stream of rows with an event time, in one or several partitions.
#[derive(Debug, Clone)]
pub struct SourceDefinition {
    pub name: String,
    pub schema: SchemaRef,
    /// The column with the event time, a `Timestamp(Microsecond, _)`. Rows in which it is null are refused.
    pub time: String,
    /// The number of partitions, from 1 to [`PARTITIONS_MAX`]. One that never gives rows holds up the watermark until it is idle or
    /// has ended.
    pub partitions: u32,
    /// How much earlier than the newest row of its partition a row may be, and still be on time.
    pub disorder: Span,
    /// How long a partition gives no rows until it holds up nobody. Never, if none.
    pub idle_after: Option<Span>,
    /// How far ahead of the instant at which a row was learned of its event time may be. A row further ahead is refused and moves nothing, so that
    /// one wrong clock closes no windows. Any time, if none.
    pub future: Option<Span>,
    /// The watermark goes forward in whole steps of this length. It bounds how often rows that are behind cut a batch into pieces.
    pub grain: Span,
}

impl SourceDefinition {
    /// A source of one partition, in order, of which nothing is refused for its future.
    #[must_use]
    pub fn new(name: impl Into<String>, schema: SchemaRef, time: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            schema,
            time: time.into(),
            partitions: 1,
            disorder: Span::from_ms(0),
            idle_after: None,
            future: None,
            grain: GRAIN,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Source {
    name: String,
    schema: SchemaRef,
    time: usize,
    idle_after: Option<i64>,
    future: Option<i64>,
    watermarks: Watermarks,
    changed: bool,
    queue: VecDeque<Output>,
}

impl Source {
    pub(crate) fn new(definition: &SourceDefinition) -> Result<Self, StreamError> {
        let name = &definition.name;
        if !(1..=PARTITIONS_MAX).contains(&definition.partitions) {
            let reason =
                format!("{} partitions are not between 1 and {PARTITIONS_MAX}", definition.partitions);
            return Err(StreamError::parameter(name, reason));
        }
        let disorder = micros(name, "a disorder", definition.disorder)?;
        let grain = micros_positive(name, "a grain", definition.grain)?;
        Ok(Self {
            name: name.clone(),
            schema: Arc::clone(&definition.schema),
            time: time_column(name, &definition.schema, &definition.time)?,
            idle_after: definition
                .idle_after
                .map(|span| micros_positive(name, "an idle time", span))
                .transpose()?,
            future: definition.future.map(|span| micros(name, "a bound of the future", span)).transpose()?,
            watermarks: Watermarks::new(definition.partitions, disorder, grain),
            changed: true,
            queue: VecDeque::new(),
        })
    }

    pub(crate) fn watermark(&self) -> i64 {
        self.watermarks.watermark()
    }

    /// Takes in rows of a partition, learned of at `known`.
    pub(crate) fn push(&mut self, partition: u32, known: i64, rows: RecordBatch) -> Result<(), StreamError> {
        check_schema(&self.name, &self.schema, &rows)?;
        self.check_partition(partition)?;
        self.changed = true;
        let rows = self.sift(known, rows)?;
        let times = times(&rows, self.time);
        for piece in self.watermarks.observe(partition as usize, times, known) {
            if !piece.rows.is_empty() {
                let rows = rows.slice(piece.rows.start, piece.rows.len());
                self.queue.push_back(Output::Rows(rows));
            }
            self.tell(piece.watermark);
        }
        Ok(())
    }

    pub(crate) fn end(&mut self, partition: u32) -> Result<(), StreamError> {
        self.check_partition(partition)?;
        self.watermarks.end(partition as usize);
        self.changed = true;
        self.tell(self.watermarks.watermark());
        Ok(())
    }

    pub(crate) fn end_all(&mut self) {
        for partition in 0..self.watermarks.partitions().len() {
            self.watermarks.end(partition);
        }
        self.changed = true;
        self.tell(self.watermarks.watermark());
    }

    pub(crate) fn idle(&mut self, now: i64) {
        if let Some(idle_after) = self.idle_after {
            self.watermarks.idle(now, idle_after);
            self.changed = true;
            self.tell(self.watermarks.watermark());
        }
    }

    pub(crate) fn next(&mut self) -> Option<Output> {
        self.queue.pop_front()
    }

    pub(crate) fn save(&mut self, state: &mut StateWriter<'_>) {
        if !state.whole() && !std::mem::take(&mut self.changed) {
            return;
        }
        let mut out = Writer::default();
        out.i64(self.watermarks.watermark());
        for partition in self.watermarks.partitions() {
            for instant in [partition.newest, partition.active] {
                out.flag(instant.is_some());
                out.i64(instant.unwrap_or(0));
            }
            out.flag(partition.idle);
            out.flag(partition.ended);
        }
        state.put(STATE, &[], out.bytes);
    }

    pub(crate) fn restore(&mut self, entries: &Entries<'_>) -> Result<(), StreamError> {
        let Some(bytes) = entries.one(STATE) else {
            return Err(StreamError::damaged("the positions of a source are missing"));
        };
        let mut input = Reader::new(bytes);
        let watermark = input.i64()?;
        let instant = |input: &mut Reader<'_>| -> Result<Option<i64>, StreamError> {
            let is_some = input.flag()?;
            let instant = input.i64()?;
            Ok(is_some.then_some(instant))
        };
        let mut partitions = Vec::new();
        for _ in self.watermarks.partitions() {
            let newest = instant(&mut input)?;
            if newest.is_some_and(|newest| !(TIME_MIN..=TIME_MAX).contains(&newest)) {
                return Err(StreamError::damaged("an event time is out of range"));
            }
            let active = instant(&mut input)?;
            partitions.push(Partition { newest, active, idle: input.flag()?, ended: input.flag()? });
        }
        input.end()?;
        self.watermarks.restore(partitions, watermark);
        self.changed = false;
        Ok(())
    }

    fn check_partition(&self, partition: u32) -> Result<(), StreamError> {
        let stage = || self.name.clone();
        match self.watermarks.partitions().get(partition as usize) {
            None => {
                let partitions = u32::try_from(self.watermarks.partitions().len()).unwrap_or(u32::MAX);
                Err(StreamError::NoSuchPartition { stage: stage(), partition, partitions })
            }
            Some(state) if state.ended => Err(StreamError::Ended { stage: stage(), partition }),
            Some(_) => Ok(()),
        }
    }

    /// Refuses what has no usable event time, and gives the rest.
    fn sift(&mut self, known: i64, rows: RecordBatch) -> Result<RecordBatch, StreamError> {
        let latest = self.future.map_or(TIME_MAX, |future| known.saturating_add(future).min(TIME_MAX));
        let reason = |time: Option<i64>| match time {
            None => Some(RefusedReason::NoTime),
            Some(time) if !(TIME_MIN..=TIME_MAX).contains(&time) => Some(RefusedReason::TimeOutOfRange),
            Some(time) if time > latest => Some(RefusedReason::Future),
            Some(_) => None,
        };
        let watermark = self.watermarks.watermark();
        let (kept, refused) = sift(&self.name, watermark, rows, self.time, (TIME_MIN, latest), reason)?;
        self.queue.extend(refused);
        Ok(kept)
    }

    fn tell(&mut self, watermark: i64) {
        let told = self.queue.iter().rev().find_map(|output| match output {
            Output::Watermark(watermark) => Some(*watermark),
            _ => None,
        });
        if told != Some(watermark) {
            self.queue.push_back(Output::Watermark(watermark));
        }
    }
}

/// The number of a column that holds event times.
pub(crate) fn time_column(stage: &str, schema: &Schema, name: &str) -> Result<usize, StreamError> {
    let (column, field) = schema
        .column_with_name(name)
        .ok_or_else(|| StreamError::NoSuchColumn { stage: stage.into(), column: name.into() })?;
    if is_time(field.data_type()) {
        return Ok(column);
    }
    Err(StreamError::ColumnType {
        stage: stage.into(),
        column: name.into(),
        data_type: field.data_type().clone(),
        role: "an event time, which is a timestamp in microseconds",
    })
}

/// Rows must have the declared columns, names and types.
pub(crate) fn check_schema(stage: &str, expected: &Schema, rows: &RecordBatch) -> Result<(), StreamError> {
    let found = rows.schema_ref();
    let mut pairs = expected.fields().iter().zip(found.fields());
    let fits = expected.fields().len() == found.fields().len()
        && pairs.all(|(expected, found)| {
            expected.name() == found.name() && expected.data_type() == found.data_type()
        });
    if fits {
        return Ok(());
    }
    let shown = |schema: &Schema| {
        let fields = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
        fields.collect::<Vec<_>>().join(", ")
    };
    Err(StreamError::Schema { stage: stage.into(), expected: shown(expected), found: shown(found) })
}

/// Parts rows into those that take part and those that are refused, one batch for each reason. All rows whose time lies within `safe`
/// take part.
pub(crate) fn sift(
    stage: &str,
    watermark: i64,
    rows: RecordBatch,
    time: usize,
    safe: (i64, i64),
    reason: impl Fn(Option<i64>) -> Option<RefusedReason>,
) -> Result<(RecordBatch, Vec<Output>), StreamError> {
    let Some(column) = rows.columns().get(time).map(Arc::clone) else { return Ok((rows, Vec::new())) };
    let values = times(&rows, time);
    let all_safe = values.iter().fold(true, |all, time| all & (*time >= safe.0) & (*time <= safe.1));
    if column.null_count() == 0 && all_safe {
        return Ok((rows, Vec::new()));
    }
    let reasons = values.iter().enumerate().map(|(row, time)| reason(column.is_valid(row).then_some(*time)));
    let reasons: Vec<Option<RefusedReason>> = reasons.collect();
    let mut found: Vec<RefusedReason> = reasons.iter().flatten().copied().collect();
    found.sort_unstable();
    found.dedup();
    let part = |wanted: Option<RefusedReason>| {
        let mask: BooleanArray = reasons.iter().map(|reason| Some(*reason == wanted)).collect();
        filter_record_batch(&rows, &mask).map_err(StreamError::arrow("part rows"))
    };
    let mut refused = Vec::new();
    for reason in found {
        let rows = part(Some(reason))?;
        refused.push(Output::Refused(Refused { stage: stage.into(), reason, watermark, rows }));
    }
    Ok((part(None)?, refused))
}
