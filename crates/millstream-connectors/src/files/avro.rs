//! Avro object container files: the file's own blocks, gathered until they are worth a decoding task.

use std::{
    io::{self, BufRead, BufReader, Cursor, Read},
    sync::Arc,
};

use arrow::{array::RecordBatch, compute::concat_batches, datatypes::SchemaRef};
use arrow_avro::{
    compression::CompressionCodec,
    reader::{ReaderBuilder, read_header_info},
};
use millstream_connector::{Block, ConnectorError, Positions, SourceBatch};
use tokio::sync::mpsc::Sender;

use crate::plain::{plain_batch, plain_schema};

use super::{
    guard::guarded,
    input::{Input, io_error},
    pump::keep_after,
};

/// A single block of the file that is larger is refused.
const AVRO_BLOCK_BYTES_MAX: u64 = 256 << 20;
/// A header (schema included) that is longer is refused.
const HEADER_BYTES_MAX: u64 = 16 << 20;
/// Rows that are decoded at once.
const BATCH_ROWS: usize = 64 << 10;
const SYNC_BYTES: usize = 16;

/// The columns that a file's header declares.
pub(super) fn read_schema(part: &str, input: &mut Input) -> Result<SchemaRef, ConnectorError> {
    let mut reader = BufReader::new(input);
    let (header, _) = read_header(part, &mut reader)?;
    guarded(part, || ReaderBuilder::new().build(Cursor::new(header)))?
        .map(|reader| plain_schema(&reader.schema()))
        .map_err(|error| broken(part, &error.to_string()))
}

/// Sends every block; false when nobody listens any more.
pub(super) fn pump(
    part: &str,
    input: &mut Input,
    block_bytes: usize,
    after: Option<i64>,
    sender: &Sender<Box<dyn Block>>,
) -> Result<bool, ConnectorError> {
    let mut reader = BufReader::with_capacity(block_bytes.clamp(64 << 10, 1 << 20), input);
    let (header, sync) = read_header(part, &mut reader)?;
    let header: Arc<[u8]> = header.into();
    let mut first = 1_i64;
    let mut rows = 0_i64;
    let mut data = Vec::new();
    loop {
        let at_end = reader.fill_buf().map_err(|error| io_error(part, error))?.is_empty();
        if !at_end {
            rows = rows.saturating_add(read_block(part, &mut reader, sync, &mut data)?);
        }
        if (at_end || data.len() >= block_bytes) && !data.is_empty() {
            let last = first.saturating_add(rows) - 1;
            if after.is_none_or(|after| last > after) {
                let data = std::mem::take(&mut data);
                let header = header.clone();
                let block = AvroBlock { part: part.to_owned(), header, data, first, rows, after };
                if sender.blocking_send(Box::new(block)).is_err() {
                    return Ok(false);
                }
            }
            data.clear();
            first = last + 1;
            rows = 0;
        }
        if at_end {
            return Ok(true);
        }
    }
}

/// Whole blocks of one file, still encoded.
#[derive(Debug)]
struct AvroBlock {
    part: String,
    header: Arc<[u8]>,
    data: Vec<u8>,
    /// Row number of the first row, from 1.
    first: i64,
    rows: i64,
    after: Option<i64>,
}

impl Block for AvroBlock {
    fn bytes(&self) -> usize {
        self.data.len()
    }

    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError> {
        let rows = guarded(&self.part, || self.batch())?.map_err(|reason| broken(&self.part, &reason))?;
        let rows = plain_batch(&rows).map_err(|error| ConnectorError::Unsupported {
            part: self.part.clone(),
            reason: format!("it holds a type that is not read: {error}"),
            hint: Some("write the column in another type, or leave it out".into()),
        })?;
        if i64::try_from(rows.num_rows()) != Ok(self.rows) {
            let reason = format!("its blocks announce {} rows and hold {}", self.rows, rows.num_rows());
            return Err(broken(&self.part, &reason));
        }
        let last = self.first.saturating_add(self.rows) - 1;
        let batch = SourceBatch {
            rows,
            positions: Positions::From(self.first),
            operations: None,
            arrivals: None,
            malformed: Vec::new(),
            last_position: (self.rows > 0).then_some(last),
        };
        Ok(keep_after(batch, self.after))
    }
}

impl AvroBlock {
    fn batch(&self) -> Result<RecordBatch, String> {
        let batch_rows = usize::try_from(self.rows).unwrap_or(1).clamp(1, BATCH_ROWS);
        let bytes = Cursor::new(self.header.as_ref()).chain(self.data.as_slice());
        let reader = ReaderBuilder::new().with_batch_size(batch_rows).build(bytes);
        let reader = reader.map_err(|error| error.to_string())?;
        let schema = reader.schema();
        let batches: Vec<RecordBatch> =
            reader.collect::<Result<_, _>>().map_err(|error| error.to_string())?;
        concat_batches(&schema, &batches).map_err(|error| error.to_string())
    }
}

/// The header's bytes and the marker that ends it and every block.
fn read_header(part: &str, reader: &mut impl BufRead) -> Result<(Vec<u8>, [u8; SYNC_BYTES]), ConnectorError> {
    let mut recorded = Recorded { reader: reader.take(HEADER_BYTES_MAX), bytes: Vec::new() };
    let info = guarded(part, || read_header_info(&mut recorded))?;
    let info = info.map_err(|error| broken(part, &format!("its header cannot be read: {error}")))?;
    if let Ok(Some(codec @ (CompressionCodec::Bzip2 | CompressionCodec::Xz))) = info.compression() {
        return Err(ConnectorError::Unsupported {
            part: part.to_owned(),
            reason: format!("it is compressed with {}", format!("{codec:?}").to_lowercase()),
            hint: Some("write it with the codec deflate, snappy or zstandard".into()),
        });
    }
    let Recorded { mut bytes, .. } = recorded;
    bytes.truncate(usize::try_from(info.header_len()).unwrap_or(usize::MAX));
    Ok((bytes, info.sync()))
}

/// A reader that keeps the bytes that are read from it.
struct Recorded<R> {
    reader: R,
    bytes: Vec<u8>,
}

impl<R: BufRead> Read for Recorded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.bytes.extend_from_slice(&buffer[..read]);
        Ok(read)
    }
}

impl<R: BufRead> BufRead for Recorded<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.reader.fill_buf()
    }

    fn consume(&mut self, amount: usize) {
        if let Ok(buffer) = self.reader.fill_buf() {
            self.bytes.extend_from_slice(&buffer[..amount.min(buffer.len())]);
        }
        self.reader.consume(amount);
    }
}

/// Appends one block, as it stands in the file, to `data`; gives the number of its rows.
fn read_block(
    part: &str,
    reader: &mut impl BufRead,
    sync: [u8; SYNC_BYTES],
    data: &mut Vec<u8>,
) -> Result<i64, ConnectorError> {
    let rows = read_long(part, reader, data)?;
    let size = read_long(part, reader, data)?;
    let size = u64::try_from(size).ok().filter(|size| *size <= AVRO_BLOCK_BYTES_MAX && rows >= 0);
    let Some(size) = size else { return Err(broken(part, "a block's size makes no sense")) };
    let whole = size + u64::try_from(SYNC_BYTES).unwrap_or(0);
    let read = reader.take(whole).read_to_end(data).map_err(|error| io_error(part, error))?;
    if u64::try_from(read) != Ok(whole) {
        return Err(broken(part, "it ends inside a block"));
    }
    if !data.ends_with(&sync) {
        return Err(broken(part, "a block does not end with the file's marker"));
    }
    Ok(rows)
}

/// A number in Avro's variable-length zigzag code; its bytes are appended to `data`.
fn read_long(part: &str, reader: &mut impl BufRead, data: &mut Vec<u8>) -> Result<i64, ConnectorError> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let mut byte = [0];
        reader.read_exact(&mut byte).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => broken(part, "it ends inside a block"),
            _ => io_error(part, error),
        })?;
        data.push(byte[0]);
        value |= u64::from(byte[0] & 0x7f) << shift;
        if byte[0] & 0x80 == 0 {
            let magnitude = i64::try_from(value >> 1).unwrap_or(i64::MAX);
            return Ok(if value & 1 == 0 { magnitude } else { -magnitude - 1 });
        }
    }
    Err(broken(part, "a block's size makes no sense"))
}

fn broken(part: &str, reason: &str) -> ConnectorError {
    ConnectorError::Broken { part: part.to_owned(), reason: format!("it is not a whole Avro file: {reason}") }
}
