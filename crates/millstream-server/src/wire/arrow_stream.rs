//! Arrow's IPC stream format, for answers that a program reads in bulk.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
    ipc::writer::StreamWriter,
};

use millstream_api::features::Status;

use crate::features::ReadAnswer;

/// The media type that asks for this format, and that it is sent with.
pub(crate) const MEDIA_TYPE: &str = "application/vnd.apache.arrow.stream";

/// The word for a status in answers.
pub(crate) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Present => "present",
        Status::Null => "null",
        Status::Missing => "missing",
        Status::Expired => "expired",
        Status::Degraded => "degraded",
    }
}

/// A stream with the columns of an answer; with `metadata` each is followed by `<name>__status` and `<name>__event_time`.
pub(crate) fn answer(answer: &ReadAnswer, rows: usize, metadata: bool) -> Result<Vec<u8>, ArrowError> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    let mut add = |name: String, array: ArrayRef| {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    };
    for column in &answer.columns {
        add(column.name.clone(), column.values.clone());
        if !metadata {
            continue;
        }
        let statuses: StringArray = (0..rows).map(|row| Some(status_word(column.statuses.of(row)))).collect();
        add(format!("{}__status", column.name), Arc::new(statuses));
        let times = match &column.event_times {
            Some(times) => times.clone(),
            None => TimestampMicrosecondArray::new_null(rows),
        };
        debug_assert!(matches!(times.data_type(), DataType::Timestamp(TimeUnit::Microsecond, _)));
        add(format!("{}__event_time", column.name), Arc::new(times.with_timezone("UTC")));
    }
    let schema = Arc::new(Schema::new(fields));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(schema.clone(), arrays, &options)?;
    batches(&schema, &[batch])
}

/// A stream with the batches of a query.
pub(crate) fn batches(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Vec<u8>, ArrowError> {
    let mut writer = StreamWriter::try_new(Vec::new(), schema)?;
    for batch in batches {
        writer.write(batch)?;
    }
    writer.into_inner()
}
