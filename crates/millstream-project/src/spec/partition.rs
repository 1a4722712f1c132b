//! The partitions of a SQL table, the parameters of its SQL, and what it needs of what it reads.

use millstream_schedule::Calendar;
use millstream_types::{ColumnType, TableName};

use crate::{CheckSpec, Located, Location};

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

/// Which checks of a table that is read keep its reader from being built, when they halt it.
#[derive(Clone, Debug)]
pub struct NeedSpec {
    pub table: Located<TableName>,
    /// The checks by id or by kind; none where no check keeps the reader from being built.
    pub checks: Vec<Located<String>>,
}

impl NeedSpec {
    /// Whether `check` is one of those that are needed.
    #[must_use]
    pub fn names(&self, check: &CheckSpec) -> bool {
        self.checks.iter().any(|name| is_named(name, check))
    }
}

/// Whether a check is meant by a name, which is its id or the word of its kind.
pub(crate) fn is_named(name: &str, check: &CheckSpec) -> bool {
    let id = check.id.as_str();
    id == name || id.split_once('(').is_some_and(|(kind, _)| kind == name)
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
    if *column_type == ColumnType::String {
        return Ok(text.to_owned());
    }
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
