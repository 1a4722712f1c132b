//! Steps that the scheduler starts: each is a run of one asset on record. So each asset is free again for others, and for its
//! own next step, as soon as its step has ended, whatever else started with it. A step that finds nothing to do leaves no run:
//! a source that is looked at each second would fill the record.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use futures::FutureExt;
use millstream_plan::{PlannedStep, Reason};
use millstream_schedule::{DueReason, Ending, StartedStep};
use millstream_state::StateError;
use millstream_types::{AssetId, AssetVersion, CheckId, Span, TimestampMicros};
use tokio::task::JoinError;
use tokio_util::sync::CancellationToken;

use super::{
    failures::judge,
    record::reasons,
    repairs::{fault, repaired_by},
    tenure::Tenure,
};
use crate::{
    Engine, EngineError, Publisher, RunReport, RunRequest, StepExecutor, observe::observe, run::halting, turn,
};

/// A step that this loop started, and that has come to its end.
pub(super) struct StepRun {
    asset: AssetId,
    ended: Result<Became, EngineError>,
    took: Duration,
}

/// A step that is to run.
pub(super) struct StepOrder {
    pub(super) asset: AssetId,
    /// Under which the run is recorded.
    pub(super) command: String,
    /// When the step was due, if it answers a tick or an event.
    pub(super) due: Option<TimestampMicros>,
    /// Whether an attempt before may have done something that is not recorded.
    pub(super) is_again: bool,
    /// What is damaged of the asset, which is made again as a whole for it.
    pub(super) repair: Option<String>,
}

/// What became of a step.
pub(super) enum Became {
    Run(RunReport),
    /// There was nothing to do, so that the step left no run.
    Idle,
    /// The place that it asks did not answer when it was looked at, and its circuit is open, so that there was no attempt.
    Unreached {
        because: String,
    },
    /// Somebody else works on the asset, so that the step did not begin.
    KeptAway(StateError),
}

/// How a step ended that ran, or that found nothing to do.
pub(super) struct StepEnding {
    pub(super) ending: Ending,
    pub(super) took: Span,
    /// The versions that the step left.
    pub(super) versions: Vec<(AssetId, AssetVersion)>,
    /// Whether it may have committed something that is not recorded.
    pub(super) is_doubtful: bool,
    /// In words, why it did not end well.
    pub(super) fault: Option<String>,
    /// The checks that halted it; none where it did not end badly by them.
    pub(super) halted_by: Vec<CheckId>,
}

impl StepOrder {
    /// The order to run a step, which makes its asset again where a `repair` says what is damaged of it.
    pub(super) fn of(step: &StartedStep, repair: Option<&String>) -> Self {
        let because = reasons(&step.reasons);
        tracing::debug!(asset = %step.asset, because, attempt = step.attempt, "a step is due");
        Self {
            asset: step.asset.clone(),
            command: format!("serve: {}, {because}", step.asset),
            due: step.answers.iter().map(|answer| answer.until).min(),
            // The number of the attempt does not tell: one that was cut short in order does not count.
            is_again: step.reasons.contains(&DueReason::Interrupted),
            repair: repair.cloned(),
        }
    }

    /// Runs the step as a run of its own, and says how long that took.
    pub(super) async fn carry_out(
        &self,
        engine: &Engine,
        events: Publisher,
        cancel: CancellationToken,
    ) -> (Result<Became, EngineError>, Duration) {
        let began = Instant::now();
        let request = RunRequest {
            selection: vec![self.asset.to_string()],
            // What is damaged is made again as a whole, whatever the step was due for.
            full_refresh: self.repair.is_some(),
            command: self.command.clone(),
            due: self.due,
            ..RunRequest::default()
        };
        let run = run(engine, self, &request, events, cancel);
        let died = |_| Err(EngineError::Worker { doing: "running a scheduled step" });
        let ended = AssertUnwindSafe(run).catch_unwind().await.unwrap_or_else(died);
        (ended, began.elapsed())
    }
}

impl StepEnding {
    /// Errors with what keeps the step away from its asset.
    pub(super) fn of(
        engine: &Engine,
        asset: &AssetId,
        ended: Result<Became, EngineError>,
        took: Duration,
    ) -> Result<Self, StateError> {
        let ended = match ended {
            Ok(Became::KeptAway(because)) => return Err(because),
            Ok(Became::Unreached { because }) => {
                let (took, ending) = (span(took), Ending::Unreachable);
                return Ok(Self {
                    ending,
                    took,
                    versions: Vec::new(),
                    is_doubtful: false,
                    fault: Some(because),
                    halted_by: Vec::new(),
                });
            }
            Ok(Became::Run(report)) => Ok(Some(report)),
            Ok(Became::Idle) => Ok(None),
            Err(error) => Err(error),
        };
        let has_circuit = engine.world().source_circuits.contains_key(asset);
        let ending = judge(asset, &ended, has_circuit);
        let fault = (ending != Ending::Well).then(|| fault(&ended));
        let mut steps = ended.iter().flatten().flat_map(|report| &report.steps);
        let halted_by = steps.find_map(halting).filter(|_| ending == Ending::Badly).unwrap_or_default();
        let is_doubtful = match &ended {
            Err(_) => true,
            Ok(report) => report.as_ref().is_some_and(|report| report.broke_off),
        };
        let versions = ended.iter().flatten().flat_map(versions).collect();
        Ok(Self { ending, took: span(took), versions, is_doubtful, fault, halted_by })
    }
}

impl Tenure {
    /// Starts a step whose start is recorded: in this process, or in whichever takes the offer that is recorded with it.
    pub(super) fn start(&mut self, step: &StartedStep) {
        if self.offers.is_some() {
            // It begins when somebody claims it.
            return self.exchange.offered();
        }
        let now = self.now();
        self.promises.step_began(&step.asset, now);
        let order = StepOrder::of(step, self.repairing.cause(&step.asset));
        let events = self.engine.begin(&order.command);
        self.own.insert(order.asset.clone(), events.work().id);
        self.works.insert(events.work().id);
        let (engine, cancel) = (self.engine.clone(), self.cancel.clone());
        self.runs.spawn(async move {
            let (ended, took) = order.carry_out(&engine, events, cancel).await;
            StepRun { asset: order.asset, ended, took }
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
        match StepEnding::of(&self.engine, &asset, ended, took) {
            Ok(ending) => self.take_ending(&asset, ending),
            Err(because) => self.take_kept_away(&asset, &because.to_string()),
        }
        Ok(())
    }

    /// Takes in how a step ended that this loop has decided to start.
    pub(super) fn take_ending(&mut self, asset: &AssetId, ended: StepEnding) {
        self.started.remove(asset);
        let StepEnding { ending, took, versions, is_doubtful, fault, halted_by } = ended;
        self.note_repair(asset, ending, fault);
        if is_doubtful {
            // What it committed before may not be recorded.
            self.doubtful.insert(asset.clone());
        }
        for (changed, version) in versions {
            self.take_version(&changed, version);
        }
        self.take_circuits();
        self.promises.step_ended(asset);
        let now = self.now();
        let decisions = match halted_by.is_empty() {
            false => self.scheduler.halted(asset, halted_by, took, now),
            true => self.scheduler.ended(asset, ending, took, now),
        };
        if let Some(recorded) = self.recorded.get_mut(asset) {
            recorded.ended(ending, took);
        }
        self.take(decisions, std::slice::from_ref(asset));
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
        self.kept_out.committed(asset);
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
    order: &StepOrder,
    request: &RunRequest,
    events: Publisher,
    cancel: CancellationToken,
) -> Result<Became, EngineError> {
    let StepOrder { asset, is_again, repair, .. } = order;
    let (world, assets) = (engine.world(), std::slice::from_ref(asset));
    if let Some(because) = turn::of_another(world, asset).await? {
        return Ok(Became::KeptAway(because));
    }
    let lease = match world.lease(&request.command, assets, Duration::ZERO, &events, &cancel).await {
        Err(EngineError::State(because @ StateError::Locked { .. })) => {
            return Ok(Became::KeptAway(because));
        }
        lease => lease?,
    };
    let (telling, unreached) = (events.clone(), OnceLock::new());
    let planned = async {
        let mut plan = Box::pin(observe(world, request, Some(&telling))).await?;
        let unreadable = |step: &PlannedStep| match &step.reason {
            Reason::Unreadable { because } => Some(because.clone()),
            _ => None,
        };
        if let Some(because) = plan.steps.iter().find_map(unreadable)
            && world.held_by_circuit(asset).is_some()
        {
            // The look was the try, and the place is not asked once more. No run tells of it.
            tracing::warn!(%asset, error = because, "a source could not be looked at; its step waits for the circuit");
            let _ = unreached.set(because);
            return Ok(None);
        }
        if let Some(cause) = repair {
            repaired_by(&mut plan.steps, cause);
        }
        let is_needed = *is_again || !plan.steps.is_empty();
        if is_needed {
            tracing::info!(%asset, command = request.command, "a step starts");
        }
        Ok(is_needed.then_some(plan))
    };
    let executor = |runner| Arc::new(runner) as Arc<dyn StepExecutor>;
    let asked = request.due.unwrap_or_else(|| world.options.clock.now());
    let running = engine.run_under((asked, lease), request, assets, events, planned, executor);
    let ran = Box::pin(running).await?;
    Ok(match ran {
        Some(report) => Became::Run(report),
        None => match unreached.into_inner() {
            Some(because) => Became::Unreached { because },
            None => Became::Idle,
        },
    })
}

/// The versions that the steps of a run left.
fn versions(report: &RunReport) -> Vec<(AssetId, AssetVersion)> {
    report.steps.iter().filter_map(|step| Some((step.asset.clone(), step.version?))).collect()
}
