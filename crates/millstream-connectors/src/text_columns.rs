//! Collects texts column by column; the common target of the text formats.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, NullBufferBuilder, StringArray},
    buffer::{Buffer, OffsetBuffer, ScalarBuffer},
    error::ArrowError,
};

/// A growing column of texts. Its buffers are handed to Arrow without a copy.
#[derive(Debug)]
pub(crate) struct TextColumn {
    values: Vec<u8>,
    /// End of each value, after a leading 0. A block is bounded far below 2 GiB, so that `i32` holds them.
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl TextColumn {
    pub(crate) fn with_capacity(rows: usize, bytes: usize) -> Self {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        Self { values: Vec::with_capacity(bytes), offsets, nulls: NullBufferBuilder::new(rows) }
    }

    pub(crate) fn len(&self) -> usize {
        self.offsets.len() - 1
    }

    #[inline]
    pub(crate) fn push(&mut self, value: &[u8]) {
        self.values.extend_from_slice(value);
        self.end_value();
        self.nulls.append_non_null();
    }

    #[inline]
    pub(crate) fn push_null(&mut self) {
        self.end_value();
        self.nulls.append_null();
    }

    pub(crate) fn push_nulls(&mut self, count: usize) {
        let end = self.end();
        self.offsets.extend(std::iter::repeat_n(end, count));
        self.nulls.append_n_nulls(count);
    }

    /// Takes back the values beyond the first `rows`.
    pub(crate) fn truncate(&mut self, rows: usize) {
        if rows < self.len() {
            self.offsets.truncate(rows + 1);
            self.values.truncate(usize::try_from(self.end()).unwrap_or(0));
            self.nulls.truncate(rows);
        }
    }

    /// Errors when a value is not UTF-8.
    pub(crate) fn finish(mut self) -> Result<StringArray, ArrowError> {
        let offsets = OffsetBuffer::new(ScalarBuffer::from(self.offsets));
        StringArray::try_new(offsets, Buffer::from_vec(self.values), self.nulls.finish())
    }

    fn end(&self) -> i32 {
        self.offsets.last().copied().unwrap_or(0)
    }

    #[inline]
    fn end_value(&mut self) {
        // Bounded by the block's size; a wrong bound would be refused by Arrow as a bad offset.
        self.offsets.push(i32::try_from(self.values.len()).unwrap_or(i32::MAX));
    }
}

/// All columns as arrays.
pub(crate) fn finish_all(columns: Vec<TextColumn>) -> Result<Vec<ArrayRef>, ArrowError> {
    columns.into_iter().map(|column| Ok(Arc::new(column.finish()?) as ArrayRef)).collect()
}
