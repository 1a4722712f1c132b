//! What can be wrong with the rows that are joined.

use std::fmt;

use arrow::{datatypes::DataType, error::ArrowError};

/// Which rows a message is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    Labels,
    View,
}

impl fmt::Display for Side {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Labels => "the labels",
            Self::View => "the view",
        })
    }
}

/// Why a point-in-time join was refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AsofError {
    #[error("a join needs at least one key column")]
    NoKey,
    #[error("{side} bring {found} key columns, the view's entity has {expected}")]
    KeyCount { side: Side, expected: usize, found: usize },
    #[error("the key `{key}` has type {found}, which cannot be compared")]
    KeyNotScalar { key: String, found: DataType },
    #[error("the key `{key}` has type {found} in {side} and type {expected} in the view's definition")]
    KeyType { key: String, side: Side, expected: DataType, found: DataType },
    #[error("the column of the {what} in {side} has type {found}, not {expected}")]
    ColumnType { what: &'static str, side: Side, expected: &'static str, found: DataType },
    #[error("the column of the {what} in {side} has {found} rows, not {expected}")]
    Length { what: &'static str, side: Side, expected: usize, found: usize },
    #[error("the labels ask for what was known at a time, but the view has no known time")]
    NoKnownTime,
    #[error("a join takes at most {max} rows of a view at once", max = u32::MAX - 1)]
    TooManyRows,
    #[error("the features have {found} rows, the joined view had {expected}")]
    OtherRows { expected: usize, found: usize },
    #[error("the join broke its promise at label row {label}: {promise}")]
    Broken { label: usize, promise: &'static str },
    #[error("the {what} could not be computed")]
    Arrow {
        what: &'static str,
        #[source]
        source: ArrowError,
    },
}

impl AsofError {
    /// The stable code of the message.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey | Self::KeyCount { .. } => "MS-0951",
            Self::KeyNotScalar { .. } => "MS-0952",
            Self::KeyType { .. } => "MS-0953",
            Self::ColumnType { .. } => "MS-0954",
            Self::Length { .. } | Self::OtherRows { .. } => "MS-0955",
            Self::NoKnownTime => "MS-0956",
            Self::TooManyRows => "MS-0957",
            Self::Broken { .. } => "MS-0958",
            Self::Arrow { .. } => "MS-0959",
        }
    }

    /// The way out, where there is one for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoKey | Self::KeyCount { .. } => {
                Some("map every key column of the entity to a label column".into())
            }
            Self::KeyNotScalar { .. } => Some("use columns of text, numbers, dates or times as keys".into()),
            Self::KeyType { key, expected, .. } => Some(format!(
                "cast the labels' `{key}` to {expected}, or change the type in the view's table"
            )),
            Self::ColumnType { expected, .. } => Some(format!("cast the column to {expected}")),
            Self::NoKnownTime => {
                Some("leave out `as_known`, or read the view from a table that keeps `_ingested_at`".into())
            }
            Self::TooManyRows => Some("join part by part".into()),
            Self::Length { .. } | Self::OtherRows { .. } | Self::Broken { .. } | Self::Arrow { .. } => None,
        }
    }
}
