//! Rows that are held for later, in the batches in which they came.

use std::{collections::BTreeMap, io::Cursor, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch},
    compute::{concat_batches, interleave, take_record_batch},
    datatypes::SchemaRef,
    ipc::{reader::StreamReader, writer::StreamWriter},
};

use crate::StreamError;

/// Batches of fewer rows than this are put together, so that single rows do not each cost a batch.
const OPEN_ROWS: usize = 256;

/// The place of a row that is held. Places are in the order in which the rows came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RowPlace {
    pub(crate) batch: u64,
    pub(crate) row: u32,
}

/// Batches by number; later ones have higher numbers. A batch goes when none of its rows is held any more.
#[derive(Debug)]
pub(crate) struct HeldRows {
    schema: SchemaRef,
    batches: BTreeMap<u64, HeldBatch>,
    next: u64,
    /// The last batch, if a few rows more can be added to it.
    open: Option<u64>,
    bytes: usize,
    /// Batches that were added, grew or went since they were saved.
    changed: Vec<u64>,
}

#[derive(Debug)]
struct HeldBatch {
    rows: RecordBatch,
    live: usize,
    bytes: usize,
}

impl HeldRows {
    pub(crate) fn new(schema: SchemaRef) -> Self {
        Self { schema, batches: BTreeMap::new(), next: 0, open: None, bytes: 0, changed: Vec::new() }
    }

    /// Holds rows and gives the place of the first; the others follow it.
    pub(crate) fn add(&mut self, rows: &RecordBatch) -> Result<RowPlace, StreamError> {
        let count = rows.num_rows();
        if let Some(number) = self.open
            && let Some(batch) = self.batches.get_mut(&number)
            && count + batch.rows.num_rows() <= OPEN_ROWS
        {
            let first = batch.rows.num_rows();
            batch.rows = concat_batches(&self.schema, [&batch.rows, rows])
                .map_err(StreamError::arrow("put rows together"))?;
            batch.live += count;
            self.bytes -= batch.bytes;
            batch.bytes = millstream_spool::size_of(&batch.rows);
            self.bytes += batch.bytes;
            self.changed.push(number);
            return Ok(RowPlace { batch: number, row: u32::try_from(first).unwrap_or(u32::MAX) });
        }
        // A few rows of a large batch would keep all of it. A single batch is not copied, one with nothing behind it is.
        let nothing = rows.slice(0, 0);
        let rows = concat_batches(&self.schema, [rows, &nothing]).map_err(StreamError::arrow("hold rows"))?;
        let number = self.next;
        self.put(number, rows, count);
        self.open = (count < OPEN_ROWS).then_some(number);
        self.changed.push(number);
        Ok(RowPlace { batch: number, row: 0 })
    }

    fn put(&mut self, number: u64, rows: RecordBatch, live: usize) {
        let bytes = millstream_spool::size_of(&rows);
        self.bytes += bytes;
        self.next = self.next.max(number.saturating_add(1));
        self.batches.insert(number, HeldBatch { rows, live, bytes });
    }

    /// Ends the holding of so many rows of a batch.
    pub(crate) fn release(&mut self, number: u64, rows: usize) {
        let Some(batch) = self.batches.get_mut(&number) else { return };
        batch.live = batch.live.saturating_sub(rows);
        if batch.live == 0 {
            self.bytes -= batch.bytes;
            self.batches.remove(&number);
            self.changed.push(number);
            if self.open == Some(number) {
                self.open = None;
            }
        }
    }

    pub(crate) fn rows(&self, number: u64) -> Option<&RecordBatch> {
        self.batches.get(&number).map(|batch| &batch.rows)
    }

    /// The columns of rows at these places; a row without a place is null in all of them.
    pub(crate) fn gather(&self, places: &[Option<RowPlace>]) -> Result<Vec<ArrayRef>, StreamError> {
        let mut numbers: Vec<u64> = places.iter().flatten().map(|place| place.batch).collect();
        numbers.sort_unstable();
        numbers.dedup();
        let batches: Vec<&RecordBatch> = numbers.iter().filter_map(|number| self.rows(*number)).collect();
        // One row of nulls stands behind the batches.
        let nulls: Vec<ArrayRef> = self
            .schema
            .fields()
            .iter()
            .map(|field| arrow::array::new_null_array(field.data_type(), 1))
            .collect();
        let indices: Vec<(usize, usize)> = places
            .iter()
            .map(|place| match place {
                Some(place) => (numbers.partition_point(|number| *number < place.batch), place.row as usize),
                None => (batches.len(), 0),
            })
            .collect();
        let column = |column: usize| {
            let mut arrays: Vec<&dyn arrow::array::Array> =
                batches.iter().filter_map(|batch| batch.columns().get(column)).map(AsRef::as_ref).collect();
            arrays.extend(nulls.get(column).map(AsRef::as_ref));
            interleave(&arrays, &indices).map_err(StreamError::arrow("gather rows"))
        };
        (0..self.schema.fields().len()).map(column).collect()
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes + self.batches.len() * (size_of::<HeldBatch>() + 16)
    }

    /// The numbers of the batches.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.batches.keys().copied()
    }

    /// The batches that have changed since the last call.
    pub(crate) fn take_changed(&mut self) -> Vec<u64> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Takes over a batch under its number, of which as many rows are held as `live` counts.
    pub(crate) fn restore(
        &mut self,
        number: u64,
        bytes: &[u8],
        live: impl Fn(&RecordBatch) -> usize,
    ) -> Result<RecordBatch, StreamError> {
        let rows = batch_from_bytes(&self.schema, bytes)?;
        let live = live(&rows);
        if live == 0 {
            return Err(StreamError::damaged("nothing of a batch is held"));
        }
        self.put(number, rows.clone(), live);
        Ok(rows)
    }
}

/// Rows as a stream in Arrow's format for the exchange between processes.
pub(crate) fn batch_to_bytes(rows: &RecordBatch) -> Result<Vec<u8>, StreamError> {
    let failed = "write rows down";
    let mut writer =
        StreamWriter::try_new(Vec::new(), rows.schema_ref()).map_err(StreamError::arrow(failed))?;
    writer.write(rows).map_err(StreamError::arrow(failed))?;
    writer.into_inner().map_err(StreamError::arrow(failed))
}

pub(crate) fn batch_from_bytes(schema: &SchemaRef, bytes: &[u8]) -> Result<RecordBatch, StreamError> {
    let failed = "read rows of the state";
    let mut reader = StreamReader::try_new(Cursor::new(bytes), None).map_err(StreamError::arrow(failed))?;
    let rows = reader.next().ok_or(StreamError::Damaged { reason: "a batch is empty" })?;
    let rows = rows.map_err(StreamError::arrow(failed))?;
    RecordBatch::try_new(Arc::clone(schema), rows.columns().to_vec()).map_err(StreamError::arrow(failed))
}

/// The rows in another order.
pub(crate) fn reordered(rows: &RecordBatch, order: Vec<u32>) -> Result<RecordBatch, StreamError> {
    take_record_batch(rows, &arrow::array::UInt32Array::from(order)).map_err(StreamError::arrow("order rows"))
}
