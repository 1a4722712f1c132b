//! Steps that the scheduler starts: each is a run of one asset on record. So each asset is free again for others, and for its
//! own next step, as soon as its step has ended, whatever else started with it. A step that finds nothing to do leaves no run:
//! a source that is looked at each second would fill the record.

use std::{
    panic::AssertUnwindSafe,
    time::{Duration, Instant},
};

use futures::FutureExt;
use millstream_schedule::{Ending, StartedStep};
use millstream_types::{AssetId, AssetVersion, Span};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{failures::judge, record::reasons, tenure::Tenure};
use crate::{Engine, EngineError, Publisher, RunReport, RunRequest};

/// A run that has ended.
pub(super) struct StepRun {
    asset: AssetId,
    /// What its run reports; `None` when there was nothing to do.
    ended: Result<Option<RunReport>, EngineError>,
    took: Duration,
}

impl Tenure {
    /// Starts a step whose start is recorded. While another process works on the asset, the step waits.
    pub(super) fn start(&mut self, step: &StartedStep) {
        let (asset, because) = (step.asset.clone(), reasons(&step.reasons));
        tracing::debug!(%asset, because, attempt = step.attempt, "a step is due");
        let request = RunRequest {
            selection: vec![asset.to_string()],
            command: format!("serve: {asset}, {because}"),
            ..RunRequest::default()
        };
        let events = self.engine.begin(&request.command);
        self.own.insert(asset.clone(), events.work().id);
        self.works.insert(events.work().id);
        let now = self.now();
        self.promises.step_began(&asset, now);
        let (engine, cancel, is_again) = (self.engine.clone(), self.cancel.clone(), step.attempt > 1);
        self.runs.spawn(async move {
            let began = Instant::now();
            let run = AssertUnwindSafe(run(&engine, &request, is_again, events, cancel)).catch_unwind();
            let died = |_| Err(EngineError::Worker { doing: "running a scheduled step" });
            let ended = run.await.unwrap_or_else(died);
            // A run that waited for others to be done with the asset was not at work before it was on record.
            let took = match &ended {
                Ok(Some(report)) => report.elapsed,
                _ => began.elapsed(),
            };
            StepRun { asset, ended, took }
        });
    }

    /// Tells the scheduler how a step ended.
    pub(super) async fn run_ended(&mut self, ended: Result<StepRun, JoinError>) -> Result<(), EngineError> {
        let worker = |_| EngineError::Worker { doing: "running a scheduled step" };
        let StepRun { asset, ended, took } = ended.map_err(worker)?;
        if self.cancel.is_cancelled() {
            return Ok(());
        }
        self.own.remove(&asset);
        self.started.remove(&asset);
        let ending = judge(&asset, &ended);
        for (changed, version) in ended.iter().flatten().flat_map(versions).collect::<Vec<_>>() {
            self.committed(&changed, version).await?;
        }
        self.tell_circuits().await?;
        self.step_ended(&asset, ending, span(took)).await
    }

    /// The end of a step, whoever started it.
    pub(super) async fn step_ended(
        &mut self,
        asset: &AssetId,
        ending: Ending,
        took: Span,
    ) -> Result<(), EngineError> {
        let now = self.now();
        self.promises.step_ended(asset);
        let decisions = self.scheduler.ended(asset, ending, took, now);
        if let Some(recorded) = self.recorded.get_mut(asset) {
            recorded.ended(ending, took);
        }
        self.carry_out(decisions, std::slice::from_ref(asset)).await
    }

    /// The asset has a version that somebody committed.
    pub(super) async fn committed(
        &mut self,
        asset: &AssetId,
        version: AssetVersion,
    ) -> Result<(), EngineError> {
        if self.versions.insert(asset.clone(), version) == Some(version) {
            return Ok(());
        }
        let now = self.now();
        let decisions = self.scheduler.committed(asset, version, now);
        self.carry_out(decisions, &[]).await
    }
}

pub(super) fn span(took: Duration) -> Span {
    Span::from_ms(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// Runs the one asset of the request, unless there is nothing to do. What an interrupted attempt has done may not be recorded
/// yet, so that an attempt `again` always runs on record.
async fn run(
    engine: &Engine,
    request: &RunRequest,
    is_again: bool,
    events: Publisher,
    cancel: CancellationToken,
) -> Result<Option<RunReport>, EngineError> {
    if !is_again {
        let plan = tokio::select! {
            plan = engine.plan(request) => plan?,
            () = cancel.cancelled() => return Err(EngineError::Cancelled),
        };
        if plan.steps.is_empty() {
            return Ok(None);
        }
    }
    tracing::info!(asset = request.selection.join(" "), command = request.command, "a step starts");
    engine.run(request, Duration::MAX, events, cancel).await.map(Some)
}

/// The versions that the steps of a run left.
fn versions(report: &RunReport) -> Vec<(AssetId, AssetVersion)> {
    report.steps.iter().filter_map(|step| Some((step.asset.clone(), step.version?))).collect()
}
