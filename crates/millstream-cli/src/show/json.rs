//! Rows as one JSON array of objects.

use arrow::{
    array::RecordBatch,
    json::{Writer, WriterBuilder, writer::JsonArray},
};

use super::{
    csv::write_error,
    rows::{RowWriter, Sink},
};
use crate::CliError;

pub(crate) struct Json {
    writer: Writer<Sink, JsonArray>,
}

impl Json {
    pub(crate) fn new(sink: Sink) -> Self {
        Self { writer: WriterBuilder::new().with_explicit_nulls(true).build(sink) }
    }
}

impl RowWriter for Json {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        self.writer.write(batch).map_err(write_error)
    }

    fn finish(mut self: Box<Self>) -> Result<(), CliError> {
        self.writer.finish().map_err(write_error)?;
        let mut sink = self.writer.into_inner();
        std::io::Write::write_all(&mut sink, b"\n").map_err(CliError::Output)?;
        sink.finish()
    }
}
