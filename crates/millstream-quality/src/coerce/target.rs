//! A column type, ready for conversion: zones looked up, Arrow fields made.

use std::{fmt, str::FromStr, sync::Arc};

use arrow::{
    array::timezone::Tz,
    datatypes::{DataType, Field, FieldRef, Fields, TimeUnit},
};
use millstream_connector::arrow_type;
use millstream_types::ColumnType;

use super::plain_type;

/// What a column is converted to.
#[derive(Clone, Debug)]
pub(crate) enum Target {
    Bool,
    Int8,
    Int16,
    Int32,
    Int64,
    Float32,
    Float64,
    Decimal {
        precision: u8,
        scale: i8,
    },
    String,
    Binary,
    Date,
    Timestamp(Zone),
    List(Box<Target>, FieldRef),
    Struct(Vec<Target>, Fields),
    /// A type without a name in contracts (a SQL table may have one); only values of it fit.
    AsIs(DataType),
}

/// The zone in which naive times of a column are read.
#[derive(Clone, Copy)]
pub(crate) enum Zone {
    Utc,
    Named(Tz),
}

impl fmt::Debug for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Utc => f.write_str("UTC"),
            Self::Named(zone) => write!(f, "{zone:?}"),
        }
    }
}

impl Target {
    /// The target of a contract's type. The error is the name of an unknown zone.
    pub(crate) fn new(column_type: &ColumnType) -> Result<Self, String> {
        Ok(match column_type {
            ColumnType::Bool => Self::Bool,
            ColumnType::Int8 => Self::Int8,
            ColumnType::Int16 => Self::Int16,
            ColumnType::Int32 => Self::Int32,
            ColumnType::Int64 => Self::Int64,
            ColumnType::Float32 => Self::Float32,
            ColumnType::Float64 => Self::Float64,
            ColumnType::Decimal { precision, scale } => {
                Self::Decimal { precision: *precision, scale: i8::try_from(*scale).unwrap_or(i8::MAX) }
            }
            ColumnType::String => Self::String,
            ColumnType::Binary => Self::Binary,
            ColumnType::Date => Self::Date,
            ColumnType::Timestamp { zone } => Self::Timestamp(Zone::new(zone.as_deref())?),
            ColumnType::List(inner) => {
                let field = Field::new("element", arrow_type(inner), true);
                Self::List(Box::new(Self::new(inner)?), Arc::new(field))
            }
            ColumnType::Struct(fields) => {
                let members =
                    fields.iter().map(|field| Self::new(&field.column_type)).collect::<Result<_, _>>()?;
                let DataType::Struct(fields) = arrow_type(column_type) else {
                    return Ok(Self::AsIs(DataType::Null));
                };
                Self::Struct(members, fields)
            }
        })
    }

    /// The type of a column that is typed already, without encodings that the checks do not know.
    pub(crate) fn typed(data_type: &DataType) -> Self {
        Self::AsIs(plain_type(data_type))
    }

    pub(crate) fn data_type(&self) -> DataType {
        match self {
            Self::Bool => DataType::Boolean,
            Self::Int8 => DataType::Int8,
            Self::Int16 => DataType::Int16,
            Self::Int32 => DataType::Int32,
            Self::Int64 => DataType::Int64,
            Self::Float32 => DataType::Float32,
            Self::Float64 => DataType::Float64,
            Self::Decimal { precision, scale } => DataType::Decimal128(*precision, *scale),
            Self::String => DataType::Utf8,
            Self::Binary => DataType::Binary,
            Self::Date => DataType::Date32,
            Self::Timestamp(_) => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
            Self::List(_, field) => DataType::List(field.clone()),
            Self::Struct(_, fields) => DataType::Struct(fields.clone()),
            Self::AsIs(data_type) => data_type.clone(),
        }
    }

    pub(crate) fn zone(&self) -> Zone {
        match self {
            Self::Timestamp(zone) => *zone,
            _ => Zone::Utc,
        }
    }
}

impl Zone {
    fn new(name: Option<&str>) -> Result<Self, String> {
        match name {
            None => Ok(Self::Utc),
            Some(name) if name.eq_ignore_ascii_case("utc") => Ok(Self::Utc),
            Some(name) => Tz::from_str(name).map(Self::Named).map_err(|_| name.to_owned()),
        }
    }
}
