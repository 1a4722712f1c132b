//! What the contract pass found in one batch.

use arrow::{
    array::{BooleanArray, RecordBatch, TimestampMicrosecondArray},
    buffer::BooleanBuffer,
    compute::filter_record_batch,
};

use crate::{QualityError, bitmap, check::Rows, key::Keys};

/// A batch in the contract's types, with the rows that failed.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// As many rows as the raw batch, in its order; a value that did not fit its type is null.
    pub rows: RecordBatch,
    /// Checks with at least one failing row, in the order of the contract.
    pub failures: Vec<Failure>,
    rejected: Option<BooleanBuffer>,
    /// Values that did not fit, by column: the bitmaps of the type checks.
    unfit: Vec<Option<BooleanBuffer>>,
    unfit_rejects: bool,
    arrived: Option<TimestampMicrosecondArray>,
    /// Keys of each unique check, until [`crate::UniqueIndex::check`] takes them.
    pub(crate) keys: Vec<Keys>,
}

/// The rows that one check refuses.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Index into [`crate::Contract::checks`].
    pub check: usize,
    /// A set bit for each failing row.
    pub rows: BooleanBuffer,
    /// Whether the check keeps these rows out of the table.
    pub rejects: bool,
}

impl Evaluated {
    pub(crate) fn new(
        rows: RecordBatch,
        unfit: Vec<Option<BooleanBuffer>>,
        unfit_rejects: bool,
        arrived: Option<TimestampMicrosecondArray>,
    ) -> Self {
        Self { rows, failures: Vec::new(), rejected: None, unfit, unfit_rejects, arrived, keys: Vec::new() }
    }

    /// The batch as checks look at it.
    pub(crate) fn view<'a>(&'a self, raw: &'a RecordBatch) -> Rows<'a> {
        Rows {
            raw,
            typed: &self.rows,
            unfit: &self.unfit,
            unfit_rejects: self.unfit_rejects,
            arrived: self.arrived.as_ref(),
        }
    }

    pub(crate) fn add(&mut self, check: usize, failed: BooleanBuffer, rejects: bool) {
        if rejects {
            self.rejected = bitmap::union(self.rejected.take(), Some(&failed));
        }
        let place = self.failures.partition_point(|failure| failure.check < check);
        self.failures.insert(place, Failure { check, rows: failed, rejects });
    }

    /// Rows that fail a check of severity `quarantine` or `halt`; `None` when there is none.
    #[must_use]
    pub fn rejected(&self) -> Option<&BooleanBuffer> {
        self.rejected.as_ref()
    }

    #[must_use]
    pub fn rejected_count(&self) -> usize {
        self.rejected.as_ref().map_or(0, BooleanBuffer::count_set_bits)
    }

    /// A set bit for each row that goes on; `None` when all do.
    #[must_use]
    pub fn accepted_mask(&self) -> Option<BooleanArray> {
        self.rejected.as_ref().map(|rejected| BooleanArray::new(!rejected, None))
    }

    /// The rows that go on.
    pub fn accepted(&self) -> Result<RecordBatch, QualityError> {
        match self.accepted_mask() {
            Some(mask) => {
                filter_record_batch(&self.rows, &mask).map_err(QualityError::arrow("take the good rows"))
            }
            None => Ok(self.rows.clone()),
        }
    }
}
