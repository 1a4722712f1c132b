//! Keeps the feature views up to date while a project is served: an embedded online store is this process's alone, so that runs
//! of other processes leave its views to this one.

use std::{sync::Arc, time::Duration};

use millstream_engine::{Engine, Event, Keeper, Observer, RunRequest, StepOutcome};
use millstream_state::RunRecord;
use tokio_util::sync::CancellationToken;

use crate::CliError;

/// How often the state store is asked for the newest run.
const EVERY: Duration = Duration::from_secs(2);

/// The command under which the runs are recorded.
const COMMAND: &str = "serve";

/// What is selected: every feature view.
const VIEWS: &str = "view:*";

/// Brings views up to date after each run, until `cancel`. One process of a project does; another that serves it too waits
/// to take its place.
pub(crate) async fn keep_fresh(engine: Engine, cancel: CancellationToken) {
    if engine.project().features.views.is_empty() {
        return;
    }
    let mut keeper = None;
    let mut seen = None;
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        if keeper.is_none() {
            keeper = Keeper::of(&engine).unwrap_or_else(|error| {
                tracing::warn!(%error, "views are not kept up to date");
                None
            });
        }
        if keeper.is_some() {
            match look(&engine, &mut seen, &cancel).await {
                Ok(()) => {}
                // The others may be at the views themselves.
                Err(error) => tracing::info!(%error, "views were not brought up to date; trying again"),
            }
        }
    }
}

/// Runs what is stale, if a run began or ended since the last look.
async fn look(
    engine: &Engine,
    seen: &mut Option<RunRecord>,
    cancel: &CancellationToken,
) -> Result<(), CliError> {
    let newest = engine.last_run().await?;
    if newest.is_some() && newest == *seen {
        return Ok(());
    }
    let request =
        RunRequest { selection: vec![VIEWS.to_owned()], command: COMMAND.to_owned(), ..RunRequest::default() };
    if engine.plan(&request).await?.steps.is_empty() {
        *seen = newest;
        return Ok(());
    }
    engine.run(&request, Duration::ZERO, Arc::new(Logged), cancel.clone()).await?;
    // What failed is tried again after the next run.
    *seen = engine.last_run().await?;
    Ok(())
}

/// Writes the ends of steps to the log.
struct Logged;

impl Observer for Logged {
    fn event(&self, event: &Event) {
        let Event::StepFinished(step) = event else { return };
        match &step.outcome {
            StepOutcome::Failed { code, error, .. } => {
                tracing::warn!(asset = %step.asset, code, error, "not brought up to date");
            }
            outcome => tracing::info!(asset = %step.asset, outcome = outcome.as_str(), rows = step.rows_written),
        }
    }
}
