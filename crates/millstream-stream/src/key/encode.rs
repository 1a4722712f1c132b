//! From key columns to what is hashed, and back.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float32Array, Float64Array, Int64Array},
    buffer::NullBuffer,
    compute::cast,
    datatypes::{DataType, Float32Type, Float64Type, Int64Type, Schema},
    row::{RowConverter, Rows, SortField},
};

use super::store::KeyStore;
use crate::StreamError;

/// How keys of certain columns become numbers or bytes. Equal keys give equal bytes: zeros are one zero, and NaN is one NaN.
#[derive(Debug)]
pub(crate) enum KeyEncoder {
    /// No column: all rows have one key.
    One,
    /// One column whose values are whole numbers.
    Int(DataType),
    /// Anything else: the columns' types, and Arrow's encoding of rows.
    Rows { types: Vec<DataType>, converter: RowConverter },
}

pub(super) enum Encoded {
    One,
    Ints { values: Int64Array, nulls: Option<NullBuffer> },
    Bytes(Rows),
}

impl KeyEncoder {
    pub(crate) fn new(types: Vec<DataType>) -> Result<Self, StreamError> {
        match types.as_slice() {
            [] => Ok(Self::One),
            [data_type] if is_int(data_type) => Ok(Self::Int(data_type.clone())),
            _ => {
                let fields = types.iter().map(|data_type| SortField::new(data_type.clone())).collect();
                let converter = RowConverter::new(fields).map_err(StreamError::arrow("encode keys"))?;
                Ok(Self::Rows { types, converter })
            }
        }
    }

    pub(super) fn is_int(&self) -> bool {
        matches!(self, Self::Int(_))
    }

    pub(super) fn encode(&self, columns: &[ArrayRef], rows: usize) -> Result<Encoded, StreamError> {
        match (self, columns) {
            (Self::Int(_), [column]) => {
                let values = to_ints(column)?;
                let nulls = values.nulls().filter(|nulls| nulls.null_count() > 0).cloned();
                Ok(Encoded::Ints { values, nulls })
            }
            (Self::Rows { converter, .. }, columns) => {
                let columns: Vec<ArrayRef> = columns.iter().map(normal).collect();
                let encoded =
                    converter.convert_columns(&columns).map_err(StreamError::arrow("encode keys"))?;
                debug_assert_eq!(encoded.num_rows(), rows);
                Ok(Encoded::Bytes(encoded))
            }
            _ => Ok(Encoded::One),
        }
    }

    pub(super) fn decode(&self, store: &KeyStore, ids: &[u32]) -> Result<Vec<ArrayRef>, StreamError> {
        let failed = "decode keys";
        match self {
            Self::One => Ok(Vec::new()),
            Self::Int(data_type) => {
                let values: Int64Array = ids.iter().map(|id| store.int(*id)).collect();
                let values: ArrayRef = Arc::new(values);
                let narrow = match data_type {
                    DataType::Date32 => {
                        cast(&values, &DataType::Int32).map_err(StreamError::arrow(failed))?
                    }
                    _ => values,
                };
                Ok(vec![cast(&narrow, data_type).map_err(StreamError::arrow(failed))?])
            }
            Self::Rows { types, converter } => {
                let parser = converter.parser();
                let rows = ids.iter().map(|id| parser.parse(store.bytes(*id)));
                let columns = converter.convert_rows(rows).map_err(StreamError::arrow(failed))?;
                let columns = columns.iter().zip(types).map(|(column, data_type)| {
                    if column.data_type() == data_type {
                        return Ok(Arc::clone(column));
                    }
                    cast(column, data_type).map_err(StreamError::arrow(failed))
                });
                columns.collect()
            }
        }
    }
}

/// The numbers and the types of key columns.
pub(crate) fn key_columns(
    stage: &str,
    schema: &Schema,
    names: &[String],
) -> Result<(Vec<usize>, Vec<DataType>), StreamError> {
    let mut columns = Vec::new();
    let mut types = Vec::new();
    for name in names {
        let (column, field) = schema
            .column_with_name(name)
            .ok_or_else(|| StreamError::NoSuchColumn { stage: stage.into(), column: name.clone() })?;
        let data_type = field.data_type();
        if data_type.is_nested() || !RowConverter::supports_fields(&[SortField::new(data_type.clone())]) {
            return Err(StreamError::ColumnType {
                stage: stage.into(),
                column: name.clone(),
                data_type: data_type.clone(),
                role: "a key",
            });
        }
        columns.push(column);
        types.push(data_type.clone());
    }
    Ok((columns, types))
}

/// Whether all values of a type are whole numbers of 64 bits whose order is that of the values.
fn is_int(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32
            | DataType::Date32
            | DataType::Timestamp(..)
    )
}

fn to_ints(column: &ArrayRef) -> Result<Int64Array, StreamError> {
    let failed = "read whole numbers of keys";
    let column = match column.data_type() {
        DataType::Int64 => Arc::clone(column),
        DataType::Date32 => cast(column, &DataType::Int32)
            .and_then(|days| cast(&days, &DataType::Int64))
            .map_err(StreamError::arrow(failed))?,
        _ => cast(column, &DataType::Int64).map_err(StreamError::arrow(failed))?,
    };
    Ok(column.as_primitive::<Int64Type>().clone())
}

/// The column with one zero and one NaN.
fn normal(column: &ArrayRef) -> ArrayRef {
    match column.data_type() {
        DataType::Float64 => {
            let floats: Float64Array = column
                .as_primitive::<Float64Type>()
                .unary(|value| if value.is_nan() { f64::NAN } else { value + 0.0 });
            Arc::new(floats)
        }
        DataType::Float32 => {
            let floats: Float32Array = column
                .as_primitive::<Float32Type>()
                .unary(|value| if value.is_nan() { f32::NAN } else { value + 0.0 });
            Arc::new(floats)
        }
        _ => Arc::clone(column),
    }
}
