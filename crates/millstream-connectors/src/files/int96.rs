//! Instants that Parquet stores in 96 bits, as Spark and Impala once wrote them: a day and the nanoseconds in it.
//!
//! In 64 bits, nanoseconds reach from 1677 to 2262 only (`9999-12-31` would come out as another day), and microseconds
//! lose digits. So they are read as both: microseconds where that is all there is, and text where there is more, which
//! the contract then judges as it judges every text.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, ListArray, RecordBatch, StringArray, StructArray},
    datatypes::{
        DataType, Field, FieldRef, Fields, Schema, SchemaRef, TimeUnit, TimestampMicrosecondType,
        TimestampNanosecondType,
    },
    error::ArrowError,
    temporal_conversions::timestamp_us_to_datetime,
};
use parquet::{arrow::arrow_reader::ArrowReaderMetadata, basic::Type};

use crate::plain::plain_batch;

/// The schema that reads these instants as microseconds; `None` for a file without any.
pub(super) fn micros_schema(metadata: &ArrowReaderMetadata) -> Option<SchemaRef> {
    let mut columns = metadata.parquet_schema().columns().iter();
    let mut next_is_wide = || columns.next().is_some_and(|column| column.physical_type() == Type::INT96);
    let fields = with_micros(metadata.schema().fields(), &mut next_is_wide);
    (fields != *metadata.schema().fields()).then(|| Arc::new(Schema::new(fields)))
}

/// The leaves of an Arrow schema stand in the order of the file's columns.
fn with_micros(fields: &Fields, next_is_wide: &mut impl FnMut() -> bool) -> Fields {
    fields.iter().map(|field| field_with_micros(field, next_is_wide)).collect()
}

fn field_with_micros(field: &FieldRef, next_is_wide: &mut impl FnMut() -> bool) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(with_micros(fields, next_is_wide)),
        DataType::List(inner) => DataType::List(field_with_micros(inner, next_is_wide)),
        DataType::Map(entries, sorted) => DataType::Map(field_with_micros(entries, next_is_wide), *sorted),
        leaf => match next_is_wide() {
            true => DataType::Timestamp(TimeUnit::Microsecond, None),
            false => leaf.clone(),
        },
    };
    Arc::new(field.as_ref().clone().with_data_type(data_type))
}

/// Puts two readings of the same rows together.
pub(super) fn exact_instants(micros: &RecordBatch, nanos: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let (micros, nanos) = (plain_batch(micros)?, plain_batch(nanos)?);
    let columns = micros.columns().iter().zip(nanos.columns()).map(|(micros, nanos)| exact(micros, nanos));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let schema = micros.schema();
    let fields = schema.fields().iter().zip(&columns);
    let fields: Vec<Field> =
        fields.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true)).collect();
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn exact(micros: &ArrayRef, nanos: &ArrayRef) -> Result<ArrayRef, ArrowError> {
    if micros.data_type() == nanos.data_type() {
        return Ok(micros.clone());
    }
    match micros.data_type() {
        DataType::Struct(_) => {
            let (micros, nanos) = (micros.as_struct(), nanos.as_struct());
            let columns = micros.columns().iter().zip(nanos.columns());
            let columns = columns.map(|(a, b)| exact(a, b)).collect::<Result<Vec<_>, _>>()?;
            let named = micros.fields().iter().zip(&columns);
            let fields =
                named.map(|(field, column)| Field::new(field.name(), column.data_type().clone(), true));
            let (fields, nulls) = (fields.collect::<Fields>(), micros.nulls().cloned());
            Ok(Arc::new(StructArray::try_new_with_length(fields, columns, nulls, micros.len())?))
        }
        DataType::List(element) => {
            let list = micros.as_list::<i32>();
            let values = exact(list.values(), nanos.as_list::<i32>().values())?;
            let element = Arc::new(element.as_ref().clone().with_data_type(values.data_type().clone()));
            let (offsets, nulls) = (list.offsets().clone(), list.nulls().cloned());
            Ok(Arc::new(ListArray::try_new(element, offsets, values, nulls)?))
        }
        _ => Ok(exact_leaf(micros, nanos)),
    }
}

fn exact_leaf(micros: &ArrayRef, nanos: &ArrayRef) -> ArrayRef {
    let (Some(us), Some(ns)) = (
        micros.as_primitive_opt::<TimestampMicrosecondType>(),
        nanos.as_primitive_opt::<TimestampNanosecondType>(),
    ) else {
        return micros.clone();
    };
    // Both readings are the number of the file modulo 2^64, so that their difference is right beyond 2262 too.
    let beyond = |row: usize| ns.value(row).wrapping_sub(us.value(row).wrapping_mul(1_000));
    if (0..us.len()).all(|row| us.is_null(row) || beyond(row) == 0) {
        return micros.clone();
    }
    let text = |row: usize| {
        let instant = timestamp_us_to_datetime(us.value(row)).filter(|_| us.is_valid(row))?;
        Some(format!("{}{:03}", instant.format("%Y-%m-%dT%H:%M:%S%.6f"), beyond(row)))
    };
    Arc::new((0..us.len()).map(text).collect::<StringArray>())
}
