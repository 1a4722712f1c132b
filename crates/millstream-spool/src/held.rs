//! Batches in memory: what they take, and that they take no more than that.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayData, ArrayRef, AsArray, GenericByteViewArray, RecordBatch, RecordBatchOptions},
    buffer::Buffer,
    datatypes::{ByteViewType, DataType},
    error::ArrowError,
};

use crate::Space;

/// A view holds so many bytes itself; longer values lie in a buffer.
const INLINE_BYTES: u128 = 12;

/// Bytes of the rows of a batch, whatever larger batch they are a part of.
#[must_use]
pub fn size_of(batch: &RecordBatch) -> usize {
    let size = |column: &ArrayRef| {
        let data = column.to_data();
        let bytes = data.get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size());
        bytes + viewed_bytes(&data)
    };
    batch.columns().iter().map(size).sum()
}

/// Bytes of long values of views, of which Arrow counts the views alone.
fn viewed_bytes(data: &ArrayData) -> usize {
    let own = match data.data_type() {
        DataType::Utf8View | DataType::BinaryView => {
            let views = data.buffer::<u128>(0).iter().take(data.len());
            // The lower half of a view's first eight bytes is the length of its value.
            let lengths = views.map(|view| view & u128::from(u32::MAX));
            let long = lengths.filter(|length| *length > INLINE_BYTES);
            long.map(|length| usize::try_from(length).unwrap_or(usize::MAX)).sum()
        }
        _ => 0,
    };
    own + data.child_data().iter().map(viewed_bytes).sum::<usize>()
}

/// The batch without what its views keep alive beside their values.
pub(crate) fn compact(batch: RecordBatch) -> Result<RecordBatch, ArrowError> {
    let compacted: Vec<Option<ArrayRef>> = batch.columns().iter().map(compacted).collect();
    if compacted.iter().all(Option::is_none) {
        return Ok(batch);
    }
    let columns = compacted.into_iter().zip(batch.columns());
    let columns = columns.map(|(compacted, column)| compacted.unwrap_or_else(|| Arc::clone(column)));
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(batch.schema(), columns.collect(), &options)
}

/// The column in buffers of its own, where those that it has hold more than its values.
fn compacted(column: &ArrayRef) -> Option<ArrayRef> {
    fn own<T: ByteViewType>(views: &GenericByteViewArray<T>) -> Option<ArrayRef> {
        let kept = views.data_buffers().iter().map(Buffer::len).sum::<usize>();
        (kept > views.total_buffer_bytes_used()).then(|| Arc::new(views.gc()) as ArrayRef)
    }
    match column.data_type() {
        DataType::Utf8View => own(column.as_string_view()),
        DataType::BinaryView => own(column.as_binary_view()),
        _ => None,
    }
}

/// Batches in memory, and what was reserved for them; dropping them gives it back.
#[derive(Debug)]
pub(crate) struct Held {
    space: Arc<Space>,
    batches: Vec<RecordBatch>,
    reserved: usize,
}

impl Held {
    pub(crate) fn new(space: &Arc<Space>) -> Self {
        Self { space: Arc::clone(space), batches: Vec::new(), reserved: 0 }
    }

    pub(crate) fn batches(&self) -> &[RecordBatch] {
        &self.batches
    }

    /// Keeps the batch if there is room for its bytes, and gives it back otherwise.
    pub(crate) fn keep(&mut self, batch: RecordBatch, bytes: usize) -> Option<RecordBatch> {
        if !self.space.reserve(bytes) {
            return Some(batch);
        }
        self.reserved += bytes;
        self.batches.push(batch);
        None
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.space.release(self.reserved);
    }
}
