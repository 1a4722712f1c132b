//! What can go wrong in this room.

use arrow::{datatypes::DataType, error::ArrowError};

use crate::asof::AsofError;

/// A definition that cannot be computed, rows that do not fit it, or bytes that are no state. Values in the data never fail: what an
/// aggregation makes of nulls, NaN, infinities and overflow is written at the aggregation.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// The aggregation has no meaning for the column's type.
    #[error("`{aggregation}` cannot aggregate a column of type {data_type}")]
    Unsupported { aggregation: &'static str, data_type: DataType },
    /// The aggregation needs a column, and none is named.
    #[error("`{aggregation}` needs a column")]
    NoColumn { aggregation: &'static str },
    /// A parameter is outside of its range.
    #[error("`{aggregation}`: {reason}")]
    Parameter { aggregation: &'static str, reason: &'static str },
    /// A feature names a column that the events do not have.
    #[error("the events have {columns} columns, a feature asks for number {index}")]
    NoSuchColumn { index: usize, columns: usize },
    /// A feature is asked for by a number that the view does not have.
    #[error("the view `{view}` has {features} features, number {number} is asked for")]
    NoSuchFeature { view: String, number: usize, features: usize },
    /// A definition says another type than its feature has.
    #[error("`{feature}` is defined as {expected}, but its values are {found}")]
    FeatureType { feature: String, expected: DataType, found: DataType },
    /// A default is no value of its feature's type.
    #[error("the default of `{feature}` is no {data_type}")]
    Default { feature: String, data_type: DataType },
    /// A batch of events is not in the shape that its view describes.
    #[error("the events have {found} columns, their view describes {expected}")]
    EventColumns { expected: usize, found: usize },
    /// A column of events has another type than its view describes.
    #[error("the events' column `{column}` has type {found}, their view describes {expected}")]
    EventType { column: String, expected: DataType, found: DataType },
    /// Labels and a view could not be joined.
    #[error(transparent)]
    Asof(#[from] AsofError),
    /// A filter is not a boolean column.
    #[error("a filter must be a boolean column, column {index} is {data_type}")]
    FilterType { index: usize, data_type: DataType },
    /// The arrays of one call differ in length.
    #[error("`{array}` has {rows} rows, {expected} were expected")]
    Length { array: &'static str, rows: usize, expected: usize },
    /// One call takes fewer than 2^32 rows.
    #[error("{rows} rows are more than one call can take: split them by entity")]
    TooManyRows { rows: usize },
    /// Two states of different aggregations cannot be merged.
    #[error("the states of two different aggregations cannot be merged")]
    Mismatch,
    /// The bytes were not written by this version or an earlier one, or are damaged.
    #[error("these bytes are no aggregation state: {reason}")]
    Bytes { reason: &'static str },
    /// A parameter of an encoding is outside of its range.
    #[error("the encoding `{encoding}`: {reason}")]
    Encoding { encoding: &'static str, reason: &'static str },
    /// The encoding has no meaning for the column's type.
    #[error("the encoding `{encoding}` cannot take a column of type {data_type}")]
    EncodingType { encoding: &'static str, data_type: DataType },
    /// The encoding was fitted on a column of another type.
    #[error("the encoding `{encoding}` was fitted on {expected}, the column is {found}")]
    FittedType { encoding: &'static str, expected: String, found: DataType },
    /// A target encoding was not given a target.
    #[error("the encoding `{encoding}` needs a target of numbers or booleans")]
    NoTarget { encoding: &'static str },
    /// The text was not written by this version or an earlier one, or is damaged.
    #[error("this text is no fitted encoding: {reason}")]
    Fitted { reason: String },
    #[error("Arrow could not {action}")]
    Arrow {
        action: &'static str,
        #[source]
        source: ArrowError,
    },
}

impl FeatureError {
    /// The stable code of the message.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unsupported { .. } | Self::NoColumn { .. } | Self::Parameter { .. } => "MS-0921",
            Self::NoSuchColumn { .. }
            | Self::NoSuchFeature { .. }
            | Self::FeatureType { .. }
            | Self::Default { .. }
            | Self::FilterType { .. } => "MS-0922",
            Self::EventColumns { .. } | Self::EventType { .. } | Self::Length { .. } => "MS-0923",
            Self::TooManyRows { .. } => "MS-0924",
            Self::Mismatch | Self::Bytes { .. } => "MS-0925",
            Self::Arrow { .. } => "MS-0926",
            Self::Encoding { .. } => "MS-0931",
            Self::EncodingType { .. } | Self::FittedType { .. } => "MS-0932",
            Self::NoTarget { .. } => "MS-0933",
            Self::Fitted { .. } => "MS-0934",
            Self::Asof(error) => error.code(),
        }
    }

    /// The way out, where there is one for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unsupported { .. } => {
                "choose an aggregation for the column's type, or cast the column in the view's SQL".into()
            }
            Self::NoColumn { aggregation } => format!("name the column, as in `{{{aggregation}: amount}}`"),
            Self::NoSuchColumn { .. } | Self::NoSuchFeature { .. } | Self::FeatureType { .. } => {
                "the definition and its columns come from different versions of the project: check it again"
                    .into()
            }
            Self::Default { data_type, .. } => format!("write the default as a {data_type}"),
            Self::FilterType { .. } => "write `where` as a condition that is true or false".into(),
            Self::EventType { expected, .. } => format!("cast the column to {expected}"),
            Self::TooManyRows { .. } => "join part by part".into(),
            Self::Mismatch | Self::Bytes { .. } => {
                "the view was stored by another definition or version: materialise it again".into()
            }
            Self::EncodingType { .. } => "choose an encoding for the column's type".into(),
            Self::FittedType { expected, .. } => format!("cast the column to {expected}, or fit again"),
            Self::NoTarget { .. } => "name the label column whose mean stands for a category".into(),
            Self::Fitted { .. } => "build the dataset again with this version".into(),
            Self::Asof(error) => return error.hint(),
            Self::Parameter { .. }
            | Self::Encoding { .. }
            | Self::EventColumns { .. }
            | Self::Length { .. }
            | Self::Arrow { .. } => return None,
        })
    }

    pub(crate) fn arrow(action: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { action, source }
    }

    pub(crate) fn bytes(reason: &'static str) -> Self {
        Self::Bytes { reason }
    }
}
