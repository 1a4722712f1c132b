//! `status <table> --json`.

use millstream_api::{
    catalog::{AssetState, SchemaState, TableStatusDocument, VersionState},
    figures::Figures,
    runs::LastStep,
};
use millstream_lake::CommitRecord;
use millstream_state::{SchemaVersion, StepOutcome, StepRecord};
use millstream_types::AssetVersion;

use super::{Of, status::instant};
use crate::standing::TableStatus;

impl Of<&TableStatus<'_>> for TableStatusDocument {
    fn of(known: &TableStatus<'_>) -> Self {
        let command = known.run.as_ref().map(|run| run.command.clone());
        Self {
            state: AssetState::of(known.asset),
            last_step: known.asset.last_step.as_ref().map(|step| LastStep { command, ..LastStep::of(step) }),
            schema_versions: known.schemas.iter().map(SchemaState::of).collect(),
            versions: known.versions.iter().map(VersionState::of).collect(),
        }
    }
}

impl Of<&StepRecord> for LastStep {
    fn of(step: &StepRecord) -> Self {
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
            version: step.version.map(AssetVersion::number),
            finished: instant(step.finished),
            elapsed_ms: u64::try_from(step.elapsed.as_millis()).unwrap_or(u64::MAX),
            figures: step.figures.as_ref().map(Figures::of),
        }
    }
}

impl Of<&SchemaVersion> for SchemaState {
    fn of(schema: &SchemaVersion) -> Self {
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

impl Of<&CommitRecord> for VersionState {
    fn of(commit: &CommitRecord) -> Self {
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
