//! Decisions: recorded first, all of one call together, and then carried out.

use std::{collections::BTreeSet, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use millstream_schedule::{Decision, DueReason, HoldReason, RecordedAsset, Start};
use millstream_state::{
    DecisionKind, LoggedDecision, NewOffer, OfferChanges, OfferId, ScheduleRecord, StateError, WebhookCalls,
};
use millstream_types::{AssetId, TimestampMicros};

use super::tenure::Tenure;
use crate::{EngineError, error::told as worded};

/// So many reasons are named in a line.
const NAMED_MAX: usize = 4;

/// How soon, at first and at last, what could not be recorded is recorded again.
const AGAIN_MIN: Duration = Duration::from_millis(100);
const AGAIN_MAX: Duration = Duration::from_secs(10);

/// What was decided and is not yet on record.
#[derive(Debug, Default)]
pub(super) struct Taken {
    decisions: Vec<Decision>,
    /// The assets of whose record something changes.
    changed: BTreeSet<AssetId>,
    logged: Vec<LoggedDecision>,
    /// The steps that are offered to all processes.
    offered: Vec<NewOffer>,
    /// The offers whose ends were taken in.
    pub(super) taken_in: Vec<OfferId>,
    /// The calls of webhooks that other processes answered and that were taken in.
    pub(super) called: Vec<WebhookCalls>,
}

/// What one transaction records.
#[derive(Clone, Copy)]
struct Recorded<'a> {
    assets: &'a [RecordedAsset],
    decisions: &'a [LoggedDecision],
    offers: OfferChanges<'a>,
}

impl Taken {
    /// Offers that nothing is owed for.
    pub(super) fn of_idle(offers: Vec<OfferId>) -> Self {
        Self { taken_in: offers, ..Self::default() }
    }
}

impl Tenure {
    /// Records what the scheduler decided, and what it was told of the assets `told`; then acts on it.
    pub(super) async fn carry_out(
        &mut self,
        decisions: Vec<Decision>,
        told: &[AssetId],
    ) -> Result<(), EngineError> {
        self.take(decisions, told);
        self.carry_out_taken().await
    }

    /// Takes in what one call of the scheduler decided, so that what several calls decide is one transaction.
    pub(super) fn take(&mut self, decisions: Vec<Decision>, told: &[AssetId]) {
        let known = told.iter().filter(|asset| self.recorded.contains_key(*asset));
        self.taken.changed.extend(known.cloned());
        for decision in &decisions {
            for asset in changed_by(decision) {
                let recorded = self.recorded.entry(asset.clone());
                recorded.or_insert_with(|| RecordedAsset::new(asset.clone())).apply(decision);
                self.taken.changed.insert(asset.clone());
            }
        }
        for start in decisions.iter().filter_map(started) {
            self.started.extend(start.steps.iter().map(|step| step.asset.clone()));
            self.offer(start);
        }
        let now = self.now();
        let clock = self.told_of_clock(now);
        let decided = decisions.iter().flat_map(|decision| log(decision, now, &mut self.logged));
        self.taken.logged.extend(clock.into_iter().chain(decided));
        self.taken.decisions.extend(decisions);
    }

    /// Records all that was taken in, and then acts on it.
    pub(super) async fn carry_out_taken(&mut self) -> Result<(), EngineError> {
        let Taken { decisions, changed, logged, offered, taken_in, called } = std::mem::take(&mut self.taken);
        let is_taken_in = !taken_in.is_empty() || !called.is_empty();
        if !changed.is_empty() || !logged.is_empty() || is_taken_in {
            let assets: Vec<RecordedAsset> =
                changed.iter().filter_map(|asset| self.recorded.get(asset)).cloned().collect();
            let offers = OfferChanges { offered: &offered, taken_in: &taken_in, called: &called };
            self.record(Recorded { assets: &assets, decisions: &logged, offers }).await?;
        }
        for decision in &decisions {
            self.act(decision);
        }
        let words: Vec<_> = logged.iter().map(|line| line.kind.as_str()).collect();
        self.engine.events().scheduled(&words, self.scheduler.waiting(), self.started.len());
        Ok(())
    }

    /// Records until that works: what is recorded twice is there once.
    ///
    /// # Errors
    ///
    /// Another process has taken the lease, or the time is over that the process has to end.
    async fn record(&self, recorded: Recorded<'_>) -> Result<(), EngineError> {
        let mut pauses = again().build();
        loop {
            let done = tokio::select! {
                done = self.try_to_record(recorded) => done,
                reason = self.lease.over() => return Err(reason),
            };
            let error = match done {
                Err(EngineError::State(StateError::LeaseLost)) | Ok(()) => return done,
                Err(error) => error,
            };
            let (code, error) = (error.code(), worded(&error));
            tracing::warn!(code, error, "the schedule could not be recorded; trying again");
            tokio::select! {
                () = tokio::time::sleep(pauses.next().unwrap_or(AGAIN_MAX)) => {}
                reason = self.lease.over() => return Err(reason),
            }
        }
    }

    /// Records how assets stand, without a decision about them.
    pub(super) async fn try_to_record_assets(&self, assets: &[RecordedAsset]) -> Result<(), EngineError> {
        self.try_to_record(Recorded { assets, decisions: &[], offers: OfferChanges::default() }).await
    }

    async fn try_to_record(&self, recorded: Recorded<'_>) -> Result<(), EngineError> {
        // After the machine has slept, or its clock was set, the lease may be over without anybody having taken it.
        self.lease.hold().await?;
        let Recorded { assets, decisions, offers } = recorded;
        let record = ScheduleRecord { lease: self.lease.token, assets, decisions };
        Ok(self.engine.world().state.record_schedule_with(&record, offers).await?)
    }

    /// Takes in the offers of steps that start, where steps are offered.
    fn offer(&mut self, start: &Start) {
        let now = self.now();
        if let Some(offers) = &mut self.offers {
            for step in &start.steps {
                let cause = self.repairing.cause(&step.asset);
                let (offer, before) = offers.add(self.lease.token, step, cause, now);
                self.taken.offered.push(offer);
                self.taken.taken_in.extend(before);
            }
        }
    }

    fn act(&mut self, decision: &Decision) {
        match decision {
            Decision::Start(start) => start.steps.iter().for_each(|step| self.start(step)),
            Decision::Look { asset } => self.look(asset),
            Decision::Skip { asset, because, .. } => {
                tracing::info!(%asset, because = %because, "a step is skipped");
            }
            Decision::Postponed { asset } => {
                self.started.remove(asset);
            }
            Decision::NotNow { asset, because } => {
                tracing::debug!(%asset, because = %because, "a step waits");
            }
            Decision::SetAside { asset, failures, .. } => self.tell_aside(asset, *failures),
            Decision::Resume { asset, because } => self.tell_resumed(asset, &because.to_string()),
            Decision::Noted { .. }
            | Decision::Watch { .. }
            | Decision::Unwatch { .. }
            | Decision::CountAnew { .. } => {}
        }
    }
}

fn started(decision: &Decision) -> Option<&Start> {
    match decision {
        Decision::Start(start) => Some(start),
        _ => None,
    }
}

fn again() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(AGAIN_MIN).with_max_delay(AGAIN_MAX).without_max_times()
}

/// The reasons in one line.
pub(super) fn reasons(reasons: &[DueReason]) -> String {
    let mut text = reasons.iter().take(NAMED_MAX).map(ToString::to_string).collect::<Vec<_>>().join("; ");
    if let more @ 1.. = reasons.len().saturating_sub(NAMED_MAX) {
        text.push_str(&format!("; and {more} more"));
    }
    text
}

/// The assets of whose record the decision changes something.
fn changed_by(decision: &Decision) -> Vec<&AssetId> {
    match decision {
        Decision::Start(start) => start.steps.iter().map(|step| &step.asset).collect(),
        Decision::Skip { asset, .. }
        | Decision::Postponed { asset }
        | Decision::Noted { asset, .. }
        | Decision::Watch { asset, .. }
        | Decision::Unwatch { asset, .. }
        | Decision::SetAside { asset, .. }
        | Decision::Resume { asset, .. }
        | Decision::CountAnew { asset } => vec![asset],
        Decision::NotNow { .. } | Decision::Look { .. } => Vec::new(),
    }
}

/// The lines of the log about a decision.
fn log(decision: &Decision, at: TimestampMicros, number: &mut i64) -> Vec<LoggedDecision> {
    let mut line = |asset: &AssetId, kind, because| {
        *number += 1;
        LoggedDecision { number: *number, at, asset: asset.clone(), kind, because }
    };
    match decision {
        Decision::Start(start) => {
            let steps = start.steps.iter();
            steps.map(|step| line(&step.asset, DecisionKind::Started, reasons(&step.reasons))).collect()
        }
        Decision::Skip { asset, because, .. } => {
            vec![line(asset, DecisionKind::Skipped, because.to_string())]
        }
        Decision::NotNow { asset, because } => vec![line(asset, DecisionKind::Held, because.to_string())],
        Decision::Postponed { asset } => {
            vec![line(asset, DecisionKind::Held, HoldReason::KeptAway.to_string())]
        }
        Decision::SetAside { asset, failures, .. } => {
            let because = format!("{failures} failures in a row");
            vec![line(asset, DecisionKind::SetAside, because)]
        }
        Decision::Resume { asset, because } => {
            vec![line(asset, DecisionKind::Resumed, because.to_string())]
        }
        Decision::Noted { .. }
        | Decision::CountAnew { .. }
        | Decision::Look { .. }
        | Decision::Watch { .. }
        | Decision::Unwatch { .. } => Vec::new(),
    }
}
