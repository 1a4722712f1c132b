//! Conversions to strings and binary.

use arrow::{
    array::{Array, ArrayRef},
    compute::{CastOptions, cast, cast_with_options},
    datatypes::DataType,
};

use super::{Coerced, Target, refuse_all, with_failures};
use crate::{QualityError, bitmap};

pub(super) fn to_string(array: &ArrayRef) -> Result<Coerced, QualityError> {
    let is_binary = array.data_type() == &DataType::Binary;
    if !is_binary && !array.data_type().is_integer() {
        return refuse_all(array, &Target::String);
    }
    let texts = cast_with_options(array, &DataType::Utf8, &CastOptions::default());
    let texts = texts.map_err(QualityError::arrow("write values as text"))?;
    let failed = bitmap::of_rows(array.len(), array.nulls(), |row| texts.is_null(row));
    with_failures(texts, failed)
}

pub(super) fn to_binary(array: &ArrayRef) -> Result<Coerced, QualityError> {
    if array.data_type() != &DataType::Utf8 {
        return refuse_all(array, &Target::Binary);
    }
    cast(array, &DataType::Binary).map(Coerced::whole).map_err(QualityError::arrow("take the bytes of text"))
}
