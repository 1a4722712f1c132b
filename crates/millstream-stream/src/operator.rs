//! What a stage of a pipeline does.

use std::fmt;

use arrow::array::RecordBatch;

use crate::{
    Output, StreamError,
    state::{Entries, StateWriter},
};

/// What changes in rows that were told.
#[derive(Debug)]
pub(crate) enum Correction {
    /// Rows that take the place of those with equal merge key, or are new.
    Merge(RecordBatch),
    /// Merge keys of rows that are gone.
    Delete(RecordBatch),
}

/// A stage. It takes rows and watermarks of its inputs, and is asked for what follows from them until it has nothing more to tell;
/// only then the next rows come. So a stage holds at most one unfinished output beside its state.
pub(crate) trait Operator: fmt::Debug + Send {
    /// Takes in rows of an input. Their columns were checked.
    fn rows(&mut self, input: usize, rows: RecordBatch) -> Result<(), StreamError>;

    /// Takes in the watermark of an input, which never goes back.
    fn watermark(&mut self, input: usize, watermark: i64) -> Result<(), StreamError>;

    /// Takes in rows that replace earlier ones of the input, or the keys of rows that are gone. Only stages that were built for it get any.
    fn correction(&mut self, _: Correction) -> Result<(), StreamError> {
        Err(StreamError::damaged("a stage got corrections that it cannot take"))
    }

    /// The next output.
    fn next(&mut self) -> Result<Option<Output>, StreamError>;

    /// The bytes that the state takes in memory.
    fn state_bytes(&mut self) -> usize;

    /// The number of rows that took part and gave none, such as duplicates.
    fn left_out(&self) -> u64 {
        0
    }

    /// Writes what has changed since the last call, or all of it.
    fn save(&mut self, state: &mut StateWriter<'_>) -> Result<(), StreamError>;

    /// Takes over what was saved, into an operator that has seen nothing.
    fn restore(&mut self, entries: &Entries<'_>) -> Result<(), StreamError>;
}
