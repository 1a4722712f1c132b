//! What can go wrong in a step, whose fault it is, and whether trying again may help.

use std::time::Duration;

use millstream_connector::{ConnectorError, Retry};
use millstream_lake::LakeError;
use millstream_quality::QualityError;
use millstream_sql::{SqlError, incremental::IncrementalError};
use millstream_state::StateError;
use millstream_types::{SourceName, TableName};

/// A fault of the engine or of a room below it, with the asset or place it concerns.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    #[error("source `{name}` cannot be read")]
    Source {
        name: SourceName,
        #[source]
        source: ConnectorError,
    },
    #[error("the lake failed")]
    Lake(#[source] LakeError),
    #[error("{}", state_failure(.0))]
    State(#[source] StateError),
    #[error("the checks of `{table}` cannot be evaluated")]
    Quality {
        table: TableName,
        #[source]
        source: QualityError,
    },
    #[error("the SQL of `{table}` failed")]
    Sql {
        table: TableName,
        #[source]
        source: SqlError,
    },
    #[error("`{table}` cannot be kept up to date")]
    Incremental {
        table: TableName,
        #[source]
        source: IncrementalError,
    },
    #[error("the query failed")]
    Query(#[source] SqlError),
    #[error("rows of `{table}` cannot be computed")]
    Compute {
        table: TableName,
        #[source]
        source: arrow::error::ArrowError,
    },
    #[error("no asset named `{name}`")]
    UnknownAsset { name: String, nearest: Option<String> },
    #[error("`{table}` has never been built")]
    NeverBuilt { table: TableName },
    #[error(transparent)]
    Plan(millstream_plan::PlanError),
    #[error("`{table}` {message}")]
    Refused { table: TableName, message: String, hint: String },
    #[error("the record of a commit cannot be written")]
    CommitInfo {
        #[source]
        source: serde_json::Error,
    },
    #[error("a worker stopped unexpectedly while {doing}")]
    Worker { doing: &'static str },
    #[error("cancelled")]
    Cancelled,
}

/// A lock that another run holds is no fault of the store.
fn state_failure(error: &StateError) -> &'static str {
    match error {
        StateError::Locked { .. } => "another run is under way",
        _ => "the state store failed",
    }
}

impl From<LakeError> for EngineError {
    fn from(error: LakeError) -> Self {
        Self::Lake(error)
    }
}

impl From<StateError> for EngineError {
    fn from(error: StateError) -> Self {
        Self::State(error)
    }
}

impl From<millstream_plan::PlanError> for EngineError {
    fn from(error: millstream_plan::PlanError) -> Self {
        Self::Plan(error)
    }
}

impl EngineError {
    /// The stable code, `MS-07xx` or that of the room below.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Source { source, .. } => source.code(),
            Self::Lake(error) => error.code(),
            Self::State(error) => error.code(),
            Self::Quality { source, .. } => source.code(),
            Self::Sql { source, .. } | Self::Query(source) => source.code(),
            Self::Incremental { source, .. } => source.code(),
            Self::Compute { .. } => "MS-0701",
            Self::UnknownAsset { .. } => "MS-0702",
            Self::NeverBuilt { .. } => "MS-0703",
            Self::Plan(error) => error.code(),
            Self::Refused { .. } => "MS-0705",
            Self::CommitInfo { .. } => "MS-0706",
            Self::Worker { .. } => "MS-0707",
            Self::Cancelled => "MS-0708",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Source { source, .. } => source.hint().map(str::to_owned),
            Self::Lake(error) => error.hint(),
            Self::State(error) => error.hint(),
            Self::Quality { source, .. } => source.hint(),
            Self::Sql { source, .. } | Self::Query(source) => source.hint(),
            Self::Incremental { source, .. } => source.hint(),
            Self::UnknownAsset { nearest, .. } => Some(nearest.as_ref().map_or_else(
                || "`millstream status` lists the assets".to_owned(),
                |name| format!("did you mean `{name}`?"),
            )),
            Self::NeverBuilt { table } => Some(format!("build it with `millstream run +{table}`")),
            Self::Plan(error) => error.hint(),
            Self::Refused { hint, .. } => Some(hint.clone()),
            Self::Compute { .. } | Self::CommitInfo { .. } | Self::Worker { .. } | Self::Cancelled => None,
        }
    }

    /// `Some` when the same step may succeed later; inside, the wait that the other side asked for.
    #[must_use]
    pub fn retry(&self) -> Option<Option<Duration>> {
        match self {
            Self::Source { source, .. } => match source.retry() {
                Retry::Never => None,
                Retry::After(wait) => Some(wait),
            },
            Self::Lake(error) => error.retryable().then_some(None),
            Self::Sql { source, .. } | Self::Query(source) => source.retryable().then_some(None),
            _ => None,
        }
    }
}
