//! The types that a contract can promise, and how they are written.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A column's type as written in a contract: `int64`, `decimal(12,2)`, `list<string>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum ColumnType {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    /// `decimal(precision,scale)`, precision 1 to 38, scale 0 to precision.
    Decimal {
        precision: u8,
        scale: u8,
    },
    String,
    Binary,
    Date,
    /// An instant, stored as UTC microseconds; a naive text is read in `zone` (UTC when absent).
    Timestamp {
        zone: Option<String>,
    },
    List(Box<ColumnType>),
    Struct(Vec<Field>),
}

/// A named member of a `struct<…>`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    pub column_type: ColumnType,
}

/// Names a contract may use for types without parameters, for hints.
pub(crate) const SIMPLE_NAMES: [&str; 12] = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "float32",
    "float64",
    "string",
    "binary",
    "date",
    "timestamp",
    "decimal(12,2)",
];

/// Nesting deeper than this is refused.
const DEPTH_MAX: usize = 16;

impl ColumnType {
    /// The names a message can suggest.
    #[must_use]
    pub fn known_names() -> &'static [&'static str] {
        &SIMPLE_NAMES
    }

    #[must_use]
    pub fn is_numeric(&self) -> bool {
        matches!(
            self,
            Self::Int8
                | Self::Int16
                | Self::Int32
                | Self::Int64
                | Self::Float32
                | Self::Float64
                | Self::Decimal { .. }
        )
    }

    /// Whether every value of `self` is a value of `wider`: the changes that `evolution: widen` accepts.
    #[must_use]
    pub fn widens_to(&self, wider: &Self) -> bool {
        use ColumnType::{Date, Decimal, Float32, Float64, Int8, Int16, Int32, Int64, List, Timestamp};
        match (self, wider) {
            (a, b) if a == b => true,
            (Int8, Int16 | Int32 | Int64 | Float32 | Float64) => true,
            (Int16, Int32 | Int64 | Float32 | Float64) => true,
            (Int32, Int64 | Float64) => true,
            (Float32, Float64) => true,
            (Date, Timestamp { .. }) => true,
            (Decimal { precision, scale }, Decimal { precision: wider_precision, scale: wider_scale }) => {
                wider_scale >= scale
                    && wider_precision.saturating_sub(*wider_scale) >= precision.saturating_sub(*scale)
            }
            (List(inner), List(wider)) => inner.widens_to(wider),
            _ => false,
        }
    }
}

impl fmt::Display for ColumnType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("bool"),
            Self::Int8 => f.write_str("int8"),
            Self::Int16 => f.write_str("int16"),
            Self::Int32 => f.write_str("int32"),
            Self::Int64 => f.write_str("int64"),
            Self::Float32 => f.write_str("float32"),
            Self::Float64 => f.write_str("float64"),
            Self::Decimal { precision, scale } => write!(f, "decimal({precision},{scale})"),
            Self::String => f.write_str("string"),
            Self::Binary => f.write_str("binary"),
            Self::Date => f.write_str("date"),
            Self::Timestamp { zone: None } => f.write_str("timestamp"),
            Self::Timestamp { zone: Some(zone) } => write!(f, "timestamp({zone})"),
            Self::List(inner) => write!(f, "list<{inner}>"),
            Self::Struct(fields) => {
                f.write_str("struct<")?;
                for (index, field) in fields.iter().enumerate() {
                    let comma = if index == 0 { "" } else { ", " };
                    write!(f, "{comma}{}: {}", field.name, field.column_type)?;
                }
                f.write_str(">")
            }
        }
    }
}

impl FromStr for ColumnType {
    type Err = ColumnTypeError;

    fn from_str(text: &str) -> Result<Self, ColumnTypeError> {
        parse(text.trim(), DEPTH_MAX).ok_or_else(|| ColumnTypeError { text: text.into() })
    }
}

impl TryFrom<String> for ColumnType {
    type Error = ColumnTypeError;

    fn try_from(text: String) -> Result<Self, ColumnTypeError> {
        text.parse()
    }
}

impl From<ColumnType> for String {
    fn from(column_type: ColumnType) -> Self {
        column_type.to_string()
    }
}

/// Not a type that a contract knows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a column type")]
pub struct ColumnTypeError {
    text: String,
}

fn parse(text: &str, depth: usize) -> Option<ColumnType> {
    let depth = depth.checked_sub(1)?;
    if let Some(inner) = between(text, "list<", ">") {
        return Some(ColumnType::List(Box::new(parse(inner, depth)?)));
    }
    if let Some(inner) = between(text, "struct<", ">") {
        return parse_fields(inner, depth).map(ColumnType::Struct);
    }
    if let Some(inner) = between(text, "decimal(", ")") {
        let (precision, scale) = inner.split_once(',')?;
        let (precision, scale) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
        return ((1..=38).contains(&precision) && scale <= precision)
            .then_some(ColumnType::Decimal { precision, scale });
    }
    if let Some(zone) = between(text, "timestamp(", ")") {
        return (!zone.is_empty()).then(|| ColumnType::Timestamp { zone: Some(zone.into()) });
    }
    Some(match text {
        "bool" | "boolean" => ColumnType::Bool,
        "int8" => ColumnType::Int8,
        "int16" => ColumnType::Int16,
        "int32" | "int" => ColumnType::Int32,
        "int64" | "bigint" => ColumnType::Int64,
        "float32" => ColumnType::Float32,
        "float64" | "double" => ColumnType::Float64,
        "string" | "text" => ColumnType::String,
        "binary" => ColumnType::Binary,
        "date" => ColumnType::Date,
        "timestamp" => ColumnType::Timestamp { zone: None },
        _ => return None,
    })
}

fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<&'a str> {
    Some(text.strip_prefix(open)?.strip_suffix(close)?.trim())
}

/// Reads `name: type, name: type`, where commas inside brackets belong to the inner type.
fn parse_fields(text: &str, depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    let mut open = 0_usize;
    let mut start = 0;
    let ends = text.char_indices().chain(std::iter::once((text.len(), ',')));
    for (index, c) in ends {
        match c {
            '<' | '(' => open += 1,
            '>' | ')' => open = open.checked_sub(1)?,
            ',' if open == 0 => {
                let (name, column_type) = text.get(start..index)?.split_once(':')?;
                let name = name.trim().to_owned();
                fields.push(Field { name, column_type: parse(column_type.trim(), depth)? });
                start = index + 1;
            }
            _ => {}
        }
    }
    (open == 0).then_some(fields)
}
