//! Work on assets that a command asks for by itself, outside of a plan: leased and recorded as a run of its own.

use std::{sync::Arc, time::Duration};

use millstream_plan::Reason;
use millstream_state::{RunEnd, RunOutcome, RunStart};
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use super::runner;
use crate::{
    EngineError, StepOutcome, StepReport,
    engine::World,
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

/// Does `work` as the only one that writes the assets, and records the steps that it gives. The token that `work` gets is
/// cancelled with `cancel`, and when the assets are another's.
pub(crate) async fn on_record<T>(
    world: &Arc<World>,
    apart: Apart<'_>,
    cancel: &CancellationToken,
    work: impl AsyncFnOnce(CancellationToken) -> Result<(T, Vec<StepReport>), EngineError>,
) -> Result<T, EngineError> {
    let lease = world.lease(apart.command, apart.assets, apart.wait, cancel).await?;
    let done = async {
        let run = world.new_run();
        let start = RunStart {
            run: run.clone(),
            command: apart.command.to_owned(),
            principal: apart.principal.map(str::to_owned),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: world.options.clock.now(),
            lease: Some(lease.token),
        };
        world.state.begin_run(&start).await?;
        let done = work(lease.cancel.clone()).await;
        let mut outcome = RunOutcome::Succeeded;
        let done = match done {
            Ok((value, steps)) => {
                for step in &steps {
                    runner::record(world, &run, step).await?;
                    if matches!(step.outcome, StepOutcome::Failed { .. }) {
                        outcome = RunOutcome::Failed;
                    }
                }
                Ok(value)
            }
            Err(error) => {
                outcome = match &error {
                    EngineError::Cancelled => RunOutcome::Cancelled,
                    _ => RunOutcome::Failed,
                };
                if let [asset] = apart.assets {
                    // What the error leaves of the state store is not to hide it.
                    if let Err(unrecorded) = runner::record(world, &run, &failed(asset, &error)).await {
                        tracing::warn!(%unrecorded, "the end of a step was not recorded");
                    }
                }
                Err(error)
            }
        };
        let publishes = (outcome == RunOutcome::Succeeded).then_some(apart.assets);
        let finished = world.options.clock.now();
        let finished = world.state.finish_run(&RunEnd { run: &run, finished, outcome, publishes }).await;
        match (done, finished) {
            (Ok(value), Ok(())) => Ok(value),
            (Ok(_), Err(error)) => Err(error.into()),
            (Err(error), _) => Err(error),
        }
    };
    let done = done.await;
    lease.end().await;
    done
}

/// The end of a step that was asked for by itself.
pub(crate) fn step(asset: &AssetId, result: StepResult, elapsed: Duration) -> StepReport {
    StepReport::of(asset.clone(), Reason::Forced, result, elapsed)
}

/// The end of a step that failed.
pub(crate) fn failed(asset: &AssetId, error: &EngineError) -> StepReport {
    step(asset, StepResult::without_rows(failed_outcome(error), None), Duration::ZERO)
}
