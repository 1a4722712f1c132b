//! `one_of`: the value is in a list.

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray, StringArray},
    buffer::BooleanBuffer,
    datatypes::{
        DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use hashbrown::HashSet;
use millstream_project::Scalar;

use super::{
    Problem, RowCheck, Rows,
    literal::{Literal, literal, text_of},
    wrong_type,
};
use crate::{QualityError, bitmap, coerce::Rounding, column::Column};

/// Lists up to this length are compared one by one, which is faster than hashing.
const LINEAR_MAX: usize = 8;
/// How many allowed values a message names.
const NAMED_MAX: usize = 5;

#[derive(Debug)]
struct OneOf {
    column: Column,
    allowed: Allowed,
    /// The values as written, for messages.
    listed: String,
}

#[derive(Debug)]
enum Allowed {
    Ints(Vec<i128>),
    Floats(Vec<f64>),
    Bools(Vec<bool>),
    Texts(Texts),
}

pub(super) fn compile(column: &Column, values: &[Scalar]) -> Result<Box<dyn RowCheck>, Problem> {
    let values_as = values
        .iter()
        .map(|scalar| literal(scalar, column, Rounding::Exact))
        .collect::<Result<Vec<_>, _>>()
        .map_err(Problem::new)?;
    let allowed = match column.data_type() {
        DataType::Utf8 => Allowed::Texts(Texts::new(values_as.into_iter().filter_map(|value| match value {
            Literal::Text(text) => Some(text),
            _ => None,
        }))),
        DataType::Boolean => Allowed::Bools(pick(values_as, |value| match value {
            Literal::Bool(value) => Some(value),
            _ => None,
        })),
        DataType::Float32 | DataType::Float64 => Allowed::Floats(pick(values_as, |value| match value {
            Literal::Float(value) => Some(value),
            _ => None,
        })),
        DataType::List(_) | DataType::Struct(_) | DataType::Binary => {
            return Err(wrong_type(column, "a type that a list of values can hold"));
        }
        _ => Allowed::Ints(pick(values_as, |value| match value {
            Literal::Int(value) => Some(value),
            _ => None,
        })),
    };
    Ok(Box::new(OneOf { column: column.clone(), allowed, listed: list(values) }))
}

fn pick<T>(values: Vec<Literal>, value: impl Fn(Literal) -> Option<T>) -> Vec<T> {
    values.into_iter().filter_map(value).collect()
}

fn list(values: &[Scalar]) -> String {
    let named: Vec<String> = values.iter().take(NAMED_MAX).map(text_of).collect();
    let more = match values.len().saturating_sub(NAMED_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

impl RowCheck for OneOf {
    fn columns(&self) -> Vec<String> {
        vec![self.column.name().to_owned()]
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        let array = self.column.array(rows.typed);
        Ok(match &self.allowed {
            Allowed::Texts(texts) => texts.failures(array.as_string()),
            Allowed::Bools(allowed) => {
                let values = array.as_boolean();
                bitmap::of_rows(values.len(), values.nulls(), |row| !allowed.contains(&values.value(row)))
            }
            Allowed::Floats(allowed) => not_in_floats(array, allowed),
            Allowed::Ints(allowed) => not_in_ints(array, allowed),
        })
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        let value = self.column.shown(self.column.array(rows.typed), row);
        format!("`{}` is {value}, not one of {}", self.column.name(), self.listed)
    }
}

fn not_in_floats(array: &ArrayRef, allowed: &[f64]) -> Option<BooleanBuffer> {
    if array.data_type() == &DataType::Float32 {
        // The list is meant in the column's precision: 0.1 stands for the nearest single.
        #[allow(clippy::cast_possible_truncation)]
        let singles: Vec<f32> = allowed.iter().map(|value| *value as f32).collect();
        let values = array.as_primitive::<Float32Type>();
        return bitmap::of_values(values.values(), values.nulls(), |value| !singles.contains(&value));
    }
    let values = array.as_primitive::<Float64Type>();
    bitmap::of_values(values.values(), values.nulls(), |value| !allowed.contains(&value))
}

fn not_in_ints(array: &ArrayRef, allowed: &[i128]) -> Option<BooleanBuffer> {
    match array.data_type() {
        DataType::Int8 => not_in::<Int8Type>(array, allowed),
        DataType::Int16 => not_in::<Int16Type>(array, allowed),
        DataType::Int32 => not_in::<Int32Type>(array, allowed),
        DataType::Int64 => not_in::<Int64Type>(array, allowed),
        DataType::UInt8 => not_in::<UInt8Type>(array, allowed),
        DataType::UInt16 => not_in::<UInt16Type>(array, allowed),
        DataType::UInt32 => not_in::<UInt32Type>(array, allowed),
        DataType::UInt64 => not_in::<UInt64Type>(array, allowed),
        DataType::Date32 => not_in::<Date32Type>(array, allowed),
        DataType::Date64 => not_in::<Date64Type>(array, allowed),
        DataType::Decimal128(_, _) => not_in::<Decimal128Type>(array, allowed),
        DataType::Timestamp(TimeUnit::Second, _) => not_in::<TimestampSecondType>(array, allowed),
        DataType::Timestamp(TimeUnit::Millisecond, _) => not_in::<TimestampMillisecondType>(array, allowed),
        DataType::Timestamp(TimeUnit::Microsecond, _) => not_in::<TimestampMicrosecondType>(array, allowed),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => not_in::<TimestampNanosecondType>(array, allowed),
        _ => None,
    }
}

fn not_in<T>(array: &ArrayRef, allowed: &[i128]) -> Option<BooleanBuffer>
where
    T: ArrowPrimitiveType,
    T::Native: TryFrom<i128> + PartialEq + std::hash::Hash + Eq,
{
    let values = array.as_primitive::<T>();
    // A number that the type cannot hold is no value of the column.
    let natives = allowed.iter().filter_map(|value| T::Native::try_from(*value).ok());
    if allowed.len() <= LINEAR_MAX {
        let natives: Vec<T::Native> = natives.collect();
        return bitmap::of_values(values.values(), values.nulls(), |value| !natives.contains(&value));
    }
    let natives: HashSet<T::Native> = natives.collect();
    bitmap::of_values(values.values(), values.nulls(), |value| !natives.contains(&value))
}

/// Allowed texts.
#[derive(Debug)]
enum Texts {
    /// A few short texts, packed into numbers: a row is decided without a branch, which no processor could predict.
    Packed(Vec<u128>),
    Hashed(HashSet<Box<[u8]>>),
}

impl Texts {
    fn new(texts: impl Iterator<Item = String>) -> Self {
        let texts: HashSet<Box<[u8]>> = texts.map(|text| text.into_bytes().into_boxed_slice()).collect();
        let packed = texts.iter().map(|text| packed(text, 0, text.len()));
        match packed.collect::<Option<Vec<_>>>().filter(|packed| packed.len() <= LINEAR_MAX) {
            Some(packed) => Self::Packed(packed),
            None => Self::Hashed(texts),
        }
    }

    fn failures(&self, array: &StringArray) -> Option<BooleanBuffer> {
        let (offsets, bytes) = (array.value_offsets(), array.value_data());
        let place = |row: usize| (offsets[row] as usize, offsets[row + 1] as usize);
        match self {
            Self::Packed(allowed) => bitmap::of_rows(array.len(), array.nulls(), |row| {
                let (start, end) = place(row);
                let value = packed(bytes, start, end);
                !allowed.iter().fold(false, |found, allowed| found | (value == Some(*allowed)))
            }),
            Self::Hashed(allowed) => bitmap::of_rows(array.len(), array.nulls(), |row| {
                let (start, end) = place(row);
                !allowed.contains(bytes.get(start..end).unwrap_or_default())
            }),
        }
    }
}

/// Up to 15 bytes of `bytes` from `start` to `end`, and their number above them; `None` for more.
#[inline]
fn packed(bytes: &[u8], start: usize, end: usize) -> Option<u128> {
    const LEN_MAX: usize = 15;
    let len = end.checked_sub(start).filter(|len| *len <= LEN_MAX)?;
    let value = match bytes.get(start..).and_then(|rest| rest.first_chunk::<16>()) {
        Some(chunk) => u128::from_le_bytes(*chunk) & ((1 << (8 * len)) - 1),
        None => {
            let mut chunk = [0; 16];
            chunk.get_mut(..len)?.copy_from_slice(bytes.get(start..end)?);
            u128::from_le_bytes(chunk)
        }
    };
    Some(value | (len as u128) << 120)
}
