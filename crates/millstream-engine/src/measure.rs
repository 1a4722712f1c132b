//! What is measured of the steps of a run, from the first attempt at each to its end.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use millstream_plan::PlannedStep;
use millstream_project::PricesSpec;
use millstream_state::{Receipt, StepFigures};
use millstream_types::{AssetId, TimestampMicros};
use millstream_usage::Account;

use crate::cost::cost;

/// The measures of one run.
#[derive(Debug)]
pub(crate) struct Measures {
    began: TimestampMicros,
    steps: Mutex<Steps>,
}

#[derive(Debug, Default)]
struct Steps {
    begun: HashMap<AssetId, Begun>,
    /// When steps ended, which others wait for.
    ended: HashMap<AssetId, TimestampMicros>,
}

/// A step at which attempts were made.
#[derive(Debug)]
struct Begun {
    account: Account,
    ready: TimestampMicros,
    /// The step at whose end this one was ready.
    waited_for: Option<AssetId>,
    started: TimestampMicros,
    attempts: u32,
}

impl Measures {
    pub(crate) fn new(began: TimestampMicros) -> Self {
        Self { began, steps: Mutex::default() }
    }

    /// An attempt at a step begins, whose work is to be charged to the account. Also says whether it is the first.
    pub(crate) fn attempt(&self, step: &PlannedStep, now: TimestampMicros) -> (Account, bool) {
        let mut steps = self.steps();
        let before = step.after.iter().chain(&step.checks_after);
        let last = before.filter_map(|asset| Some((*steps.ended.get(asset)?, asset.clone()))).max();
        let (ready, waited_for) = last.map_or((self.began, None), |(at, asset)| (at, Some(asset)));
        let new = || Begun { account: Account::default(), ready, waited_for, started: now, attempts: 0 };
        let begun = steps.begun.entry(step.asset.clone()).or_insert_with(new);
        begun.attempts += 1;
        (begun.account.clone(), begun.attempts == 1)
    }

    /// The figures of a step that has ended.
    pub(crate) fn end(
        &self,
        asset: &AssetId,
        receipt: Option<Receipt>,
        prices: Option<&PricesSpec>,
        now: TimestampMicros,
    ) -> StepFigures {
        let mut steps = self.steps();
        steps.ended.insert(asset.clone(), now);
        let Some(begun) = steps.begun.remove(asset) else { return StepFigures::default() };
        let retries = begun.attempts.saturating_sub(1);
        let figures = figures(&begun.account, (begun.ready, begun.started), retries, receipt, prices);
        StepFigures { waited_for: begun.waited_for, ..figures }
    }

    fn steps(&self) -> MutexGuard<'_, Steps> {
        self.steps.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The figures of a step that was `ready` at the first instant and `started` at the second.
pub(crate) fn figures(
    account: &Account,
    (ready, started): (TimestampMicros, TimestampMicros),
    retries: u32,
    receipt: Option<Receipt>,
    prices: Option<&PricesSpec>,
) -> StepFigures {
    let usage = account.usage();
    let figures = StepFigures {
        ready: Some(ready),
        started: Some(started),
        retries: Some(retries),
        bytes_read: usage.bytes_read,
        bytes_written: usage.bytes_written,
        cpu_us: u64::try_from(usage.cpu.as_micros()).ok(),
        memory_peak: usage.memory_peak,
        external_calls: Some(usage.calls),
        receipt,
        ..StepFigures::default()
    };
    let cost = prices.and_then(|prices| cost(&figures, prices));
    StepFigures { cost, ..figures }
}
