//! What a materialisation is asked for, and what it tells.

use std::{collections::BTreeMap, time::Duration};

use millstream_types::TableName;

use crate::EngineError;

/// Which views to bring up to date.
#[derive(Clone, Debug, Default)]
pub struct MaterializeRequest {
    /// None is every view of the project and of the service versions that are served.
    pub views: Vec<String>,
    /// Compute every entity anew.
    pub full: bool,
    /// Whether nobody else reads or pushes meanwhile: then a view's first records are stored without being looked up.
    pub alone: bool,
    /// No event from this time on is wanted, in microseconds. The store has the events of all times, which windows need,
    /// so a time long past cannot be kept to and is refused.
    pub until: Option<i64>,
    /// The command as typed, for the record.
    pub command: String,
    /// Who asks, where somebody says so.
    pub principal: Option<String>,
}

/// What was done, view by view. One that fails keeps no other from being brought up to date.
#[derive(Debug, Default)]
pub struct Materialized {
    pub reports: Vec<MaterializeReport>,
    pub failures: Vec<MaterializeFailure>,
}

/// A view that could not be brought up to date.
#[derive(Debug)]
pub struct MaterializeFailure {
    /// The view's name, with the versions of services if it is not what the project says now: `orders of churn@1`.
    pub view: String,
    /// Whether it is what the project says now.
    pub is_current: bool,
    pub error: EngineError,
}

impl Materialized {
    /// The reports, if no view failed.
    pub fn complete(self) -> Result<Vec<MaterializeReport>, EngineError> {
        match self.failures.into_iter().next() {
            Some(failure) => Err(failure.error),
            None => Ok(self.reports),
        }
    }
}

/// What was done for a view.
#[derive(Clone, Debug)]
pub struct MaterializeReport {
    /// The view's name, with the versions of services if it is not what the project says now: `orders of churn@1`.
    pub view: String,
    pub mode: MaterializeMode,
    /// Events that were read.
    pub rows: u64,
    /// Events that were left out because the store cannot hold a key as long as theirs.
    pub left_out: u64,
    /// Records that were looked at.
    pub entities: u64,
    pub versions: BTreeMap<TableName, i64>,
    /// The number of the view's materialisation that the records are of.
    pub epoch: u64,
    /// Events that were taken in since the records were made.
    pub rows_total: u64,
    /// Whether the view is what the project says now.
    pub is_current: bool,
    /// Newest event time in microseconds.
    pub watermark: Option<i64>,
    pub elapsed: Duration,
}

/// How much had to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaterializeMode {
    /// Nothing was new.
    UpToDate,
    /// The events of new files.
    Incremental,
    /// Every entity was computed anew.
    Full,
}
