//! The types that a Delta table stores, and rows cast to them.

use std::{pin::Pin, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    compute::{CastOptions, cast_with_options},
    datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef},
    error::ArrowError,
    util::display::FormatOptions,
};
use datafusion::{
    common::{DFSchema, DataFusionError},
    execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter,
};
use futures::StreamExt;

use crate::{catalog::timestamp, type_name::type_name};

/// A column whose type no table can hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column `{column}` is {found}, which a table cannot store")]
pub struct StorableError {
    pub column: String,
    /// The column's place in the schema.
    pub index: usize,
    /// The type in a contract's words.
    pub found: String,
    cast: &'static str,
}

impl StorableError {
    /// What to write instead of the column.
    #[must_use]
    pub fn hint(&self) -> String {
        format!("cast it: {}", self.cast)
    }
}

/// The schema in which a result is stored: text as `Utf8`, unsigned integers as the next signed type (`UInt64` as
/// `Int64`), timestamps as UTC microseconds, everything nullable. Every column that cannot be stored is an error.
pub fn storable_schema(schema: &DFSchema) -> Result<SchemaRef, Vec<StorableError>> {
    let mut errors = Vec::new();
    let mut fields = Vec::with_capacity(schema.fields().len());
    for (index, field) in schema.fields().iter().enumerate() {
        match storable(field.data_type()) {
            Ok(data_type) => fields.push(Field::new(field.name(), data_type, true)),
            Err((found, cast)) => {
                errors.push(StorableError { column: field.name().clone(), index, found, cast });
            }
        }
    }
    if errors.is_empty() { Ok(Arc::new(Schema::new(fields))) } else { Err(errors) }
}

/// The type in which values of `data_type` are stored; `None` when no table can hold them.
#[must_use]
pub fn storable_type(data_type: &DataType) -> Option<DataType> {
    storable(data_type).ok()
}

fn storable(data_type: &DataType) -> Result<DataType, (String, &'static str)> {
    let refuse = |cast| Err((type_name(data_type), cast));
    Ok(match data_type {
        DataType::Boolean
        | DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::Float32
        | DataType::Float64
        | DataType::Utf8
        | DataType::Binary
        | DataType::Date32 => data_type.clone(),
        DataType::UInt8 => DataType::Int16,
        DataType::UInt16 => DataType::Int32,
        // Row numbers and counts are `UInt64`; a value beyond an `Int64` fails the run instead of being cut.
        DataType::UInt32 | DataType::UInt64 => DataType::Int64,
        DataType::Float16 => DataType::Float32,
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => DataType::Binary,
        DataType::Date64 => DataType::Date32,
        DataType::Timestamp(..) => timestamp(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => match decimal(*precision, *scale) {
            Some(decimal) => decimal,
            None => return refuse("`cast(x as decimal(38, 10))` or `cast(x as double)`"),
        },
        DataType::Dictionary(_, values) => storable(values)?,
        DataType::RunEndEncoded(_, values) => storable(values.data_type())?,
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner) => {
            DataType::List(Arc::new(Field::new("element", storable(inner.data_type())?, true)))
        }
        DataType::Struct(fields) => DataType::Struct(storable_fields(fields)?),
        DataType::Map(entries, sorted) => DataType::Map(storable_entries(entries)?, *sorted),
        DataType::Null => return refuse("`cast(NULL as text)`"),
        DataType::Time32(_) | DataType::Time64(_) => return refuse("`cast(x as text)`"),
        DataType::Interval(_) | DataType::Duration(_) => {
            return refuse("`date_part('epoch', x)` gives seconds, or keep both ends of the interval");
        }
        DataType::Union(..) => return refuse("take the member that you need"),
    })
}

fn storable_fields(fields: &Fields) -> Result<Fields, (String, &'static str)> {
    fields
        .iter()
        .map(|field| Ok(Field::new(field.name(), storable(field.data_type())?, true)))
        .collect::<Result<Vec<_>, _>>()
        .map(Fields::from)
}

/// The entries of a map, in types that are stored. Keys of a map are never null.
fn storable_entries(entries: &FieldRef) -> Result<FieldRef, (String, &'static str)> {
    let DataType::Struct(pair) = entries.data_type() else {
        return Err((type_name(entries.data_type()), "take the values that you need"));
    };
    let mut pair: Vec<Field> = pair
        .iter()
        .map(|field| Ok(Field::new(field.name(), storable(field.data_type())?, true)))
        .collect::<Result<_, _>>()?;
    if let Some(key) = pair.first_mut() {
        key.set_nullable(false);
    }
    Ok(Arc::new(Field::new(entries.name(), DataType::Struct(pair.into()), false)))
}

/// The decimal type that is stored. A negative scale becomes more digits before the point; `None` beyond 38 digits.
fn decimal(precision: u8, scale: i8) -> Option<DataType> {
    let (precision, scale) =
        if scale < 0 { (precision.checked_add(scale.unsigned_abs())?, 0) } else { (precision, scale) };
    (precision <= 38).then_some(DataType::Decimal128(precision, scale))
}

/// The batch's columns, by position, cast to the schema's types. A value that does not fit is an error.
pub fn conform(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    if batch.num_columns() != schema.fields().len() {
        return Err(ArrowError::SchemaError(format!(
            "{} columns where {} were planned",
            batch.num_columns(),
            schema.fields().len()
        )));
    }
    let options = CastOptions { safe: false, format_options: FormatOptions::default() };
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| {
            if column.data_type() == field.data_type() {
                return Ok(column.clone());
            }
            cast_with_options(column, field.data_type(), &options)
        })
        .collect::<Result<Vec<ArrayRef>, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(schema.clone(), columns, &options)
}

/// The stream's batches, each [`conform`]ed.
#[must_use]
pub fn conform_stream(stream: SendableRecordBatchStream, schema: &SchemaRef) -> SendableRecordBatchStream {
    if stream.schema() == *schema {
        return stream;
    }
    let target = schema.clone();
    let conformed = stream.map(move |batch| {
        batch.and_then(|batch| {
            conform(&batch, &target).map_err(|error| DataFusionError::ArrowError(Box::new(error), None))
        })
    });
    Pin::from(Box::new(RecordBatchStreamAdapter::new(schema.clone(), conformed)))
}
