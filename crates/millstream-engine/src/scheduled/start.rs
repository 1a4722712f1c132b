//! Steps that the scheduler starts: each is a run of one asset on record. So each asset is free again for others, and for its
//! own next step, as soon as its step has ended, whatever else started with it. A step that finds nothing to do leaves no run:
//! a source that is looked at each second would fill the record.

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::FutureExt;
use millstream_schedule::{DueReason, Ending, StartedStep};
use millstream_state::StateError;
use millstream_types::{AssetId, AssetVersion, Span};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{failures::judge, record::reasons, tenure::Tenure};
use crate::{
    Engine, EngineError, Publisher, RunReport, RunRequest, StepExecutor, observe::observe, run::halting,
};

/// A step that this loop started, and that has come to its end.
pub(super) struct StepRun {
    asset: AssetId,
    ended: Result<Became, EngineError>,
    took: Duration,
}

/// What became of a step.
enum Became {
    Run(RunReport),
    /// There was nothing to do, so that the step left no run.
    Idle,
    /// Somebody else works on the asset, so that the step did not begin.
    KeptAway(StateError),
}

impl Tenure {
    /// Starts a step whose start is recorded.
    pub(super) fn start(&mut self, step: &StartedStep) {
        let (asset, because) = (step.asset.clone(), reasons(&step.reasons));
        tracing::debug!(%asset, because, attempt = step.attempt, "a step is due");
        let request = RunRequest {
            selection: vec![asset.to_string()],
            command: format!("serve: {asset}, {because}"),
            due: step.answers.iter().map(|answer| answer.until).min(),
            ..RunRequest::default()
        };
        let events = self.engine.begin(&request.command);
        self.own.insert(asset.clone(), events.work().id);
        self.works.insert(events.work().id);
        let now = self.now();
        self.promises.step_began(&asset, now);
        let (engine, cancel) = (self.engine.clone(), self.cancel.clone());
        // The number of the attempt does not tell: one that was cut short in order does not count.
        let is_again = step.reasons.contains(&DueReason::Interrupted);
        self.runs.spawn(async move {
            let began = Instant::now();
            let run =
                AssertUnwindSafe(run(&engine, &asset, &request, is_again, events, cancel)).catch_unwind();
            let died = |_| Err(EngineError::Worker { doing: "running a scheduled step" });
            let ended = run.await.unwrap_or_else(died);
            StepRun { asset, ended, took: began.elapsed() }
        });
    }

    /// Tells the scheduler how a step ended, and others that have ended by now.
    pub(super) async fn run_ended(&mut self, ended: Result<StepRun, JoinError>) -> Result<(), EngineError> {
        self.take_end(ended)?;
        while let Some(ended) = self.runs.try_join_next() {
            self.take_end(ended)?;
        }
        self.carry_out_taken().await
    }

    fn take_end(&mut self, ended: Result<StepRun, JoinError>) -> Result<(), EngineError> {
        let worker = |_| EngineError::Worker { doing: "running a scheduled step" };
        let StepRun { asset, ended, took } = ended.map_err(worker)?;
        // What was cut short has not ended: the next process starts it once more.
        if self.cancel.is_cancelled() {
            return Ok(());
        }
        self.own.remove(&asset);
        self.started.remove(&asset);
        let ended = match ended {
            Ok(Became::KeptAway(because)) => {
                self.take_kept_away(&asset, &because);
                return Ok(());
            }
            Ok(Became::Run(report)) => Ok(Some(report)),
            Ok(Became::Idle) => Ok(None),
            Err(error) => Err(error),
        };
        let has_circuit = self.engine.world().source_circuits.contains_key(&asset);
        let ending = judge(&asset, &ended, has_circuit);
        let halted_by = ended.iter().flatten().flat_map(|report| &report.steps).find_map(halting);
        let broke_off = match &ended {
            Err(_) => true,
            Ok(report) => report.as_ref().is_some_and(|report| report.broke_off),
        };
        if broke_off {
            // What it committed before may not be recorded.
            self.doubtful.insert(asset.clone());
        }
        for (changed, version) in ended.iter().flatten().flat_map(versions).collect::<Vec<_>>() {
            self.take_version(&changed, version);
        }
        self.take_circuits();
        self.promises.step_ended(&asset);
        let now = self.now();
        let decisions = match halted_by.filter(|_| ending == Ending::Badly) {
            Some(by) => self.scheduler.halted(&asset, by, span(took), now),
            None => self.scheduler.ended(&asset, ending, span(took), now),
        };
        if let Some(recorded) = self.recorded.get_mut(&asset) {
            recorded.ended(ending, span(took));
        }
        self.take(decisions, std::slice::from_ref(&asset));
        Ok(())
    }

    /// The end of a step that somebody else started. What this loop owes the asset on record stays owed.
    pub(super) async fn step_ended(
        &mut self,
        asset: &AssetId,
        ending: Ending,
        took: Span,
    ) -> Result<(), EngineError> {
        let now = self.now();
        self.promises.step_ended(asset);
        let decisions = self.scheduler.ended(asset, ending, took, now);
        self.carry_out(decisions, &[]).await
    }

    /// The asset has a version that somebody committed.
    pub(super) async fn committed(
        &mut self,
        asset: &AssetId,
        version: AssetVersion,
    ) -> Result<(), EngineError> {
        self.take_version(asset, version);
        self.carry_out_taken().await
    }

    fn take_version(&mut self, asset: &AssetId, version: AssetVersion) {
        if self.versions.insert(asset.clone(), version) == Some(version) {
            return;
        }
        let now = self.now();
        let decisions = self.scheduler.committed(asset, version, now);
        self.take(decisions, &[]);
    }
}

pub(super) fn span(took: Duration) -> Span {
    Span::from_ms(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))
}

/// Runs the one asset of the request, as the only one that writes it, unless there is nothing to do. What an interrupted attempt
/// has done may not be recorded yet, so that an attempt `again` always runs on record.
async fn run(
    engine: &Engine,
    asset: &AssetId,
    request: &RunRequest,
    is_again: bool,
    events: Publisher,
    cancel: CancellationToken,
) -> Result<Became, EngineError> {
    let (world, assets) = (engine.world(), std::slice::from_ref(asset));
    let lease = match world.lease(&request.command, assets, Duration::ZERO, &events, &cancel).await {
        Err(EngineError::State(because @ StateError::Locked { .. })) => {
            return Ok(Became::KeptAway(because));
        }
        lease => lease?,
    };
    let planned = async {
        let plan = Box::pin(observe(world, request, true)).await?;
        let is_needed = is_again || !plan.steps.is_empty();
        if is_needed {
            tracing::info!(%asset, command = request.command, "a step starts");
        }
        Ok(is_needed.then_some(plan))
    };
    let executor = |runner| Arc::new(runner) as Arc<dyn StepExecutor>;
    let asked = request.due.unwrap_or_else(|| world.options.clock.now());
    let running = engine.run_under((asked, lease), request, assets, events, planned, executor);
    let ran = Box::pin(running).await?;
    Ok(ran.map_or(Became::Idle, Became::Run))
}

/// The versions that the steps of a run left.
fn versions(report: &RunReport) -> Vec<(AssetId, AssetVersion)> {
    report.steps.iter().filter_map(|step| Some((step.asset.clone(), step.version?))).collect()
}
