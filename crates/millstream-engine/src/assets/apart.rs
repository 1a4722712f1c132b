//! Work on assets that a command asks for by itself, outside of a plan: leased and recorded as a run of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use millstream_plan::Reason;
use millstream_state::RunOutcome;
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use super::runner;
use crate::{
    EngineError, Event, PlannedAsset, Publisher, RunReport, StepReport,
    engine::World,
    lease::Lease,
    run::{StepResult, failed_outcome},
};

/// What a command is about to do.
pub(crate) struct Apart<'a> {
    /// The command as typed, for the record.
    pub command: &'a str,
    /// Who asks, where somebody says so.
    pub principal: Option<&'a str>,
    /// What it writes.
    pub assets: &'a [AssetId],
    /// How long to wait for others to be done with the assets before refusing.
    pub wait: Duration,
}

/// Does `work` as the only one that writes the assets, records the steps that it gives, and tells of both. The token that
/// `work` gets is cancelled with `cancel`, and when the assets are another's.
pub(crate) async fn on_record<T>(
    world: &Arc<World>,
    apart: Apart<'_>,
    events: &Publisher,
    cancel: &CancellationToken,
    work: impl AsyncFnOnce(CancellationToken) -> Result<(T, Vec<StepReport>), EngineError>,
) -> Result<T, EngineError> {
    let lease = world.lease(apart.command, apart.assets, apart.wait, events, cancel).await?;
    let done = leased(world, &apart, &lease, events, work).await;
    lease.end().await;
    done
}

async fn leased<T>(
    world: &World,
    apart: &Apart<'_>,
    lease: &Lease,
    events: &Publisher,
    work: impl AsyncFnOnce(CancellationToken) -> Result<(T, Vec<StepReport>), EngineError>,
) -> Result<T, EngineError> {
    let started = Instant::now();
    let run = world.begin_run(apart.command, apart.principal, lease).await?;
    let planned = |asset: &AssetId| PlannedAsset { asset: asset.clone(), reason: Reason::Forced };
    events.publish(Event::RunStarted { run: run.clone(), steps: apart.assets.iter().map(planned).collect() });
    let done = work(lease.cancel.clone()).await;
    let steps = match &done {
        Ok((_, steps)) => steps.clone(),
        Err(error) => apart.assets.iter().map(|asset| failed(asset, error)).collect(),
    };
    let report = RunReport {
        run: run.clone(),
        cancelled: matches!(done, Err(EngineError::Cancelled)),
        steps,
        up_to_date: 0,
        elapsed: started.elapsed(),
    };
    // Which of several assets an error is of is not known; some of them may have been done.
    let is_known = done.is_ok() || apart.assets.len() == 1;
    let recorded = record(world, apart, &report, is_known, events).await;
    events.publish(Event::RunFinished(report));
    match (done, recorded) {
        (Ok((value, _)), Ok(())) => Ok(value),
        (Ok(_), Err(error)) => Err(error),
        (Err(error), recorded) => {
            // What the error leaves of the state store is not to hide it.
            if let Err(unrecorded) = recorded {
                tracing::warn!(%unrecorded, "the end of a run was not recorded");
            }
            Err(error)
        }
    }
}

/// Records the steps if their ends are known, tells of each, and records the end of the run.
async fn record(
    world: &World,
    apart: &Apart<'_>,
    report: &RunReport,
    is_known: bool,
    events: &Publisher,
) -> Result<(), EngineError> {
    for step in &report.steps {
        if is_known {
            runner::record(world, &report.run, step).await?;
        }
        events.publish(Event::StepFinished(Box::new(step.clone())));
    }
    let outcome = match (report.cancelled, report.succeeded()) {
        (true, _) => RunOutcome::Cancelled,
        (false, true) => RunOutcome::Succeeded,
        (false, false) => RunOutcome::Failed,
    };
    let publishes = (outcome == RunOutcome::Succeeded).then_some(apart.assets);
    world.finish_run(&report.run, outcome, publishes).await
}

/// The end of a step that was asked for by itself.
pub(crate) fn step(asset: &AssetId, result: StepResult, elapsed: Duration) -> StepReport {
    StepReport::of(asset.clone(), Reason::Forced, result, elapsed)
}

/// The end of a step that failed.
pub(crate) fn failed(asset: &AssetId, error: &EngineError) -> StepReport {
    step(asset, StepResult::without_rows(failed_outcome(error), None), Duration::ZERO)
}
