//! The answer of a join, and the features it stands for.

use std::{num::NonZeroUsize, sync::Arc, thread};

use arrow::{
    array::{Array, ArrayRef, RecordBatch, TimestampMicrosecondArray, UInt32Array, new_null_array},
    compute::{interleave, take},
    error::ArrowError,
};

use super::{column::Places, error::AsofError};
use crate::timeline::ROWS_PER_THREAD_MIN;

/// The outcome of the search for a label's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MatchStatus {
    /// A row was found, whose features may be null.
    Present,
    /// No row with the label's key was visible.
    #[default]
    NotFound,
    /// The newest visible row is older than the time to live.
    Expired,
}

/// The match of a label, in 16 bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct LabelMatch {
    pub(super) event: i64,
    pub(super) row: u32,
    pub(super) status: MatchStatus,
}

impl LabelMatch {
    /// Tells whether there is a row, be it expired.
    pub(super) fn is_match(self) -> bool {
        self.status != MatchStatus::NotFound
    }
}

/// The matches of labels, one for each, in the labels' order.
#[derive(Clone, Debug)]
pub struct Matches {
    rows: UInt32Array,
    event_times: TimestampMicrosecondArray,
    statuses: Vec<MatchStatus>,
    /// The number of rows that the view had.
    view_rows: usize,
}

impl Matches {
    pub(super) fn new(found: Vec<LabelMatch>, view_rows: usize) -> Self {
        let row = |found: &LabelMatch| (found.status == MatchStatus::Present).then_some(found.row);
        let event_times: TimestampMicrosecondArray =
            found.iter().map(|found| found.is_match().then_some(found.event)).collect();
        Self {
            rows: found.iter().map(row).collect(),
            event_times: event_times.with_timezone("UTC"),
            statuses: found.iter().map(|found| found.status).collect(),
            view_rows,
        }
    }

    /// The number of labels.
    #[must_use]
    pub fn len(&self) -> usize {
        self.statuses.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.statuses.is_empty()
    }

    /// The matching row of the view, counted across its batches; null where there is none or it is expired.
    #[must_use]
    pub fn rows(&self) -> &UInt32Array {
        &self.rows
    }

    /// The event time of the match, also of an expired one; null where nothing was visible.
    #[must_use]
    pub fn event_times(&self) -> &TimestampMicrosecondArray {
        &self.event_times
    }

    #[must_use]
    pub fn statuses(&self) -> &[MatchStatus] {
        &self.statuses
    }

    /// The features of each label: the columns of `batches`, which are the batches that the index was built from, in
    /// that order. Types are kept; a label without a match gets nulls. Fails when the batches have other rows
    /// than the view.
    pub fn take(&self, batches: &[RecordBatch], threads: NonZeroUsize) -> Result<Vec<ArrayRef>, AsofError> {
        let mut places = Places::default();
        batches.iter().for_each(|batch| places.push(batch.num_rows()));
        if places.rows() != self.view_rows {
            return Err(AsofError::OtherRows { expected: self.view_rows, found: places.rows() });
        }
        let Some(first) = batches.first() else { return Ok(Vec::new()) };
        let picks = if batches.len() == 1 { Vec::new() } else { self.picks(&places, batches.len()) };
        let columns: Vec<usize> = (0..first.num_columns()).collect();
        let take = |columns: &[usize]| -> Result<Vec<ArrayRef>, AsofError> {
            columns.iter().map(|column| self.take_column(batches, *column, &picks)).collect()
        };
        let threads = threads.get().min(columns.len()).min(self.len() / ROWS_PER_THREAD_MIN).max(1);
        let share = columns.len().div_ceil(threads).max(1);
        thread::scope(|scope| {
            let (mine, others) = columns.split_at(share.min(columns.len()));
            let spawned: Vec<_> =
                others.chunks(share).map(|columns| scope.spawn(move || take(columns))).collect();
            let mut taken = take(mine)?;
            for thread in spawned {
                taken.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(taken)
        })
    }

    /// The batch and the offset of each match; where there is none, the row of nulls behind the batches.
    fn picks(&self, places: &Places, batches: usize) -> Vec<(usize, usize)> {
        let pick = |row: Option<u32>| row.map_or((batches, 0), |row| places.locate(row as usize));
        self.rows.iter().map(pick).collect()
    }

    fn take_column(
        &self,
        batches: &[RecordBatch],
        column: usize,
        picks: &[(usize, usize)],
    ) -> Result<ArrayRef, AsofError> {
        let failed = |source| AsofError::Arrow { what: "features", source };
        let mut parts = Vec::with_capacity(batches.len() + 1);
        for batch in batches {
            let part = batch.columns().get(column).ok_or_else(|| {
                failed(ArrowError::InvalidArgumentError(format!("a batch has no column {column}")))
            })?;
            parts.push(part);
        }
        let data_type = parts.first().map(|part| part.data_type().clone());
        let taken = match (parts.as_slice(), &data_type) {
            ([only], _) => take(only, &self.rows, None),
            (_, Some(data_type)) => {
                let nulls = new_null_array(data_type, 1);
                let parts: Vec<&dyn Array> =
                    parts.into_iter().chain([&nulls]).map(|part| part.as_ref()).collect();
                interleave(&parts, picks)
            }
            _ => Ok(new_null_array(&arrow::datatypes::DataType::Null, self.len())),
        };
        let taken = taken.map_err(failed)?;
        if taken.len() != self.len() {
            return Err(AsofError::Broken { label: taken.len(), promise: "one answer for each label" });
        }
        if data_type.is_some_and(|data_type| data_type != *taken.data_type()) {
            return Err(AsofError::Broken { label: 0, promise: "a feature keeps its type" });
        }
        Ok(Arc::clone(&taken))
    }
}
