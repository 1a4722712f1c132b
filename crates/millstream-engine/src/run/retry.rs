//! One step with its retries: exponential backoff with full jitter, only for errors that say so, and a bound on the time of
//! each attempt.

use std::{sync::Arc, time::Duration, time::Instant};

use millstream_plan::PlannedStep;
use millstream_project::cover;
use millstream_schedule::{Retrying, full_jitter};
use millstream_state::StepOutcome;
use tokio_util::sync::CancellationToken;

use super::{StepExecutor, StepResult, ended};
use crate::{
    EngineError, ErrorClass,
    event::{Event, Publisher, StepReport},
};

/// How often and how soon a failed attempt is repeated.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Attempts after the first one.
    pub retries_max: usize,
    /// The longest first wait; each wait is drawn between nothing and a ceiling that doubles.
    pub first_wait: Duration,
    pub wait_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries_max: 3, first_wait: Duration::from_secs(1), wait_max: Duration::from_secs(300) }
    }
}

impl RetryPolicy {
    /// The policy, where `said` says nothing else.
    fn with(&self, said: Retrying) -> Self {
        let millis = |span: millstream_types::Span| Duration::from_millis(span.ms());
        let retries = said.attempts.map(|attempts| usize::try_from(attempts.get() - 1).unwrap_or(usize::MAX));
        let first_wait = said.base.map_or(self.first_wait, millis);
        Self {
            retries_max: retries.unwrap_or(self.retries_max),
            first_wait,
            wait_max: said.cap.map_or(self.wait_max.max(first_wait), millis),
        }
    }
}

/// How one step is tried, where that is not left to the run.
#[derive(Clone, Copy, Debug, Default)]
pub struct StepRules {
    pub retrying: Retrying,
    /// The longest time that one attempt may take.
    pub timeout: Option<Duration>,
}

/// How long an attempt that ends by itself may take for that once it is told to: less than a server that stops gives its steps.
const ENDING_MAX: Duration = Duration::from_secs(5);

/// Whether another attempt may follow on a failed one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NextAttempt {
    May,
    Refused { because: String },
}

pub(super) async fn run_step(
    step: PlannedStep,
    executor: Arc<dyn StepExecutor>,
    policy: RetryPolicy,
    seed: u64,
    events: Publisher,
    cancel: CancellationToken,
) -> StepReport {
    let started = Instant::now();
    events.publish(Event::StepStarted { asset: step.asset.clone(), reason: step.reason.clone() });
    let rules = executor.rules(&step);
    let bounds = Bounds {
        timeout: rules.timeout,
        ending: if executor.ends_itself(&step) { ENDING_MAX } else { Duration::ZERO },
    };
    let policy = policy.with(rules.retrying);
    let mut random = seed;
    let mut attempt = 0_u32;
    loop {
        attempt += 1;
        let error = match attempt_within(&step, executor.as_ref(), bounds, &cancel).await {
            Ok(result) if result.outcome == StepOutcome::Cancelled => {
                let class = Some(ErrorClass::Cancelled);
                return StepReport { class, ..ended(step, result, started.elapsed()) };
            }
            Ok(result) => {
                executor.succeeded(&step).await;
                return ended(step, result, started.elapsed());
            }
            Err(error) => error,
        };
        let class = error.class();
        let is_left = usize::try_from(attempt).is_ok_and(|attempts| attempts <= policy.retries_max);
        let wants_another = class.may_pass() && is_left;
        let next = match class {
            ErrorClass::Cancelled => NextAttempt::May,
            _ => executor.failed(&step, &error, wants_another).await,
        };
        if let (NextAttempt::Refused { because }, true) = (&next, wants_another) {
            let note = format!("is not tried again: {because}");
            events.publish(Event::StepNote { asset: step.asset.clone(), note });
        }
        if !wants_another || next != NextAttempt::May {
            let result = StepResult::without_rows(outcome(&error), None);
            return StepReport { class: Some(class), ..ended(step, result, started.elapsed()) };
        }
        let wait = full_jitter(policy.first_wait, policy.wait_max, attempt - 1, draw(&mut random));
        let wait = wait.max(error.retry().flatten().unwrap_or_default());
        let asset = step.asset.clone();
        events.publish(Event::StepRetry { asset, attempt, wait, error: chain(&error) });
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
        // Others may have found out meanwhile that the place does not answer.
        if let Some(because) = executor.held(&step) {
            let note = format!("is not tried again: {because}");
            events.publish(Event::StepNote { asset: step.asset.clone(), note });
            let result = StepResult::without_rows(outcome(&error), None);
            return StepReport { class: Some(class), ..ended(step, result, started.elapsed()) };
        }
    }
}

/// The bounds of one attempt.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// The longest time that it may take.
    timeout: Option<Duration>,
    /// The time that it has to end by itself once it is told to.
    ending: Duration,
}

/// Makes one attempt. Dropping it at an await point is safe: nothing is visible before its one commit, and a commit that landed
/// unrecorded is found by the next attempt or the next run.
async fn attempt_within(
    step: &PlannedStep,
    executor: &dyn StepExecutor,
    Bounds { timeout, ending }: Bounds,
    cancel: &CancellationToken,
) -> Result<StepResult, EngineError> {
    let is_over = async {
        cancel.cancelled().await;
        if !ending.is_zero() {
            tokio::time::sleep(ending).await;
        }
    };
    let time_is_up = async {
        match timeout {
            Some(timeout) => tokio::time::sleep(timeout).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        () = is_over => Err(EngineError::Cancelled),
        result = executor.attempt(step) => result,
        () = time_is_up => {
            Err(EngineError::TimedOut { asset: step.asset.clone(), after: timeout.unwrap_or_default() })
        }
    }
}

/// The next of a row of random numbers, all of which are equally likely (SplitMix64: Steele, Lea and Flood, *Fast Splittable
/// Pseudorandom Number Generators*, OOPSLA 2014).
fn draw(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// How a step ends with that error.
pub(crate) fn outcome(error: &EngineError) -> StepOutcome {
    match error {
        EngineError::Cancelled => StepOutcome::Cancelled,
        error => {
            StepOutcome::Failed { code: error.code().to_owned(), error: chain(error), hint: error.hint() }
        }
    }
}

/// The error and its causes in one line, the credentials that a library may have put into them covered: the line is
/// shown, logged and kept.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    cover(&text).text.into_owned()
}
