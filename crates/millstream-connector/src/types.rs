//! Contract types as Arrow types, and back.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Fields, TimeUnit};
use millstream_types::ColumnType;

/// The name of the one time zone that the lake knows.
const UTC: &str = "UTC";
/// The name of a list's inner field, as Parquet and Delta write it.
const ELEMENT: &str = "element";

/// The Arrow type in which the lake keeps a column of this type. Everything nested is nullable.
#[must_use]
pub fn arrow_type(column_type: &ColumnType) -> DataType {
    match column_type {
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int8 => DataType::Int8,
        ColumnType::Int16 => DataType::Int16,
        ColumnType::Int32 => DataType::Int32,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float32 => DataType::Float32,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Decimal { precision, scale } => {
            DataType::Decimal128(*precision, i8::try_from(*scale).unwrap_or(i8::MAX))
        }
        ColumnType::String => DataType::Utf8,
        ColumnType::Binary => DataType::Binary,
        ColumnType::Date => DataType::Date32,
        ColumnType::Timestamp { .. } => DataType::Timestamp(TimeUnit::Microsecond, Some(UTC.into())),
        ColumnType::List(inner) => DataType::List(Arc::new(Field::new(ELEMENT, arrow_type(inner), true))),
        ColumnType::Struct(fields) => DataType::Struct(
            fields
                .iter()
                .map(|field| Field::new(&field.name, arrow_type(&field.column_type), true))
                .collect(),
        ),
    }
}

/// The contract type that holds every value of an Arrow type; `None` where no contract type does (times of
/// day, intervals, maps).
#[must_use]
pub fn column_type(data_type: &DataType) -> Option<ColumnType> {
    Some(match data_type {
        DataType::Boolean => ColumnType::Bool,
        DataType::Int8 => ColumnType::Int8,
        DataType::Int16 | DataType::UInt8 => ColumnType::Int16,
        DataType::Int32 | DataType::UInt16 => ColumnType::Int32,
        DataType::Int64 | DataType::UInt32 => ColumnType::Int64,
        DataType::UInt64 => ColumnType::Decimal { precision: 20, scale: 0 },
        DataType::Float16 | DataType::Float32 => ColumnType::Float32,
        DataType::Float64 => ColumnType::Float64,
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => decimal(*precision, *scale)?,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => ColumnType::String,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_) => {
            ColumnType::Binary
        }
        DataType::Date32 | DataType::Date64 => ColumnType::Date,
        DataType::Timestamp(_, _) => ColumnType::Timestamp { zone: None },
        DataType::List(inner)
        | DataType::LargeList(inner)
        | DataType::FixedSizeList(inner, _)
        | DataType::ListView(inner)
        | DataType::LargeListView(inner) => ColumnType::List(Box::new(column_type(inner.data_type())?)),
        DataType::Struct(fields) => ColumnType::Struct(struct_fields(fields)?),
        DataType::Dictionary(_, values) => column_type(values)?,
        DataType::RunEndEncoded(_, values) => column_type(values.data_type())?,
        _ => return None,
    })
}

fn struct_fields(fields: &Fields) -> Option<Vec<millstream_types::Field>> {
    fields
        .iter()
        .map(|field| {
            let column_type = column_type(field.data_type())?;
            Some(millstream_types::Field { name: field.name().clone(), column_type })
        })
        .collect()
}

/// A negative scale (`12 hundreds`) becomes more digits before the point.
fn decimal(precision: u8, scale: i8) -> Option<ColumnType> {
    let (precision, scale) = match u8::try_from(scale) {
        Ok(scale) => (precision.max(scale), scale),
        Err(_) => (precision.checked_add(scale.unsigned_abs())?, 0),
    };
    (precision <= 38).then_some(ColumnType::Decimal { precision, scale })
}
