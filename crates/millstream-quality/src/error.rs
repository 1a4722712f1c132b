//! What can go wrong in this room. Bad rows are no errors: they are failures of checks.

use arrow::error::ArrowError;
use datafusion::error::DataFusionError;
use millstream_project::Location;
use millstream_types::CheckId;

/// A fault of a contract's definition, or of the machinery under it.
#[derive(Debug, thiserror::Error)]
pub enum QualityError {
    /// A check does not fit the columns. `problem.at` is its place in the project.
    #[error("check `{}` cannot be used: {}", problem.check, problem.message)]
    Check { problem: Box<CheckProblem> },
    /// A column's time zone is not in the time zone database.
    #[error("column `{column}` has the unknown time zone `{zone}`")]
    Zone { column: String, zone: String },
    /// A column that passes untouched arrived with another type than it was declared with.
    #[error("column `{column}` arrived as {found}, expected was {expected}")]
    ColumnType { column: String, found: String, expected: String },
    /// A batch lacks a column that the operation needs.
    #[error("the rows have no column `{column}`")]
    ColumnMissing { column: String },
    /// A stored rejected row is not the JSON object that it was written as.
    #[error("rejected row {row} cannot be read back")]
    RejectedRow {
        row: usize,
        #[source]
        source: serde_json::Error,
    },
    /// An Arrow kernel failed; no input value can cause this.
    #[error("cannot {doing}")]
    Arrow {
        doing: &'static str,
        #[source]
        source: ArrowError,
    },
    /// A query over the table failed: its files cannot be read, or memory ran out.
    #[error("cannot {doing}")]
    Query {
        doing: String,
        #[source]
        source: Box<DataFusionError>,
    },
}

impl QualityError {
    /// Stable code for people and for searching.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Check { .. } => "MS-0501",
            Self::Zone { .. } => "MS-0502",
            Self::ColumnType { .. } => "MS-0503",
            Self::ColumnMissing { .. } => "MS-0504",
            Self::RejectedRow { .. } => "MS-0505",
            Self::Arrow { .. } => "MS-0506",
            Self::Query { .. } => "MS-0507",
        }
    }

    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Check { problem } => problem.hint.clone(),
            Self::Zone { .. } => {
                Some("write a name of the IANA time zone database, as in `timestamp(Europe/Berlin)`".into())
            }
            Self::ColumnType { column, .. } => {
                Some(format!("declare `{column}` in the contract, so that its values are converted"))
            }
            Self::ColumnMissing { .. }
            | Self::RejectedRow { .. }
            | Self::Arrow { .. }
            | Self::Query { .. } => None,
        }
    }

    pub(crate) fn arrow(doing: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { doing, source }
    }

    pub(crate) fn query(doing: impl Into<String>) -> impl FnOnce(DataFusionError) -> Self {
        move |source| Self::Query { doing: doing.into(), source: Box::new(source) }
    }
}

/// Why a check cannot be used on these columns, with its place in the project.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckProblem {
    pub check: CheckId,
    pub at: Location,
    pub message: String,
    pub hint: Option<String>,
}
