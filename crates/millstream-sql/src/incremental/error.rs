//! What can go wrong while a table is maintained, and the way out.

use std::{collections::HashSet, fmt};

use datafusion::error::DataFusionError;

use crate::{
    codes, overflow,
    session::{MASKED, plain},
    without_values,
};

/// Why a table could not be kept up to date from its inputs' changes.
#[derive(Debug, thiserror::Error)]
pub enum IncrementalError {
    /// The query cannot be kept by adding rows only; found when the project is checked.
    #[error("an incremental table without a key only adds rows, but its query has {what}")]
    NotAppendable { what: String },
    /// A key or time column is not a column of the query.
    #[error("`{column}` is not a column of the query, so it cannot be {role}")]
    UnknownColumn { column: String, role: &'static str, nearest: Option<String> },
    /// The time column has a type that cannot be cut into partitions or ordered as time.
    #[error("`{column}` is a {found}, but {role} must be a timestamp or a date")]
    NotATime { column: String, found: String, role: &'static str },
    /// A column of the query has a name that the history adds itself.
    #[error("the query has a column `{column}`, which a history table adds itself")]
    ReservedColumn { column: String },
    /// Two output rows have the same key.
    #[error("the key is not unique: {rows} rows have {key}")]
    DuplicateKey { key: KeyValues, rows: i64 },
    /// An output row has no key.
    #[error("the key column `{column}` is null in {rows} row{}", if *rows == 1 { "" } else { "s" })]
    NullKey { column: String, rows: i64 },
    /// Two different states of one key begin at the same instant.
    #[error("{key} has two different states that begin at {time}")]
    ConflictingStates { key: KeyValues, time: KeyValues },
    /// Under a new key of a history, recorded periods of one key hold at the same time.
    #[error("the recorded states of {key} overlap: they were recorded under another key")]
    OverlappingStates { key: KeyValues },
    /// A recorded value of a history has no counterpart in the type that the definition gives its column now.
    #[error("the recorded value `{value}` of `{column}` cannot become {to} without a change")]
    RetypedStates { column: String, value: String, to: String },
    /// The changes of the inputs cannot be carried over; the table must be built as a whole.
    #[error("the table must be rebuilt as a whole: {why}")]
    NeedsFullRebuild { why: String },
    /// The query engine failed.
    #[error("the query engine failed while {doing}")]
    Engine {
        doing: &'static str,
        #[source]
        source: Box<DataFusionError>,
    },
}

/// The values of one key as people read them: `` `order_id` = 7, `day` = 2024-01-01 ``.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyValues(pub(super) Vec<(String, String)>);

impl fmt::Display for KeyValues {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, (column, value)) in self.0.iter().enumerate() {
            let comma = if place > 0 { ", " } else { "" };
            write!(f, "{comma}`{column}` = {value}")?;
        }
        Ok(())
    }
}

impl KeyValues {
    fn mask(&mut self, columns: &HashSet<String>) {
        let personal = self.0.iter_mut().filter(|(column, _)| columns.contains(column));
        personal.for_each(|(_, value)| MASKED.clone_into(value));
    }
}

impl IncrementalError {
    /// The same error without the values of these columns, which hold personal data.
    #[must_use]
    pub fn masked(mut self, columns: &HashSet<String>) -> Self {
        match &mut self {
            Self::DuplicateKey { key, .. } | Self::OverlappingStates { key } => key.mask(columns),
            Self::RetypedStates { column, value, .. } if columns.contains(column) => MASKED.clone_into(value),
            Self::ConflictingStates { key, time } => {
                key.mask(columns);
                time.mask(columns);
            }
            _ => {}
        }
        self
    }

    /// The same error without the values that the query engine puts into its words.
    #[must_use]
    pub fn without_values(self) -> Self {
        match self {
            Self::Engine { doing, source } => {
                Self::Engine { doing, source: Box::new(without_values(*source)) }
            }
            other => other,
        }
    }

    /// The stable code of the error, listed in the reference.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotAppendable { .. } => codes::NOT_APPENDABLE,
            Self::UnknownColumn { .. } => codes::KEY_UNKNOWN,
            Self::NotATime { .. } => codes::NOT_A_TIME,
            Self::ReservedColumn { .. } => codes::HISTORY_COLUMN,
            Self::DuplicateKey { .. } => codes::DUPLICATE_KEY,
            Self::NullKey { .. } => codes::NULL_KEY,
            Self::ConflictingStates { .. } => codes::CONFLICTING_STATES,
            Self::OverlappingStates { .. } => codes::OVERLAPPING_STATES,
            Self::RetypedStates { .. } => codes::RETYPED_STATES,
            Self::NeedsFullRebuild { .. } => codes::FULL_REBUILD,
            Self::Engine { .. } => codes::INCREMENTAL,
        }
    }

    /// What the user can do about the error.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotAppendable { .. } => Some("give it a `key`, or `materialize: table`".into()),
            Self::UnknownColumn { nearest, .. } => {
                nearest.as_ref().map(|name| format!("did you mean `{name}`?"))
            }
            Self::NotATime { column, .. } => {
                Some(format!("cast it in the query: `CAST({column} AS TIMESTAMP)`"))
            }
            Self::ReservedColumn { column } => Some(format!("give `{column}` another name in the query")),
            Self::DuplicateKey { .. } => Some(
                "add the columns that tell the rows apart to `key`, or keep one row per key in the query \
                 (`row_number() over (partition by key order by …) = 1`)"
                    .into(),
            ),
            Self::NullKey { column, .. } => Some(format!(
                "declare `not_null: {column}`, which keeps such rows out, filter them (`WHERE {column} IS NOT NULL`), or \
                 replace the null with `coalesce`"
            )),
            Self::ConflictingStates { .. } => {
                Some("make the time finer, or keep one row per key and time in the query".into())
            }
            Self::OverlappingStates { .. } => Some(
                "keep the old key, or give the table another name and so a history of its own; `--full-refresh` \
                 starts this one anew, and forgets what the inputs no longer hold"
                    .into(),
            ),
            Self::RetypedStates { column, .. } => Some(format!(
                "a history keeps what it recorded: give the column of the new type another name than `{column}`; \
                 `--full-refresh` starts the history anew, and forgets what the inputs no longer hold"
            )),
            Self::NeedsFullRebuild { .. } => {
                Some("run with `--full-refresh`, or give the table a `key`".into())
            }
            Self::Engine { source, .. } => overflow::hint(&source.to_string()),
        }
    }

    /// Wraps a failure of the query engine; an error of this module that travelled through it comes out whole.
    pub(super) fn engine(doing: &'static str) -> impl FnOnce(DataFusionError) -> Self {
        move |source| match plain(source) {
            DataFusionError::External(inner) => match inner.downcast::<Self>() {
                Ok(own) => *own,
                Err(inner) => Self::Engine { doing, source: Box::new(DataFusionError::External(inner)) },
            },
            source => Self::Engine { doing, source: Box::new(source) },
        }
    }
}

impl From<IncrementalError> for DataFusionError {
    fn from(error: IncrementalError) -> Self {
        Self::External(Box::new(error))
    }
}

/// Why the walk over a plan ended early.
#[derive(Debug)]
pub(super) enum Stop {
    /// It cannot be shown which keys a change reaches; the reason completes "because …".
    Unsupported(String),
    /// More keys are reached than are kept in memory.
    TooManyKeys(usize),
    Engine(DataFusionError),
}

impl From<DataFusionError> for Stop {
    fn from(source: DataFusionError) -> Self {
        Self::Engine(source)
    }
}
