//! What the endpoints of pipelines ask of the rest of Millstream.

use std::{fmt, str::FromStr};

use arrow::array::RecordBatch;
use async_trait::async_trait;
use millstream_api::pipelines::PipelinesAnswer;

use crate::error::ApiError;

/// What is kept up to date from events as they arrive.
#[async_trait]
pub trait PipelineBackend: Send + Sync + 'static {
    /// The pipelines that this process keeps, in the order of their names.
    async fn pipelines(&self) -> Result<PipelinesAnswer, ApiError>;

    /// Follows a table: the rows that became visible after a place, or that will from now on.
    ///
    /// # Errors
    ///
    /// [`crate::ErrorKind::UnknownAsset`] when no table of this name is there; [`crate::ErrorKind::Invalid`] when the place is none of the table.
    async fn follow(&self, table: &str, after: Option<RowPlace>) -> Result<Box<dyn TableFollower>, ApiError>;
}

/// Gives the rows of a table as they become visible.
#[async_trait]
pub trait TableFollower: Send {
    /// The next rows, which are waited for.
    ///
    /// # Errors
    ///
    /// Nothing follows after an error, such as that the rows are kept no longer.
    async fn next(&mut self) -> Result<CommittedRows, ApiError>;
}

/// Rows that one commit made visible, or a part of them.
#[derive(Clone, Debug)]
pub struct CommittedRows {
    /// The place of the first of the rows; the others follow it.
    pub first: RowPlace,
    pub rows: RecordBatch,
}

/// The place of a row among those that became visible in a table, as text `12-340`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowPlace {
    /// The version that made it visible.
    pub version: i64,
    /// Its number among the rows of that version, from 0.
    pub row: u64,
}

impl fmt::Display for RowPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.version, self.row)
    }
}

impl FromStr for RowPlace {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (version, row) = text.split_once('-').ok_or(())?;
        let version = version.parse().ok().filter(|version| *version >= 0).ok_or(())?;
        Ok(Self { version, row: row.parse().map_err(|_| ())? })
    }
}
