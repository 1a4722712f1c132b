//! Keys of rows, for uniqueness and for relationships.
//!
//! Integers, dates and instants are their own keys. Anything else, and keys of several columns, is an XXH3
//! hash of 128 bits: with a thousand million different keys the chance that any two collide is 10^-21.

use arrow::{
    array::{Array, ArrayRef, ArrowPrimitiveType, AsArray},
    buffer::{NullBuffer, ScalarBuffer},
    datatypes::{
        DataType, Date32Type, Date64Type, Decimal128Type, Float32Type, Float64Type, Int8Type, Int16Type,
        Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
    },
};
use xxhash_rust::xxh3::xxh3_128;

/// The keys of a batch; rows with a null in a key column have none.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    pub(crate) values: KeyValues,
    pub(crate) nulls: Option<NullBuffer>,
}

#[derive(Clone, Debug)]
pub(crate) enum KeyValues {
    Int(ScalarBuffer<i64>),
    UInt(ScalarBuffer<u64>),
    Hash(Vec<u128>),
}

/// Whether values of this type can be keys.
pub(crate) fn is_key_type(data_type: &DataType) -> bool {
    is_int_type(data_type)
        || matches!(
            data_type,
            DataType::Boolean
                | DataType::Utf8
                | DataType::Binary
                | DataType::Float32
                | DataType::Float64
                | DataType::Decimal128(_, _)
        )
}

/// Whether a key of one column of this type is kept as an integer.
pub(crate) fn is_int_type(data_type: &DataType) -> bool {
    data_type.is_integer()
        || matches!(data_type, DataType::Date32 | DataType::Date64 | DataType::Timestamp(_, _))
}

/// The keys that `columns` form; their types are key types, else no row has a key.
pub(crate) fn keys_of(columns: &[&ArrayRef]) -> Keys {
    let nulls = columns.iter().fold(None, |nulls, column| NullBuffer::union(nulls.as_ref(), column.nulls()));
    let values = match columns {
        [column] => ints(column).unwrap_or_else(|| KeyValues::Hash(hashes(column))),
        _ => KeyValues::Hash(compound(columns)),
    };
    Keys { values, nulls }
}

fn compound(columns: &[&ArrayRef]) -> Vec<u128> {
    let mut keys: Vec<u128> = Vec::new();
    for (place, column) in columns.iter().enumerate() {
        let values: Vec<u128> = match ints(column) {
            Some(KeyValues::Int(values)) => {
                values.iter().map(|value| u128::from(value.cast_unsigned())).collect()
            }
            Some(KeyValues::UInt(values)) => values.iter().map(|value| u128::from(*value)).collect(),
            Some(KeyValues::Hash(values)) => values,
            None => hashes(column),
        };
        if place == 0 {
            keys = values;
            continue;
        }
        for (key, value) in keys.iter_mut().zip(values) {
            let mut both = [0; 32];
            both[..16].copy_from_slice(&key.to_le_bytes());
            both[16..].copy_from_slice(&value.to_le_bytes());
            *key = xxh3_128(&both);
        }
    }
    keys
}

fn ints(column: &ArrayRef) -> Option<KeyValues> {
    fn widened<T: ArrowPrimitiveType>(column: &ArrayRef) -> KeyValues
    where
        i64: From<T::Native>,
    {
        let values = column.as_primitive::<T>().values().iter();
        KeyValues::Int(values.map(|value| i64::from(*value)).collect::<Vec<_>>().into())
    }
    fn shared<T: ArrowPrimitiveType<Native = i64>>(column: &ArrayRef) -> KeyValues {
        KeyValues::Int(column.as_primitive::<T>().values().clone())
    }
    Some(match column.data_type() {
        DataType::Int8 => widened::<Int8Type>(column),
        DataType::Int16 => widened::<Int16Type>(column),
        DataType::Int32 => widened::<Int32Type>(column),
        DataType::Int64 => shared::<Int64Type>(column),
        DataType::UInt8 => widened::<UInt8Type>(column),
        DataType::UInt16 => widened::<UInt16Type>(column),
        DataType::UInt32 => widened::<UInt32Type>(column),
        DataType::UInt64 => KeyValues::UInt(column.as_primitive::<UInt64Type>().values().clone()),
        DataType::Date32 => widened::<Date32Type>(column),
        DataType::Date64 => shared::<Date64Type>(column),
        DataType::Timestamp(TimeUnit::Second, _) => shared::<TimestampSecondType>(column),
        DataType::Timestamp(TimeUnit::Millisecond, _) => shared::<TimestampMillisecondType>(column),
        DataType::Timestamp(TimeUnit::Microsecond, _) => shared::<TimestampMicrosecondType>(column),
        DataType::Timestamp(TimeUnit::Nanosecond, _) => shared::<TimestampNanosecondType>(column),
        _ => return None,
    })
}

/// One hash a row. Floats that compare equal have equal keys: the zeros, and every NaN with every other.
fn hashes(column: &ArrayRef) -> Vec<u128> {
    let float = |value: f64| {
        let canonical = if value.is_nan() { f64::NAN } else { value + 0.0 };
        xxh3_128(&canonical.to_bits().to_le_bytes())
    };
    match column.data_type() {
        DataType::Utf8 => {
            let texts = column.as_string::<i32>();
            ranges(texts.value_offsets(), texts.value_data())
        }
        DataType::Binary => {
            let values = column.as_binary::<i32>();
            ranges(values.value_offsets(), values.value_data())
        }
        DataType::Decimal128(_, _) => {
            let values = column.as_primitive::<Decimal128Type>().values();
            values.iter().map(|value| xxh3_128(&value.to_le_bytes())).collect()
        }
        DataType::Float32 => {
            column.as_primitive::<Float32Type>().values().iter().map(|value| float((*value).into())).collect()
        }
        DataType::Float64 => {
            column.as_primitive::<Float64Type>().values().iter().map(|value| float(*value)).collect()
        }
        DataType::Boolean => {
            column.as_boolean().values().iter().map(|value| xxh3_128(&[u8::from(value)])).collect()
        }
        _ => vec![0; column.len()],
    }
}

fn ranges(offsets: &[i32], bytes: &[u8]) -> Vec<u128> {
    let value = |range: &[i32]| bytes.get(range[0] as usize..range[1] as usize).unwrap_or_default();
    offsets.windows(2).map(|range| xxh3_128(value(range))).collect()
}
