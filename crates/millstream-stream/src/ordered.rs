//! Rows that wait until the watermark has passed them, to go on in the order of events.
//!
//! The order is that of event times; rows of one time are ordered by the encoding of all their columns, so that it depends on nothing but
//! the rows.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    compute::concat_batches,
    datatypes::SchemaRef,
    row::{RowConverter, SortField},
};

use crate::{
    StreamError,
    held::{batch_from_bytes, batch_to_bytes, reordered},
    state::{Entries, StateWriter},
    time::times,
};

const RUN: u8 = b'r';
/// More runs than this are put together.
const RUNS_MAX: usize = 32;

#[derive(Debug)]
pub(crate) struct OrderedRows {
    schema: SchemaRef,
    time: usize,
    converter: RowConverter,
    /// Batches in order, each by a number that is never given again.
    runs: Vec<Run>,
    next: u64,
    /// Runs that were saved and are no more.
    gone: Vec<u64>,
    bytes: usize,
}

#[derive(Debug)]
struct Run {
    number: u64,
    rows: RecordBatch,
    bytes: usize,
    saved: bool,
}

impl OrderedRows {
    pub(crate) fn new(stage: &str, schema: SchemaRef, time: usize) -> Result<Self, StreamError> {
        let fields: Vec<SortField> =
            schema.fields().iter().map(|field| SortField::new(field.data_type().clone())).collect();
        if !RowConverter::supports_fields(&fields) {
            let reason = "it orders rows by all their columns, of which one has a type without an order: leave it out before";
            return Err(StreamError::parameter(stage, reason));
        }
        let converter = RowConverter::new(fields).map_err(StreamError::arrow("order rows"))?;
        Ok(Self { schema, time, converter, runs: Vec::new(), next: 0, gone: Vec::new(), bytes: 0 })
    }

    pub(crate) fn push(&mut self, rows: &RecordBatch) -> Result<(), StreamError> {
        if rows.num_rows() == 0 {
            return Ok(());
        }
        let rows = self.sorted(rows)?;
        self.add(rows);
        if self.runs.len() > RUNS_MAX {
            // The smaller half: the largest runs are copied rarely.
            self.runs.sort_by_key(|run| std::cmp::Reverse(run.rows.num_rows()));
            let small = self.runs.split_off(RUNS_MAX / 2);
            let rows = concat_batches(&self.schema, small.iter().map(|run| &run.rows))
                .map_err(StreamError::arrow("put rows together"))?;
            small.iter().for_each(|run| self.drop_run(run));
            let rows = self.sorted(&rows)?;
            self.add(rows);
        }
        Ok(())
    }

    /// Takes the rows with an event time before `watermark`, in order.
    pub(crate) fn due(&mut self, watermark: i64) -> Result<Option<RecordBatch>, StreamError> {
        let mut due = Vec::new();
        for mut run in std::mem::take(&mut self.runs) {
            let until = times(&run.rows, self.time).partition_point(|time| *time < watermark);
            let count = run.rows.num_rows();
            if until == 0 {
                self.runs.push(run);
                continue;
            }
            due.push(run.rows.slice(0, until));
            self.drop_run(&run);
            if until < count {
                run.rows = run.rows.slice(until, count - until);
                let rest = run.rows;
                self.add(rest);
            }
        }
        match due.as_slice() {
            [] => Ok(None),
            [rows] => Ok(Some(rows.clone())),
            several => {
                let rows =
                    concat_batches(&self.schema, several).map_err(StreamError::arrow("put rows together"))?;
                self.sorted(&rows).map(Some)
            }
        }
    }

    fn add(&mut self, rows: RecordBatch) {
        let bytes = millstream_spool::size_of(&rows);
        self.bytes += bytes;
        self.runs.push(Run { number: self.next, rows, bytes, saved: false });
        self.next += 1;
    }

    fn drop_run(&mut self, run: &Run) {
        self.bytes -= run.bytes;
        if run.saved {
            self.gone.push(run.number);
        }
    }

    fn sorted(&self, rows: &RecordBatch) -> Result<RecordBatch, StreamError> {
        let encoded =
            self.converter.convert_columns(rows.columns()).map_err(StreamError::arrow("order rows"))?;
        let times = times(rows, self.time);
        let mut order: Vec<u32> = (0..u32::try_from(rows.num_rows()).unwrap_or(u32::MAX)).collect();
        let key = |row: &u32| (times.get(*row as usize).copied(), encoded.row(*row as usize));
        order.sort_unstable_by(|left, right| key(left).cmp(&key(right)));
        reordered(rows, order)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.runs.capacity() * size_of::<Run>()
    }

    pub(crate) fn save(&mut self, state: &mut StateWriter<'_>) -> Result<(), StreamError> {
        let whole = state.whole();
        if !whole {
            std::mem::take(&mut self.gone).iter().for_each(|number| state.delete(RUN, &number.to_be_bytes()));
        }
        for run in &mut self.runs {
            if whole || !run.saved {
                state.put(RUN, &run.number.to_be_bytes(), batch_to_bytes(&run.rows)?);
                run.saved |= !whole;
            }
        }
        Ok(())
    }

    pub(crate) fn restore(&mut self, entries: &Entries<'_>) -> Result<(), StreamError> {
        for (id, value) in entries.each(RUN) {
            let number = id
                .try_into()
                .map(u64::from_be_bytes)
                .map_err(|_| StreamError::damaged("a run has no number"))?;
            let rows = batch_from_bytes(&Arc::clone(&self.schema), value)?;
            let bytes = millstream_spool::size_of(&rows);
            self.bytes += bytes;
            self.runs.push(Run { number, rows, bytes, saved: true });
            self.next = self.next.max(number.saturating_add(1));
        }
        Ok(())
    }
}
