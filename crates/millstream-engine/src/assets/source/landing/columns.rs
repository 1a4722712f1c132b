//! The four columns that landing adds.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field as ArrowField, Fields, Schema, SchemaRef, TimeUnit},
    error::ArrowError,
};
use millstream_connector::arrow_type;
use millstream_types::{Field, INGESTED_AT, POSITION, SEQUENCE, SOURCE, TimestampMicros};

/// The schema of a bronze table: the source's columns, then the landing columns.
pub(crate) fn bronze_schema(columns: &[Field]) -> SchemaRef {
    let own = columns.iter().map(|field| ArrowField::new(&field.name, arrow_type(&field.column_type), true));
    let utc = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let added = [
        ArrowField::new(INGESTED_AT, utc, true),
        ArrowField::new(SEQUENCE, DataType::Int64, true),
        ArrowField::new(SOURCE, DataType::Utf8, true),
        ArrowField::new(POSITION, DataType::Int64, true),
    ];
    Arc::new(Schema::new(own.chain(added).collect::<Fields>()))
}

/// What landing knows of rows beside their values, one of each for each row.
pub(crate) struct LandingValues<'a> {
    pub ingested: TimestampMicrosecondArray,
    pub sequences: Int64Array,
    pub sources: &'a StringArray,
    pub positions: Int64Array,
}

impl<'a> LandingValues<'a> {
    /// Those of rows that land now, numbered from `first` on.
    pub(crate) fn numbered(
        positions: Int64Array,
        sources: &'a StringArray,
        first: i64,
        now: TimestampMicros,
    ) -> Self {
        let count = positions.len();
        Self {
            ingested: TimestampMicrosecondArray::from_value(now.0, count).with_timezone("UTC"),
            sequences: (first..).take(count).collect::<Vec<_>>().into(),
            sources,
            positions,
        }
    }
}

/// `rows` with the landing columns, as rows of the bronze table.
pub(crate) fn with_landing_columns(
    schema: &SchemaRef,
    rows: &RecordBatch,
    values: LandingValues<'_>,
) -> Result<RecordBatch, ArrowError> {
    let count = rows.num_rows();
    let own = schema.fields().len().saturating_sub(4);
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields().iter().take(own) {
        columns.push(match rows.column_by_name(field.name()) {
            Some(column) => column.clone(),
            None => arrow::array::new_null_array(field.data_type(), count),
        });
    }
    let LandingValues { ingested, sequences, sources, positions } = values;
    columns.push(Arc::new(ingested));
    columns.push(Arc::new(sequences));
    columns.push(Arc::new(sources.clone()));
    columns.push(Arc::new(positions));
    RecordBatch::try_new(schema.clone(), columns)
}
