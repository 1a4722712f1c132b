//! A row's original values as a JSON object.
//!
//! Text stays text, also that of numbers from text formats. Whole floats are written without a fraction, values
//! that JSON lacks (instants, decimals, NaN) as text, and binary as text when it is UTF-8, else as
//! `{"$binary": "<hexadecimal digits>"}`.

use arrow::{
    array::{Array, AsArray, RecordBatch},
    datatypes::{
        DataType, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type, UInt8Type, UInt16Type,
        UInt32Type, UInt64Type,
    },
    util::display::{ArrayFormatter, FormatOptions},
};
use serde::{
    Serialize, Serializer,
    ser::{SerializeMap, SerializeSeq},
};

pub(super) const BINARY: &str = "$binary";

/// The row as a JSON object with one member a column, null ones included.
pub(super) fn row(batch: &RecordBatch, row: usize) -> String {
    // Writing into memory and keys of text cannot fail.
    serde_json::to_string(&Row { batch, row }).unwrap_or_default()
}

/// Bytes that are no text, as binary values are written.
pub(super) fn bytes(bytes: &[u8]) -> String {
    serde_json::json!({ BINARY: hexadecimal(bytes) }).to_string()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

struct Row<'a> {
    batch: &'a RecordBatch,
    row: usize,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.batch.num_columns()))?;
        for (field, array) in self.batch.schema_ref().fields().iter().zip(self.batch.columns()) {
            map.serialize_entry(field.name(), &Value { array: array.as_ref(), row: self.row })?;
        }
        map.end()
    }
}

struct Value<'a> {
    array: &'a dyn Array,
    row: usize,
}

impl Serialize for Value<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (array, row) = (self.array, self.row);
        if array.is_null(row) {
            return serializer.serialize_none();
        }
        match array.data_type() {
            DataType::Null => serializer.serialize_none(),
            DataType::Boolean => serializer.serialize_bool(array.as_boolean().value(row)),
            DataType::Int8 => serializer.serialize_i8(array.as_primitive::<Int8Type>().value(row)),
            DataType::Int16 => serializer.serialize_i16(array.as_primitive::<Int16Type>().value(row)),
            DataType::Int32 => serializer.serialize_i32(array.as_primitive::<Int32Type>().value(row)),
            DataType::Int64 => serializer.serialize_i64(array.as_primitive::<Int64Type>().value(row)),
            DataType::UInt8 => serializer.serialize_u8(array.as_primitive::<UInt8Type>().value(row)),
            DataType::UInt16 => serializer.serialize_u16(array.as_primitive::<UInt16Type>().value(row)),
            DataType::UInt32 => serializer.serialize_u32(array.as_primitive::<UInt32Type>().value(row)),
            DataType::UInt64 => serializer.serialize_u64(array.as_primitive::<UInt64Type>().value(row)),
            DataType::Float32 => {
                let value = array.as_primitive::<Float32Type>().value(row);
                match whole(value.into()) {
                    Some(whole) => serializer.serialize_i64(whole),
                    None if value.is_finite() => serializer.serialize_f32(value),
                    None => serializer.collect_str(&value),
                }
            }
            DataType::Float64 => {
                let value = array.as_primitive::<Float64Type>().value(row);
                match whole(value) {
                    Some(whole) => serializer.serialize_i64(whole),
                    None if value.is_finite() => serializer.serialize_f64(value),
                    None => serializer.collect_str(&value),
                }
            }
            DataType::Utf8 => serializer.serialize_str(array.as_string::<i32>().value(row)),
            DataType::LargeUtf8 => serializer.serialize_str(array.as_string::<i64>().value(row)),
            DataType::Utf8View => serializer.serialize_str(array.as_string_view().value(row)),
            DataType::Binary => binary(array.as_binary::<i32>().value(row), serializer),
            DataType::LargeBinary => binary(array.as_binary::<i64>().value(row), serializer),
            DataType::BinaryView => binary(array.as_binary_view().value(row), serializer),
            DataType::FixedSizeBinary(_) => binary(array.as_fixed_size_binary().value(row), serializer),
            DataType::List(_) => list(array.as_list::<i32>().value(row).as_ref(), serializer),
            DataType::LargeList(_) => list(array.as_list::<i64>().value(row).as_ref(), serializer),
            DataType::FixedSizeList(_, _) => list(array.as_fixed_size_list().value(row).as_ref(), serializer),
            DataType::Struct(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (field, member) in fields.iter().zip(array.as_struct().columns()) {
                    map.serialize_entry(field.name(), &Value { array: member.as_ref(), row })?;
                }
                map.end()
            }
            DataType::Dictionary(_, _) => {
                let dictionary = array.as_any_dictionary();
                let key = dictionary.normalized_keys()[row];
                Value { array: dictionary.values().as_ref(), row: key }.serialize(serializer)
            }
            _ => formatted(array, row, serializer),
        }
    }
}

/// A float that is a whole number which JSON readers keep; negative zero is left a float.
fn whole(value: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let is_whole = value.trunc().to_bits() == value.to_bits() && value.abs() < EXACT;
    #[allow(clippy::cast_possible_truncation)]
    (is_whole && value.to_bits() != (-0.0_f64).to_bits()).then_some(value as i64)
}

fn binary<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    if let Ok(text) = std::str::from_utf8(bytes) {
        return serializer.serialize_str(text);
    }
    let mut map = serializer.serialize_map(Some(1))?;
    map.serialize_entry(BINARY, &hexadecimal(bytes))?;
    map.end()
}

fn list<S: Serializer>(values: &dyn Array, serializer: S) -> Result<S::Ok, S::Error> {
    let mut sequence = serializer.serialize_seq(Some(values.len()))?;
    for row in 0..values.len() {
        sequence.serialize_element(&Value { array: values, row })?;
    }
    sequence.end()
}

fn formatted<S: Serializer>(array: &dyn Array, row: usize, serializer: S) -> Result<S::Ok, S::Error> {
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(array, &options)
        .and_then(|formatter| formatter.value(row).try_to_string())
        .map_err(serde::ser::Error::custom)?;
    // A day in milliseconds is shown as an instant; it is a day all the same.
    let text = match array.data_type() {
        DataType::Date64 => text.strip_suffix("T00:00:00").unwrap_or(&text),
        _ => &text,
    };
    serializer.serialize_str(text)
}
