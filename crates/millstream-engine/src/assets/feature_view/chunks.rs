//! A view's events cut into chunks, so that all events of an entity are in one and each fits into memory.

use std::path::Path;

use arrow::{
    array::{AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{SchemaRef, TimestampMicrosecondType},
};
use futures::{Stream, TryStreamExt};
use millstream_features::view::{OnlineView, TIME};
use millstream_spool::{Space, Spool, SpoolError, SpoolWriter};
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    EngineError, blocking,
    features::keys::{key_columns, storable},
};

/// The number of bytes of events that one chunk should have; about three times as much is in memory while it is worked on.
const CHUNK_BYTES: u64 = 192 << 20;
/// Events take about this many times the bytes of the Parquet files that they come from.
const EXPANSION: u64 = 6;
/// The most chunks into which events are cut: each is an open file.
const CHUNKS_MAX: u64 = 512;

/// The events of a view, by chunk.
#[derive(Debug)]
pub(super) struct Chunks {
    schema: SchemaRef,
    chunks: Vec<Spool>,
    /// The number of events that came.
    pub read: u64,
    pub rows: u64,
    /// The number of events that are in no chunk, because the store cannot hold a key as long as theirs.
    pub left_out: u64,
    /// The number of events that are in no chunk, because they have no key.
    pub without_key: u64,
    /// The newest event time up to the present, in microseconds.
    pub newest: Option<i64>,
}

/// The number of chunks into which events from files of so many bytes are cut.
pub(super) fn count(file_bytes: u64) -> u64 {
    (file_bytes.saturating_mul(EXPANSION).div_ceil(CHUNK_BYTES)).clamp(1, CHUNKS_MAX)
}

impl Chunks {
    /// Takes in all events. A single chunk stays in memory as long as it has no more than [`CHUNK_BYTES`]. Several chunks go
    /// to files in `spill` from the start, so that later only the chunk that is read is in memory.
    pub(super) async fn collect(
        view: &OnlineView,
        mut events: impl Stream<Item = Result<RecordBatch, EngineError>> + Unpin,
        count: u64,
        spill: &Path,
        now: i64,
        mut count_rows: impl FnMut(u64),
    ) -> Result<Self, EngineError> {
        let schema = view.definition().event_schema();
        let (mut read, mut rows, mut left_out, mut without_key, mut newest) = (0_u64, 0_u64, 0, 0, None);
        let space = Space::new(spill, usize::try_from(CHUNK_BYTES).unwrap_or(usize::MAX));
        let mut writers: Vec<_> =
            (0..count.max(1)).map(|_| SpoolWriter::new(&space, schema.clone())).collect();
        if count > 1 {
            writers.iter_mut().try_for_each(SpoolWriter::spill).map_err(failed)?;
        }
        while let Some(batch) = events.try_next().await? {
            read += batch.num_rows() as u64;
            let batch = storable(view, batch, &mut left_out)?;
            rows += batch.num_rows() as u64;
            newest = newest.max(newest_of(&batch, now));
            count_rows(rows);
            let parts = if count > 1 { split(view, &batch, count, &mut without_key)? } else { vec![batch] };
            for (writer, part) in writers.iter_mut().zip(parts) {
                if part.num_rows() > 0 {
                    writer.push(part).map_err(failed)?;
                }
            }
        }
        let chunks = writers.into_iter().map(SpoolWriter::finish);
        let chunks = chunks.collect::<Result<_, _>>().map_err(failed)?;
        Ok(Self { schema, chunks, read, rows, left_out, without_key, newest })
    }

    pub(super) fn len(&self) -> u64 {
        self.chunks.len() as u64
    }

    /// The number of events in all chunks.
    pub(super) fn events(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.rows() as u64).sum()
    }

    /// The number of events in a chunk.
    pub(super) fn events_of(&self, number: u64) -> u64 {
        let chunk = usize::try_from(number).ok().and_then(|number| self.chunks.get(number));
        chunk.map_or(0, |chunk| chunk.rows() as u64)
    }

    /// Reads all events of a chunk.
    pub(super) fn read(&self, number: u64) -> Result<RecordBatch, EngineError> {
        let chunk = usize::try_from(number).ok().and_then(|number| self.chunks.get(number));
        let Some(chunk) = chunk else { return Ok(RecordBatch::new_empty(self.schema.clone())) };
        blocking::in_place(|| {
            let batches: Vec<_> = chunk.batches().and_then(Iterator::collect).map_err(failed)?;
            concat_batches(chunk.schema(), &batches)
                .map_err(|source| EngineError::Arrow { action: "put events together", source })
        })
    }
}

fn failed(error: SpoolError) -> EngineError {
    match error {
        SpoolError::File { action, path, source } => EngineError::File { verb: action, path, source },
        SpoolError::Rows { action, source } => EngineError::Arrow { action, source },
    }
}

/// The newest event time of a batch that is not in the future: one event with a wrong time must not make later events look
/// old.
pub(crate) fn newest_of(batch: &RecordBatch, now: i64) -> Option<i64> {
    let times = batch.column_by_name(TIME)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    times.iter().flatten().filter(|time| *time <= now).max()
}

/// The rows of each chunk, by a hash of the entity. Rows without a key go to no chunk, and are counted.
fn split(
    view: &OnlineView,
    batch: &RecordBatch,
    count: u64,
    without_key: &mut u64,
) -> Result<Vec<RecordBatch>, EngineError> {
    let keys = view.entity_keys(&key_columns(view, batch)).map_err(EngineError::online_view)?;
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); usize::try_from(count).unwrap_or(1)];
    for (row, key) in (0_u32..).zip(&keys) {
        let Some(key) = key else {
            *without_key += 1;
            continue;
        };
        let chunk = usize::try_from(xxh3_64(key.as_bytes()) % count).unwrap_or(0);
        if let Some(rows) = rows.get_mut(chunk) {
            rows.push(row);
        }
    }
    rows.into_iter()
        .map(|rows| take_record_batch(batch, &UInt32Array::from(rows)))
        .collect::<Result<_, _>>()
        .map_err(|source| EngineError::Arrow { action: "spread events over chunks", source })
}
