//! Work on assets that a command asks for by itself, outside of a plan: leased and recorded as a run of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_plan::Reason;
use millstream_types::{AssetId, RunId, TimestampMicros};
use millstream_usage::Account;
use tokio_util::sync::CancellationToken;
use tracing::Instrument;

use super::runner;
use crate::{
    EngineError, Event, PlannedAsset, Publisher, RunReport, StepOutcome, StepReport,
    engine::World,
    event::ended_well,
    lease::Lease,
    measure::figures,
    run::{StepResult, failed_outcome},
    step_log::{self, RunLogs},
};

/// The work that a command is about to do.
pub(crate) struct Apart<'a> {
    /// The command as typed, for the record.
    pub command: &'a str,
    /// Who asks, where somebody says so.
    pub principal: Option<&'a str>,
    /// The assets that the work writes.
    pub assets: &'a [AssetId],
    /// How long to wait for others to be done with the assets before refusing.
    pub wait: Duration,
}

/// A run of its own that has begun. It has to be ended, whatever happens in it.
pub(crate) struct ApartRun<'a> {
    /// Cancelled when the work is to end before it is done, and when the assets are another's.
    pub cancel: CancellationToken,
    world: &'a Arc<World>,
    assets: &'a [AssetId],
    lease: Arc<Lease>,
    run: RunId,
    events: &'a Publisher,
    /// When the work was asked for, which then waited for its assets.
    asked: TimestampMicros,
    started: Instant,
    steps: Vec<StepReport>,
    logs: RunLogs,
}

/// Leases the assets, and records that a run on them has begun.
pub(crate) async fn begin<'a>(
    world: &'a Arc<World>,
    apart: Apart<'a>,
    events: &'a Publisher,
    cancel: &CancellationToken,
) -> Result<ApartRun<'a>, EngineError> {
    let Apart { command, principal, assets, wait } = apart;
    let asked = world.options.clock.now();
    let lease = world.lease(command, assets, wait, events, cancel).await?;
    let run = match world.begin_run(command, principal, asked, &lease).await {
        Ok(run) => run,
        Err(error) => {
            lease.end().await;
            return Err(error);
        }
    };
    let (cancel, started) = (lease.cancel.clone(), Instant::now());
    let logs = RunLogs::new(run.clone(), world.state.clone(), world.options.clock.clone());
    let begun =
        ApartRun { cancel, world, assets, lease, run, events, asked, started, steps: Vec::new(), logs };
    let planned = |asset: &AssetId| PlannedAsset { asset: asset.clone(), reason: Reason::Forced };
    let steps = begun.planned().map(planned).collect();
    events.publish(Event::RunStarted { run: begun.run.clone(), steps });
    Ok(begun)
}

impl ApartRun<'_> {
    /// Does the work of one step, records how it ended, and tells of both. The step of work that gives an error has failed.
    pub(crate) async fn step<T>(
        &mut self,
        asset: &AssetId,
        work: impl Future<Output = Result<(T, StepResult), EngineError>>,
    ) -> Result<T, EngineError> {
        let (started, began) = (Instant::now(), self.world.options.clock.now());
        self.events.publish(Event::StepStarted { asset: asset.clone(), reason: Reason::Forced });
        let account = Account::default();
        self.world.tell_step_begun(&self.run, asset, &Reason::Forced, began).await?;
        self.logs.begin(asset);
        let span = tracing::error_span!("step", run = %self.run, %asset);
        let work = account.charge(Box::pin(work.instrument(span)));
        let (done, result) = match self.logs.keeping(asset, work).await {
            Ok((value, result)) => (Ok(value), result),
            Err(error) => {
                step_log::attempt_failed(&self.run, asset, &error);
                let failed = StepResult::without_rows(failed_outcome(&error), None);
                (Err(error), failed)
            }
        };
        let mut report = StepReport::of(asset.clone(), Reason::Forced, result, started.elapsed());
        self.logs.end(asset).await;
        let prices = self.world.project.spec.prices.as_ref();
        report.figures = Some(figures(&account, (self.asked, began), 0, report.receipt, prices));
        match (done, self.record(report).await) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) | (Err(error), Ok(())) => Err(error),
            (Err(error), Err(unrecorded)) => {
                // The fault of the state store is not to hide the one that came before.
                tracing::warn!(%asset, %unrecorded, "the end of a step was not recorded");
                Err(error)
            }
        }
    }

    /// Ends the run as `done` says, and lets others have the assets.
    pub(crate) async fn end<T>(mut self, done: Result<T, EngineError>) -> Result<T, EngineError> {
        if let Err(error) = &done {
            self.leave_out(error).await;
        }
        let (value, broke) = match done {
            Ok(value) => (Some(value), None),
            Err(error) => (None, Some(error)),
        };
        let Self { world, assets, lease, run, events, started, steps, .. } = self;
        let report = RunReport {
            run,
            steps,
            up_to_date: 0,
            elapsed: started.elapsed(),
            cancelled: matches!(broke, Some(EngineError::Cancelled)),
            broke_off: broke.is_some(),
            caught_up: Vec::new(),
        };
        let publishes = report.is_whole().then_some(assets);
        let ended = world.end_run(report, broke, publishes, &lease, events).await;
        lease.end().await;
        // A run that broke off is an error, so that one without an error has a value.
        ended.and_then(|_| value.ok_or(EngineError::Worker { doing: "ending a run" }))
    }

    /// Records and tells that the steps which an error kept from beginning were not done.
    async fn leave_out(&mut self, error: &EngineError) {
        let failed = self.steps.iter().find(|step| !ended_well(step)).map(|step| step.asset.clone());
        let outcome = match (error, failed) {
            (EngineError::Cancelled, _) | (_, None) => StepOutcome::Cancelled,
            (_, Some(because)) => StepOutcome::Skipped { because },
        };
        let has_begun = |asset: &AssetId| self.steps.iter().any(|step| step.asset == *asset);
        let left: Vec<_> = self.planned().filter(|asset| !has_begun(asset)).cloned().collect();
        for asset in left {
            let result = StepResult::without_rows(outcome.clone(), None);
            let report = StepReport::of(asset, Reason::Forced, result, Duration::ZERO);
            if let Err(unrecorded) = self.record(report).await {
                return tracing::warn!(%unrecorded, "what a run has left out was not recorded");
            }
        }
    }

    /// The assets of the project that the run writes. A view that only versions of services have is none.
    fn planned(&self) -> impl Iterator<Item = &AssetId> {
        self.assets.iter().filter(|asset| self.world.project.graph.get(asset).is_some())
    }

    /// Records the end of a step, and tells it if that was done.
    async fn record(&mut self, report: StepReport) -> Result<(), EngineError> {
        let recorded = runner::record(self.world, &self.run, &report).await;
        if recorded.is_ok() {
            self.events.publish(Event::StepFinished(Box::new(report.clone())));
        }
        self.steps.push(report);
        recorded
    }
}
