//! Answers that need no plan: SHOW TABLES and DESCRIBE.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, StringArray},
    datatypes::Schema,
};
use datafusion::{
    common::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use millstream_types::TableName;

use super::SqlError;
use crate::type_name::type_name;

/// One row for each table, in the order of names.
pub(super) fn tables(known: &[TableName]) -> Result<RecordBatch, SqlError> {
    let mut known: Vec<_> = known.iter().collect();
    known.sort();
    let schemas: StringArray = known.iter().map(|table| Some(table.schema())).collect();
    let names: StringArray = known.iter().map(|table| Some(table.name())).collect();
    batch(vec![("table_schema", Arc::new(schemas)), ("table_name", Arc::new(names))])
}

/// One row for each column, types in a contract's words.
pub(super) fn columns(schema: &Schema) -> Result<RecordBatch, SqlError> {
    let names: StringArray = schema.fields().iter().map(|field| Some(field.name().clone())).collect();
    let types: StringArray = schema.fields().iter().map(|field| Some(type_name(field.data_type()))).collect();
    batch(vec![("column_name", Arc::new(names)), ("data_type", Arc::new(types))])
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> Result<RecordBatch, SqlError> {
    RecordBatch::try_from_iter(columns)
        .map_err(|error| SqlError::from_datafusion(DataFusionError::ArrowError(Box::new(error), None)))
}

pub(super) fn stream(batch: RecordBatch) -> SendableRecordBatchStream {
    let schema = batch.schema();
    Box::pin(RecordBatchStreamAdapter::new(schema, futures::stream::iter([Ok(batch)])))
}
