//! Plans and runs: what would run, what happens while it runs, and how it ended.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    figures::{Cost, Figures},
    maintain::MaintainedTable,
    pipelines::PipelineEvent,
};

/// What would run, in order.
#[derive(Clone, Debug, Serialize)]
pub struct PlanDocument {
    pub steps: Vec<PlannedStep>,
    /// Selected assets that need nothing.
    pub up_to_date: Vec<String>,
    /// Selected assets that would run if the command named them, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<PlannedStep>,
}

/// One asset that runs.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct PlannedStep {
    pub asset: String,
    #[serde(flatten)]
    pub cause: Cause,
    /// In a plan, of an incremental table or a history: what a change of its inputs costs, and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upkeep: Option<String>,
}

/// Why an asset runs: a stable word, and what it refers to.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Cause {
    /// `never_built`, `vanished`, `definition_changed`, `unreadable`, `new_input`, `stale`, `forced`, `retry`,
    /// `up_to_date`.
    pub reason: &'static str,
    /// The inputs or parts that are new, what cannot be read, or, in a plan, the option that forces it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub because_of: Vec<String>,
    /// In a plan: how the last attempt at an asset ended that was never built.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_attempt: Option<String>,
}

/// One thing that happened in a run, or in other work. `event` says which.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum RunEvent {
    /// Others are at work on the assets, which are waited for.
    Waiting {
        /// Who works on which asset, and since when.
        because: String,
    },
    RunStarted {
        run: String,
        steps: Vec<PlannedStep>,
    },
    StepStarted {
        asset: String,
        #[serde(flatten)]
        cause: Cause,
    },
    StepProgress {
        asset: String,
        /// What is worked on within the step, where there is more to say than its asset: a phase of a dataset's build, a
        /// definition of a view that only versions of services still have.
        #[serde(skip_serializing_if = "Option::is_none")]
        doing: Option<String>,
        /// The rows of the step so far; what is read more than once within it counts each time.
        rows: u64,
        /// Known of some steps, and of a dataset's only while it is written.
        #[serde(skip_serializing_if = "Option::is_none")]
        rows_total: Option<u64>,
        bytes: u64,
        bytes_total: Option<u64>,
    },
    StepNote {
        asset: String,
        note: String,
    },
    StepRetry {
        asset: String,
        attempt: u32,
        wait_ms: u64,
        error: String,
    },
    /// Something is wrong that a person may want to know of, or is right again.
    Alarm {
        /// A connection, or `source:…` for a source without one.
        about: String,
        message: String,
        is_over: bool,
    },
    /// The end of a step, told once of each. A step that never began was not told to begin either: it is `skipped` because of one
    /// before it, or, in a run that is told to end, `cancelled`.
    StepFinished(StepResult),
    RunFinished(RunSummary),
    TableMaintained(MaintainedTable),
    Pipeline(PipelineEvent),
}

/// The end of one step.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct StepResult {
    pub asset: String,
    #[serde(flatten)]
    pub cause: Cause,
    /// `built`, `unchanged`, `halted`, `failed`, `skipped`, `cancelled`.
    pub outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// Why it halted or failed, or which asset it was skipped for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    pub version: Option<i64>,
    pub checks: Vec<CheckResult>,
    pub elapsed_ms: u64,
}

/// What one check found.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct CheckResult {
    pub check: String,
    pub severity: &'static str,
    pub passed: bool,
    pub failed: u64,
    pub observed: Option<String>,
    /// What a failed table check found and expected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The end of a run; the steps were reported one by one.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunSummary {
    pub run: String,
    pub succeeded: bool,
    pub cancelled: bool,
    pub steps: usize,
    pub up_to_date: usize,
    pub rows_written: u64,
    pub rows_rejected: u64,
    pub elapsed_ms: u64,
}

/// A run as it is remembered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LastRun {
    pub run: String,
    pub command: String,
    /// When somebody asked for the run, or when it was due; absent where nobody knows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<String>,
    pub started: String,
    pub finished: Option<String>,
    /// `succeeded`, `failed`, `cancelled`, `interrupted`; absent while it runs.
    pub outcome: Option<&'static str>,
}

/// A step as it is remembered.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LastStep {
    pub run: String,
    /// The run's command line; absent when the run is forgotten.
    pub command: Option<String>,
    /// The stable word, as in a plan.
    pub reason: String,
    pub reason_text: String,
    /// `built`, `unchanged`, `halted`, `failed`, `skipped`, `cancelled`.
    pub outcome: &'static str,
    pub code: Option<String>,
    /// Why it halted or failed, or which asset it was skipped for.
    pub message: Option<String>,
    pub hint: Option<String>,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    pub version: Option<i64>,
    pub finished: String,
    pub elapsed_ms: u64,
    /// What was measured; absent where nothing was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub figures: Option<Figures>,
}

/// What is to run, as the command `run` takes it.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RunBody {
    /// Selections such as `silver.orders`, `+orders`, `tag:x`; everything if left out.
    pub selection: Vec<String>,
    /// What is left out of it, written in the same way.
    pub exclude: Vec<String>,
    /// Rebuild the selected tables from the whole of their inputs; sources are landed anew only when a selection is given.
    pub full_refresh: bool,
    /// With `full_refresh` and a selection: forget the rows of parts that are gone from their source, instead of refusing.
    pub forget_gone: bool,
    /// Run what is selected even when it is up to date.
    pub force: bool,
    /// How many steps run at once.
    #[schema(minimum = 1)]
    pub concurrency: Option<usize>,
    /// Wait while others work on what is selected, instead of being refused; what the command calls `--wait`.
    pub wait_for_others: bool,
}

/// The newest runs first.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunsAnswer {
    pub runs: Vec<RunInfo>,
}

/// A run as the state store remembers it.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunInfo {
    #[serde(flatten)]
    pub run: LastRun,
    /// Who asked for it over HTTP; absent for a run of the command line.
    pub principal: Option<String>,
}

/// A run with its steps, in the order in which they ended.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunDetail {
    #[serde(flatten)]
    pub run: RunInfo,
    pub steps: Vec<RunStep>,
    /// The steps that decided how long the run took, each of which waited for the one before.
    pub critical_path: Vec<String>,
    /// What all steps cost together; absent where no step has a cost.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cost: Option<Cost>,
    /// The versions that readers took once the run was over, by asset; absent when it published none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub set: Option<BTreeMap<String, i64>>,
    /// What the steps noted and logged, by asset and in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub log: Vec<LogLine>,
}

/// A line of the log of a step.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct LogLine {
    pub asset: String,
    pub at: String,
    /// `trace`, `debug`, `info`, `warn`, `error`.
    pub level: &'static str,
    pub message: String,
}

/// A step of a run.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct RunStep {
    pub asset: String,
    #[serde(flatten)]
    pub step: LastStep,
}
