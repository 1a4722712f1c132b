//! One step with its retries: exponential backoff with jitter, only for errors that say so.

use std::{sync::Arc, time::Duration, time::Instant};

use backon::{BackoffBuilder, ExponentialBuilder};
use millstream_plan::PlannedStep;
use millstream_project::cover;
use millstream_state::StepOutcome;
use tokio_util::sync::CancellationToken;

use super::{StepExecutor, StepResult, ended};
use crate::{
    EngineError,
    event::{Event, Publisher, StepReport},
};

/// How often and how soon a failed attempt is repeated.
#[derive(Clone, Debug)]
pub struct RetryPolicy {
    /// Attempts after the first one.
    pub retries_max: usize,
    pub first_wait: Duration,
    pub wait_max: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries_max: 3, first_wait: Duration::from_secs(1), wait_max: Duration::from_secs(300) }
    }
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
    let mut waits = ExponentialBuilder::default()
        .with_min_delay(policy.first_wait)
        .with_max_delay(policy.wait_max)
        .with_max_times(policy.retries_max)
        .with_jitter()
        .with_jitter_seed(seed)
        .build();
    let mut attempt = 0_u32;
    loop {
        attempt += 1;
        // Dropping the attempt at an await point is safe: nothing is visible before its one commit, and a
        // commit that landed unrecorded is found by the next run.
        let result = tokio::select! {
            biased;
            () = cancel.cancelled() => Err(EngineError::Cancelled),
            result = executor.attempt(&step) => result,
        };
        let error = match result {
            Ok(result) => return ended(step, result, started.elapsed()),
            Err(error) => error,
        };
        let wait = error.retry().and_then(|asked| Some(waits.next()?.max(asked.unwrap_or_default())));
        let Some(wait) = wait else {
            return ended(step, StepResult::without_rows(outcome(&error), None), started.elapsed());
        };
        let asset = step.asset.clone();
        events.publish(Event::StepRetry { asset, attempt, wait, error: chain(&error) });
        tokio::select! {
            () = cancel.cancelled() => {}
            () = tokio::time::sleep(wait) => {}
        }
    }
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
