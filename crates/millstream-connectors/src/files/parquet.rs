//! Parquet: row groups, read by range and decoded in pieces.

use std::{ops::Range, sync::Arc};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef, error::ArrowError};
use bytes::{Buf, Bytes};
use futures::{FutureExt, StreamExt, future::BoxFuture, stream};
use millstream_connector::{Block, BlockStream, ConnectorError, Positions, SourceBatch};
use parquet::{
    arrow::{
        arrow_reader::{
            ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder, RowSelection,
            RowSelector,
        },
        async_reader::MetadataFetch,
    },
    errors::ParquetError,
    file::{
        metadata::{ParquetMetaDataReader, RowGroupMetaData},
        reader::{ChunkReader, Length},
    },
};

use crate::plain::{plain_batch, plain_schema};

use super::{
    guard::guarded,
    int96::{exact_instants, micros_schema},
    place::Place,
    pump::keep_after,
    version::Stat,
};

/// A row group with more rows is decoded in pieces, to bound a batch's memory and to use every core.
const PIECE_ROWS: usize = 128 << 10;

/// One file, with its footer.
#[derive(Clone, Debug)]
pub(super) struct ParquetFile {
    place: Place,
    part: String,
    stat: Stat,
    metadata: ArrowReaderMetadata,
    /// The metadata for a second reading, of instants that are stored in 96 bits; `None` for a file without any.
    nanos: Option<ArrowReaderMetadata>,
}

impl ParquetFile {
    pub(super) async fn open(place: &Place, part: &str, stat: &Stat) -> Result<Self, ConnectorError> {
        let mut fetch = Fetch { place, part, stat, failure: None };
        let loaded = ParquetMetaDataReader::new().load_and_finish(&mut fetch, stat.size).await;
        if let Some(failure) = fetch.failure {
            return Err(failure);
        }
        let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
        let metadata = loaded
            .and_then(|metadata| ArrowReaderMetadata::try_new(Arc::new(metadata), options.clone()))
            .map_err(|error| broken(part, &error))?;
        let (metadata, nanos) = match micros_schema(&metadata) {
            Some(schema) => {
                let micros =
                    ArrowReaderMetadata::try_new(metadata.metadata().clone(), options.with_schema(schema));
                (micros.map_err(|error| broken(part, &error))?, Some(metadata))
            }
            None => (metadata, None),
        };
        Ok(Self { place: place.clone(), part: part.to_owned(), stat: stat.clone(), metadata, nanos })
    }

    pub(super) fn schema(&self) -> SchemaRef {
        plain_schema(self.metadata.schema())
    }

    /// The blocks of the rows beyond `after`; a row's position is its number, from 1.
    pub(super) fn blocks(self, after: Option<i64>) -> BlockStream {
        let groups = 0..self.metadata.metadata().num_row_groups();
        let mut first = 1_i64;
        let mut wanted = Vec::new();
        for group in groups {
            let rows = self.metadata.metadata().row_group(group).num_rows().max(0);
            if after.is_none_or(|after| first.saturating_add(rows) > after.saturating_add(1)) && rows > 0 {
                wanted.push((group, first));
            }
            first = first.saturating_add(rows);
        }
        stream::iter(wanted)
            .then(move |(group, first)| {
                let file = self.clone();
                async move { file.group(group, first, after).await }
            })
            .flat_map(|pieces| match pieces {
                Ok(pieces) => stream::iter(pieces).map(Ok).boxed(),
                Err(error) => stream::iter([Err(error)]).boxed(),
            })
            .boxed()
    }

    async fn group(
        &self,
        group: usize,
        first: i64,
        after: Option<i64>,
    ) -> Result<Vec<Box<dyn Block>>, ConnectorError> {
        let metadata = self.metadata.metadata().row_group(group);
        let mut chunks = Vec::with_capacity(metadata.num_columns());
        let mut bytes = 0_usize;
        for range in column_ranges(metadata, self.stat.size).map_err(|error| broken(&self.part, &error))? {
            let chunk = self.place.range(&self.part, &self.stat, range.clone()).await?;
            bytes = bytes.saturating_add(chunk.len());
            chunks.push((range.start, chunk));
        }
        let chunks = Chunks { chunks: chunks.into(), size: self.stat.size };
        let rows = usize::try_from(metadata.num_rows()).unwrap_or(0);
        let pieces = rows.div_ceil(PIECE_ROWS).max(1);
        let piece = |start: usize| -> Box<dyn Block> {
            Box::new(ParquetBlock {
                part: self.part.clone(),
                metadata: self.metadata.clone(),
                nanos: self.nanos.clone(),
                chunks: chunks.clone(),
                group,
                rows: start..(start + PIECE_ROWS).min(rows),
                bytes: bytes / pieces,
                first,
                after,
            })
        };
        Ok((0..rows).step_by(PIECE_ROWS).map(piece).collect())
    }
}

/// Rows of one row group, still encoded.
#[derive(Debug)]
struct ParquetBlock {
    part: String,
    metadata: ArrowReaderMetadata,
    nanos: Option<ArrowReaderMetadata>,
    chunks: Chunks,
    group: usize,
    rows: Range<usize>,
    bytes: usize,
    /// Position of the group's first row.
    first: i64,
    after: Option<i64>,
}

impl Block for ParquetBlock {
    fn bytes(&self) -> usize {
        self.bytes
    }

    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError> {
        let batch = guarded(&self.part, || self.batch(&self.metadata))?;
        let batch = batch.map_err(|error| self.unread(&error))?;
        let batch = guarded(&self.part, || self.with_instants(batch).and_then(|batch| plain_batch(&batch)))?;
        let batch = batch.map_err(|error| unsupported(&self.part, &error))?;
        let skipped = i64::try_from(self.rows.start).unwrap_or(i64::MAX);
        let first = self.first.saturating_add(skipped);
        let last = first.saturating_add(i64::try_from(batch.num_rows()).unwrap_or(i64::MAX)) - 1;
        let batch = SourceBatch {
            last_position: (batch.num_rows() > 0).then_some(last),
            rows: batch,
            positions: Positions::From(first),
            operations: None,
            arrivals: None,
            malformed: Vec::new(),
        };
        Ok(keep_after(batch, self.after))
    }
}

impl ParquetBlock {
    /// The batch with instants of 96 bits as exactly as they are stored.
    fn with_instants(&self, micros: RecordBatch) -> Result<RecordBatch, ArrowError> {
        match &self.nanos {
            Some(metadata) => exact_instants(&micros, &self.batch(metadata)?),
            None => Ok(micros),
        }
    }

    fn unread(&self, error: &ArrowError) -> ConnectorError {
        // Arrow tells this fault from others only by its text.
        if error.to_string().contains("index overflow") {
            return ConnectorError::Unsupported {
                part: self.part.clone(),
                reason: format!("{} rows of one column hold more than 2 GiB", self.rows.len()),
                hint: Some("write it with smaller row groups".into()),
            };
        }
        broken(&self.part, error)
    }

    fn batch(&self, metadata: &ArrowReaderMetadata) -> Result<RecordBatch, ArrowError> {
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(self.chunks.clone(), metadata.clone())
                .with_row_groups(vec![self.group])
                .with_batch_size(self.rows.len());
        let whole = self.metadata.metadata().row_group(self.group).num_rows();
        if i64::try_from(self.rows.len()).is_ok_and(|rows| rows < whole) {
            let selection = vec![RowSelector::skip(self.rows.start), RowSelector::select(self.rows.len())];
            builder = builder.with_row_selection(RowSelection::from(selection));
        }
        let schema = builder.schema().clone();
        let batches = builder.build()?.collect::<Result<Vec<_>, _>>()?;
        let batch = match batches.as_slice() {
            [batch] => batch.clone(),
            batches => concat_batches(&schema, batches)?,
        };
        if batch.num_rows() != self.rows.len() {
            return Err(ArrowError::ParquetError(format!(
                "row group {} holds fewer rows than it announces",
                self.group
            )));
        }
        Ok(batch)
    }
}

/// The bytes of a row group's columns, each with its place in the file.
#[derive(Clone, Debug)]
struct Chunks {
    chunks: Arc<[(u64, Bytes)]>,
    size: u64,
}

impl Chunks {
    fn from(&self, start: u64) -> Result<Bytes, ParquetError> {
        self.chunks
            .iter()
            .find_map(|(offset, bytes)| {
                let skipped = usize::try_from(start.checked_sub(*offset)?).ok()?;
                (skipped < bytes.len()).then(|| bytes.slice(skipped..))
            })
            .ok_or_else(|| ParquetError::EOF(format!("no column starts at byte {start}")))
    }
}

impl Length for Chunks {
    fn len(&self) -> u64 {
        self.size
    }
}

impl ChunkReader for Chunks {
    type T = bytes::buf::Reader<Bytes>;

    fn get_read(&self, start: u64) -> Result<Self::T, ParquetError> {
        Ok(self.from(start)?.reader())
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let bytes = self.from(start)?;
        if bytes.len() < length {
            return Err(ParquetError::EOF(format!("a column ends before byte {start} + {length}")));
        }
        Ok(bytes.slice(..length))
    }
}

/// Where the columns of a row group stand; everything is checked, because a broken file may say anything.
fn column_ranges(group: &RowGroupMetaData, size: u64) -> Result<Vec<Range<u64>>, ParquetError> {
    let range = |column: &parquet::file::metadata::ColumnChunkMetaData| {
        let start =
            u64::try_from(column.dictionary_page_offset().unwrap_or(column.data_page_offset())).ok()?;
        let end = start.checked_add(u64::try_from(column.compressed_size()).ok()?)?;
        (end <= size).then_some(start..end)
    };
    let outside = || ParquetError::EOF("its footer names bytes that it does not have".into());
    group.columns().iter().map(|column| range(column).ok_or_else(outside)).collect()
}

struct Fetch<'a> {
    place: &'a Place,
    part: &'a str,
    stat: &'a Stat,
    /// Why the file could not be read; Parquet's own error cannot carry it.
    failure: Option<ConnectorError>,
}

impl MetadataFetch for &mut Fetch<'_> {
    fn fetch(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        async move {
            let range = range.start..range.end.min(self.stat.size);
            self.place.range(self.part, self.stat, range).await.map_err(|error| {
                self.failure = Some(error);
                ParquetError::General("the file cannot be read".into())
            })
        }
        .boxed()
    }
}

fn unsupported(part: &str, error: &ArrowError) -> ConnectorError {
    ConnectorError::Unsupported {
        part: part.to_owned(),
        reason: format!("it holds a type that is not read: {error}"),
        hint: Some("write the column in another type, or leave it out".into()),
    }
}

fn broken(part: &str, error: &dyn std::error::Error) -> ConnectorError {
    ConnectorError::Broken {
        part: part.to_owned(),
        reason: format!("it is not a whole Parquet file: {error}"),
    }
}
