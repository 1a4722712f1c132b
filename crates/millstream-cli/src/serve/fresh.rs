//! Keeps the feature views up to date while a project is served: an embedded online store is this process's alone, so that runs
//! of other processes leave its views to this one.

use std::{
    collections::BTreeSet,
    sync::{Arc, Weak},
    time::Duration,
};

use millstream_engine::{Engine, Keeper, RunRequest, StepOutcome};
use millstream_state::{RunRecord, StepRecord};
use millstream_types::RunId;
use tokio_util::sync::CancellationToken;

use super::Backend;
use crate::CliError;

/// How often the state store is asked for the newest runs.
const EVERY: Duration = Duration::from_secs(2);

/// The runs that are looked at; no more are expected to end meanwhile.
const RUNS_MAX: usize = 50;

/// The command under which the runs are recorded.
pub(crate) const KEEPING: &str = "serve";

/// What is selected: every feature view.
const VIEWS: &str = "view:*";

/// Brings views up to date that runs leave to this process, until `cancel`. One process of a project does; another that serves it too waits
/// to take its place.
pub(crate) async fn keep_fresh(backend: Arc<Backend>, cancel: CancellationToken) {
    let mut keeper = None;
    let (mut seen, mut last) = (BTreeSet::new(), Weak::new());
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
        // Features are open for as long as the views may be worked on.
        let live = backend.live();
        let engine = &live.engine;
        // What another project's look has left may be stale by this one's definitions, as after a start.
        if !last.ptr_eq(&Arc::downgrade(&live)) {
            seen.clear();
            last = Arc::downgrade(&live);
        }
        if engine.project().features.views.is_empty() {
            continue;
        }
        if keeper.is_none() {
            keeper = Keeper::of(engine).unwrap_or_else(|error| {
                tracing::warn!(error = error.told(), "views are not kept up to date");
                None
            });
        }
        if keeper.is_some() {
            match look(engine, &mut seen, &cancel).await {
                Ok(()) => {}
                // The others may be at the views themselves.
                Err(error) => {
                    tracing::info!(%error, "views were not brought up to date; trying again");
                }
            }
        }
    }
}

/// Runs what is stale, if one of the runs that ended since the last look has left views. What fails is tried again when
/// another run leaves it.
async fn look(
    engine: &Engine,
    seen: &mut BTreeSet<RunId>,
    cancel: &CancellationToken,
) -> Result<(), CliError> {
    let runs = engine.runs(RUNS_MAX).await?;
    let ended = |run: &&RunRecord| run.outcome.is_some() && !seen.contains(&run.run);
    let mut unseen: Vec<RunId> = Vec::new();
    let mut has_left = false;
    for run in runs.iter().filter(ended) {
        has_left |= engine.steps(&run.run).await?.iter().any(is_left);
        unseen.push(run.run.clone());
    }
    if has_left {
        let selection = vec![VIEWS.to_owned()];
        let request = RunRequest { selection, command: KEEPING.to_owned(), ..RunRequest::default() };
        if !engine.plan(&request).await?.steps.is_empty() {
            engine.run(&request, Duration::ZERO, engine.begin(KEEPING), cancel.clone()).await?;
        }
    }
    seen.retain(|known| runs.iter().any(|run| run.run == *known));
    seen.extend(unseen);
    Ok(())
}

/// Whether a run has left a view to the process that has the online store: its step then ended without a version.
fn is_left(step: &StepRecord) -> bool {
    step.asset.kind().is_some() && step.outcome == StepOutcome::Unchanged && step.version.is_none()
}
