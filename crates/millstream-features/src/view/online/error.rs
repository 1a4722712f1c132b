//! What can go wrong between rows of events, records and answers.

use arrow::{datatypes::DataType, error::ArrowError};

use crate::FeatureError;

/// A view that cannot be kept online, rows that do not fit it, or bytes that are no record of it.
#[derive(Debug, thiserror::Error)]
pub enum OnlineViewError {
    #[error("a key of `{entity}` has {expected} columns, not {found}")]
    KeyCount { entity: String, expected: usize, found: usize },
    #[error("columns of one call have {expected} rows and {found}")]
    Lengths { expected: usize, found: usize },
    #[error("key `{key}` is {expected}, the column is {found}")]
    KeyType { key: String, expected: DataType, found: DataType },
    #[error("key `{key}` is {expected}, and a value of the {found} column does not fit it without loss")]
    KeyValue { key: String, expected: DataType, found: DataType },
    #[error("key `{key}` is {data_type}, which cannot be a key")]
    KeyNotScalar { key: String, data_type: DataType },
    #[error("view `{view}`: `{column}` of the events is {found}, not {expected}")]
    EventColumn { view: String, column: String, expected: DataType, found: DataType },
    #[error("view `{view}`: its events have {expected} columns, not {found}")]
    EventColumns { view: String, expected: usize, found: usize },
    #[error("view `{view}`: a column of type {data_type} cannot be kept online")]
    NotStorable { view: String, data_type: DataType },
    #[error("view `{view}` has no feature number {index}")]
    NoSuchFeature { view: String, index: usize },
    /// The lake takes pushed events up too slowly, or not at all.
    #[error("view `{view}`: an entity has {most} pushed events that the lake has not taken up yet")]
    TooManyPushed { view: String, most: usize },
    #[error("these bytes are no record of view `{view}`: {reason}")]
    Record { view: String, reason: &'static str },
    #[error("a state of view `{view}` could not be read or computed")]
    State {
        view: String,
        #[source]
        source: FeatureError,
    },
    #[error("Arrow could not {action}")]
    Arrow {
        action: &'static str,
        #[source]
        source: ArrowError,
    },
}

impl OnlineViewError {
    pub(crate) fn arrow(action: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { action, source }
    }

    /// Stable code for people and for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::KeyCount { .. }
            | Self::KeyType { .. }
            | Self::KeyValue { .. }
            | Self::KeyNotScalar { .. } => "MS-0941",
            Self::Lengths { .. } | Self::EventColumn { .. } | Self::EventColumns { .. } => "MS-0923",
            Self::NotStorable { .. } | Self::NoSuchFeature { .. } => "MS-0922",
            Self::TooManyPushed { .. } => "MS-0942",
            Self::Record { .. } => "MS-0925",
            Self::State { source, .. } => source.code(),
            Self::Arrow { .. } => "MS-0926",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::TooManyPushed { view, .. } => Some(format!(
                "`millstream features materialize {view}` brings rows into the lake that were pushed to it too; those \
                 pushed `online` only wait until the view's table has newer ones"
            )),
            Self::Record { view, .. } => {
                Some(format!("compute the records anew: `millstream features materialize {view} --full`"))
            }
            Self::State { source, .. } => source.hint(),
            _ => None,
        }
    }
}
