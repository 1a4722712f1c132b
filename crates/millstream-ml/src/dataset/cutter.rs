//! Batches of one size out of batches of any sizes.

use std::collections::VecDeque;

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef};

use crate::DatasetError;

/// Cuts batches of any sizes into batches of the sizes that are asked for, so that nothing behind it depends on how
/// rows happened to come.
#[derive(Debug)]
pub(crate) struct Cutter<I> {
    batches: I,
    schema: SchemaRef,
    pending: VecDeque<RecordBatch>,
    rows: usize,
}

impl<I, E> Cutter<I>
where
    I: Iterator<Item = Result<RecordBatch, E>>,
    E: Into<DatasetError>,
{
    pub(crate) fn new(batches: I, schema: SchemaRef) -> Self {
        Self { batches, schema, pending: VecDeque::new(), rows: 0 }
    }

    /// The next `wanted` rows; fewer only at the end.
    pub(crate) fn take(&mut self, wanted: usize) -> Result<RecordBatch, DatasetError> {
        while self.rows < wanted {
            let Some(batch) = self.batches.next().transpose().map_err(Into::into)? else { break };
            self.rows += batch.num_rows();
            self.pending.push_back(batch);
        }
        let (mut cut, mut missing) = (Vec::new(), wanted.min(self.rows));
        while missing > 0 {
            let Some(batch) = self.pending.pop_front() else { break };
            let rows = missing.min(batch.num_rows());
            if rows < batch.num_rows() {
                self.pending.push_front(batch.slice(rows, batch.num_rows() - rows));
            }
            if rows > 0 {
                cut.push(batch.slice(0, rows));
            }
            missing -= rows;
            self.rows -= rows;
        }
        match cut.as_slice() {
            [one] => Ok(one.clone()),
            several => {
                concat_batches(&self.schema, several).map_err(DatasetError::arrow("put rows together"))
            }
        }
    }
}
