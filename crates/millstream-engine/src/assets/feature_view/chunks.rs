//! A view's events cut into chunks, so that all events of an entity are in one and each fits into memory.

use std::{
    fs::File,
    io::{BufReader, BufWriter},
    path::{Path, PathBuf},
};

use arrow::{
    array::{AsArray, RecordBatch, UInt32Array},
    compute::{concat_batches, take_record_batch},
    datatypes::{SchemaRef, TimestampMicrosecondType},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use futures::{Stream, TryStreamExt};
use millstream_features::view::{OnlineView, TIME};
use tempfile::TempDir;
use xxhash_rust::xxh3::xxh3_64;

use crate::{
    EngineError,
    features::keys::{key_columns, storable},
};

/// Bytes of events that are worked on at once; about three times as much is held meanwhile.
const CHUNK_BYTES: u64 = 192 << 20;
/// Events take about this many times the bytes of the Parquet files they come from.
const EXPANSION: u64 = 6;
/// The most chunks into which events are cut: each is an open file.
const CHUNKS_MAX: u64 = 512;

/// The events of a view, by chunk.
#[derive(Debug)]
pub(super) struct Chunks {
    schema: SchemaRef,
    chunks: Vec<ChunkStorage>,
    /// Holds the files until the chunks are dropped.
    _folder: Option<TempDir>,
    pub rows: u64,
    /// The number of events that are in no chunk, because the store cannot hold a key as long as theirs.
    pub left_out: u64,
    /// The newest event time up to the present, in microseconds.
    pub newest: Option<i64>,
}

/// The events of one chunk, where they are held until they are read.
#[derive(Debug)]
enum ChunkStorage {
    Memory(Vec<RecordBatch>),
    File(PathBuf),
}

/// The number of chunks into which events from files of so many bytes are cut.
pub(super) fn count(file_bytes: u64) -> u64 {
    (file_bytes.saturating_mul(EXPANSION).div_ceil(CHUNK_BYTES)).clamp(1, CHUNKS_MAX)
}

impl Chunks {
    /// Takes in all events. With one chunk they stay in memory, with more they go to files in `spill`.
    pub(super) async fn collect(
        view: &OnlineView,
        mut events: impl Stream<Item = Result<RecordBatch, EngineError>> + Unpin,
        count: u64,
        spill: &Path,
        now: i64,
        mut count_rows: impl FnMut(u64),
    ) -> Result<Self, EngineError> {
        let schema = view.definition().event_schema();
        let (mut rows, mut left_out, mut newest) = (0_u64, 0, None);
        if count <= 1 {
            let mut batches = Vec::new();
            while let Some(batch) = events.try_next().await? {
                let batch = storable(view, batch, &mut left_out)?;
                rows += batch.num_rows() as u64;
                newest = newest.max(newest_of(&batch, now));
                count_rows(rows);
                batches.push(batch);
            }
            let chunks = vec![ChunkStorage::Memory(batches)];
            return Ok(Self { schema, chunks, _folder: None, rows, left_out, newest });
        }
        let folder = tempfile::tempdir_in(spill).map_err(|source| EngineError::File {
            verb: "create a folder in",
            path: spill.into(),
            source,
        })?;
        let mut writers = Vec::new();
        for number in 0..count {
            writers.push(Spilled::create(folder.path().join(format!("{number}.arrow")), &schema)?);
        }
        while let Some(batch) = events.try_next().await? {
            let batch = storable(view, batch, &mut left_out)?;
            rows += batch.num_rows() as u64;
            newest = newest.max(newest_of(&batch, now));
            count_rows(rows);
            for (writer, chunk) in writers.iter_mut().zip(split(view, &batch, count)?) {
                writer.write(&chunk)?;
            }
        }
        let chunks = writers.into_iter().map(Spilled::finish).collect::<Result<_, _>>()?;
        Ok(Self { schema, chunks, _folder: Some(folder), rows, left_out, newest })
    }

    pub(super) fn len(&self) -> u64 {
        self.chunks.len() as u64
    }

    /// Reads all events of a chunk.
    pub(super) fn read(&self, number: u64) -> Result<RecordBatch, EngineError> {
        let failed = |source| EngineError::Arrow { action: "put events together", source };
        let chunk = usize::try_from(number).ok().and_then(|number| self.chunks.get(number));
        let batches = match chunk {
            None => Vec::new(),
            Some(ChunkStorage::Memory(batches)) => {
                return concat_batches(&self.schema, batches).map_err(failed);
            }
            Some(ChunkStorage::File(path)) => {
                let file = File::open(path).map_err(|source| EngineError::File {
                    verb: "read",
                    path: path.clone(),
                    source,
                })?;
                let reader = StreamReader::try_new(BufReader::new(file), None).map_err(failed)?;
                reader.collect::<Result<Vec<_>, _>>().map_err(failed)?
            }
        };
        concat_batches(&self.schema, &batches).map_err(failed)
    }
}

/// The newest event time of a batch that is not in the future: a clock that is wrong somewhere must not make what comes
/// later look old.
pub(super) fn newest_of(batch: &RecordBatch, now: i64) -> Option<i64> {
    let times = batch.column_by_name(TIME)?.as_primitive_opt::<TimestampMicrosecondType>()?;
    times.iter().flatten().filter(|time| *time <= now).max()
}

/// The rows of each chunk, by a hash of the entity. Rows without a key go to none.
fn split(view: &OnlineView, batch: &RecordBatch, count: u64) -> Result<Vec<RecordBatch>, EngineError> {
    let keys = view.entity_keys(&key_columns(view, batch)).map_err(EngineError::online_view)?;
    let mut rows: Vec<Vec<u32>> = vec![Vec::new(); usize::try_from(count).unwrap_or(1)];
    for (row, key) in (0_u32..).zip(&keys) {
        let Some(key) = key else { continue };
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

/// The file of a chunk while it is written.
struct Spilled {
    path: PathBuf,
    writer: StreamWriter<BufWriter<File>>,
}

impl Spilled {
    fn create(path: PathBuf, schema: &SchemaRef) -> Result<Self, EngineError> {
        let file = File::create(&path).map_err(|source| EngineError::File {
            verb: "create",
            path: path.clone(),
            source,
        })?;
        let writer = StreamWriter::try_new(BufWriter::new(file), schema)
            .map_err(|source| EngineError::Arrow { action: "write events to disk", source })?;
        Ok(Self { path, writer })
    }

    fn write(&mut self, batch: &RecordBatch) -> Result<(), EngineError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let failed = |source| EngineError::Arrow { action: "write events to disk", source };
        self.writer.write(batch).map_err(failed)
    }

    fn finish(mut self) -> Result<ChunkStorage, EngineError> {
        let failed = |source| EngineError::Arrow { action: "write events to disk", source };
        self.writer.finish().map_err(failed)?;
        Ok(ChunkStorage::File(self.path))
    }
}
