//! The body of a batch of rows: Arrow's stream format without the schema, which the topic keeps once, and without an end.

use std::sync::Arc;

use arrow::{
    array::RecordBatch,
    buffer::Buffer,
    datatypes::{Schema, SchemaRef},
    error::ArrowError,
    ipc::{
        CompressionType,
        reader::StreamDecoder,
        writer::{IpcWriteOptions, StreamWriter},
    },
};
use bytes::Bytes;

use crate::Compression;

/// The end of a stream. The decoder gives a message without a body, such as a schema, when it sees the next one.
const END: [u8; 8] = [0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0];

/// A schema of a topic's rows.
#[derive(Debug)]
pub(super) struct TopicSchema {
    pub number: u32,
    pub schema: SchemaRef,
    /// The message that begins a stream of Arrow with this schema.
    message: Buffer,
}

impl TopicSchema {
    pub(super) fn new(number: u32, schema: &SchemaRef) -> Result<Self, ArrowError> {
        let message = Buffer::from_vec(message(schema)?);
        Ok(Self { number, schema: Arc::clone(schema), message })
    }

    pub(super) fn from_message(number: u32, bytes: Vec<u8>) -> Result<Self, ArrowError> {
        let message = Buffer::from_vec(bytes);
        let mut decoder = StreamDecoder::new();
        decoder.decode(&mut message.clone())?;
        decoder.decode(&mut Buffer::from(END))?;
        let schema = decoder.schema().ok_or_else(|| ArrowError::IpcError("no schema stands there".into()))?;
        Ok(Self { number, schema, message })
    }

    pub(super) fn message(&self) -> &[u8] {
        &self.message
    }

    pub(super) fn encode(&self, rows: &RecordBatch, compression: Compression) -> Result<Vec<u8>, ArrowError> {
        let options = IpcWriteOptions::default().try_with_compression(match compression {
            Compression::None => None,
            Compression::Lz4 => Some(CompressionType::LZ4_FRAME),
        })?;
        let mut writer = StreamWriter::try_new_with_options(Vec::new(), &self.schema, options)?;
        let begin = writer.get_ref().len();
        writer.write(rows)?;
        // Taken before the stream ends, since no end is stored.
        let mut bytes = std::mem::take(writer.get_mut());
        bytes.drain(..begin);
        Ok(bytes)
    }

    pub(super) fn decode(&self, body: Bytes) -> Result<RecordBatch, ArrowError> {
        let mut decoder = StreamDecoder::new();
        decoder.decode(&mut self.message.clone())?;
        let mut body = Buffer::from(body);
        while !body.is_empty() {
            if let Some(rows) = decoder.decode(&mut body)? {
                return Ok(rows);
            }
        }
        let rows = decoder.decode(&mut Buffer::from(END))?;
        rows.ok_or_else(|| ArrowError::IpcError("the body ends before its rows".into()))
    }
}

fn message(schema: &Schema) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    Ok(std::mem::take(writer.get_mut()))
}
