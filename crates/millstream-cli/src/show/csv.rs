//! Rows as CSV.

use arrow::{
    array::RecordBatch,
    csv::{Writer, WriterBuilder},
    datatypes::SchemaRef,
};

use super::rows::{RowWriter, Sink};
use crate::CliError;

pub(crate) struct Csv {
    writer: Writer<Sink>,
}

impl Csv {
    /// The header is written at once, so that a result without rows has it too.
    pub(crate) fn new(schema: &SchemaRef, sink: Sink) -> Result<Self, CliError> {
        let mut writer = WriterBuilder::new().with_header(true).build(sink);
        writer.write(&RecordBatch::new_empty(schema.clone())).map_err(write_error)?;
        Ok(Self { writer })
    }
}

impl RowWriter for Csv {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        self.writer.write(batch).map_err(write_error)
    }

    fn finish(self: Box<Self>) -> Result<(), CliError> {
        self.writer.into_inner().finish()
    }
}

/// A vanished reader hides inside the CSV writer's own error; it is taken out again.
pub(super) fn write_error(error: arrow::error::ArrowError) -> CliError {
    match error {
        arrow::error::ArrowError::IoError(_, source) => CliError::Output(source),
        arrow::error::ArrowError::ExternalError(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => CliError::Output(*io),
            Err(source) => CliError::Format(source),
        },
        other if other.to_string().contains("Broken pipe") => {
            CliError::Output(std::io::Error::from(std::io::ErrorKind::BrokenPipe))
        }
        other => CliError::Format(other.into()),
    }
}
