//! Steps that are offered to all processes which serve the project, as the one sees them that schedules.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use millstream_schedule::{Ending, RecordedAsset, ScheduledAsset, StartedStep};
use millstream_state::{LeaseToken, NewOffer, Offer, OfferEnd, OfferId, StateError};
use millstream_types::{AssetId, Fingerprint, TimestampMicros};

use super::{
    start::{StepEnding, StepOrder},
    tenure::Tenure,
};
use crate::{Engine, EngineError, error::told};

/// How often the state store is asked how offered steps ended, while there are any.
pub(super) const ENDS_EVERY: Duration = Duration::from_millis(100);

/// How often the state store is asked for calls of webhooks that other processes answered.
pub(super) const CALLS_EVERY: Duration = Duration::from_millis(400);

/// How often the state store is asked whether the workers of claimed steps live, while there are any.
const GONE_EVERY: Duration = Duration::from_secs(1);

/// The steps that are offered and whose ends were not taken in.
#[derive(Debug)]
pub(super) struct Offers {
    /// The number of the last offer of this tenure.
    number: i64,
    open: BTreeMap<AssetId, OfferId>,
    /// The definitions of the project's assets.
    definitions: BTreeMap<AssetId, Fingerprint>,
    /// When it was last asked which workers live.
    looked_for_gone: Instant,
}

impl Offers {
    /// Takes over what an earlier tenure has offered: those steps go on. Gives the offers that nothing is owed for.
    pub(super) fn take_over(
        found: &[Offer],
        recorded: &mut BTreeMap<AssetId, RecordedAsset>,
    ) -> (Self, Vec<OfferId>) {
        let (mut open, mut idle) = (BTreeMap::new(), Vec::new());
        // The newest offer of an asset is that of its present attempt: whatever was offered before has been taken back since.
        for Offer { offer, .. } in found.iter().rev() {
            match recorded.get_mut(&offer.asset).filter(|recorded| recorded.running.is_some()) {
                Some(recorded) if !open.contains_key(&offer.asset) => {
                    recorded.goes_on_as = Some(offer.definition);
                    open.insert(offer.asset.clone(), offer.id);
                }
                _ => idle.push(offer.id),
            }
        }
        let offers = Self { number: 0, open, definitions: BTreeMap::new(), looked_for_gone: Instant::now() };
        (offers, idle)
    }

    pub(super) fn define(&mut self, assets: &[ScheduledAsset]) {
        self.definitions = assets.iter().map(|asset| (asset.id.clone(), asset.definition)).collect();
    }

    /// A step starts. Gives its offer, and the one before of an asset that was gone meanwhile, which nobody waits for any more.
    pub(super) fn add(
        &mut self,
        lease: LeaseToken,
        step: &StartedStep,
        repair: Option<&String>,
        at: TimestampMicros,
    ) -> (NewOffer, Option<OfferId>) {
        // A definition that no process has is waited for in vain, and then this process takes the step.
        let definition = self.definitions.get(&step.asset).copied().unwrap_or(Fingerprint::new([0; 32]));
        let StepOrder { asset, command, due, is_again, repair } = StepOrder::of(step, repair);
        self.number += 1;
        let id = OfferId { lease, number: self.number };
        let before = self.open.insert(asset.clone(), id);
        let offer =
            NewOffer { id, asset, definition, command, due, is_again, repair, attempt: step.attempt, at };
        (offer, before)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn has(&self, asset: &AssetId) -> bool {
        self.open.contains_key(asset)
    }

    pub(super) fn assets(&self) -> impl Iterator<Item = &AssetId> {
        self.open.keys()
    }
}

/// The number of steps that may run at once over all processes: what the environment says, or as many as their workers have places
/// for together.
pub(super) async fn places(engine: &Engine) -> Result<NonZeroUsize, StateError> {
    let (world, own) = (engine.world(), engine.world().concurrency(None));
    if world.project.spec.environment.concurrency.is_some() {
        return Ok(own);
    }
    let workers = world.state.workers(world.options.clock.now()).await?;
    let sum = workers.iter().fold(0_usize, |sum, worker| {
        sum.saturating_add(usize::try_from(worker.places).unwrap_or(usize::MAX))
    });
    Ok(NonZeroUsize::new(sum).unwrap_or(own).max(own))
}

impl Tenure {
    /// Whether a step of the asset runs that this loop has decided to start.
    pub(super) fn runs(&self, asset: &AssetId) -> bool {
        self.own.contains_key(asset) || self.offers.as_ref().is_some_and(|offers| offers.has(asset))
    }

    /// Whether steps are offered whose ends are waited for.
    pub(super) fn waits_for_ends(&self) -> bool {
        self.offers.as_ref().is_some_and(|offers| !offers.is_empty())
    }

    /// As many steps start from now on as the workers have places for. When the state store is away, that is found out later.
    pub(super) async fn look_at_workers(&mut self) -> Result<(), EngineError> {
        if self.offers.is_none() {
            return Ok(());
        }
        let places = match places(&self.engine).await {
            Ok(places) => places,
            Err(error) => {
                tracing::warn!(%error, "it is not known how many steps may run; trying again");
                return Ok(());
            }
        };
        if places == self.places {
            return Ok(());
        }
        self.places = places;
        let now = self.now();
        let decisions = self.scheduler.limit_steps(places, now);
        self.carry_out(decisions, &[]).await
    }

    /// Takes in the calls of webhooks that other processes answered. When the state store is away, that is done later.
    pub(super) async fn look_at_calls(&mut self) -> Result<(), EngineError> {
        let called = match self.engine.world().state.webhook_calls().await {
            Ok(called) => called,
            Err(error) => {
                tracing::warn!(%error, "it is not known which webhooks were called; trying again");
                return Ok(());
            }
        };
        for called in called {
            tracing::info!(webhook = called.name, "a webhook was called");
            let now = self.now();
            let decisions = self.scheduler.triggered(&called.name, now);
            self.take(decisions, &[]);
            self.taken.called.push(called);
        }
        self.carry_out_taken().await
    }

    /// Takes in how offered steps ended. When the state store is away, that is found out later.
    pub(super) async fn look_at_offers(&mut self) -> Result<(), EngineError> {
        let state = self.engine.world().state.clone();
        let found = match state.offers().await {
            Ok(found) => found,
            Err(error) => {
                tracing::warn!(%error, "it is not known how steps ended; trying again");
                return Ok(());
            }
        };
        self.look_for_gone(&found).await?;
        let Some(offers) = &self.offers else { return Ok(()) };
        let mut found: BTreeMap<OfferId, Offer> =
            found.into_iter().map(|found| (found.offer.id, found)).collect();
        let mut ended = Vec::new();
        for (asset, id) in &offers.open {
            // What was offered is there until its end is taken in, or the record was changed by somebody else.
            let Some(found) = found.remove(id) else {
                return Err(EngineError::Worker { doing: "waiting for an offered step" });
            };
            ended.extend(found.end.map(|end| (asset.clone(), *id, end)));
        }
        let is_reached = |end: &OfferEnd| !matches!(end, OfferEnd::Ended { ending: Ending::Unreachable, .. });
        if !ended.iter().all(|(_, _, end)| is_reached(end)) {
            // The worker has opened the circuit of what did not answer, perhaps in another process.
            if let Err(error) = self.engine.world().refresh_circuits().await {
                let (code, error) = (error.code(), told(&error));
                tracing::warn!(code, error, "the circuits cannot be read; trying again");
            }
        }
        for (asset, id, end) in ended {
            self.take_offer_end(&asset, id, end);
        }
        self.carry_out_taken().await
    }

    fn take_offer_end(&mut self, asset: &AssetId, id: OfferId, end: OfferEnd) {
        // An end that was taken in before it may have started a new attempt of an asset that was gone.
        let Some(offers) = self.offers.as_mut().filter(|offers| offers.open.get(asset) == Some(&id)) else {
            return;
        };
        offers.open.remove(asset);
        self.taken.taken_in.push(id);
        match end {
            OfferEnd::Ended { ending, took, versions, is_doubtful, fault, halted_by } => {
                let versions = versions.into_iter().collect();
                self.take_ending(asset, StepEnding { ending, took, versions, is_doubtful, fault, halted_by });
            }
            OfferEnd::KeptAway { because } => self.take_kept_away(asset, &because),
            OfferEnd::Lost => {
                tracing::warn!(%asset, "the process that ran a step is gone");
                self.started.remove(asset);
                self.doubtful.insert(asset.clone());
                self.promises.step_ended(asset);
                let now = self.now();
                let decisions = self.scheduler.interrupted(asset, now);
                self.take(decisions, std::slice::from_ref(asset));
            }
        }
    }

    /// Writes of claimed steps whose workers are gone that they were lost, which is taken in with the next look.
    async fn look_for_gone(&mut self, found: &[Offer]) -> Result<(), EngineError> {
        let claimed = found.iter().filter(|found| found.end.is_none());
        let claimed: Vec<(OfferId, LeaseToken)> =
            claimed.filter_map(|found| Some((found.offer.id, found.worker?))).collect();
        let Some(offers) = &mut self.offers else { return Ok(()) };
        if claimed.is_empty() || offers.looked_for_gone.elapsed() < GONE_EVERY {
            return Ok(());
        }
        offers.looked_for_gone = Instant::now();
        // After an outage, or when the machine has slept, this process knows by that to spare the leases of others.
        match self.lease.hold().await {
            Ok(()) => {}
            Err(lost @ EngineError::State(StateError::LeaseLost)) => return Err(lost),
            Err(_) => return Ok(()),
        }
        let now = self.now();
        let state = self.engine.world().state.clone();
        let alive: BTreeSet<LeaseToken> = match state.workers(now).await {
            Ok(workers) => workers.into_iter().map(|worker| worker.lease.token).collect(),
            Err(error) => {
                tracing::warn!(%error, "it is not known which processes run steps; trying again");
                return Ok(());
            }
        };
        let lost: Vec<_> = claimed.into_iter().filter(|(_, worker)| !alive.contains(worker)).collect();
        if lost.is_empty() {
            return Ok(());
        }
        match state.lose_offers(self.lease.token, &lost).await {
            Ok(()) => self.exchange.ended(),
            Err(lost @ StateError::LeaseLost) => return Err(lost.into()),
            Err(error) => tracing::warn!(%error, "that steps were lost was not recorded; trying again"),
        }
        Ok(())
    }
}
