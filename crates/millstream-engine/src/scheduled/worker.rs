//! Runs steps that are offered to all processes which serve the project: claims what there is room for, and writes how it ended.
//!
//! What a worker has claimed is its own as long as its lease lasts, under a name that is no asset. It needs no process that
//! schedules: what runs goes on, and its end is there for whichever schedules then.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::FutureExt;
use millstream_plan::scheduled;
use millstream_schedule::{Claimant, OfferedStep, claims};
use millstream_state::{
    LeaseToken, NewsOfOffers, Offer, OfferEnd, OfferId, OfferNews, State, StateError, StepWorker,
};
use millstream_types::{AssetId, Fingerprint};
use tokio::{
    sync::watch,
    task::{JoinError, JoinSet},
    time::{Interval, MissedTickBehavior, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    COMMAND,
    exchange::Exchange,
    is_scheduled,
    start::{Became, StepEnding, StepOrder},
};
use crate::{Engine, EngineError, error::told, lease::Lease};

/// How often a worker looks at what is offered where it hears no news of that, and how often where it does.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOK_HEARING_EVERY: Duration = Duration::from_secs(5);

/// How long a worker that runs something leaves what is offered to those that run nothing, and how soon it looks again at what it
/// has left to others.
const LEAVE: Duration = Duration::from_millis(30);

/// How often it is made sure that the lease under which steps run is not over without anybody having said so.
const STANDING_EVERY: Duration = Duration::from_secs(1);

/// How often the circuits are read while steps run, which other processes change too.
const CIRCUITS_EVERY: Duration = Duration::from_secs(2);

/// How long a worker waits for the state store about what is not needed to go on.
const TELL_MAX: Duration = Duration::from_secs(2);

/// How long a worker waits after a fault before it begins again; after further ones it waits twice as long each time, up to the
/// second of these.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// How soon, at first and at last, the end of a step that could not be recorded is recorded again.
const RECORD_MIN: Duration = Duration::from_millis(100);
const RECORD_MAX: Duration = Duration::from_secs(10);

/// How long steps that were cancelled have to end, and how long the state store has to take them back when the process ends: together
/// less than a server that stops gives it.
const END_MAX: Duration = Duration::from_secs(7);
const HAND_BACK_MAX: Duration = Duration::from_secs(2);

/// The beginning of the name that is leased by a worker.
const LEASED: &str = "worker ";

pub(super) struct Worker {
    pub(super) exchange: Arc<Exchange>,
    /// The wish that the process ends: nothing more is claimed.
    pub(super) cancel: CancellationToken,
    /// Cancelled when steps that run are to end.
    pub(super) cut_short: CancellationToken,
}

/// The time in which a worker has its lease.
struct Shift {
    exchange: Arc<Exchange>,
    lease: Arc<Lease>,
    engine: Engine,
    /// The definitions of the assets of the engine's project, of which steps are made.
    definitions: BTreeMap<AssetId, Fingerprint>,
    /// What it has claimed, until the end of that is recorded.
    claimed: BTreeMap<OfferId, CancellationToken>,
    runs: JoinSet<OfferId>,
    /// The number of processes that run steps, as it was seen last.
    workers: NonZeroUsize,
    news: NewsOfOffers,
    /// When to look at what is offered.
    next_look: Instant,
    /// Cancelled when the process has no more time to give steps back.
    cut_short: CancellationToken,
}

impl Worker {
    /// Runs offered steps until the process is to end, and what was begun has ended or was given back.
    pub(super) async fn work(self) {
        let mut pause = AGAIN;
        while !self.cancel.is_cancelled() {
            let began = Instant::now();
            let worked = AssertUnwindSafe(self.work_under_lease()).catch_unwind().await;
            let died = |_| Err(EngineError::Worker { doing: "running offered steps" });
            let Err(error) = worked.unwrap_or_else(died) else { continue };
            if self.cancel.is_cancelled() {
                return;
            }
            let (code, error) = (error.code(), told(&error));
            tracing::warn!(code, error, "this process runs no steps of others for a moment");
            pause = if began.elapsed() > AGAIN_MAX { AGAIN } else { (pause * 2).min(AGAIN_MAX) };
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    async fn work_under_lease(&self) -> Result<(), EngineError> {
        let mut project = self.exchange.engine();
        let engine = tokio::select! {
            engine = project.wait_for(|engine| is_scheduled(engine.project())) => match engine {
                Ok(engine) => engine.clone(),
                // The exchange lives as long as this worker.
                Err(_) => return Ok(()),
            },
            () = self.cancel.cancelled() => return Ok(()),
        };
        let world = engine.world().clone();
        let leased = [AssetId::from(format!("{LEASED}{}", uuid::Uuid::now_v7()))];
        let events = engine.begin(COMMAND);
        let lease = world.lease(COMMAND, &leased, Duration::ZERO, &events, &self.cut_short).await?;
        drop(events);
        let places = u64::try_from(world.concurrency(None).get()).unwrap_or(u64::MAX);
        let worked = match world.state.begin_worker(lease.token, places).await {
            Ok(()) => Shift::new(self, lease.clone(), engine).go_on(self, project).await,
            Err(error) => Err(error.into()),
        };
        lease.end().await;
        worked
    }
}

impl Shift {
    fn new(worker: &Worker, lease: Arc<Lease>, engine: Engine) -> Self {
        Self {
            exchange: worker.exchange.clone(),
            lease,
            definitions: definitions(&engine),
            engine,
            claimed: BTreeMap::new(),
            runs: JoinSet::new(),
            workers: NonZeroUsize::MIN,
            news: worker.exchange.news(),
            next_look: Instant::now(),
            cut_short: worker.cut_short.clone(),
        }
    }

    /// Claims and runs until the process is to end or the lease is lost. What has come to `project` meanwhile is taken over.
    async fn go_on(
        mut self,
        worker: &Worker,
        mut project: watch::Receiver<Engine>,
    ) -> Result<(), EngineError> {
        let ended = self.go_on_until_over(worker, &mut project).await;
        self.end().await;
        // A lease that ends with the process is no fault.
        if worker.cut_short.is_cancelled() { Ok(()) } else { ended }
    }

    async fn go_on_until_over(
        &mut self,
        worker: &Worker,
        project: &mut watch::Receiver<Engine>,
    ) -> Result<(), EngineError> {
        let (mut circuits, mut standing) = (interval(CIRCUITS_EVERY), interval(STANDING_EVERY));
        loop {
            let is_closing = worker.cancel.is_cancelled();
            if is_closing && self.runs.is_empty() {
                return Ok(());
            }
            tokio::select! {
                () = worker.cancel.cancelled(), if !is_closing => self.tell_places(0).await,
                reason = self.lease.over() => return Err(reason),
                Some(done) = self.runs.join_next() => self.ended(done)?,
                Ok(()) = project.changed() => {
                    let engine = project.borrow_and_update().clone();
                    self.take_project(engine, is_closing).await;
                }
                _ = circuits.tick(), if !self.claimed.is_empty() => self.read_circuits().await,
                _ = standing.tick(), if !self.claimed.is_empty() => {
                    if self.lease.is_cut_off().await {
                        return Err(EngineError::CutOff);
                    }
                }
                () = self.exchange.until_offered() => self.look_soon(),
                () = self.news.heard(OfferNews::Offered) => self.look_soon(),
                () = sleep_until(self.next_look.into()) => self.look(is_closing).await?,
            }
        }
    }

    async fn take_project(&mut self, engine: Engine, is_closing: bool) {
        self.definitions = definitions(&engine);
        self.engine = engine;
        self.next_look = Instant::now();
        let places = if is_closing { 0 } else { self.engine.world().concurrency(None).get() };
        self.tell_places(places).await;
    }

    /// Steps are offered. A process that runs something leaves them for a moment to those that run nothing.
    fn look_soon(&mut self) {
        let is_first = self.claimed.is_empty() || self.workers.get() == 1;
        let pause = if is_first { Duration::ZERO } else { LEAVE };
        self.next_look = self.next_look.min(Instant::now() + pause);
    }

    /// As many steps run here from now on. Should that not be recorded, others reckon with what was said before.
    async fn tell_places(&self, places: usize) {
        let places = u64::try_from(places).unwrap_or(u64::MAX);
        let told = self.engine.world().state.begin_worker(self.lease.token, places);
        match timeout(TELL_MAX, told).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "it is not recorded how many steps this process runs at once");
            }
            Err(_) => tracing::warn!("it is not recorded in time how many steps this process runs at once"),
        }
    }

    /// Reads what other processes have found out about the places that steps ask: an answer counts for a circuit of which it is known
    /// that it is open, or that attempts have failed.
    async fn read_circuits(&self) {
        match timeout(TELL_MAX, self.engine.world().refresh_circuits()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                let (code, error) = (error.code(), told(&error));
                tracing::warn!(code, error, "the circuits cannot be read; trying again");
            }
            Err(_) => tracing::warn!("the circuits cannot be read in time; trying again"),
        }
    }

    fn ended(&mut self, done: Result<OfferId, JoinError>) -> Result<(), EngineError> {
        let id = done.map_err(|_| EngineError::Worker { doing: "running an offered step" })?;
        self.claimed.remove(&id);
        self.next_look = Instant::now();
        self.exchange.ended();
        Ok(())
    }

    /// Cancels what runs, and waits until it was given back. When the state store is away, that is until it is back or the process
    /// ends: what was given back is no attempt.
    async fn end(&mut self) {
        self.claimed.values().for_each(CancellationToken::cancel);
        while self.runs.join_next().await.is_some() {}
        self.exchange.ended();
    }

    /// Looks at what is offered, and claims what is this process's part of it. When the state store is away, it looks again later.
    ///
    /// # Errors
    ///
    /// The lease is gone, and so are the claims.
    async fn look(&mut self, is_closing: bool) -> Result<(), EngineError> {
        let pause = if self.news.is_passed_on() { LOOK_HEARING_EVERY } else { LOOK_EVERY };
        self.next_look = Instant::now() + pause;
        match self.try_to_look(is_closing).await {
            Err(lost @ StateError::LeaseLost) => Err(lost.into()),
            Err(error) => {
                tracing::warn!(%error, "it is not known which steps are offered; trying again");
                self.next_look = Instant::now() + LOOK_EVERY;
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    async fn try_to_look(&mut self, is_closing: bool) -> Result<(), StateError> {
        let state = self.engine.world().state.clone();
        let found = state.offers().await?;
        self.cut_withdrawn(&found);
        let token = self.lease.token;
        let is_free = |found: &&Offer| {
            let is_mine = found.worker == Some(token) && !self.claimed.contains_key(&found.offer.id);
            found.end.is_none() && (found.worker.is_none() || is_mine)
        };
        let free: Vec<&Offer> = found.iter().filter(is_free).collect();
        let places = self.engine.world().concurrency(None).get();
        let room = places.saturating_sub(self.claimed.len());
        if is_closing || free.is_empty() || room == 0 {
            return Ok(());
        }
        let now = self.engine.world().options.clock.now();
        let workers = state.workers(now).await?;
        self.workers = NonZeroUsize::new(workers.len()).unwrap_or(NonZeroUsize::MIN);
        let claimant = Claimant {
            free: room,
            workers: with_room(&workers, &found, token),
            schedules: self.exchange.schedules(),
        };
        let offered: Vec<OfferedStep> = free.iter().map(|found| self.seen(found)).collect();
        let wanted = claims(claimant, &offered).into_iter().filter_map(|place| free.get(place));
        let wanted: BTreeMap<OfferId, &Offer> = wanted.map(|found| (found.offer.id, *found)).collect();
        if wanted.is_empty() {
            return Ok(());
        }
        let ids: Vec<_> =
            wanted.values().map(|found| (found.offer.id, found.offer.terms.definition)).collect();
        let claimed = state.claim_offers(token, &ids, now).await?;
        let alone = Claimant { free: usize::MAX, workers: NonZeroUsize::MIN, ..claimant };
        if claimed.len() < room && claimed.len() < claims(alone, &offered).len() {
            // Others may have been quicker, or have left something.
            self.next_look = self.next_look.min(Instant::now() + LEAVE);
        }
        if !claimed.is_empty() {
            self.read_circuits().await;
        }
        for id in claimed {
            if let Some(found) = wanted.get(&id) {
                self.begin(found);
            }
        }
        Ok(())
    }

    fn seen(&self, found: &Offer) -> OfferedStep {
        let terms = &found.offer.terms;
        let has_definition = self.definitions.get(&found.offer.asset) == Some(&terms.definition);
        OfferedStep { has_definition, is_local: terms.is_local }
    }

    /// Cancels the steps that are not this worker's any more, because it was taken to be gone.
    fn cut_withdrawn(&self, found: &[Offer]) {
        let is_held = |id: &OfferId| {
            let mut held = found.iter().filter(|found| found.worker == Some(self.lease.token));
            held.any(|found| found.offer.id == *id)
        };
        for (_, cancel) in self.claimed.iter().filter(|(id, _)| !is_held(id)) {
            cancel.cancel();
        }
    }

    fn begin(&mut self, found: &Offer) {
        let id = found.offer.id;
        let order = StepOrder {
            asset: found.offer.asset.clone(),
            command: found.offer.command.clone(),
            due: found.offer.due,
            is_again: found.offer.is_again,
            repair: found.offer.repair.clone(),
        };
        let cancel = self.lease.cancel.child_token();
        self.claimed.insert(id, cancel.clone());
        let events = self.engine.begin(&order.command);
        self.exchange.add(events.work().id);
        let (engine, worker, is_ending) = (self.engine.clone(), self.lease.token, self.cut_short.clone());
        self.runs.spawn(async move {
            let left = async {
                cancel.cancelled().await;
                sleep(END_MAX).await;
            };
            // What was cut short has not ended: whoever claims it then starts it once more.
            let end = tokio::select! {
                (ended, took) = order.carry_out(&engine, events, cancel.clone()) => {
                    (!cancel.is_cancelled()).then(|| end_of(&engine, &order.asset, ended, took))
                }
                () = left => {
                    tracing::warn!(asset = %order.asset, "a step does not end although it was cancelled; it is left");
                    None
                }
            };
            record(&engine.world().state, worker, id, end.as_ref(), &is_ending).await;
            id
        });
    }
}

/// The number of workers that can run one more step, of which this one is.
fn with_room(workers: &[StepWorker], found: &[Offer], own: LeaseToken) -> NonZeroUsize {
    let has_room = |worker: &&StepWorker| {
        let is_its = |found: &&Offer| found.worker == Some(worker.lease.token) && found.end.is_none();
        let used = found.iter().filter(is_its).count();
        worker.lease.token == own || u64::try_from(used).is_ok_and(|used| used < worker.places)
    };
    NonZeroUsize::new(workers.iter().filter(has_room).count()).unwrap_or(NonZeroUsize::MIN)
}

fn interval(every: Duration) -> Interval {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn definitions(engine: &Engine) -> BTreeMap<AssetId, Fingerprint> {
    let project = engine.project();
    let assets = scheduled(&project.graph, &project.spec).into_iter();
    assets.map(|asset| (asset.id, asset.definition)).collect()
}

fn end_of(engine: &Engine, asset: &AssetId, ended: Result<Became, EngineError>, took: Duration) -> OfferEnd {
    match StepEnding::of(engine, asset, ended, took) {
        Ok(StepEnding { ending, took, versions, is_doubtful, fault, halted_by }) => {
            let versions = versions.into_iter().collect();
            OfferEnd::Ended { ending, took, versions, is_doubtful, fault, halted_by }
        }
        Err(because) => OfferEnd::KeptAway { because: because.to_string() },
    }
}

/// Records the end of a step, or gives it back, until that works: also after the worker's lease is over, since nobody else may have found
/// that out. It is given up when the process ends and the store does not answer in time: the step is lost then, and counts as an attempt.
async fn record(
    state: &State,
    worker: LeaseToken,
    id: OfferId,
    end: Option<&OfferEnd>,
    is_ending: &CancellationToken,
) {
    let mut pauses = ExponentialBuilder::default()
        .with_min_delay(RECORD_MIN)
        .with_max_delay(RECORD_MAX)
        .without_max_times()
        .build();
    let recorded = async {
        loop {
            let done = match end {
                Some(end) => state.end_offer(worker, id, end).await,
                None => state.hand_back(worker, id).await,
            };
            let Err(error) = done else { return };
            tracing::warn!(%error, "the end of a step was not recorded; trying again");
            sleep(pauses.next().unwrap_or(RECORD_MAX)).await;
        }
    };
    let given_up = async {
        is_ending.cancelled().await;
        sleep(HAND_BACK_MAX).await;
    };
    tokio::select! {
        () = recorded => {}
        () = given_up => tracing::warn!("what became of a step was not recorded before its process ended"),
    }
}
