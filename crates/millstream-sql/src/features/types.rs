//! The types that events, keys and features have, and which of them hold every value of another.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef},
    compute::{CastOptions, cast_with_options, kernels::cmp::distinct},
    datatypes::{DataType, Field},
    error::ArrowError,
    util::display::FormatOptions,
};

use crate::{schema::storable_type, session::LOSES_DIGITS, type_name::type_name};

/// The type in which an expression's values are kept: as a table stores them, and vectors of one length as they are,
/// in float64. `None` when nothing can keep them.
pub(super) fn kept_type(data_type: &DataType) -> Option<DataType> {
    match data_type {
        DataType::FixedSizeList(field, size) if *size > 0 && field.data_type().is_floating() => {
            Some(DataType::FixedSizeList(Arc::new(Field::new_list_field(DataType::Float64, true)), *size))
        }
        other => storable_type(other),
    }
}

/// Whether values of the type can be keys.
pub(super) fn is_key(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::Float32
            | DataType::Float64
            | DataType::Decimal128(..)
            | DataType::Utf8
            | DataType::Binary
            | DataType::Date32
            | DataType::Timestamp(..)
    )
}

/// The type, one of the two or a third, that holds every value of both kept types with the same meaning.
pub(super) fn wider(one: &DataType, other: &DataType) -> Option<DataType> {
    if one == other {
        return Some(one.clone());
    }
    let integer = |data_type: &DataType| match data_type {
        DataType::Int8 => Some(8),
        DataType::Int16 => Some(16),
        DataType::Int32 => Some(32),
        DataType::Int64 => Some(64),
        _ => None,
    };
    if let (Some(left), Some(right)) = (integer(one), integer(other)) {
        return Some(if left > right { one.clone() } else { other.clone() });
    }
    match (one, other) {
        (DataType::Float32, DataType::Float64) | (DataType::Float64, DataType::Float32) => {
            Some(DataType::Float64)
        }
        (DataType::Decimal128(precision, scale), DataType::Decimal128(other_precision, other_scale)) => {
            let whole = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
            let most = (*scale).max(*other_scale);
            let digits =
                whole(*precision, *scale).max(whole(*other_precision, *other_scale)) + i16::from(most);
            let digits = u8::try_from(digits).ok().filter(|digits| *digits <= 38)?;
            Some(DataType::Decimal128(digits, most))
        }
        _ => None,
    }
}

/// Whether `to` holds every value of `from` with the same meaning.
pub(super) fn widens(from: &DataType, to: &DataType) -> bool {
    wider(from, to).as_ref() == Some(to)
}

/// Whether the types differ in nothing but the encoding of their values.
pub(super) fn same_values(one: &DataType, other: &DataType) -> bool {
    let plain = |data_type: &DataType| match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        other => other.clone(),
    };
    plain(one) == plain(other)
}

/// Casts values that somebody gave. A value that does not fit, or an instant that would lose digits, is an error.
pub(super) fn cast_exactly(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    let cast = cast_computed(array, data_type)?;
    if let DataType::Timestamp(..) = array.data_type() {
        let again = cast_computed(&cast, array.data_type())?;
        let lost = distinct(&again, array)?;
        if let Some(row) = lost.iter().position(|is_lost| is_lost == Some(true)) {
            let value = arrow::util::display::array_value_to_string(array, row)?;
            let reason = format!("`{value}` {LOSES_DIGITS} as {}", type_name(data_type));
            return Err(ArrowError::CastError(reason));
        }
    }
    Ok(cast)
}

/// Casts values that an expression gave. A table keeps an instant's microseconds and drops further digits, and so do
/// features. A value that does not fit is an error.
pub(super) fn cast_computed(array: &ArrayRef, data_type: &DataType) -> Result<ArrayRef, ArrowError> {
    if array.data_type() == data_type {
        return Ok(array.clone());
    }
    cast_with_options(
        array,
        data_type,
        &CastOptions { safe: false, format_options: FormatOptions::default() },
    )
}
