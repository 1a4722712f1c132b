//! Steps that the scheduler starts: each is a run of one asset on record. So each asset is free again for others, and for its
//! own next step, as soon as its step has ended, whatever else started with it.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures::FutureExt;
use millstream_schedule::{Ending, StartedStep};
use millstream_types::{AssetId, AssetVersion, Span};
use tokio::task::JoinError;

use super::{record::reasons, tenure::Tenure};
use crate::{EngineError, RunReport, RunRequest, WorkId, error::told, event::ended_well};

/// A run that has ended.
pub(super) struct StepRun {
    asset: AssetId,
    work: WorkId,
    ended: Result<RunReport, EngineError>,
}

impl Tenure {
    /// Starts a step whose start is recorded. While another process works on the asset, the step waits.
    pub(super) fn start(&mut self, step: &StartedStep) {
        let (asset, because) = (step.asset.clone(), reasons(&step.reasons));
        tracing::info!(%asset, because, attempt = step.attempt, "a step starts");
        let request = RunRequest {
            selection: vec![asset.to_string()],
            command: format!("serve: {asset}, {because}"),
            ..RunRequest::default()
        };
        let events = self.engine.begin(&request.command);
        let work = events.work().id;
        self.own.insert(asset.clone());
        self.works.insert(work);
        let (engine, cancel) = (self.engine.clone(), self.cancel.clone());
        self.runs.spawn(async move {
            let run = AssertUnwindSafe(engine.run(&request, Duration::MAX, events, cancel)).catch_unwind();
            let died = |_| Err(EngineError::Worker { doing: "running a scheduled step" });
            let ended = run.await.unwrap_or_else(died);
            StepRun { asset, work, ended }
        });
    }

    /// Tells the scheduler how a step ended.
    pub(super) async fn run_ended(&mut self, ended: Result<StepRun, JoinError>) -> Result<(), EngineError> {
        let worker = |_| EngineError::Worker { doing: "running a scheduled step" };
        let StepRun { asset, work, ended } = ended.map_err(worker)?;
        self.works.remove(&work);
        if self.cancel.is_cancelled() {
            return Ok(());
        }
        self.own.remove(&asset);
        let (ending, took) = self.judge(&asset, &ended);
        for (changed, version) in ended.as_ref().map(versions).unwrap_or_default() {
            self.committed(&changed, version).await?;
        }
        self.step_ended(&asset, ending, took).await
    }

    /// The end of a step, whoever started it.
    pub(super) async fn step_ended(
        &mut self,
        asset: &AssetId,
        ending: Ending,
        took: Span,
    ) -> Result<(), EngineError> {
        let now = self.now();
        let decisions = self.scheduler.ended(asset, ending, took, now);
        if let Some(recorded) = self.recorded.get_mut(asset) {
            recorded.ended(ending, took);
        }
        self.carry_out(decisions, std::slice::from_ref(asset)).await
    }

    /// The asset has a version that somebody committed.
    pub(super) async fn committed(&mut self, asset: &AssetId, version: AssetVersion) -> Result<(), EngineError> {
        if self.versions.insert(asset.clone(), version) == Some(version) {
            return Ok(());
        }
        let now = self.now();
        let decisions = self.scheduler.committed(asset, version, now);
        self.carry_out(decisions, &[]).await
    }

    fn judge(&self, asset: &AssetId, ended: &Result<RunReport, EngineError>) -> (Ending, Span) {
        match ended {
            Ok(report) => {
                let took = Span::from_ms(u64::try_from(report.elapsed.as_millis()).unwrap_or(u64::MAX));
                // A run without a step has found the asset up to date.
                let is_well = !report.cancelled && !report.broke_off && report.steps.iter().all(ended_well);
                (if is_well { Ending::Well } else { Ending::Badly }, took)
            }
            Err(error) => {
                let (code, error) = (error.code(), told(error));
                tracing::warn!(%asset, code, error, "a step did not run");
                (Ending::Badly, Span::from_ms(0))
            }
        }
    }
}

/// The versions that the steps of a run left.
fn versions(report: &RunReport) -> Vec<(AssetId, AssetVersion)> {
    report.steps.iter().filter_map(|step| Some((step.asset.clone(), step.version?))).collect()
}
