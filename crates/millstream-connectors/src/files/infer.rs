//! The columns of a file, from what it declares or from what a sample shows.

use arrow::{
    array::{AsArray, RecordBatch},
    datatypes::Schema,
};
use millstream_connector::{Evidence, FoundColumn, column_type};
use millstream_types::ColumnType;

/// The columns of a sample of text.
pub(super) fn infer_columns(sample: &RecordBatch) -> Vec<FoundColumn> {
    let fields = sample.schema();
    let columns = fields.fields().iter().zip(sample.columns());
    columns
        .filter_map(|(field, column)| {
            let texts = column.as_string_opt::<i32>()?;
            Some(FoundColumn::inferred(field.name().clone(), Evidence::of_column(texts)))
        })
        .collect()
}

/// The columns that a typed format declares.
pub(super) fn declared_columns(schema: &Schema) -> Vec<FoundColumn> {
    let declared = |field: &arrow::datatypes::FieldRef| {
        let column_type = column_type(field.data_type()).unwrap_or(ColumnType::String);
        FoundColumn::declared(field.name().clone(), column_type)
    };
    schema.fields().iter().map(declared).collect()
}
