//! Keys of entities against what the online store can hold: rows of the lake with longer ones are left out, requests refused.

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch},
    compute::filter_record_batch,
    datatypes::DataType,
};
use millstream_features::view::{EntityKey, OnlineView};
use millstream_online::ENTITY_BYTES_MAX;

use crate::EngineError;

/// The columns of a batch of events that are the view's key.
pub(crate) fn key_columns(view: &OnlineView, batch: &RecordBatch) -> Vec<ArrayRef> {
    batch.columns().iter().take(view.definition().keys.len()).cloned().collect()
}

/// The rows whose key the store can hold; the others are counted. Without this, one of them would keep its whole view
/// from being materialised.
pub(crate) fn storable(
    view: &OnlineView,
    batch: RecordBatch,
    left_out: &mut u64,
) -> Result<RecordBatch, EngineError> {
    let columns = key_columns(view, &batch);
    // The lengths of the values alone tell of nearly every batch that all keys are short enough.
    if columns.iter().map(longest).sum::<usize>() < ENTITY_BYTES_MAX / 4 {
        return Ok(batch);
    }
    let keys = view.entity_keys(&columns).map_err(EngineError::online_view)?;
    let fits =
        |key: &Option<EntityKey>| key.as_ref().is_none_or(|key| key.as_bytes().len() <= ENTITY_BYTES_MAX);
    let fits: BooleanArray = keys.iter().map(|key| Some(fits(key))).collect();
    *left_out += fits.false_count() as u64;
    filter_record_batch(&batch, &fits).map_err(|source| EngineError::Arrow {
        action: "leave out events with keys that are too long",
        source,
    })
}

/// Bytes of the longest value; none for types whose values are all short.
fn longest(column: &ArrayRef) -> usize {
    let bytes = |starts: &[i32]| {
        let lengths = starts.iter().zip(starts.iter().skip(1)).map(|(start, end)| end.abs_diff(*start));
        lengths.max().unwrap_or(0) as usize
    };
    match column.data_type() {
        DataType::Utf8 => bytes(column.as_string::<i32>().value_offsets()),
        DataType::Binary => bytes(column.as_binary::<i32>().value_offsets()),
        data_type if data_type.is_primitive() || *data_type == DataType::Boolean => 0,
        // No other type is known to be short, so the keys are looked at.
        _ => ENTITY_BYTES_MAX,
    }
}

/// One key for each row of a request, none where a column is null. Keys that the store cannot hold are refused.
pub(super) fn requested(
    view: &OnlineView,
    columns: &[ArrayRef],
) -> Result<Vec<Option<EntityKey>>, EngineError> {
    let keys = view.entity_keys(columns).map_err(EngineError::online_view)?;
    let lengths = keys.iter().map(|key| key.as_ref().map_or(0, |key| key.as_bytes().len()));
    let Some((row, bytes)) = lengths.enumerate().find(|(_, bytes)| *bytes > ENTITY_BYTES_MAX) else {
        return Ok(keys);
    };
    let size = |column: &ArrayRef| column.slice(row, 1).to_data().get_slice_memory_size().unwrap_or(0);
    let longest = view.definition().keys.iter().zip(columns).max_by_key(|(_, column)| size(column));
    let column = longest.map(|(key, _)| key.name.clone()).unwrap_or_default();
    Err(EngineError::EntityKey { row, column, bytes, most: ENTITY_BYTES_MAX })
}
