//! The schema string of a table's metadata, from and to Arrow. The format is in `PROTOCOL.md`, section "Schema
//! Serialization Format".

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The key of a column's metadata under which its description stands.
const COMMENT: &str = "comment";

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(tag = "type", rename_all = "lowercase", rename_all_fields = "camelCase")]
enum Nested {
    Struct { fields: Vec<DeltaField> },
    Array { element_type: DeltaType, contains_null: bool },
    Map { key_type: DeltaType, value_type: DeltaType, value_contains_null: bool },
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(untagged)]
enum DeltaType {
    Plain(String),
    Nested(Box<Nested>),
}

#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
struct DeltaField {
    name: String,
    #[serde(rename = "type")]
    data_type: DeltaType,
    nullable: bool,
    #[serde(default)]
    metadata: BTreeMap<String, Value>,
}

/// Why a schema cannot be one of Delta's, or of Arrow's.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SchemaError {
    #[error("the schema is no schema of Delta Lake")]
    Json(#[from] serde_json::Error),
    #[error("the schema is a `{0}`, not a struct")]
    NoStruct(String),
    #[error("Delta Lake has no type for {0}")]
    NoDeltaType(DataType),
    #[error("timestamps have to be in UTC")]
    NotUtc,
    #[error("the type `{0}` is not known")]
    UnknownType(String),
    #[error("the columns `{0}` differ by upper and lower case only, which Delta Lake does not tell apart")]
    SameName(String),
}

/// The schema string that stands for `schema`.
pub(crate) fn from_arrow(schema: &Schema) -> Result<String, SchemaError> {
    let fields = delta_fields(schema.fields())?;
    Ok(serde_json::to_string(&Nested::Struct { fields })?)
}

/// The schema string of a table whose schema string was `old` and whose columns become those of `schema`. What `old` says
/// of a column beside its type stays (comments, metadata, that it must not be null), because Millstream's schemas do not
/// hold it. `None` when the columns are those of `old`.
pub(crate) fn evolve(old: &str, schema: &Schema) -> Result<Option<String>, SchemaError> {
    let old: DeltaType = serde_json::from_str(old)?;
    let fields = delta_fields(schema.fields())?;
    let mut new = DeltaType::Nested(Box::new(Nested::Struct { fields }));
    keep_said(&old, &mut new);
    if new == old { Ok(None) } else { Ok(Some(serde_json::to_string(&new)?)) }
}

fn keep_said(old: &DeltaType, new: &mut DeltaType) {
    let (DeltaType::Nested(old), DeltaType::Nested(new)) = (old, new) else { return };
    match (old.as_ref(), new.as_mut()) {
        (Nested::Struct { fields: old }, Nested::Struct { fields: new }) => {
            for new in new {
                if let Some(old) = old.iter().find(|old| old.name == new.name) {
                    keep_said_of_field(old, new);
                }
            }
        }
        (
            Nested::Array { element_type: old, contains_null },
            Nested::Array { element_type: new, contains_null: new_contains_null },
        ) => {
            *new_contains_null = *contains_null;
            keep_said(old, new);
        }
        (
            Nested::Map { key_type: old_key, value_type: old, value_contains_null },
            Nested::Map { key_type: new_key, value_type: new, value_contains_null: new_contains_null },
        ) => {
            *new_contains_null = *value_contains_null;
            keep_said(old_key, new_key);
            keep_said(old, new);
        }
        _ => {}
    }
}

fn keep_said_of_field(old: &DeltaField, new: &mut DeltaField) {
    new.nullable = old.nullable;
    new.metadata.clone_from(&old.metadata);
    match (&old.data_type, &new.data_type) {
        // Metadata may describe the type (the length of a `char`), and goes with it; a comment, written by people, holds
        // for any type.
        (DeltaType::Plain(old), DeltaType::Plain(new_type)) if old != new_type => {
            new.metadata.retain(|key, _| key == COMMENT);
        }
        _ => keep_said(&old.data_type, &mut new.data_type),
    }
}

/// The Arrow schema of a schema string. Strings become `Utf8`, timestamps microseconds.
pub(crate) fn to_arrow(schema_string: &str) -> Result<Schema, SchemaError> {
    match serde_json::from_str(schema_string)? {
        DeltaType::Nested(nested) => match *nested {
            Nested::Struct { fields } => Ok(Schema::new(arrow_fields(fields)?)),
            Nested::Array { .. } => Err(SchemaError::NoStruct("array".into())),
            Nested::Map { .. } => Err(SchemaError::NoStruct("map".into())),
        },
        DeltaType::Plain(name) => Err(SchemaError::NoStruct(name)),
    }
}

fn delta_fields(fields: &Fields) -> Result<Vec<DeltaField>, SchemaError> {
    let mut names = HashSet::new();
    let one = |field: &FieldRef| {
        if !names.insert(field.name().to_lowercase()) {
            return Err(SchemaError::SameName(field.name().clone()));
        }
        let metadata = field.metadata().iter();
        Ok(DeltaField {
            name: field.name().clone(),
            data_type: delta_type(field.data_type())?,
            nullable: field.is_nullable(),
            metadata: metadata.map(|(key, value)| (key.clone(), value.as_str().into())).collect(),
        })
    };
    fields.iter().map(one).collect()
}

fn delta_type(data_type: &DataType) -> Result<DeltaType, SchemaError> {
    use DataType as T;
    let utc = |zone: &str| zone.eq_ignore_ascii_case("utc");
    let name = match data_type {
        T::Utf8 | T::LargeUtf8 | T::Utf8View => "string",
        T::Binary | T::LargeBinary | T::BinaryView | T::FixedSizeBinary(_) => "binary",
        T::Int64 | T::UInt64 => "long",
        T::Int32 | T::UInt32 => "integer",
        T::Int16 | T::UInt16 => "short",
        T::Int8 | T::UInt8 => "byte",
        T::Float32 => "float",
        T::Float64 => "double",
        T::Boolean => "boolean",
        T::Date32 | T::Date64 => "date",
        T::Null => "void",
        T::Timestamp(unit, Some(zone)) if *unit != TimeUnit::Second && utc(zone) => "timestamp",
        T::Timestamp(..) => return Err(SchemaError::NotUtc),
        T::Decimal128(precision, scale) if *scale >= 0 => {
            return Ok(DeltaType::Plain(format!("decimal({precision},{scale})")));
        }
        T::Dictionary(_, values) => return delta_type(values),
        nested => return delta_nested(nested).map(|nested| DeltaType::Nested(Box::new(nested))),
    };
    Ok(DeltaType::Plain(name.into()))
}

fn delta_nested(data_type: &DataType) -> Result<Nested, SchemaError> {
    let none = || SchemaError::NoDeltaType(data_type.clone());
    match data_type {
        DataType::Struct(fields) => Ok(Nested::Struct { fields: delta_fields(fields)? }),
        DataType::List(element) | DataType::LargeList(element) | DataType::FixedSizeList(element, _) => {
            let element_type = delta_type(element.data_type())?;
            Ok(Nested::Array { element_type, contains_null: element.is_nullable() })
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(pair) = entries.data_type() else { return Err(none()) };
            let [key, value] = pair.as_ref() else { return Err(none()) };
            Ok(Nested::Map {
                key_type: delta_type(key.data_type())?,
                value_type: delta_type(value.data_type())?,
                value_contains_null: value.is_nullable(),
            })
        }
        _ => Err(none()),
    }
}

fn arrow_fields(fields: Vec<DeltaField>) -> Result<Fields, SchemaError> {
    let one = |field: DeltaField| {
        let metadata: HashMap<String, String> = field.metadata.into_iter().map(text).collect();
        Ok(Field::new(field.name, arrow_type(field.data_type)?, field.nullable).with_metadata(metadata))
    };
    fields.into_iter().map(one).collect()
}

fn text((key, value): (String, Value)) -> (String, String) {
    match value {
        Value::String(value) => (key, value),
        other => (key, other.to_string()),
    }
}

fn arrow_type(data_type: DeltaType) -> Result<DataType, SchemaError> {
    let name = match data_type {
        DeltaType::Nested(nested) => return arrow_nested(*nested),
        DeltaType::Plain(name) => name,
    };
    let utc = || Some("UTC".into());
    Ok(match name.as_str() {
        "string" => DataType::Utf8,
        "long" => DataType::Int64,
        "integer" => DataType::Int32,
        "short" => DataType::Int16,
        "byte" => DataType::Int8,
        "float" => DataType::Float32,
        "double" => DataType::Float64,
        "boolean" => DataType::Boolean,
        "binary" => DataType::Binary,
        "date" => DataType::Date32,
        "timestamp" => DataType::Timestamp(TimeUnit::Microsecond, utc()),
        "void" => DataType::Null,
        _ => return decimal(&name).ok_or(SchemaError::UnknownType(name)),
    })
}

/// The type that a text such as `decimal(12,2)` names, perhaps with spaces.
fn decimal(name: &str) -> Option<DataType> {
    let (precision, scale) = name.strip_prefix("decimal(")?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale) = (precision.trim().parse::<u8>().ok()?, scale.trim().parse::<i8>().ok()?);
    let fits = (1..=38).contains(&precision) && scale >= 0 && scale.unsigned_abs() <= precision;
    fits.then_some(DataType::Decimal128(precision, scale))
}

fn arrow_nested(nested: Nested) -> Result<DataType, SchemaError> {
    Ok(match nested {
        Nested::Struct { fields } => DataType::Struct(arrow_fields(fields)?),
        Nested::Array { element_type, contains_null } => {
            DataType::List(Arc::new(Field::new("element", arrow_type(element_type)?, contains_null)))
        }
        Nested::Map { key_type, value_type, value_contains_null } => {
            let pair = [
                Field::new("key", arrow_type(key_type)?, false),
                Field::new("value", arrow_type(value_type)?, value_contains_null),
            ];
            let entries = DataType::Struct(Fields::from_iter(pair));
            DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
        }
    })
}
