//! Work on assets that a command asks for by itself, outside of a plan: leased and recorded as a run of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_plan::Reason;
use millstream_types::{AssetId, RunId};
use tokio_util::sync::CancellationToken;

use super::runner;
use crate::{
    EngineError, Event, PlannedAsset, Publisher, RunReport, StepReport,
    engine::World,
    lease::Lease,
    run::{StepResult, failed_outcome},
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
    started: Instant,
    steps: Vec<StepReport>,
}

/// Leases the assets, and records that a run on them has begun.
pub(crate) async fn begin<'a>(
    world: &'a Arc<World>,
    apart: Apart<'a>,
    events: &'a Publisher,
    cancel: &CancellationToken,
) -> Result<ApartRun<'a>, EngineError> {
    let Apart { command, principal, assets, wait } = apart;
    let lease = world.lease(command, assets, wait, events, cancel).await?;
    let run = match world.begin_run(command, principal, &lease).await {
        Ok(run) => run,
        Err(error) => {
            lease.end().await;
            return Err(error);
        }
    };
    let is_known = |asset: &&AssetId| world.project.graph.get(asset).is_some();
    let planned = |asset: &AssetId| PlannedAsset { asset: asset.clone(), reason: Reason::Forced };
    let steps = assets.iter().filter(is_known).map(planned).collect();
    events.publish(Event::RunStarted { run: run.clone(), steps });
    let (cancel, started) = (lease.cancel.clone(), Instant::now());
    Ok(ApartRun { cancel, world, assets, lease, run, events, started, steps: Vec::new() })
}

impl ApartRun<'_> {
    /// Does the work of one step, records how it ended, and tells of both. The step of work that gives an error has failed.
    pub(crate) async fn step<T>(
        &mut self,
        asset: &AssetId,
        work: impl Future<Output = Result<(T, StepResult), EngineError>>,
    ) -> Result<T, EngineError> {
        let started = Instant::now();
        self.events.publish(Event::StepStarted { asset: asset.clone(), reason: Reason::Forced });
        let (done, result) = match work.await {
            Ok((value, result)) => (Ok(value), result),
            Err(error) => {
                let failed = StepResult::without_rows(failed_outcome(&error), None);
                (Err(error), failed)
            }
        };
        let report = StepReport::of(asset.clone(), Reason::Forced, result, started.elapsed());
        let recorded = runner::record(self.world, &self.run, &report).await;
        if recorded.is_ok() {
            self.events.publish(Event::StepFinished(Box::new(report.clone())));
            self.steps.push(report);
        }
        match (done, recorded) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) | (Err(error), Ok(())) => Err(error),
            (Err(error), Err(unrecorded)) => {
                // The fault of the state store is not to hide the one that came before.
                tracing::warn!(%asset, %unrecorded, "the end of a step was not recorded");
                Err(error)
            }
        }
    }

    /// Records that the run has ended, tells it, and lets others have the assets.
    pub(crate) async fn end<T>(self, done: Result<T, EngineError>) -> Result<T, EngineError> {
        let Self { world, assets, lease, run, events, started, steps, .. } = self;
        let (done, value) = match done {
            Ok(value) => (Ok(()), Some(value)),
            Err(error) => (Err(error), None),
        };
        let (id, elapsed) = (run.clone(), started.elapsed());
        // Work that was told to end, and was done by then, is done.
        let report = done.map(|()| RunReport { run: id, steps, up_to_date: 0, elapsed, cancelled: false });
        let ended = world.end_run(&run, assets, report, events).await;
        lease.end().await;
        ended.and_then(|_| value.ok_or(EngineError::Worker { doing: "ending a run" }))
    }
}
