//! One step of a run: which asset it is, whether it is still needed, and who does the work.

mod build;
mod delta;
mod inputs;

use std::sync::Arc;

use async_trait::async_trait;
use millstream_plan::{AssetStatus, PlannedStep, Reason, Recorded};
use millstream_state::StepRecord;
use millstream_types::{AssetId, RunId, TableName};
use tokio_util::sync::CancellationToken;

use crate::{
    EngineError, Observer, StepExecutor, StepOutcome, StepReport,
    engine::{StepContext, World},
    landing,
    run::StepResult,
};

/// Carries out the steps of one run.
pub(crate) struct StepRunner {
    pub world: Arc<World>,
    pub run: RunId,
    pub full_refresh: bool,
    pub forced: bool,
    pub observer: Arc<dyn Observer>,
    pub cancel: CancellationToken,
}

#[async_trait]
impl StepExecutor for StepRunner {
    async fn attempt(&self, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let context = self.context(step);
        let table = table_of(&step.asset)?;
        let project = self.world.project.clone();
        if let Some(source) = project.source(&table) {
            return landing::land(&context, source).await;
        }
        match project.table(&table) {
            Some(spec) => build::build(&context, spec, self.must_build(&step.reason)).await,
            None => Err(unknown(&step.asset)),
        }
    }

    fn record(&self, report: &StepReport) -> Result<(), EngineError> {
        let now = self.world.options.clock.now();
        self.world.state.record_step(&self.run, &StepRecord::from_report(report), now)?;
        if let Some(status) = failure(&report.outcome) {
            self.record_failure(report, status)?;
        }
        Ok(())
    }
}

impl StepRunner {
    /// Whether the step must do its work even if its inputs turn out unchanged.
    fn must_build(&self, reason: &Reason) -> bool {
        self.forced || self.full_refresh || !matches!(reason, Reason::NewInput { .. })
    }

    /// What was built stays on record; only the status says that the last attempt failed.
    fn record_failure(&self, report: &StepReport, status: AssetStatus) -> Result<(), EngineError> {
        let state = &self.world.state;
        let facts = self.world.project.graph.get(&report.asset).ok_or_else(|| unknown(&report.asset))?;
        let recorded = state.asset(&report.asset)?.unwrap_or_else(|| Recorded {
            fingerprint: facts.fingerprint,
            input_versions: Default::default(),
            version: None,
            rows: None,
            built_at: self.world.options.clock.now(),
            status: AssetStatus::Built,
        });
        Ok(state.record_asset(&report.asset, &Recorded { status, ..recorded })?)
    }
}

fn failure(outcome: &StepOutcome) -> Option<AssetStatus> {
    match outcome {
        StepOutcome::Halted { reason, .. } => Some(AssetStatus::Halted { reason: reason.clone() }),
        StepOutcome::Failed { code, error, .. } => {
            Some(AssetStatus::Failed { code: (*code).to_owned(), error: error.clone() })
        }
        StepOutcome::Built | StepOutcome::Unchanged | StepOutcome::Skipped { .. } | StepOutcome::Cancelled => {
            None
        }
    }
}

fn table_of(asset: &AssetId) -> Result<TableName, EngineError> {
    asset.as_str().parse().map_err(|_| unknown(asset))
}

fn unknown(asset: &AssetId) -> EngineError {
    EngineError::UnknownAsset { name: asset.to_string(), nearest: None }
}
