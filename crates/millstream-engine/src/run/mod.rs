//! The run loop: order, concurrency, retries, skipping, cancel. It knows steps, not what they do.

mod ending;
mod retry;
mod schedule;

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc, time::Instant};

use async_trait::async_trait;
use futures::future::BoxFuture;
use millstream_plan::{PlannedStep, Recorded, RunPlan};
use millstream_state::{Receipt, StepOutcome};
use millstream_types::{AssetId, AssetVersion, CheckId, RunId, Severity, TimestampMicros};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::{
    EngineError,
    event::{CheckReport, Event, PlannedAsset, Publisher, RunReport, StepReport},
};
use schedule::Schedule;

pub use retry::{NextAttempt, RetryPolicy, StepRules};
pub(crate) use retry::{chain, outcome as failed_outcome};

/// What a user asks to run.
#[derive(Clone, Debug, Default)]
pub struct RunRequest {
    /// `name`, `+name`, `name+`, `tag:x`, `source:x`, `path:x`, globs; empty for everything.
    pub selection: Vec<String>,
    /// What of it is left out, written in the same way.
    pub exclude: Vec<String>,
    /// Rebuild from nothing: land every part again, recompute every row.
    pub full_refresh: bool,
    /// With `full_refresh`: forget the rows of parts that were landed and are gone from their source, instead of refusing.
    pub forget_gone: bool,
    /// Run what is up to date too.
    pub force: bool,
    pub concurrency: Option<NonZeroUsize>,
    /// The command as typed, for the record.
    pub command: String,
    /// Who asked a server for the run, for the record.
    pub principal: Option<String>,
    /// When the run was due, where a schedule asks for it; `None` where a command asks now.
    pub due: Option<TimestampMicros>,
}

/// What one attempt at a step gave.
#[derive(Clone, Debug)]
pub struct StepResult {
    pub outcome: StepOutcome,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    pub version: Option<AssetVersion>,
    pub checks: Vec<CheckReport>,
    /// What the next plan is to see of the asset, for a step that was built, found nothing to do, or was told to end when it had
    /// done a part of its work.
    pub recorded: Option<Recorded>,
    /// Figures to remember, by name.
    pub metrics: Vec<(String, f64)>,
    /// The proof of the step's rows, where it has moved rows that can be counted.
    pub receipt: Option<Receipt>,
}

impl StepResult {
    /// A step that ended so without touching a row.
    #[must_use]
    pub fn without_rows(outcome: StepOutcome, version: Option<AssetVersion>) -> Self {
        Self {
            outcome,
            rows_written: 0,
            rows_deleted: 0,
            rows_rejected: 0,
            version,
            checks: Vec::new(),
            recorded: None,
            metrics: Vec::new(),
            receipt: None,
        }
    }
}

/// Does the work of steps and records their ends.
#[async_trait]
pub trait StepExecutor: Send + Sync {
    /// One attempt. Must be safe to repeat after an error.
    async fn attempt(&self, step: &PlannedStep) -> Result<StepResult, EngineError>;

    /// How the step is tried, where that is not left to the run.
    fn rules(&self, _step: &PlannedStep) -> StepRules {
        StepRules::default()
    }

    /// Whether an attempt that is told to end does so by itself, soon and with a record of what it has done, and is not to be
    /// dropped where it stands.
    fn ends_itself(&self, _step: &PlannedStep) -> bool {
        false
    }

    /// Whether what a step has recorded that was told to end belongs together as it is, so that readers may have it.
    fn is_whole_when_cut_short(&self) -> bool {
        false
    }

    /// An attempt has ended without an error.
    async fn succeeded(&self, _step: &PlannedStep) {}

    /// An attempt has failed. Says whether another one may follow, which is asked for where one `wants_another`.
    async fn failed(&self, _step: &PlannedStep, _error: &EngineError, _wants_another: bool) -> NextAttempt {
        NextAttempt::May
    }

    /// Why a further attempt may not begin now although its wait is over; `None` if it may.
    fn held(&self, _step: &PlannedStep) -> Option<String> {
        None
    }

    /// Records the end of a step, whatever it was, and adds the figures that were measured to its report.
    async fn record(&self, report: &mut StepReport) -> Result<(), EngineError>;

    /// Stores what steps left in memory; called once, after the last of them.
    async fn end(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// How a plan is carried out.
#[derive(Clone, Debug)]
pub struct ExecuteOptions {
    pub run: RunId,
    pub concurrency: NonZeroUsize,
    pub retry: RetryPolicy,
    /// What the jitter of waits comes from: equal seeds wait equally long.
    pub seed: u64,
}

/// Carries out `plan`: a step starts when everything it comes after has ended well. That the run has ended is for the caller
/// to record, and then to tell.
///
/// The error says that the record of a step could not be kept, which breaks the run off; a step's own error is in its report.
pub fn execute(
    plan: RunPlan,
    executor: Arc<dyn StepExecutor>,
    options: ExecuteOptions,
    events: Publisher,
    cancel: CancellationToken,
) -> BoxFuture<'static, (RunReport, Option<EngineError>)> {
    Box::pin(async move {
        let started = Instant::now();
        let planned =
            |step: &PlannedStep| PlannedAsset { asset: step.asset.clone(), reason: step.reason.clone() };
        events.publish(Event::RunStarted {
            run: options.run.clone(),
            steps: plan.steps.iter().map(planned).collect(),
        });
        let (run, up_to_date, mut steps) = (options.run.clone(), plan.up_to_date.len(), Vec::new());
        let done = carry_out(plan, executor, options, events, cancel.clone(), &mut steps).await;
        let (cancelled, broke) = (cancel.is_cancelled(), done.err());
        let elapsed = started.elapsed();
        (
            RunReport {
                run,
                steps,
                up_to_date,
                elapsed,
                cancelled,
                broke_off: broke.is_some(),
                caught_up: Vec::new(),
            },
            broke,
        )
    })
}

async fn carry_out(
    plan: RunPlan,
    executor: Arc<dyn StepExecutor>,
    options: ExecuteOptions,
    events: Publisher,
    cancel: CancellationToken,
    reports: &mut Vec<StepReport>,
) -> Result<(), EngineError> {
    let mut seed = options.seed;
    let mut schedule = Schedule::new(plan.steps);
    let mut running = JoinSet::new();
    let mut finished: VecDeque<StepReport> = VecDeque::new();
    loop {
        while running.len() < options.concurrency.get() && !cancel.is_cancelled() {
            let Some(step) = schedule.next_ready() else { break };
            let (executor, retry) = (executor.clone(), options.retry.clone());
            running.spawn(retry::run_step(step, executor, retry, seed, events.clone(), cancel.clone()));
            seed = seed.wrapping_add(1);
        }
        if cancel.is_cancelled() {
            finished.extend(schedule.drain_waiting().map(|step| unstarted(step, StepOutcome::Cancelled)));
        }
        match running.join_next().await {
            Some(Ok(ended)) => finished.push_back(ended),
            Some(Err(_)) => return Err(EngineError::Worker { doing: "running a step" }),
            None if finished.is_empty() && schedule.is_done() => break,
            None => {}
        }
        while let Some(mut report) = finished.pop_front() {
            executor.record(&mut report).await?;
            events.publish(Event::StepFinished(Box::new(report.clone())));
            let because = blocker(&report);
            let halted_by = halting(&report);
            for step in schedule.finish(&report.asset, because.is_none(), halted_by.as_deref()) {
                let because = because.clone().unwrap_or_else(|| report.asset.clone());
                // What is left of a run that is told to end is left for that reason, whatever else kept it back.
                let outcome = match cancel.is_cancelled() {
                    true => StepOutcome::Cancelled,
                    false => StepOutcome::Skipped { because },
                };
                finished.push_back(unstarted(step, outcome));
            }
            reports.push(report);
        }
    }
    executor.end().await
}

/// The asset to name as the reason when what comes after `report` is skipped; `None` when it may run.
fn blocker(report: &StepReport) -> Option<AssetId> {
    match &report.outcome {
        StepOutcome::Built | StepOutcome::Unchanged => None,
        StepOutcome::Skipped { because } => Some(because.clone()),
        StepOutcome::Halted { .. } | StepOutcome::Failed { .. } | StepOutcome::Cancelled => {
            Some(report.asset.clone())
        }
    }
}

/// The checks that halted a step; `None` for one that was not halted, or not by its checks.
pub(crate) fn halting(report: &StepReport) -> Option<Vec<CheckId>> {
    let is_broken = |check: &&CheckReport| !check.passed && check.severity == Severity::Halt;
    let broken = report.checks.iter().filter(is_broken).map(|check| check.check.clone()).collect::<Vec<_>>();
    let is_halted = matches!(report.outcome, StepOutcome::Halted { .. });
    (is_halted && !broken.is_empty()).then_some(broken)
}

fn unstarted(step: PlannedStep, outcome: StepOutcome) -> StepReport {
    ended(step, StepResult::without_rows(outcome, None), std::time::Duration::ZERO)
}

fn ended(step: PlannedStep, result: StepResult, elapsed: std::time::Duration) -> StepReport {
    StepReport::of(step.asset, step.reason, result, elapsed)
}
