//! Single values for manifests and reports.

use std::fmt;

use arrow::{
    array::{Array, ArrayRef, AsArray},
    compute::cast,
    datatypes::{DataType, Float64Type, Int64Type},
    util::display::{ArrayFormatter, FormatOptions},
};
use serde::{Deserialize, Serialize};

/// A value as JSON has it. Times, decimals, bytes and numbers that JSON cannot hold are text.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Scalar {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
}

impl fmt::Display for Scalar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(value) => value.fmt(f),
            Self::Int(value) => value.fmt(f),
            Self::Float(value) => value.fmt(f),
            Self::Text(value) => value.fmt(f),
        }
    }
}

/// One value of a column; none for a null and for what cannot be shown.
pub(crate) fn scalar(column: &ArrayRef, row: usize) -> Option<Scalar> {
    if row >= column.len() || column.is_null(row) {
        return None;
    }
    let value = column.slice(row, 1);
    match value.data_type() {
        DataType::Boolean => Some(Scalar::Bool(value.as_boolean().value(0))),
        data_type if data_type.is_integer() => match cast(&value, &DataType::Int64) {
            Ok(number) if number.is_valid(0) => {
                Some(Scalar::Int(number.as_primitive::<Int64Type>().value(0)))
            }
            _ => text(&value),
        },
        data_type if data_type.is_floating() => {
            let number = cast(&value, &DataType::Float64).ok()?;
            let number = number.as_primitive_opt::<Float64Type>()?.value(0);
            if number.is_finite() { Some(Scalar::Float(number)) } else { text(&value) }
        }
        _ => text(&value),
    }
}

fn text(value: &ArrayRef) -> Option<Scalar> {
    let options = FormatOptions::default();
    // Arrow knows zones by their offset only, unless it carries a table of all of them; a zone does not move an instant.
    let value = match value.data_type() {
        DataType::Timestamp(unit, Some(_)) => {
            let utc = DataType::Timestamp(*unit, Some("+00:00".into()));
            &cast(value, &DataType::Int64).and_then(|number| cast(&number, &utc)).ok()?
        }
        _ => value,
    };
    let text = ArrayFormatter::try_new(value.as_ref(), &options).ok()?.value(0).try_to_string().ok()?;
    Some(Scalar::Text(text))
}
