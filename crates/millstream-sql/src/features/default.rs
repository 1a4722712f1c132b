//! A default as written to a value of the feature's type.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, StringArray},
    datatypes::{DataType, Date32Type, Decimal128Type, Float64Type, Int64Type, TimestampMicrosecondType},
};
use millstream_features::aggregate::Value;
use millstream_project::Scalar;

use super::types::cast_exactly;

/// The written default as a value; `None` when it is no value of the type.
pub(super) fn value(written: &Scalar, data_type: &DataType) -> Option<Value> {
    match (written, data_type) {
        (Scalar::Bool(value), DataType::Boolean) => Some(Value::Bool(*value)),
        (Scalar::Text(text), DataType::Utf8) => Some(Value::Text(text.as_str().into())),
        (Scalar::Text(text), DataType::Date32) => {
            let days = parsed(text, data_type)?;
            Some(Value::Int(days.as_primitive::<Date32Type>().value(0).into()))
        }
        (Scalar::Text(text), DataType::Timestamp(..)) => {
            let time = parsed(text, data_type)?;
            Some(Value::Int(time.as_primitive::<TimestampMicrosecondType>().value(0)))
        }
        (Scalar::Int(value), to) if to.is_numeric() => number(&value.to_string(), to),
        (Scalar::Number(text), to) if to.is_numeric() => number(text, to),
        _ => None,
    }
}

fn number(text: &str, data_type: &DataType) -> Option<Value> {
    match data_type {
        // The text is read as the type itself, so that a number beyond the type's bounds gives no value.
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => {
            let value = cast_exactly(&parsed(text, data_type)?, &DataType::Int64).ok()?;
            Some(Value::Int(value.as_primitive::<Int64Type>().value(0)))
        }
        DataType::Float32 | DataType::Float64 => {
            let value = parsed(text, &DataType::Float64)?.as_primitive::<Float64Type>().value(0);
            // Definitions are kept as JSON, which cannot hold infinities and NaN.
            value.is_finite().then_some(Value::Float(value))
        }
        DataType::Decimal128(_, scale) => {
            let digits = text.split_once('.').map_or(0, |(_, fraction)| fraction.len());
            let fits = !text.contains(['e', 'E']) && digits <= usize::try_from(*scale).ok()?;
            let value = parsed(text, data_type).filter(|_| fits)?;
            Some(Value::Decimal(value.as_primitive::<Decimal128Type>().value(0)))
        }
        _ => None,
    }
}

fn parsed(text: &str, data_type: &DataType) -> Option<ArrayRef> {
    let text: ArrayRef = Arc::new(StringArray::from(vec![text.trim()]));
    cast_exactly(&text, data_type).ok().filter(|array| array.is_valid(0))
}
