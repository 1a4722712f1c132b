//! Rows as Arrow IPC, a stream or a file.

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    ipc::writer::{FileWriter, StreamWriter},
};

use super::{
    csv::write_error,
    rows::{RowWriter, Sink},
};
use crate::CliError;

/// Writes a stream, which can be read while it is written.
pub(crate) struct ArrowStream {
    writer: StreamWriter<Sink>,
}

impl ArrowStream {
    pub(crate) fn new(schema: &SchemaRef, sink: Sink) -> Result<Self, CliError> {
        Ok(Self { writer: StreamWriter::try_new(sink, schema).map_err(write_error)? })
    }
}

impl RowWriter for ArrowStream {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        self.writer.write(batch).map_err(write_error)
    }

    fn finish(self: Box<Self>) -> Result<(), CliError> {
        self.writer.into_inner().map_err(write_error)?.finish()
    }
}

/// Writes what tools expect in a file that ends in `.arrow`: batches can be found without reading those before.
pub(crate) struct ArrowFile {
    writer: FileWriter<Sink>,
}

impl ArrowFile {
    pub(crate) fn new(schema: &SchemaRef, sink: Sink) -> Result<Self, CliError> {
        Ok(Self { writer: FileWriter::try_new(sink, schema).map_err(write_error)? })
    }
}

impl RowWriter for ArrowFile {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        self.writer.write(batch).map_err(write_error)
    }

    fn finish(self: Box<Self>) -> Result<(), CliError> {
        self.writer.into_inner().map_err(write_error)?.finish()
    }
}
