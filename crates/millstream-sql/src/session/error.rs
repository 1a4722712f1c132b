//! Why SQL could not be run, in words for the person who wrote it.

use std::error::Error;

use datafusion::common::DataFusionError;
use millstream_lake::{DamagedFile, LakeError};
use millstream_stream::StreamError;
use millstream_types::TableName;

use super::predicate::plain;
use crate::{
    codes,
    explain::{Problem, first_line},
    overflow,
    place::SqlText,
    type_name::friendly,
};

const MORE_MEMORY: &str =
    "read fewer columns or rows, or allow more memory: `--memory 8GiB`, or `memory: 8GiB` in the environment";
/// The words about an instant that has more digits than are kept.
pub(crate) const LOSES_DIGITS: &str = "would lose digits";

/// A place in the text of a query.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryPlace {
    /// The first byte of the place in the text; `end` is the byte after its last one.
    pub start: usize,
    pub end: usize,
    /// The line of the place, from 1; `column` counts characters, also from 1.
    pub line: usize,
    pub column: usize,
}

/// A statement that cannot be run, or that failed while it ran.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SqlError {
    /// The statement itself is wrong.
    #[error("{message}")]
    Invalid {
        code: &'static str,
        message: String,
        /// The place in the statement; `None` when the fault lies in a view's SQL.
        place: Option<QueryPlace>,
        label: Option<String>,
        hint: Option<String>,
    },
    /// The table belongs to the project, but there is nothing to read yet.
    #[error("`{table}` has not been built yet")]
    NotBuilt { table: TableName },
    /// Computing failed on the rows at hand.
    #[error("{message}")]
    Execution { message: String },
    /// The query outgrew its memory.
    #[error("the query needs more memory than it may use: {message}")]
    Memory { message: String },
    /// The lake could not deliver a table.
    #[error("a table cannot be read")]
    Lake(#[source] Box<LakeError>),
    /// A data file of a table is gone, or is not what was written.
    #[error("`{}` cannot be read", .0.table)]
    DataFile(#[source] DamagedFile),
    /// A stage of a continuous table cannot be built.
    #[error("{0}")]
    Stream(#[source] Box<StreamError>),
    /// Two rows of a table in which rows are looked up have one key.
    #[error("`{table}` has two rows with `{key}` = {value}, and a lookup finds one")]
    LookupKey { table: TableName, key: String, value: String },
    /// Something outside the query engine failed while the query ran.
    #[error("a table cannot be read")]
    Outside(#[source] Box<dyn Error + Send + Sync>),
}

impl SqlError {
    /// Wraps an error of the lake.
    #[must_use]
    pub fn lake(error: LakeError) -> Self {
        Self::Lake(Box::new(error))
    }

    /// What an error of the query engine means, for instance one that a stream of rows ends with.
    #[must_use]
    pub fn from_datafusion(error: DataFusionError) -> Self {
        if let Some(damaged) = DamagedFile::behind(&error) {
            return Self::DataFile(damaged.clone());
        }
        match plain(error) {
            DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => {
                Self::from_datafusion(*inner)
            }
            DataFusionError::External(inner) => match inner.downcast::<LakeError>() {
                Ok(lake) => Self::Lake(lake),
                Err(other) => match other.downcast::<SqlError>() {
                    Ok(own) => *own,
                    Err(other) => Self::Outside(other),
                },
            },
            DataFusionError::Shared(inner) => match std::sync::Arc::try_unwrap(inner) {
                Ok(inner) => Self::from_datafusion(inner),
                Err(shared) => Self::from_shared(shared.find_root()),
            },
            DataFusionError::ObjectStore(inner) => Self::Outside(inner),
            DataFusionError::IoError(inner) => Self::Outside(Box::new(inner)),
            DataFusionError::ParquetError(inner) => Self::Outside(inner),
            other => Self::from_shared(other.find_root()),
        }
    }

    fn from_shared(error: &DataFusionError) -> Self {
        if let Some(LakeError::Storage { action, path, fault, source }) = LakeError::behind(error) {
            let (path, source) = (path.clone(), source.to_string().into());
            return Self::lake(LakeError::Storage { action, path, fault: *fault, source });
        }
        let message = error.strip_backtrace();
        let message = message.rsplit_once(" error: ").map_or(message.as_str(), |(_, rest)| rest);
        let message = friendly(overflow::in_words(first_line(message)));
        match error {
            DataFusionError::ResourcesExhausted(_) => {
                let said = message.trim_start_matches("Resources exhausted: ").to_owned();
                let operator =
                    said.split_once(" failed for ").and_then(|(_, rest)| rest.split_once(" with "));
                let message = operator.map(|(operator, _)| format!("`{operator}` gets no more"));
                Self::Memory { message: message.unwrap_or(said) }
            }
            DataFusionError::External(inner) => match inner.downcast_ref() {
                Some(Self::Invalid { code, message, hint, .. }) => Self::Invalid {
                    code,
                    message: message.clone(),
                    place: None,
                    label: None,
                    hint: hint.clone(),
                },
                _ => Self::Execution { message },
            },
            // Several parts of the query share the error, so that it cannot be moved out, and only its words are taken
            // along.
            DataFusionError::ObjectStore(_)
            | DataFusionError::IoError(_)
            | DataFusionError::ParquetError(_) => Self::Outside(message.into()),
            _ => Self::Execution { message },
        }
    }

    pub(crate) fn problem(problem: Problem, text: &SqlText<'_>) -> Self {
        let Problem { code, message, range, label, hint } = problem;
        let (line, column) = text.line_column(range.start);
        let place = Some(QueryPlace { start: range.start, end: range.end, line, column });
        Self::Invalid { code, message, place, label, hint }
    }

    /// The same fault, seen from a query that reads the view.
    pub(crate) fn in_view(self, view: &TableName) -> Self {
        match self {
            Self::Invalid { code, message, hint, place: Some(_), .. } => Self::Invalid {
                code,
                message: format!("in the view `{view}`: {message}"),
                place: None,
                label: None,
                hint,
            },
            other => other,
        }
    }

    /// The stable code of the message.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Invalid { code, .. } => code,
            Self::NotBuilt { .. } | Self::Outside(_) => codes::TABLE_ACCESS,
            Self::DataFile(_) => DamagedFile::CODE,
            Self::Execution { .. } => codes::EXECUTION,
            Self::Memory { .. } => codes::MEMORY,
            Self::Stream(error) => error.code(),
            Self::LookupKey { .. } => codes::LOOKUP_KEY,
            Self::Lake(error) => error.code(),
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Invalid { hint, .. } => hint.clone(),
            Self::NotBuilt { table } => Some(format!("`millstream run {table}` builds it")),
            Self::DataFile(damaged) => Some(damaged.hint()),
            Self::Execution { message } if message.contains(LOSES_DIGITS) => {
                Some("`date_trunc('microsecond', x)` gives an instant in the digits that are kept".into())
            }
            Self::Execution { message } if message.contains("cast") => {
                Some("`try_cast(x as type)` gives null where the value does not fit".into())
            }
            Self::Execution { message } if message.contains("Divide by zero") => {
                Some("`x / nullif(y, 0)` gives null where y is 0".into())
            }
            Self::Execution { message } => overflow::hint(message),
            Self::Stream(error) => error.hint(),
            Self::LookupKey { table, key, .. } => Some(format!(
                "look rows up by a key of `{table}`, or give it one row for each `{key}`; a `unique` check keeps it so"
            )),
            Self::Outside(_) => None,
            Self::Memory { .. } => Some(MORE_MEMORY.into()),
            Self::Lake(error) => error.hint(),
        }
    }

    /// Whether the same statement may succeed later without a change.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Lake(error) => error.retryable(),
            Self::DataFile(damaged) => damaged.may_pass(),
            Self::Outside(_) => true,
            Self::Invalid { .. }
            | Self::NotBuilt { .. }
            | Self::Execution { .. }
            | Self::Memory { .. }
            | Self::Stream(_)
            | Self::LookupKey { .. } => false,
        }
    }
}
