//! Checkpoints: the actions that make up a version, as Parquet. See `PROTOCOL.md`, section "Checkpoints".

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{DataType, Field, Fields, Schema, SchemaRef},
    json::{LineDelimitedWriter, ReaderBuilder},
};
use bytes::Bytes;
use parquet::{
    arrow::{ArrowWriter, ProjectionMask, arrow_reader::ParquetRecordBatchReaderBuilder},
    basic::Compression,
    file::properties::WriterProperties,
};

use super::{
    action::{Action, Line},
    parsed_stats,
};
use crate::error::Cause;

/// The field of `add` that holds partition values in their types. Millstream refuses tables that have any.
const PARTITIONS: &str = "partitionValues_parsed";

/// How many actions are turned into Arrow at a time.
const ROWS_PER_BATCH: usize = 8192;

/// The rows of one checkpoint file, one action a row. `kinds` are the actions that are wanted, by their names in the
/// log.
pub(crate) fn open(
    file: Bytes,
    kinds: &[&str],
) -> Result<impl Iterator<Item = Result<RecordBatch, Cause>> + use<>, Cause> {
    let builder = ParquetRecordBatchReaderBuilder::try_new(file)?;
    let schema = builder.parquet_schema();
    let needs_parsed = parsed_stats::is_needed(builder.metadata());
    let wanted = schema.columns().iter().enumerate().filter(|(_, leaf)| {
        let mut names = leaf.path().parts().iter().map(String::as_str);
        let kind = names.next().is_some_and(|kind| kinds.contains(&kind));
        let field = names.next();
        kind && field != Some(PARTITIONS) && (needs_parsed || field != Some(parsed_stats::FIELD))
    });
    let mask = ProjectionMask::leaves(schema, wanted.map(|(index, _)| index).collect::<Vec<_>>());
    let batches = builder.with_projection(mask).build()?;
    Ok(batches.map(|batch| parsed_stats::to_text(batch?)))
}

/// The rows of a checkpoint as actions.
pub(crate) fn actions_of(batch: &RecordBatch) -> Result<Vec<Action>, Cause> {
    let mut writer = LineDelimitedWriter::new(Vec::new());
    writer.write(batch)?;
    writer.finish()?;
    Ok(Action::parse_all(&writer.into_inner())?)
}

/// The bytes of a checkpoint file that holds `lines`.
pub(super) fn encode(lines: &[Line]) -> Result<Vec<u8>, Cause> {
    let schema = schema();
    let properties = WriterProperties::builder()
        .set_compression(Compression::SNAPPY)
        .set_created_by(concat!("millstream ", env!("CARGO_PKG_VERSION")).into())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
    let mut decoder = ReaderBuilder::new(schema).with_batch_size(ROWS_PER_BATCH).build_decoder()?;
    for lines in lines.chunks(ROWS_PER_BATCH) {
        decoder.serialize(lines)?;
        if let Some(batch) = decoder.flush()? {
            writer.write(&batch)?;
        }
    }
    Ok(writer.into_inner()?)
}

/// The columns of a checkpoint, one for each kind of action.
fn schema() -> SchemaRef {
    use DataType::{Boolean, Int32, Int64, Utf8};
    let format = object(&[("provider", Utf8), ("options", words())]);
    let kinds = BTreeMap::from([
        ("txn", object(&[("appId", Utf8), ("version", Int64), ("lastUpdated", Int64)])),
        (
            "add",
            object(&[
                ("path", Utf8),
                ("partitionValues", words()),
                ("size", Int64),
                ("modificationTime", Int64),
                ("dataChange", Boolean),
                ("stats", Utf8),
                ("tags", words()),
            ]),
        ),
        (
            "remove",
            object(&[
                ("path", Utf8),
                ("deletionTimestamp", Int64),
                ("dataChange", Boolean),
                ("extendedFileMetadata", Boolean),
                ("partitionValues", words()),
                ("size", Int64),
                ("tags", words()),
            ]),
        ),
        (
            "metaData",
            object(&[
                ("id", Utf8),
                ("name", Utf8),
                ("description", Utf8),
                ("format", format),
                ("schemaString", Utf8),
                ("partitionColumns", list()),
                ("configuration", words()),
                ("createdTime", Int64),
            ]),
        ),
        (
            "protocol",
            object(&[
                ("minReaderVersion", Int32),
                ("minWriterVersion", Int32),
                ("readerFeatures", list()),
                ("writerFeatures", list()),
            ]),
        ),
    ]);
    let fields = kinds.into_iter().map(|(name, kind)| Field::new(name, kind, true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn object(fields: &[(&str, DataType)]) -> DataType {
    DataType::Struct(fields.iter().map(|(name, kind)| Field::new(*name, kind.clone(), true)).collect())
}

/// A map of texts.
fn words() -> DataType {
    let pair = [Field::new("key", DataType::Utf8, false), Field::new("value", DataType::Utf8, true)];
    let entries = Field::new("key_value", DataType::Struct(Fields::from_iter(pair)), false);
    DataType::Map(Arc::new(entries), false)
}

/// A list of texts.
fn list() -> DataType {
    DataType::List(Arc::new(Field::new("element", DataType::Utf8, true)))
}
