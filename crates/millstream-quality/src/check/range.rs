//! `range`: inclusive bounds on any ordered type. NaN is outside of every range.

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray},
    buffer::BooleanBuffer,
    datatypes::{
        DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use millstream_project::{Bounds, Scalar};

use super::{
    Problem, RowCheck, Rows,
    literal::{Literal, literal, text_of},
    wrong_type,
};
use crate::{QualityError, bitmap, coerce::Rounding, column::Column};

#[derive(Debug)]
struct Range {
    column: Column,
    limits: Limits,
    /// The bounds as written, for messages.
    min: Option<String>,
    max: Option<String>,
}

#[derive(Debug)]
enum Limits {
    Int { min: i128, max: i128 },
    Float { min: f64, max: f64 },
    Text { min: Option<String>, max: Option<String> },
}

pub(super) fn compile(column: &Column, bounds: &Bounds<Scalar>) -> Result<Box<dyn RowCheck>, Problem> {
    let ordered = match column.data_type() {
        DataType::Utf8 | DataType::Decimal128(_, _) | DataType::Date32 | DataType::Date64 => true,
        DataType::Float32 | DataType::Float64 | DataType::Timestamp(_, _) => true,
        data_type => data_type.is_integer(),
    };
    if !ordered {
        return Err(wrong_type(column, "a type with an order"));
    }
    let bound = |scalar: &Option<Scalar>, rounding| {
        scalar.as_ref().map(|scalar| literal(scalar, column, rounding)).transpose().map_err(Problem::new)
    };
    let limits = match (bound(&bounds.min, Rounding::Up)?, bound(&bounds.max, Rounding::Down)?) {
        (Some(Literal::Text(min)), max) => Limits::Text { min: Some(min), max: max.and_then(text) },
        (min, Some(Literal::Text(max))) => Limits::Text { min: min.and_then(text), max: Some(max) },
        (min @ Some(Literal::Float(_)), max) | (min, max @ Some(Literal::Float(_))) => Limits::Float {
            min: float(min).unwrap_or(f64::NEG_INFINITY),
            max: float(max).unwrap_or(f64::INFINITY),
        },
        (min, max) => Limits::Int { min: int(min).unwrap_or(i128::MIN), max: int(max).unwrap_or(i128::MAX) },
    };
    let (min, max) = (bounds.min.as_ref().map(text_of), bounds.max.as_ref().map(text_of));
    Ok(Box::new(Range { column: column.clone(), limits, min, max }))
}

fn text(literal: Literal) -> Option<String> {
    if let Literal::Text(text) = literal { Some(text) } else { None }
}

fn float(literal: Option<Literal>) -> Option<f64> {
    if let Some(Literal::Float(value)) = literal { Some(value) } else { None }
}

fn int(literal: Option<Literal>) -> Option<i128> {
    if let Some(Literal::Int(value)) = literal { Some(value) } else { None }
}

impl RowCheck for Range {
    fn columns(&self) -> Vec<String> {
        vec![self.column.name().to_owned()]
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        let array = self.column.array(rows.typed);
        Ok(match &self.limits {
            Limits::Int { min, max } => outside_ints(array, *min, *max),
            Limits::Float { min, max } => outside_floats(array, *min, *max),
            Limits::Text { min, max } => {
                let texts = array.as_string::<i32>();
                let below = |text: &str| min.as_deref().is_some_and(|min| text < min);
                let above = |text: &str| max.as_deref().is_some_and(|max| text > max);
                bitmap::of_rows(texts.len(), texts.nulls(), |row| {
                    let text = texts.value(row);
                    below(text) || above(text)
                })
            }
        })
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        let array = self.column.array(rows.typed);
        let subject = format!("`{}` is {}", self.column.name(), self.column.shown(array, row));
        let value = array.slice(row, 1);
        match (&self.min, &self.max) {
            (_, Some(max)) if self.limits.is_below(&value) => format!("{subject}, above the maximum {max}"),
            (Some(min), _) if self.limits.is_above(&value) => format!("{subject}, below the minimum {min}"),
            _ => format!("{subject}, which has no place in a range"),
        }
    }
}

impl Limits {
    /// Whether the one value is above the maximum.
    fn is_below(&self, value: &ArrayRef) -> bool {
        match self {
            Self::Int { max, .. } => outside_ints(value, i128::MIN, *max).is_some(),
            Self::Float { max, .. } => float_of(value).is_some_and(|value| value > *max),
            Self::Text { max, .. } => {
                max.as_deref().is_some_and(|max| value.as_string::<i32>().value(0) > max)
            }
        }
    }

    /// Whether the one value is below the minimum.
    fn is_above(&self, value: &ArrayRef) -> bool {
        match self {
            Self::Int { min, .. } => outside_ints(value, *min, i128::MAX).is_some(),
            Self::Float { min, .. } => float_of(value).is_some_and(|value| value < *min),
            Self::Text { min, .. } => {
                min.as_deref().is_some_and(|min| value.as_string::<i32>().value(0) < min)
            }
        }
    }
}

fn float_of(value: &ArrayRef) -> Option<f64> {
    match value.data_type() {
        DataType::Float32 => value.as_primitive::<Float32Type>().values().first().copied().map(f64::from),
        _ => value.as_primitive::<Float64Type>().values().first().copied(),
    }
}

fn outside_ints(array: &ArrayRef, min: i128, max: i128) -> Option<BooleanBuffer> {
    match array.data_type() {
        DataType::Int8 => outside::<Int8Type>(array, min, max),
        DataType::Int16 => outside::<Int16Type>(array, min, max),
        DataType::Int32 => outside::<Int32Type>(array, min, max),
        DataType::Int64 => outside::<Int64Type>(array, min, max),
        DataType::UInt8 => outside::<UInt8Type>(array, min, max),
        DataType::UInt16 => outside::<UInt16Type>(array, min, max),
        DataType::UInt32 => outside::<UInt32Type>(array, min, max),
        DataType::UInt64 => outside::<UInt64Type>(array, min, max),
        DataType::Date32 => outside::<Date32Type>(array, min, max),
        DataType::Date64 => outside::<Date64Type>(array, min, max),
        DataType::Decimal128(_, _) => outside::<Decimal128Type>(array, min, max),
        DataType::Timestamp(TimeUnit::Second, _) => outside::<TimestampSecondType>(array, min, max),
        DataType::Timestamp(TimeUnit::Millisecond, _) => outside::<TimestampMillisecondType>(array, min, max),
        DataType::Timestamp(TimeUnit::Microsecond, _) => outside::<TimestampMicrosecondType>(array, min, max),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => outside::<TimestampNanosecondType>(array, min, max),
        _ => None,
    }
}

/// Bounds beyond the type's own are cut to it, so that the loop compares native values.
fn outside<T>(array: &ArrayRef, min: i128, max: i128) -> Option<BooleanBuffer>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128> + PartialOrd,
{
    let values = array.as_primitive::<T>();
    let fits = |bound: i128| T::Native::try_from(bound).ok();
    match (fits(min), fits(max)) {
        (Some(min), Some(max)) => {
            bitmap::of_values(values.values(), values.nulls(), |v| (v < min) | (v > max))
        }
        // A bound that the type cannot hold is below or above all of its values.
        (None, _) if min > 0 => bitmap::all_valid(values.len(), values.nulls()),
        (_, None) if max < 0 => bitmap::all_valid(values.len(), values.nulls()),
        (Some(min), None) => bitmap::of_values(values.values(), values.nulls(), |v| v < min),
        (None, Some(max)) => bitmap::of_values(values.values(), values.nulls(), |v| v > max),
        (None, None) => None,
    }
}

fn outside_floats(array: &ArrayRef, min: f64, max: f64) -> Option<BooleanBuffer> {
    match array.data_type() {
        DataType::Float32 => {
            let values = array.as_primitive::<Float32Type>();
            bitmap::of_values(values.values(), values.nulls(), |v| {
                !(f64::from(v) >= min && f64::from(v) <= max)
            })
        }
        _ => {
            let values = array.as_primitive::<Float64Type>();
            bitmap::of_values(values.values(), values.nulls(), |v| !(v >= min && v <= max))
        }
    }
}
