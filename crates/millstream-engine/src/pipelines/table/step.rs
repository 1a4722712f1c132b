//! The step of a continuous table in a run: it takes in what there is, unless a server does.

use std::{sync::Arc, time::Duration};

use millstream_plan::{PlannedStep, Recorded};
use millstream_project::TableSpec;
use millstream_state::StateError;
use tokio_util::sync::CancellationToken;

use super::{ContinuousTable, Flow};
use crate::{
    EngineError, StepOutcome,
    assets::{StepRunner, version_of},
    lease::Lease,
    pipelines::{COMMAND, PipelineMeter, Stint},
    run::StepResult,
};

/// How long the step waits for a pipeline that is about to end.
const WAIT: Duration = Duration::from_secs(2);

/// Takes in what there is and commits it; windows that are open stay open. Where everything is to be computed anew, that begins with the first events that
/// there still are.
pub(crate) async fn attempt(
    runner: &StepRunner,
    step: &PlannedStep,
    spec: &TableSpec,
    flow: Arc<dyn Flow>,
) -> Result<StepResult, EngineError> {
    let world = &runner.world;
    let table = ContinuousTable::new(world, spec, flow)?;
    let assets = [step.asset.clone()];
    let lease = match world.lease(COMMAND, &assets, WAIT, &runner.events, &runner.cancel).await {
        Ok(lease) => lease,
        Err(EngineError::State(StateError::Locked { holder, .. }))
            if holder.command == COMMAND && !runner.full_refresh =>
        {
            let note = format!("is kept up to date by process {}, from events as they arrive", holder.pid);
            runner.context(step).note(note);
            return unchanged(runner, step, spec).await;
        }
        Err(error) => return Err(error),
    };
    let meter = Arc::new(PipelineMeter::new(step.asset.clone(), world.options.clock.clone()));
    let done = work(&table, runner, &lease, &meter).await;
    lease.end().await;
    done?;
    let seen = meter.status();
    if seen.commits == 0 {
        return unchanged(runner, step, spec).await;
    }
    Ok(StepResult {
        rows_written: seen.rows_out,
        rows_rejected: seen.rows_rejected,
        recorded: recorded(runner, step).await?,
        ..StepResult::without_rows(StepOutcome::Built, seen.version)
    })
}

async fn work(
    table: &ContinuousTable,
    runner: &StepRunner,
    lease: &Arc<Lease>,
    meter: &Arc<PipelineMeter>,
) -> Result<(), EngineError> {
    let stint = Stint {
        lease: lease.clone(),
        stop: CancellationToken::new(),
        meter: meter.clone(),
        events: runner.events.clone(),
    };
    tokio::select! {
        biased;
        reason = lease.over() => Err(reason),
        done = async {
            match runner.full_refresh {
                true => table.refresh(&stint, runner.forget_gone).await,
                false => table.catch_up(&stint).await,
            }
        } => done,
    }
}

async fn unchanged(
    runner: &StepRunner,
    step: &PlannedStep,
    spec: &TableSpec,
) -> Result<StepResult, EngineError> {
    let snapshot = runner.world.lake.snapshot(&spec.name, millstream_lake::At::Latest).await?;
    let version = snapshot.as_deref().map(version_of);
    let recorded = recorded(runner, step).await?;
    Ok(StepResult { recorded, ..StepResult::without_rows(StepOutcome::Unchanged, version) })
}

/// What the pipeline's commits have recorded, for the definition that the table follows now.
async fn recorded(runner: &StepRunner, step: &PlannedStep) -> Result<Option<Recorded>, EngineError> {
    let recorded = runner.world.state.recorded_of(&step.asset).await?.filter(Recorded::was_built);
    let fingerprint = runner.context(step).facts()?.fingerprint;
    Ok(recorded.map(|recorded| Recorded { fingerprint, ..recorded }))
}
