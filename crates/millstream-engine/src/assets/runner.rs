//! Carries out the steps of one run, each through the family of its asset, and records how they end.

use std::sync::Arc;

use async_trait::async_trait;
use millstream_plan::{AssetStatus, PlannedStep, Recorded};
use millstream_state::{CheckResult, Metric, StepEnd, StepFigures, StepRecord};
use millstream_types::{RunId, TimestampMicros};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::{kind_of, table_of, unknown};
use crate::{
    CheckReport, EngineError, FeatureServer, NextAttempt, Publisher, StepExecutor, StepOutcome, StepReport,
    StepRules,
    engine::{StepContext, World},
    event::ended_well,
    lease::Lease,
    measure::Measures,
    run::StepResult,
    step_log::{self, RunLogs},
};

/// Carries out the steps of one run.
pub(crate) struct StepRunner {
    pub world: Arc<World>,
    pub run: RunId,
    /// The right to write the run's assets.
    pub lease: Arc<Lease>,
    pub full_refresh: bool,
    pub forget_gone: bool,
    /// Whether sources are landed again as a whole too. That is so only when assets were named, so that rebuilding all tables
    /// reads no source again.
    pub relands: bool,
    /// The selection as the user wrote it: a history forgets the states that it has recorded only when it is named itself.
    pub named: Vec<String>,
    pub forced: bool,
    pub events: Publisher,
    pub cancel: CancellationToken,
    pub measures: Measures,
    pub logs: RunLogs,
    /// The online store, once a step has needed it. Only one process can have an embedded store open, and this one keeps it
    /// open until the run is over.
    pub features: OnceCell<FeatureServer>,
}

#[async_trait]
impl StepExecutor for StepRunner {
    async fn attempt(&self, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let facts = self.world.project.graph.get(&step.asset).ok_or_else(|| unknown(&step.asset))?;
        let kind = kind_of(facts)?;
        self.measured(step, kind.attempt(self, step)).await
    }

    fn rules(&self, step: &PlannedStep) -> StepRules {
        self.world.step_rules(&step.asset)
    }

    fn ends_itself(&self, step: &PlannedStep) -> bool {
        let table = table_of(&step.asset).ok();
        let spec = table.as_ref().and_then(|table| self.world.project.table(table));
        spec.is_some_and(|spec| spec.partition.is_some())
    }

    async fn succeeded(&self, step: &PlannedStep) {
        self.world.attempt_ended(&step.asset, &self.events).await;
    }

    async fn failed(&self, step: &PlannedStep, error: &EngineError, wants_another: bool) -> NextAttempt {
        self.world.look_for_damage(error, &self.events).await;
        self.world.attempt_failed(&step.asset, error, wants_another, &self.events).await
    }

    fn held(&self, step: &PlannedStep) -> Option<String> {
        self.world.held_by_circuit(&step.asset)
    }

    async fn record(&self, report: &mut StepReport) -> Result<(), EngineError> {
        let (now, prices) = (self.world.options.clock.now(), self.world.project.spec.prices.as_ref());
        report.figures = Some(self.measures.end(&report.asset, report.receipt, prices, now));
        self.logs.end(&report.asset).await;
        record(&self.world, &self.run, report).await?;
        // Whoever asked for it: what was damaged is whole again.
        if self.full_refresh && ended_well(report) {
            self.world.repaired(&report.asset, &self.events).await;
        }
        Ok(())
    }

    async fn end(&self) -> Result<(), EngineError> {
        match self.features.get() {
            Some(features) => features.close().await,
            None => Ok(()),
        }
    }
}

impl StepRunner {
    /// Makes an attempt at a step whose work is charged to the step.
    pub(crate) async fn measured<T>(
        &self,
        step: &PlannedStep,
        attempt: impl Future<Output = Result<T, EngineError>> + Send,
    ) -> Result<T, EngineError> {
        let now = self.world.options.clock.now();
        let (account, is_first) = self.measures.attempt(step, now);
        if is_first {
            self.world.tell_step_begun(&self.run, &step.asset, &step.reason, now).await?;
        }
        // The span is there whatever the filter lets through, since a warning needs it as much.
        let span = tracing::error_span!("step", run = %self.run, asset = %step.asset);
        self.logs.begin(&step.asset);
        let work = account.charge(Box::pin(attempt.instrument(span.clone())));
        let ended = self.logs.keeping(&step.asset, work).await;
        if let Err(error) = &ended {
            step_log::attempt_failed(&self.run, &step.asset, error);
        }
        span.in_scope(|| match &ended {
            Ok(_) => tracing::debug!("the attempt has ended well"),
            Err(error) => tracing::debug!(code = error.code(), "the attempt has failed"),
        });
        ended
    }

    pub(crate) fn context(&self, step: &PlannedStep) -> StepContext {
        StepContext {
            world: self.world.clone(),
            run: self.run.clone(),
            lease: self.lease.clone(),
            asset: step.asset.clone(),
            reason: step.reason.clone(),
            full_refresh: self.full_refresh,
            forget_gone: self.forget_gone,
            forced: self.forced,
            events: self.events.clone(),
            cancel: self.cancel.clone(),
        }
    }
}

/// Records the end of a step.
pub(super) async fn record(world: &World, run: &RunId, report: &StepReport) -> Result<(), EngineError> {
    let now = world.options.clock.now();
    let recorded = match failure(&report.outcome) {
        Some(status) => Some(failed(world, report, status, now)?),
        None => report.recorded.clone(),
    };
    let step = StepRecord {
        run: run.clone(),
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
        figures: report.figures.clone().map(|figures| of_version(figures, report.recorded.as_ref())),
    };
    let step = step.with_reason(&report.reason);
    let checks: Vec<_> = report.checks.iter().map(check_result).collect();
    let metrics: Vec<_> =
        report.metrics.iter().map(|(name, value)| Metric { name: name.clone(), value: *value }).collect();
    let messages = world.told_of_step(run, report).await;
    let (recorded, messages) = (recorded.as_ref(), messages.as_slice());
    let end = StepEnd { step: &step, recorded, checks: &checks, metrics: &metrics, messages };
    Ok(world.state.record_step(&end).await?)
}

/// The figures with the definition and the inputs of the version that the step leaves.
fn of_version(figures: StepFigures, recorded: Option<&Recorded>) -> StepFigures {
    let Some(recorded) = recorded else { return figures };
    let (definition, inputs) = (Some(recorded.fingerprint.to_string()), recorded.input_versions.clone());
    StepFigures { definition, inputs, ..figures }
}

/// The record of an asset whose attempt failed, for later plans. If the asset was built before, the state store takes only
/// the status from this record.
fn failed(
    world: &World,
    report: &StepReport,
    status: AssetStatus,
    now: TimestampMicros,
) -> Result<Recorded, EngineError> {
    let facts = world.project.graph.get(&report.asset).ok_or_else(|| unknown(&report.asset))?;
    Ok(Recorded {
        fingerprint: facts.fingerprint,
        input_versions: Default::default(),
        version: None,
        rows: None,
        built_at: now,
        status,
    })
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
