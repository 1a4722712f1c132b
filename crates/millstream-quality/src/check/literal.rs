//! Values written in a contract, in the type of the column that they are compared with.

use arrow::datatypes::{DataType, TimeUnit};
use millstream_project::Scalar;

use super::type_name;
use crate::{
    coerce::{Rounding, iso_date, parse_number, timestamp_micros},
    column::Column,
};

/// A value of a column's type. Dates, instants and decimals are integers in the column's unit.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Literal {
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
}

/// The value as one of `column`'s type, a number between two of them rounded as told. The error says what
/// it should be.
pub(super) fn literal(scalar: &Scalar, column: &Column, rounding: Rounding) -> Result<Literal, String> {
    let value = match column.data_type() {
        DataType::Boolean => match scalar {
            Scalar::Bool(value) => Some(Literal::Bool(*value)),
            _ => None,
        },
        DataType::Utf8 => Some(Literal::Text(text_of(scalar))),
        DataType::Float32 | DataType::Float64 => match scalar {
            Scalar::Int(value) => Some(Literal::Float(*value as f64)),
            Scalar::Number(text) => text.parse().ok().map(Literal::Float),
            Scalar::Bool(_) | Scalar::Text(_) => None,
        },
        DataType::Decimal128(_, scale) => at_scale(scalar, i32::from(*scale), rounding),
        data_type if data_type.is_integer() => at_scale(scalar, 0, rounding),
        DataType::Date32 => date(scalar).map(|day| Literal::Int(day.into())),
        DataType::Date64 => date(scalar).map(|day| Literal::Int(i128::from(day) * 86_400_000)),
        DataType::Timestamp(unit, _) => {
            instant(scalar, column).and_then(|us| in_unit(us, *unit, rounding)).map(Literal::Int)
        }
        _ => None,
    };
    value.ok_or_else(|| {
        format!("`{}` is not a value of type {}", text_of(scalar), type_name(column.data_type()))
    })
}

pub(super) fn text_of(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Bool(value) => value.to_string(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Number(text) | Scalar::Text(text) => text.clone(),
    }
}

fn at_scale(scalar: &Scalar, scale: i32, rounding: Rounding) -> Option<Literal> {
    let number = match scalar {
        Scalar::Int(value) => parse_number(&value.to_string()),
        Scalar::Number(text) => parse_number(text),
        Scalar::Bool(_) | Scalar::Text(_) => None,
    };
    number?.at_scale(scale, rounding).map(Literal::Int)
}

fn date(scalar: &Scalar) -> Option<i32> {
    match scalar {
        Scalar::Text(text) => iso_date(text.as_bytes()),
        _ => None,
    }
}

fn instant(scalar: &Scalar, column: &Column) -> Option<i64> {
    match scalar {
        Scalar::Text(text) => timestamp_micros(text, &column.zone()),
        _ => None,
    }
}

/// The instant in another unit; none where it lies between two of them and has to be exact.
fn in_unit(micros: i64, unit: TimeUnit, rounding: Rounding) -> Option<i128> {
    let micros = i128::from(micros);
    let divisor = match unit {
        TimeUnit::Nanosecond => return Some(micros * 1_000),
        TimeUnit::Microsecond => 1,
        TimeUnit::Millisecond => 1_000,
        TimeUnit::Second => 1_000_000,
    };
    match rounding {
        Rounding::Up => Some(-(-micros).div_euclid(divisor)),
        Rounding::Down => Some(micros.div_euclid(divisor)),
        Rounding::Exact => (micros.rem_euclid(divisor) == 0).then(|| micros.div_euclid(divisor)),
    }
}
