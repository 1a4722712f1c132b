//! What a materialisation is asked for, and what it tells.

use std::{collections::BTreeMap, time::Duration};

use millstream_state::Receipt;
use millstream_types::TableName;

use crate::EngineError;

/// Which views to bring up to date.
#[derive(Clone, Debug, Default)]
pub struct MaterializeRequest {
    /// The views to bring up to date. An empty list means every view of the project and of the service versions that
    /// are served.
    pub views: Vec<String>,
    /// Whether every entity is computed again from all of its events.
    pub full: bool,
    /// Whether nobody else reads or pushes meanwhile: then a view's first records are stored without being looked up.
    pub alone: bool,
    /// The time in microseconds from which on no event is wanted. The store has the events of all times, which windows
    /// need, so a time long past is refused.
    pub until: Option<i64>,
    /// The command as typed, for the record.
    pub command: String,
    /// The name of whoever asks, where it is known.
    pub principal: Option<String>,
}

/// The reports and failures of all views. A view that fails keeps no other view from being brought up to date.
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
    /// Whether the view is what the project says now.
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

/// The report of what was done for one view.
#[derive(Clone, Debug)]
pub struct MaterializeReport {
    /// The view's name, with the versions of services if it is not what the project says now: `orders of churn@1`.
    pub view: String,
    pub mode: MaterializeMode,
    /// The number of events that were read.
    pub rows: u64,
    /// The number of events that were left out because the store cannot hold a key as long as theirs.
    pub left_out: u64,
    /// The number of records that were looked at.
    pub entities: u64,
    /// The proof that each event came to a record or was left out; `None` where nothing was new.
    pub receipt: Option<Receipt>,
    /// The versions of all tables whose events the records have, the table of pushed rows among them.
    pub versions: BTreeMap<TableName, i64>,
    /// The version of the table that the view is computed from, without pushed rows; `None` where a SQL view reads several.
    pub table_version: Option<i64>,
    /// The number of the view's materialisation that the records are of.
    pub epoch: u64,
    /// The number of events that were taken in since the last full materialisation, its own included.
    pub rows_total: u64,
    /// Whether the view is what the project says now.
    pub is_current: bool,
    /// The newest event time in microseconds.
    pub watermark: Option<i64>,
    pub elapsed: Duration,
}

impl MaterializeReport {
    /// The report of two epochs of one materialisation, of which `next` came after this one.
    pub(super) fn followed_by(self, next: Self) -> Self {
        // A full epoch meets the events again that were left out before it.
        let left_out_before = if next.mode == MaterializeMode::Full { 0 } else { self.left_out };
        Self {
            mode: self.mode.max(next.mode),
            rows: self.rows + next.rows,
            left_out: left_out_before + next.left_out,
            entities: self.entities + next.entities,
            receipt: match (self.receipt, next.receipt) {
                (Some(before), Some(next)) => Some(before.joined(next)),
                (before, next) => before.or(next),
            },
            elapsed: self.elapsed + next.elapsed,
            ..next
        }
    }
}

/// How much had to be done, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaterializeMode {
    /// Nothing was new.
    UpToDate,
    /// Only the events of new files were taken in.
    Incremental,
    /// Every entity was computed again from all of its events.
    Full,
}
