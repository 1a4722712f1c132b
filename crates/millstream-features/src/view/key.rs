//! The key of an entity as bytes, under which every view of the entity is stored. Made from the definition's types, so
//! that a column of another width gives the same bytes, and one that cannot be converted without loss is an error.
//!
//! Version 1: the version, the entity's name, then each value behind its kind; names, texts and bytes behind their length.
//! Whole numbers of any width are one kind, floats of any width another (`-0.0` is `0.0`, NaN is one NaN), and so are
//! timestamps from seconds to microseconds. Equal keys have equal bytes and different keys different ones.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    buffer::NullBuffer,
    compute::{CastOptions, cast, cast_with_options},
    datatypes::{DataType, Decimal128Type, Float64Type, Int32Type, Int64Type, TimeUnit, UInt64Type},
};
use bytes::Bytes;

use super::{definition::KeyDefinition, online::OnlineViewError};
use crate::aggregate::Writer;

/// Version of the bytes of a key; the first byte of each.
pub const KEY_VERSION: u8 = 1;

/// The key of one entity. Cloning shares the bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityKey(Bytes);

impl EntityKey {
    /// The key that these stored bytes are.
    #[must_use]
    pub fn from_bytes(bytes: Bytes) -> Self {
        Self(bytes)
    }

    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for EntityKey {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<EntityKey> for Bytes {
    fn from(key: EntityKey) -> Self {
        key.0
    }
}

/// One key for each row, none where one of its columns is null.
///
/// # Errors
///
/// There are not as many columns as the key has, they differ in length, or a column cannot be converted to the key's type
/// without loss.
pub fn entity_keys(
    entity: &str,
    keys: &[KeyDefinition],
    columns: &[ArrayRef],
) -> Result<Vec<Option<EntityKey>>, OnlineViewError> {
    let KeyRows { bytes, ends, valid } = KeyRows::new(entity, keys, columns)?;
    let bytes = Bytes::from(bytes);
    let mut start = 0;
    let keys = ends.iter().enumerate().map(|(row, end)| {
        let valid = valid.as_ref().is_none_or(|valid| valid.is_valid(row));
        let key = valid.then(|| EntityKey(bytes.slice(start..*end)));
        start = *end;
        key
    });
    Ok(keys.collect())
}

/// The keys of some rows, one behind the other.
#[derive(Debug)]
pub(super) struct KeyRows {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    valid: Option<NullBuffer>,
}

impl KeyRows {
    pub(super) fn new(
        entity: &str,
        keys: &[KeyDefinition],
        columns: &[ArrayRef],
    ) -> Result<Self, OnlineViewError> {
        if keys.len() != columns.len() {
            let entity = entity.to_owned();
            return Err(OnlineViewError::KeyCount { entity, expected: keys.len(), found: columns.len() });
        }
        let rows = columns.first().map_or(0, Array::len);
        if let Some(other) = columns.iter().find(|column| column.len() != rows) {
            return Err(OnlineViewError::Lengths { expected: rows, found: other.len() });
        }
        let values: Vec<Values> = keys
            .iter()
            .zip(columns)
            .map(|(key, column)| Values::new(key, column))
            .collect::<Result<_, _>>()?;
        let nulls = columns.iter().map(|column| column.logical_nulls());
        let valid = nulls
            .reduce(|left, right| NullBuffer::union(left.as_ref(), right.as_ref()))
            .flatten()
            .filter(|nulls| nulls.null_count() > 0);
        let mut prefix = Writer::default();
        prefix.byte(KEY_VERSION);
        prefix.block(entity.as_bytes());
        let mut out = Writer { bytes: Vec::with_capacity(rows * (prefix.bytes.len() + 9 * keys.len())) };
        let mut ends = Vec::with_capacity(rows);
        for row in 0..rows {
            if valid.as_ref().is_none_or(|valid| valid.is_valid(row)) {
                out.raw(&prefix.bytes);
                values.iter().for_each(|values| values.write(&mut out, row));
            }
            ends.push(out.bytes.len());
        }
        Ok(Self { bytes: out.bytes, ends, valid })
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// None when the row has no key.
    pub(super) fn get(&self, row: usize) -> Option<&[u8]> {
        let start = row.checked_sub(1).map_or(Some(0), |before| self.ends.get(before).copied())?;
        self.bytes.get(start..*self.ends.get(row)?).filter(|key| !key.is_empty())
    }
}

/// A key column by kind. The numbers of kinds are stored: never give one another meaning.
#[derive(Debug)]
enum Values {
    Int(arrow::array::Int64Array),
    Unsigned(arrow::array::UInt64Array),
    Float(arrow::array::Float64Array),
    Decimal(arrow::array::Decimal128Array, i8),
    Bool(arrow::array::BooleanArray),
    Text(arrow::array::StringArray),
    Bytes(arrow::array::BinaryArray),
    Date(arrow::array::Int32Array),
    Micros(arrow::array::Int64Array),
    Nanos(arrow::array::Int64Array),
}

impl Values {
    fn new(key: &KeyDefinition, column: &ArrayRef) -> Result<Self, OnlineViewError> {
        let column = converted(key, column)?;
        let action = "bring a key to its stored form";
        let to = |to: &DataType| cast(&column, to).map_err(OnlineViewError::arrow(action));
        let through = |through: DataType, to: &DataType| {
            cast(&column, &through)
                .and_then(|between| cast(&between, to))
                .map_err(OnlineViewError::arrow(action))
        };
        Ok(match &key.data_type {
            DataType::Int8
            | DataType::Int16
            | DataType::Int32
            | DataType::Int64
            | DataType::UInt8
            | DataType::UInt16
            | DataType::UInt32 => Self::Int(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone()),
            DataType::UInt64 => Self::Unsigned(column.as_primitive::<UInt64Type>().clone()),
            DataType::Float16 | DataType::Float32 | DataType::Float64 => {
                Self::Float(to(&DataType::Float64)?.as_primitive::<Float64Type>().clone())
            }
            DataType::Decimal128(_, scale) => {
                Self::Decimal(column.as_primitive::<Decimal128Type>().clone(), *scale)
            }
            DataType::Boolean => Self::Bool(column.as_boolean().clone()),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
                Self::Text(to(&DataType::Utf8)?.as_string::<i32>().clone())
            }
            DataType::Binary | DataType::LargeBinary | DataType::BinaryView => {
                Self::Bytes(to(&DataType::Binary)?.as_binary::<i32>().clone())
            }
            DataType::Date32 => Self::Date(to(&DataType::Int32)?.as_primitive::<Int32Type>().clone()),
            DataType::Timestamp(TimeUnit::Nanosecond, _) => {
                Self::Nanos(to(&DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            DataType::Timestamp(_, zone) => {
                let micros = DataType::Timestamp(TimeUnit::Microsecond, zone.clone());
                Self::Micros(through(micros, &DataType::Int64)?.as_primitive::<Int64Type>().clone())
            }
            other => {
                let (key, data_type) = (key.name.clone(), other.clone());
                return Err(OnlineViewError::KeyNotScalar { key, data_type });
            }
        })
    }

    fn write(&self, out: &mut Writer, row: usize) {
        match self {
            Self::Int(values) => number(out, 1, &values.value(row).to_le_bytes()),
            Self::Unsigned(values) => number(out, 2, &values.value(row).to_le_bytes()),
            Self::Float(values) => {
                let value = values.value(row);
                let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
                number(out, 3, &value.to_le_bytes());
            }
            Self::Decimal(values, scale) => {
                out.byte(4);
                number(out, scale.to_le_bytes()[0], &values.value(row).to_le_bytes());
            }
            Self::Bool(values) => number(out, 5, &[u8::from(values.value(row))]),
            Self::Text(values) => {
                out.byte(6);
                out.block(values.value(row).as_bytes());
            }
            Self::Bytes(values) => {
                out.byte(7);
                out.block(values.value(row));
            }
            Self::Date(values) => number(out, 8, &values.value(row).to_le_bytes()),
            Self::Micros(values) => number(out, 9, &values.value(row).to_le_bytes()),
            Self::Nanos(values) => number(out, 10, &values.value(row).to_le_bytes()),
        }
    }
}

fn number(out: &mut Writer, kind: u8, bytes: &[u8]) {
    out.byte(kind);
    out.raw(bytes);
}

/// The column as the key's type.
fn converted(key: &KeyDefinition, column: &ArrayRef) -> Result<ArrayRef, OnlineViewError> {
    let (expected, found) = (&key.data_type, column.data_type());
    if expected == found {
        return Ok(column.clone());
    }
    let type_error = || OnlineViewError::KeyType {
        key: key.name.clone(),
        expected: expected.clone(),
        found: found.clone(),
    };
    let plain = match found {
        DataType::Dictionary(_, values) => {
            cast(column, values).map_err(OnlineViewError::arrow("read a key"))?
        }
        _ => column.clone(),
    };
    if family(plain.data_type()).is_none() || family(plain.data_type()) != family(expected) {
        return Err(type_error());
    }
    let options = CastOptions { safe: false, ..CastOptions::default() };
    let value_error = || OnlineViewError::KeyValue {
        key: key.name.clone(),
        expected: expected.clone(),
        found: found.clone(),
    };
    let there = cast_with_options(&plain, expected, &options).map_err(|_| value_error())?;
    // A float that was rounded, or an instant that was cut, does not come back as it was.
    let back = cast_with_options(&there, plain.data_type(), &options).map_err(|_| value_error())?;
    if back.to_data() == plain.to_data() { Ok(there) } else { Err(value_error()) }
}

#[derive(PartialEq, Eq)]
enum Family {
    Whole,
    Float,
    Decimal,
    Bool,
    Text,
    Bytes,
    Date,
    Instant,
}

fn family(data_type: &DataType) -> Option<Family> {
    Some(match data_type {
        _ if data_type.is_integer() => Family::Whole,
        _ if data_type.is_floating() => Family::Float,
        DataType::Decimal128(..) => Family::Decimal,
        DataType::Boolean => Family::Bool,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Family::Text,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => Family::Bytes,
        DataType::Date32 => Family::Date,
        DataType::Timestamp(..) => Family::Instant,
        _ => return None,
    })
}
