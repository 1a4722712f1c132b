//! How rows become Parquet: compression, and dictionaries only where a look at the rows says they pay.

use std::collections::HashSet;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, Field, Schema, SchemaRef},
    row::{RowConverter, SortField},
};
use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    file::properties::{EnabledStatistics, WriterProperties},
    schema::types::ColumnPath,
};

/// The number of rows that are looked at to estimate how often values repeat.
const SAMPLE_ROWS: usize = 2048;
/// A dictionary pays when a value stands for at least this many rows of the sample.
const ROWS_PER_VALUE: usize = 4;
/// The bytes beyond which a dictionary loses its use: the writer falls back to plain values.
const DICTIONARY_BYTES: usize = 512 << 10;

/// Properties for files whose first rows are `sample`.
pub(crate) fn properties(sample: &RecordBatch, row_group_rows: usize) -> WriterProperties {
    let mut builder = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_write_page_header_statistics(false)
        .set_offset_index_disabled(true)
        .set_dictionary_enabled(true)
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_max_row_group_row_count(Some(row_group_rows))
        .set_created_by(concat!("millstream ", env!("CARGO_PKG_VERSION")).into());
    for (field, column) in sample.schema().fields().iter().zip(sample.columns()) {
        if field.data_type().is_nested() {
            continue;
        }
        let path = ColumnPath::from(field.name().as_str());
        if !repeats(column) {
            builder = builder.set_column_dictionary_enabled(path.clone(), false);
            if is_integer(field.data_type()) {
                builder = builder.set_column_encoding(path, Encoding::DELTA_BINARY_PACKED);
            }
        }
    }
    builder.build()
}

/// Whether the values are whole numbers inside (counters, ids, instants), of which neighbours differ by little.
fn is_integer(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Int32 | DataType::Int64 | DataType::Date32 | DataType::Timestamp(..))
}

fn repeats(column: &ArrayRef) -> bool {
    let sample = column.slice(0, column.len().min(SAMPLE_ROWS));
    let fields = vec![SortField::new(sample.data_type().clone())];
    let rows = RowConverter::new(fields)
        .and_then(|converter| converter.convert_columns(std::slice::from_ref(&sample)));
    // A column that cannot be looked at keeps Parquet's default.
    let Ok(rows) = rows else { return true };
    let distinct: HashSet<&[u8]> = rows.iter().map(|row| row.data()).collect();
    distinct.len() * ROWS_PER_VALUE <= sample.len()
}

/// The schema with every field nullable and without metadata, as Delta tables of ours have it.
pub(crate) fn nullable(schema: &Schema) -> SchemaRef {
    let fields = schema.fields().iter().map(|field| nullable_field(field));
    std::sync::Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

fn nullable_field(field: &Field) -> Field {
    Field::new(field.name(), nullable_type(field.data_type()), true)
}

fn nullable_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Struct(fields) => {
            DataType::Struct(fields.iter().map(|field| nullable_field(field)).collect())
        }
        DataType::List(field) => DataType::List(nullable_field(field).with_name("element").into()),
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        DataType::Dictionary(_, value) => nullable_type(value),
        other => other.clone(),
    }
}
