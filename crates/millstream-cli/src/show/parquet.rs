//! Rows as a Parquet file.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    errors::ParquetError,
    file::properties::WriterProperties,
};

use super::rows::{RowWriter, Sink};
use crate::CliError;

/// Bytes of a row group, so that a result of any length needs bounded memory.
const ROW_GROUP_BYTES: usize = 64 << 20;

pub(crate) struct Parquet {
    writer: ArrowWriter<Sink>,
}

impl Parquet {
    pub(crate) fn new(schema: SchemaRef, sink: Sink) -> Result<Self, CliError> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_bytes(Some(ROW_GROUP_BYTES))
            .set_created_by(concat!("millstream ", env!("CARGO_PKG_VERSION")).to_owned())
            .build();
        Ok(Self { writer: ArrowWriter::try_new(sink, schema, Some(properties)).map_err(write_error)? })
    }
}

impl RowWriter for Parquet {
    fn batch(&mut self, batch: &RecordBatch) -> Result<(), CliError> {
        self.writer.write(batch).map_err(write_error)
    }

    fn finish(self: Box<Self>) -> Result<(), CliError> {
        self.writer.into_inner().map_err(write_error)?.finish()
    }
}

/// A fault of the disk or of a vanished reader hides inside the writer's own error; it is taken out again.
fn write_error(error: ParquetError) -> CliError {
    match error {
        ParquetError::External(source) => match source.downcast::<std::io::Error>() {
            Ok(io) => CliError::Output(*io),
            Err(source) => CliError::Format(source),
        },
        other => CliError::Format(other.into()),
    }
}
