//! What work tells while it goes on, and what it leaves behind. The CLI draws these events; `--json` and the server print
//! them.

mod bus;
mod meter;

use std::time::Duration;

use millstream_plan::{Reason, Recorded};
use millstream_state::{Receipt, RunOutcome, StepFigures, StepOutcome};
use millstream_types::{AssetId, AssetVersion, CheckId, RunId, Severity, TableName};

use crate::{ErrorClass, PipelineTold, StepResult};

pub use bus::{EventBus, Heard, Observer, Publisher, Subscription, Work, WorkChange, WorkEvent, WorkId};
pub(crate) use meter::{Figures, StepMeter};

/// One thing that happened.
#[derive(Clone, Debug)]
pub enum Event {
    /// Others are at work on the assets, which are waited for; told at first, and again where it is somebody else after a while.
    Waiting {
        /// Who works on which asset, and since when.
        because: String,
    },
    RunStarted {
        run: RunId,
        steps: Vec<PlannedAsset>,
    },
    StepStarted {
        asset: AssetId,
        reason: Reason,
    },
    /// Figures so far; sent at most a few times a second.
    StepProgress(StepProgress),
    /// Something worth a line that changes no outcome: a file that waits, a schema change that was accepted.
    StepNote {
        asset: AssetId,
        note: String,
    },
    StepRetry {
        asset: AssetId,
        attempt: u32,
        wait: Duration,
        error: String,
    },
    StepFinished(Box<StepReport>),
    RunFinished(RunReport),
    /// Something is wrong that a person may want to know of, or is right again: told once when it begins, and once when it is over.
    Alarm {
        /// What it is about: a circuit, an asset.
        about: String,
        message: String,
        is_over: bool,
    },
    /// A table was compacted, or left as it is for a reason.
    TableMaintained(MaintenanceReport),
    /// Something happened in a pipeline.
    Pipeline(PipelineTold),
}

/// How far a step is.
#[derive(Clone, Debug)]
pub struct StepProgress {
    pub asset: AssetId,
    /// What is worked on within the step, where there is more to say than its asset: a phase of a dataset's build, a definition
    /// of a view that only versions of services still have.
    pub doing: Option<String>,
    /// The rows of the whole step so far, which never go down within one attempt.
    pub rows: u64,
    /// The rows at which the step ends, once that is known.
    pub rows_total: Option<u64>,
    pub bytes: u64,
    pub bytes_total: Option<u64>,
}

/// An asset that the plan means to run.
#[derive(Clone, Debug)]
pub struct PlannedAsset {
    pub asset: AssetId,
    pub reason: Reason,
}

/// The end of one step.
#[derive(Clone, Debug)]
pub struct StepReport {
    pub asset: AssetId,
    pub reason: Reason,
    pub outcome: StepOutcome,
    /// The class of the error with which the step failed; `None` of one that ended otherwise.
    pub class: Option<ErrorClass>,
    /// Rows that became visible: appended, merged or rebuilt.
    pub rows_written: u64,
    pub rows_deleted: u64,
    /// Rows that went to the table of rejected rows.
    pub rows_rejected: u64,
    /// The table's version after the step; `None` for views and where nothing was ever committed.
    pub version: Option<AssetVersion>,
    pub checks: Vec<CheckReport>,
    /// What the next plan is to see of the asset, of a step that was built, found nothing to do, or was told to end when it had
    /// done a part of its work.
    pub recorded: Option<Recorded>,
    /// Figures to remember, by name.
    pub metrics: Vec<(String, f64)>,
    pub elapsed: Duration,
    /// The proof of the step's rows, where it has moved rows that can be counted.
    pub receipt: Option<Receipt>,
    /// What was measured of the step; `None` until it is recorded.
    pub figures: Option<StepFigures>,
}

impl StepReport {
    pub(crate) fn of(asset: AssetId, reason: Reason, result: StepResult, elapsed: Duration) -> Self {
        Self {
            asset,
            reason,
            outcome: result.outcome,
            class: None,
            rows_written: result.rows_written,
            rows_deleted: result.rows_deleted,
            rows_rejected: result.rows_rejected,
            version: result.version,
            checks: result.checks,
            recorded: result.recorded,
            metrics: result.metrics,
            elapsed,
            receipt: result.receipt,
            figures: None,
        }
    }
}

/// The check under which a landing tells how many parts it could not read. The others land and steps behind them run, but
/// the run has not succeeded.
pub(crate) const READABLE: &str = "readable";

/// What one check found.
#[derive(Clone, Debug)]
pub struct CheckReport {
    pub check: CheckId,
    pub severity: Severity,
    /// Rows that broke a row check; 0 or 1 for a table check.
    pub failed: u64,
    /// Rows that were kept out for it first, so that each rejected row counts once.
    pub rejected: u64,
    pub passed: bool,
    /// The figure that was compared, as text (`12.5 %`, `3 rows`), where there is one.
    pub observed: Option<String>,
    /// What a failed table check found and expected: `the table has 2 rows: the minimum is 5`.
    pub message: Option<String>,
}

/// The end of a run.
#[derive(Clone, Debug)]
pub struct RunReport {
    pub run: RunId,
    pub steps: Vec<StepReport>,
    /// Assets that were selected and up to date.
    pub up_to_date: usize,
    pub elapsed: Duration,
    pub cancelled: bool,
    /// Whether the run ended before all of its steps had, because of an error that is none of a step.
    pub broke_off: bool,
    /// The versions that readers have from this run on although none of its steps made them: an earlier run did, and ended
    /// before it could publish them.
    pub caught_up: Vec<(AssetId, AssetVersion)>,
}

impl RunReport {
    pub(crate) fn outcome(&self) -> RunOutcome {
        match (self.cancelled, self.succeeded()) {
            (true, _) => RunOutcome::Cancelled,
            (false, true) => RunOutcome::Succeeded,
            (false, false) => RunOutcome::Failed,
        }
    }

    /// Whether every step of a table ended well, so that what they made belongs together. What is made of tables, online or as
    /// a dataset, holds none of them back.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let mut tables = self.steps.iter().filter(|step| step.asset.kind().is_none());
        !self.cancelled && !self.broke_off && tables.all(ended_well)
    }

    /// Whether the steps that did not end well were told to end, and have recorded what they had done by then.
    pub(crate) fn is_cut_short(&self) -> bool {
        let is_recorded =
            |step: &StepReport| matches!(step.outcome, StepOutcome::Cancelled) && step.recorded.is_some();
        !self.broke_off && self.steps.iter().all(|step| ended_well(step) || is_recorded(step))
    }

    /// Whether every step ended well and read all that there was; rejected rows alone are no failure.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        let read_all = |step: &StepReport| {
            step.checks.iter().all(|check| check.passed || check.check.as_str() != READABLE)
        };
        !self.cancelled && !self.broke_off && self.steps.iter().all(|step| ended_well(step) && read_all(step))
    }
}

pub(crate) fn ended_well(step: &StepReport) -> bool {
    matches!(step.outcome, StepOutcome::Built | StepOutcome::Unchanged)
}

/// A table's share in a maintenance run.
#[derive(Clone, Debug)]
pub struct MaintenanceReport {
    pub table: TableName,
    pub files_compacted: u64,
    pub files_written: u64,
    pub files_deleted: u64,
    pub bytes_freed: u64,
    /// Version of the checkpoint that was written, if any.
    pub checkpoint: Option<i64>,
    /// Why something was left: a pin, a younger file.
    pub notes: Vec<String>,
}

impl MaintenanceReport {
    /// Nothing was done to the table, for the reason that `note` gives.
    pub(crate) fn left_alone(table: &TableName, note: String) -> Self {
        Self {
            table: table.clone(),
            files_compacted: 0,
            files_written: 0,
            files_deleted: 0,
            bytes_freed: 0,
            checkpoint: None,
            notes: vec![note],
        }
    }
}
