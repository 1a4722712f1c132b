//! `status <table> --json`.

use millstream_lake::CommitRecord;
use millstream_state::{SchemaVersion, StepOutcome, StepRecord};
use serde::Serialize;
use serde_json::Value;

use super::{AssetState, status::instant};
use crate::standing::TableStatus;

/// All that is known of one table.
#[derive(Clone, Debug, Serialize)]
pub struct TableStatusDocument {
    #[serde(flatten)]
    pub state: AssetState,
    pub last_step: Option<LastStep>,
    /// Of a source's table, oldest first.
    pub schema_versions: Vec<SchemaState>,
    /// The newest commits of the lake, newest first.
    pub versions: Vec<VersionState>,
}

/// The last step that a run had for the table.
#[derive(Clone, Debug, Serialize)]
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
}

/// A schema that landing accepted.
#[derive(Clone, Debug, Serialize)]
pub struct SchemaState {
    pub version: i64,
    pub at: String,
    pub run: Option<String>,
    /// The file that brought the change.
    pub part: Option<String>,
    pub change: String,
    pub columns: Value,
}

/// One commit of the lake.
#[derive(Clone, Debug, Serialize)]
pub struct VersionState {
    pub version: i64,
    pub committed_at: String,
    pub operation: String,
    /// Absent for commits that are not of a run.
    pub run: Option<String>,
    pub rows_written: Option<u64>,
    pub files_added: usize,
    pub files_removed: usize,
}

impl From<&TableStatus<'_>> for TableStatusDocument {
    fn from(known: &TableStatus<'_>) -> Self {
        let command = known.run.as_ref().map(|run| run.command.clone());
        Self {
            state: AssetState::from(known.asset),
            last_step: known
                .asset
                .last_step
                .as_ref()
                .map(|step| LastStep { command, ..LastStep::from(step) }),
            schema_versions: known.schemas.iter().map(SchemaState::from).collect(),
            versions: known.versions.iter().map(VersionState::from).collect(),
        }
    }
}

impl From<&StepRecord> for LastStep {
    fn from(step: &StepRecord) -> Self {
        let (code, message, hint) = match &step.outcome {
            StepOutcome::Built | StepOutcome::Unchanged | StepOutcome::Cancelled => (None, None, None),
            StepOutcome::Halted { reason, hint } => (None, Some(reason.clone()), hint.clone()),
            StepOutcome::Failed { code, error, hint } => {
                (Some(code.clone()), Some(error.clone()), hint.clone())
            }
            StepOutcome::Skipped { because } => (None, Some(because.to_string()), None),
        };
        Self {
            run: step.run.to_string(),
            command: None,
            reason: step.reason.clone(),
            reason_text: step.reason_text.clone(),
            outcome: step.outcome.as_str(),
            code,
            message,
            hint,
            rows_written: step.rows_written,
            rows_deleted: step.rows_deleted,
            rows_rejected: step.rows_rejected,
            version: step.version,
            finished: instant(step.finished),
            elapsed_ms: u64::try_from(step.elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl From<&SchemaVersion> for SchemaState {
    fn from(schema: &SchemaVersion) -> Self {
        Self {
            version: schema.version,
            at: instant(schema.at),
            run: schema.run.as_ref().map(ToString::to_string),
            part: schema.part.clone(),
            change: schema.change.clone(),
            columns: schema.columns.clone(),
        }
    }
}

impl From<&CommitRecord> for VersionState {
    fn from(commit: &CommitRecord) -> Self {
        Self {
            version: commit.version,
            committed_at: instant(commit.committed_at),
            operation: commit.operation.clone(),
            run: commit.info["run"].as_str().map(str::to_owned),
            rows_written: commit.info["rows_written"].as_u64(),
            files_added: commit.files_added,
            files_removed: commit.files_removed,
        }
    }
}
