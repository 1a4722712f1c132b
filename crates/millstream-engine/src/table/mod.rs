//! One step of a run: which asset it is, whether it is still needed, and who does the work.

mod build;
mod delta;
mod inputs;
mod widened;

use std::sync::Arc;

use async_trait::async_trait;
use millstream_plan::{AssetStatus, PlannedStep, Reason, Recorded};
use millstream_project::{Materialize, TableSpec};
use millstream_state::{CheckResult, Metric, StepEnd, StepRecord};
use millstream_types::{AssetId, RunId, TableName, TimestampMicros};
use tokio_util::sync::CancellationToken;

use crate::{
    CheckReport, EngineError, Observer, StepExecutor, StepOutcome, StepReport,
    engine::{StepContext, World},
    landing,
    lease::Lease,
    run::StepResult,
};

pub(crate) use build::upkeep;
pub(crate) use inputs::is_gone;

/// Carries out the steps of one run.
pub(crate) struct StepRunner {
    pub world: Arc<World>,
    pub run: RunId,
    /// The right to write the run's assets.
    pub lease: Arc<Lease>,
    pub full_refresh: bool,
    pub forget_gone: bool,
    /// Whether sources are landed anew too: only when they were selected, so that rebuilding all tables reads no
    /// source again.
    pub relands: bool,
    /// What was asked for, as it was written: a history forgets what it has recorded only when it is named itself.
    pub named: Vec<String>,
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
            let context = StepContext { full_refresh: self.relands, ..context };
            return landing::land(&context, source).await.map_err(|error| project.told_of(&table, error));
        }
        match project.table(&table) {
            Some(spec) => {
                let context = StepContext { full_refresh: self.computes_anew(spec), ..context };
                let built = build::build(&context, spec, self.must_build(&step.reason)).await;
                built.map_err(|error| project.told_of(&table, error))
            }
            None => Err(unknown(&step.asset)),
        }
    }

    async fn record(&self, report: &StepReport) -> Result<(), EngineError> {
        let now = self.world.options.clock.now();
        let recorded = match failure(&report.outcome) {
            Some(status) => Some(self.failed(report, status, now)?),
            None => report.recorded.clone(),
        };
        let step = StepRecord {
            run: self.run.clone(),
            asset: report.asset.clone(),
            reason: String::new(),
            reason_text: String::new(),
            outcome: report.outcome.clone(),
            rows_written: report.rows_written,
            rows_deleted: report.rows_deleted,
            rows_rejected: report.rows_rejected,
            version: report.version,
            finished: now,
            elapsed: report.elapsed,
        };
        let step = step.with_reason(&report.reason);
        let checks: Vec<_> = report.checks.iter().map(check_result).collect();
        let metrics: Vec<_> =
            report.metrics.iter().map(|(name, value)| Metric { name: name.clone(), value: *value }).collect();
        let end = StepEnd { step: &step, recorded: recorded.as_ref(), checks: &checks, metrics: &metrics };
        Ok(self.world.state.record_step(&end).await?)
    }
}

impl StepRunner {
    /// Whether the table's rows go and come again. The states of a history come from nowhere again.
    fn computes_anew(&self, spec: &TableSpec) -> bool {
        let is_kept = matches!(spec.materialize, Materialize::History { .. })
            && !self.named.iter().any(|name| *name == spec.name.to_string());
        self.full_refresh && !is_kept
    }

    /// Whether the step must do its work even if its inputs turn out unchanged.
    fn must_build(&self, reason: &Reason) -> bool {
        self.forced || self.full_refresh || !matches!(reason, Reason::NewInput { .. } | Reason::Stale)
    }

    /// What the plan is to see of an asset whose attempt failed. Of an asset that was built before, the state
    /// store takes over the status alone.
    fn failed(
        &self,
        report: &StepReport,
        status: AssetStatus,
        now: TimestampMicros,
    ) -> Result<Recorded, EngineError> {
        let facts = self.world.project.graph.get(&report.asset).ok_or_else(|| unknown(&report.asset))?;
        Ok(Recorded {
            fingerprint: facts.fingerprint,
            input_versions: Default::default(),
            version: None,
            rows: None,
            built_at: now,
            status,
        })
    }
}

pub(crate) fn check_result(check: &CheckReport) -> CheckResult {
    CheckResult {
        check: check.check.clone(),
        severity: check.severity,
        passed: check.passed,
        failed: check.failed,
        observed: check.observed.clone(),
    }
}

fn failure(outcome: &StepOutcome) -> Option<AssetStatus> {
    match outcome {
        StepOutcome::Halted { reason, .. } => Some(AssetStatus::Halted { reason: reason.clone() }),
        StepOutcome::Failed { code, error, .. } => {
            Some(AssetStatus::Failed { code: code.clone(), error: error.clone() })
        }
        StepOutcome::Built
        | StepOutcome::Unchanged
        | StepOutcome::Skipped { .. }
        | StepOutcome::Cancelled => None,
    }
}

pub(crate) fn table_of(asset: &AssetId) -> Result<TableName, EngineError> {
    asset.as_str().parse().map_err(|_| unknown(asset))
}

fn unknown(asset: &AssetId) -> EngineError {
    EngineError::UnknownAsset { name: asset.to_string(), nearest: None }
}
