//! Numbers of all types as whole numbers in the same order.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, PrimitiveArray},
    compute::cast,
    datatypes::{
        DataType, Date32Type, Date64Type, Decimal128Type, Float64Type, Int8Type, Int16Type, Int32Type,
        Int64Type, Time32MillisecondType, Time32SecondType, Time64MicrosecondType, Time64NanosecondType,
        TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
        TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};

/// Calls a macro with the Arrow type of a whole number, if the data type is one.
macro_rules! by_whole_type {
    ($data_type:expr, $call:ident, $otherwise:expr) => {
        match $data_type {
            DataType::Int8 => $call!(Int8Type),
            DataType::Int16 => $call!(Int16Type),
            DataType::Int32 => $call!(Int32Type),
            DataType::Int64 => $call!(Int64Type),
            DataType::UInt8 => $call!(UInt8Type),
            DataType::UInt16 => $call!(UInt16Type),
            DataType::UInt32 => $call!(UInt32Type),
            DataType::UInt64 => $call!(UInt64Type),
            DataType::Decimal128(..) => $call!(Decimal128Type),
            DataType::Date32 => $call!(Date32Type),
            DataType::Date64 => $call!(Date64Type),
            DataType::Time32(TimeUnit::Second) => $call!(Time32SecondType),
            DataType::Time32(TimeUnit::Millisecond) => $call!(Time32MillisecondType),
            DataType::Time64(TimeUnit::Microsecond) => $call!(Time64MicrosecondType),
            DataType::Time64(TimeUnit::Nanosecond) => $call!(Time64NanosecondType),
            DataType::Timestamp(TimeUnit::Second, _) => $call!(TimestampSecondType),
            DataType::Timestamp(TimeUnit::Millisecond, _) => $call!(TimestampMillisecondType),
            DataType::Timestamp(TimeUnit::Microsecond, _) => $call!(TimestampMicrosecondType),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => $call!(TimestampNanosecondType),
            _ => $otherwise,
        }
    };
}

/// Calls `visit` with the row and the value of each row of a column of whole numbers that is not null.
#[inline]
pub(super) fn each_whole(column: &ArrayRef, mut visit: impl FnMut(usize, i128)) {
    macro_rules! each {
        ($type:ty) => {{
            let array = column.as_primitive::<$type>();
            match array.nulls().filter(|nulls| nulls.null_count() > 0) {
                None => {
                    array.values().iter().enumerate().for_each(|(row, value)| visit(row, i128::from(*value)))
                }
                Some(nulls) => {
                    nulls.valid_indices().for_each(|row| visit(row, i128::from(array.value(row))));
                }
            }
        }};
    }
    by_whole_type!(column.data_type(), each, ());
}

/// Calls `visit` with the row and the value of each row of a column of floats that is not null.
#[inline]
pub(super) fn each_float(column: &ArrayRef, mut visit: impl FnMut(usize, f64)) {
    let wide = match column.data_type() {
        DataType::Float64 => Some(column.as_primitive::<Float64Type>().clone()),
        _ => cast(column, &DataType::Float64).ok().map(|column| column.as_primitive::<Float64Type>().clone()),
    };
    let Some(array) = wide else { return };
    match array.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => array.values().iter().enumerate().for_each(|(row, value)| visit(row, *value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| visit(row, array.value(row))),
    }
}

pub(super) fn is_whole(data_type: &DataType) -> bool {
    macro_rules! yes {
        ($type:ty) => {
            true
        };
    }
    by_whole_type!(data_type, yes, false)
}

pub(super) fn is_float(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Float16 | DataType::Float32 | DataType::Float64)
}

/// A float as a whole number in the total order of floats: NaN is one and the greatest.
#[inline]
pub(super) fn of_float(value: f64) -> i64 {
    let value = if value.is_nan() { f64::NAN } else { value };
    let bits = value.to_bits().cast_signed();
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

#[inline]
pub(super) fn to_float(ordinal: i64) -> f64 {
    let bits = ordinal ^ ((ordinal >> 63).cast_unsigned() >> 1).cast_signed();
    f64::from_bits(bits.cast_unsigned())
}

/// Values of type `data_type` from their whole numbers.
pub(super) fn array_of(data_type: &DataType, values: impl Iterator<Item = Option<i128>>) -> Option<ArrayRef> {
    macro_rules! build {
        ($type:ty) => {{
            let array: PrimitiveArray<$type> =
                values.map(|value| value.and_then(|value| value.try_into().ok())).collect();
            Some(Arc::new(array.with_data_type(data_type.clone())) as ArrayRef)
        }};
    }
    match data_type {
        DataType::Boolean => {
            Some(Arc::new(values.map(|value| value.map(|value| value != 0)).collect::<BooleanArray>()))
        }
        DataType::Float64 | DataType::Float32 => {
            let floats =
                values.map(|value| value.map(|value| to_float(i64::try_from(value).unwrap_or(i64::MAX))));
            let floats: ArrayRef = Arc::new(floats.collect::<Float64Array>());
            cast(&floats, data_type).ok()
        }
        _ => by_whole_type!(data_type, build, None),
    }
}
