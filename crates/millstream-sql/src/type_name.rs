//! Arrow's types in the words of a contract.

use arrow::datatypes::{DataType, TimeUnit};
use millstream_connector::column_type;

/// The type as a contract would write it (`string`, `decimal(12,2)`, `list<int64>`); types that no contract
/// has get a plain word.
#[must_use]
pub fn type_name(data_type: &DataType) -> String {
    if let Some(known) = exact(data_type) {
        return known.into();
    }
    match data_type {
        DataType::Time32(_) | DataType::Time64(_) => "time of day".into(),
        DataType::Interval(_) | DataType::Duration(_) => "interval".into(),
        DataType::Null => "null".into(),
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(pair) => {
                let types: Vec<_> = pair.iter().map(|field| type_name(field.data_type())).collect();
                format!("map<{}>", types.join(", "))
            }
            _ => "map".into(),
        },
        DataType::Union(_, _) => "union".into(),
        other => column_type(other).map_or_else(|| other.to_string(), |column_type| column_type.to_string()),
    }
}

/// The words for types that a contract would widen, but that a message must not confuse with the wider type.
fn exact(data_type: &DataType) -> Option<&'static str> {
    Some(match data_type {
        DataType::UInt8 => "uint8",
        DataType::UInt16 => "uint16",
        DataType::UInt32 => "uint32",
        DataType::UInt64 => "uint64",
        DataType::Float16 => "float16",
        _ => return None,
    })
}

/// A planner's message with Arrow's type names replaced by ours.
pub(crate) fn friendly(text: &str) -> String {
    let mut text = text.to_owned();
    for unit in [TimeUnit::Second, TimeUnit::Millisecond, TimeUnit::Microsecond, TimeUnit::Nanosecond] {
        for zone in [None, Some("UTC"), Some("+00:00")] {
            let arrow = DataType::Timestamp(unit, zone.map(Into::into)).to_string();
            text = text.replace(&arrow, "timestamp");
        }
    }
    let mut friendly = String::with_capacity(text.len());
    let mut word = String::new();
    for c in text.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_alphanumeric() {
            word.push(c);
            continue;
        }
        friendly.push_str(word_name(&word));
        word.clear();
        if c != '\0' {
            friendly.push(c);
        }
    }
    friendly
}

fn word_name(word: &str) -> &str {
    match word {
        "Utf8" | "LargeUtf8" | "Utf8View" => "string",
        "Boolean" => "bool",
        "Int8" => "int8",
        "Int16" => "int16",
        "Int32" => "int32",
        "Int64" => "int64",
        "UInt8" => "uint8",
        "UInt16" => "uint16",
        "UInt32" => "uint32",
        "UInt64" => "uint64",
        "Float16" => "float16",
        "Float32" => "float32",
        "Float64" => "float64",
        "Decimal128" | "Decimal256" => "decimal",
        "Date32" | "Date64" => "date",
        "Binary" | "LargeBinary" | "BinaryView" => "binary",
        other => other,
    }
}
