//! Steps that are offered to all processes which serve the project, as the one sees them that schedules.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    time::{Duration, Instant},
};

use millstream_schedule::{Ending, GoesOn, RecordedAsset, ScheduledAsset, StartedStep};
use millstream_state::{LeaseToken, NewOffer, Offer, OfferEnd, OfferId, OfferTerms, StateError};
use millstream_types::{AssetId, Fingerprint, TimestampMicros};

use super::{
    start::{StepEnding, StepOrder},
    tenure::Tenure,
};
use crate::{Engine, EngineError, assets::is_local, error::told};

/// How often the state store is asked how offered steps ended, while there are any, and how often where news of that is heard.
const ENDS_EVERY: Duration = Duration::from_millis(100);
const ENDS_HEARING_EVERY: Duration = Duration::from_secs(1);

/// How often the state store is asked for calls of webhooks that other processes answered, and how often where news of that is heard.
const CALLS_EVERY: Duration = Duration::from_millis(400);
const CALLS_HEARING_EVERY: Duration = Duration::from_secs(5);

/// How often the state store is asked whether the workers of claimed steps live, while there are any.
const GONE_EVERY: Duration = Duration::from_secs(1);

/// The steps that are offered and whose ends were not taken in.
#[derive(Debug)]
pub(super) struct Offers {
    /// The number of the last offer of this tenure.
    number: i64,
    open: BTreeMap<AssetId, OfferId>,
    /// What the project says of the steps of its assets.
    terms: BTreeMap<AssetId, OfferTerms>,
    /// When it was last asked which workers live.
    looked_for_gone: Instant,
}

impl Offers {
    /// Takes over what an earlier tenure has offered: those steps go on. Gives the offers that nothing is owed for.
    pub(super) fn take_over(
        found: &[Offer],
        terms: BTreeMap<AssetId, OfferTerms>,
        recorded: &mut BTreeMap<AssetId, RecordedAsset>,
    ) -> (Self, Vec<OfferId>) {
        let (mut open, mut idle) = (BTreeMap::new(), Vec::new());
        // The newest offer of an asset is that of its present attempt: whatever was offered before has been taken back since.
        for Offer { offer, .. } in found.iter().rev() {
            match recorded.get_mut(&offer.asset).filter(|recorded| recorded.running.is_some()) {
                Some(recorded) if !open.contains_key(&offer.asset) => {
                    let OfferTerms { definition, connection, pools, .. } = offer.terms.clone();
                    let is_probe = offer.is_probe;
                    recorded.goes_on = Some(GoesOn { definition, connection, pools, is_probe });
                    open.insert(offer.asset.clone(), offer.id);
                }
                _ => idle.push(offer.id),
            }
        }
        (Self { number: 0, open, terms, looked_for_gone: Instant::now() }, idle)
    }

    /// The project was loaded again.
    pub(super) fn define(&mut self, terms: BTreeMap<AssetId, OfferTerms>) {
        self.terms = terms;
    }

    /// Whether somebody may wait for ever to claim the offer: it is for a definition that this process has not. An earlier one has offered
    /// it, or a worker has given it back since the project was loaded again.
    fn is_foreign(&self, found: &Offer) -> bool {
        let is_free = found.worker.is_none() && found.end.is_none();
        is_free && self.terms.get(&found.offer.asset) != Some(&found.offer.terms)
    }

    /// A step starts. Gives its offer, and the one before of an asset that was gone meanwhile, which nobody waits for any more.
    pub(super) fn add(
        &mut self,
        lease: LeaseToken,
        step: &StartedStep,
        repair: Option<&String>,
        at: TimestampMicros,
    ) -> (NewOffer, Option<OfferId>) {
        // Only what the project has starts, so that the terms are known; an offer on terms that nobody knows is withdrawn.
        let terms = self.terms.get(&step.asset).cloned().unwrap_or_else(unknown_terms);
        let StepOrder { asset, command, due, is_again, repair } = StepOrder::of(step, repair);
        self.number += 1;
        let id = OfferId { lease, number: self.number };
        let before = self.open.insert(asset.clone(), id);
        let (attempt, is_probe) = (step.attempt, step.is_probe);
        let offer = NewOffer { id, asset, terms, command, due, is_again, repair, attempt, is_probe, at };
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

fn unknown_terms() -> OfferTerms {
    let definition = Fingerprint::new([0; 32]);
    OfferTerms { definition, connection: None, pools: Vec::new(), is_local: false }
}

/// What the engine's project says of the steps of these assets.
pub(super) fn terms(engine: &Engine, assets: &[ScheduledAsset]) -> BTreeMap<AssetId, OfferTerms> {
    let world = engine.world();
    let terms = |asset: &ScheduledAsset| {
        let terms = OfferTerms {
            definition: asset.definition,
            connection: asset.connection.clone(),
            pools: asset.pools.clone(),
            is_local: is_local(world, &asset.id),
        };
        (asset.id.clone(), terms)
    };
    assets.iter().map(terms).collect()
}

/// How often the state store is asked for ends and for calls.
pub(super) fn every(is_hearing: bool) -> (Duration, Duration) {
    match is_hearing {
        true => (ENDS_HEARING_EVERY, CALLS_HEARING_EVERY),
        false => (ENDS_EVERY, CALLS_EVERY),
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
        let Some(found) = self.find_offers().await? else { return Ok(()) };
        self.look_for_gone(&found).await?;
        let Some(offers) = &self.offers else { return Ok(()) };
        let mut found: BTreeMap<OfferId, Offer> =
            found.into_iter().map(|found| (found.offer.id, found)).collect();
        let (mut ended, mut withdrawn) = (Vec::new(), Vec::new());
        for (asset, id) in &offers.open {
            match found.remove(id) {
                Some(found) => {
                    self.promises.step_claimed(asset, found.claimed);
                    ended.extend(found.end.map(|end| (asset.clone(), *id, end)));
                }
                None if !offers.terms.contains_key(asset) => withdrawn.push(asset.clone()),
                // What was offered is there until its end is taken in, or the record was changed by somebody else.
                None => return Err(EngineError::Worker { doing: "waiting for an offered step" }),
            }
        }
        for asset in withdrawn {
            self.take_withdrawn(&asset);
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

    /// The offers as they stand, those that nobody has claimed for the definitions of this process; `None` while the state store is away.
    async fn find_offers(&self) -> Result<Option<Vec<Offer>>, EngineError> {
        let (state, Some(offers)) = (&self.engine.world().state, &self.offers) else { return Ok(None) };
        let found = match state.offers().await {
            Ok(found) if found.iter().any(|found| offers.is_foreign(found)) => {
                let adopted = state.adopt_offers(self.lease.token, &offers.terms).await;
                self.exchange.offered();
                adopted
            }
            found => found,
        };
        match found {
            Ok(found) => Ok(Some(found)),
            Err(lost @ StateError::LeaseLost) => Err(lost.into()),
            Err(error) => {
                tracing::warn!(%error, "it is not known how steps ended; trying again");
                Ok(None)
            }
        }
    }

    /// The step of an asset that is gone was offered, and nobody has claimed it.
    fn take_withdrawn(&mut self, asset: &AssetId) {
        tracing::info!(%asset, "a step is not run, because its asset is gone");
        if let Some(offers) = &mut self.offers {
            offers.open.remove(asset);
        }
        self.started.remove(asset);
        self.promises.step_ended(asset);
        let now = self.now();
        let decisions = self.scheduler.kept_away(asset, now);
        self.take(decisions, &[]);
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
