//! The partitions of a SQL table, and the parameters of its SQL.

use millstream_schedule::Calendar;
use millstream_types::ColumnType;

use crate::{Located, Location};

/// How the rows of a table are parted: those of one partition are built, judged and replaced together.
#[derive(Clone, Debug)]
pub struct PartitionSpec {
    pub at: Location,
    pub by: PartitionBy,
    /// The column of the table by whose values the rows are parted.
    pub column: Located<String>,
    /// The number of the first partition; rows before it are no rows of the table.
    pub from: Option<Located<i64>>,
}

/// What makes rows belong to one partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionBy {
    /// They lie in the same hour, day, week, month or year.
    Time(Calendar),
    /// They have the same value.
    Value,
}

/// A value that the SQL of a table names as `$name`, and that a backfill may set.
#[derive(Clone, Debug)]
pub struct ParameterSpec {
    pub name: Located<String>,
    pub column_type: ColumnType,
    /// The value as text, which is one of the type.
    pub default: String,
}

impl ParameterSpec {
    /// The text of a value of the parameter's type in one spelling.
    ///
    /// # Errors
    ///
    /// The text is no value of the type; the error says what would be.
    pub fn value(&self, text: &str) -> Result<String, String> {
        value_of(&self.column_type, text)
    }

    /// Whether parameters can be of the type.
    #[must_use]
    pub fn takes(column_type: &ColumnType) -> bool {
        matches!(
            column_type,
            ColumnType::Bool
                | ColumnType::Int64
                | ColumnType::Float64
                | ColumnType::String
                | ColumnType::Date
        )
    }
}

fn value_of(column_type: &ColumnType, text: &str) -> Result<String, String> {
    let text = text.trim();
    let wrong = |example: &str| format!("`{text}` is no {column_type}: write one like `{example}`");
    match column_type {
        ColumnType::Bool => match text {
            "true" | "false" => Ok(text.to_owned()),
            _ => Err(wrong("true")),
        },
        ColumnType::Int64 => text.parse::<i64>().map(|value| value.to_string()).map_err(|_| wrong("3")),
        ColumnType::Float64 => match text.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(value.to_string()),
            _ => Err(wrong("1.5")),
        },
        ColumnType::Date => chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .map(|date| date.to_string())
            .map_err(|_| wrong("2024-01-31")),
        _ => Ok(text.to_owned()),
    }
}
