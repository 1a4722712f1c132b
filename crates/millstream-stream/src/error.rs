//! What can go wrong in this room.

use arrow::{datatypes::DataType, error::ArrowError};
use millstream_features::FeatureError;

/// A pipeline that cannot be built, rows that do not fit it, or stored state that is not its own. Values in the data never fail: a
/// row that cannot take part comes out as [`crate::Refused`].
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    #[error("`{stage}` reads the column `{column}`, which its input does not have")]
    NoSuchColumn { stage: String, column: String },
    #[error("`{stage}` cannot use the column `{column}` of type {data_type} as {role}")]
    ColumnType { stage: String, column: String, data_type: DataType, role: &'static str },
    #[error("`{stage}` would give two columns the name `{column}`")]
    DuplicateColumn { stage: String, column: String },
    /// A length, a bound or a combination of them that has no meaning.
    #[error("`{stage}`: {reason}")]
    Parameter { stage: String, reason: String },
    /// The stages do not form one tree with one result.
    #[error("`{stage}` {reason}")]
    Shape { stage: String, reason: &'static str },
    #[error("`{stage}` cannot aggregate")]
    Aggregate {
        stage: String,
        #[source]
        source: FeatureError,
    },
    /// Rows came that do not have the columns and types that were declared.
    #[error("the rows at `{stage}` have the columns {found}, declared are {expected}")]
    Schema { stage: String, expected: String, found: String },
    #[error("`{stage}` has {partitions} partitions, rows came for number {partition}")]
    NoSuchPartition { stage: String, partition: u32, partitions: u32 },
    #[error("rows came for partition {partition} of `{stage}`, which has ended")]
    Ended { stage: String, partition: u32 },
    #[error("`{stage}` is no source: rows come in at a source")]
    NoSuchSource { stage: String },
    /// State is read into a pipeline that has done nothing yet.
    #[error("state was read into a pipeline that has taken rows in")]
    NotFresh,
    /// What an error left behind is unknown: a pipeline is restored after one.
    #[error("the pipeline has failed before: restore it from its last state")]
    Failed,
    /// The outputs of the former call have not been taken.
    #[error("rows came before all outputs of the former ones were taken")]
    Busy,
    #[error("the expression of `{stage}` failed")]
    Expression {
        stage: String,
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The state was written by another definition of the pipeline.
    #[error("the stored state belongs to another definition of this pipeline")]
    OtherDefinition,
    #[error("the stored state is of format {found}, this version reads {known}")]
    Format { found: u16, known: u16 },
    #[error("the stored state is damaged: {reason}")]
    Damaged { reason: &'static str },
    #[error("Arrow could not {action}")]
    Arrow {
        action: &'static str,
        #[source]
        source: ArrowError,
    },
}

impl StreamError {
    /// The stable code of the message; [`crate::CODES`] explains each.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoSuchColumn { .. } | Self::ColumnType { .. } | Self::DuplicateColumn { .. } => "MS-1330",
            Self::Parameter { .. } | Self::Shape { .. } => "MS-1331",
            Self::Aggregate { .. } => "MS-1332",
            Self::Schema { .. } => "MS-1333",
            Self::NoSuchPartition { .. }
            | Self::Ended { .. }
            | Self::NoSuchSource { .. }
            | Self::Busy
            | Self::NotFresh
            | Self::Failed => "MS-1334",
            Self::Expression { .. } => "MS-1335",
            Self::OtherDefinition | Self::Format { .. } | Self::Damaged { .. } => "MS-1336",
            Self::Arrow { .. } => "MS-1337",
        }
    }

    /// The way out, where there is one for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NoSuchColumn { .. } => "name a column of the stage before it".into(),
            Self::ColumnType { column, role, .. } => format!("cast `{column}` before it is used as {role}"),
            Self::DuplicateColumn { column, .. } => {
                format!("give one of the columns `{column}` another name")
            }
            Self::Aggregate { source, .. } => return source.hint(),
            Self::Schema { .. } => "cast or rename the columns before they come to the pipeline".into(),
            Self::OtherDefinition => {
                "build the state of the changed definition beside the old one, by a replay".into()
            }
            Self::Format { .. } => "run the version that wrote it, or replay".into(),
            Self::Damaged { .. } => "restore an earlier state, or replay from the log".into(),
            Self::Parameter { .. }
            | Self::Shape { .. }
            | Self::NoSuchPartition { .. }
            | Self::Ended { .. }
            | Self::NoSuchSource { .. }
            | Self::Busy
            | Self::NotFresh
            | Self::Failed
            | Self::Expression { .. }
            | Self::Arrow { .. } => return None,
        })
    }

    pub(crate) fn arrow(action: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { action, source }
    }

    pub(crate) fn damaged(reason: &'static str) -> Self {
        Self::Damaged { reason }
    }

    pub(crate) fn parameter(stage: &str, reason: impl Into<String>) -> Self {
        Self::Parameter { stage: stage.into(), reason: reason.into() }
    }
}
