//! The time in which this process schedules the project: from the lease to its end.

use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
    sync::Arc,
    time::Duration,
};

use millstream_plan::{limits, scheduled};
use millstream_schedule::{Decision, Limits, RecordedAsset, ScheduleError, ScheduledAsset, Scheduler};
use millstream_state::{LeaseToken, Offer, OfferNews, OfferTerms, StateError};
use millstream_types::{AssetId, AssetVersion, TimestampMicros};
use tokio::{
    sync::mpsc::Receiver,
    task::JoinSet,
    time::{Instant, Interval, MissedTickBehavior, sleep, sleep_until, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    COMMAND, Message, Outlook,
    away::OthersLeases,
    exchange::Exchange,
    is_scheduled,
    kept_out::KeptOut,
    listen::{Foreign, Look},
    offers::{Offers, every, places, terms},
    promises::Promises,
    record::Taken,
    repairs::Repairing,
    stale::stale,
    start::StepRun,
    unknown_webhook, waiting_for,
};
use crate::{
    Engine, EngineError, Project, Publisher, Subscription, WorkId,
    error::told as worded,
    failure::PROJECT,
    lease::Lease,
    reconcile::{Scope, reconcile},
};

/// The loop wakes this often at least, to find out that the clock was set.
const CLOCK_EVERY: Duration = Duration::from_secs(1);

/// How often the state store is asked for the versions that other processes committed.
const VERSIONS_EVERY: Duration = Duration::from_secs(2);

/// How often the state store is asked whether others are done with an asset for which a step waits.
const FREED_EVERY: Duration = Duration::from_millis(250);

/// How long the sources may take to say what is new when the scheduler begins. Nothing is due meanwhile, and calls of webhooks wait.
const STALE_MAX: Duration = Duration::from_secs(5);

/// How long the end of a tenure waits for the state store, and then for steps that were cancelled: together less than a server
/// that stops gives the loop.
const TAKE_BACK_MAX: Duration = Duration::from_secs(2);
const END_MAX: Duration = Duration::from_secs(7);

/// A scheduler at work, and what is recorded of it.
pub(super) struct Tenure {
    pub(super) engine: Engine,
    pub(super) lease: Arc<Lease>,
    pub(super) scheduler: Scheduler,
    /// What the scheduler decided when it began, until that is carried out.
    begun: Vec<Decision>,
    /// What is recorded of each asset, as it is in the state store.
    pub(super) recorded: BTreeMap<AssetId, RecordedAsset>,
    /// The versions that the scheduler was told, or began with.
    pub(super) versions: BTreeMap<AssetId, AssetVersion>,
    /// The circuits that the scheduler was told of as open, and until when.
    pub(super) circuits: BTreeMap<String, TimestampMicros>,
    pub(super) promises: Promises,
    pub(super) kept_out: KeptOut,
    /// The assets that are to be made again, each with what is damaged.
    pub(super) repairing: Repairing,
    /// By which the loop tells what is no run's.
    pub(super) events: Publisher,
    /// The number of the last step, whoever ran it, that the scheduler was told of.
    pub(super) heard_of: i64,
    /// The number of the last decision in the log.
    pub(super) logged: i64,
    /// What was decided and is not yet on record.
    pub(super) taken: Taken,
    /// Whether the clock was behind where it had been at the last call of the scheduler.
    pub(super) is_clock_back: bool,
    pub(super) runs: JoinSet<StepRun>,
    /// The assets whose steps this loop has decided to start, and of which no end is known.
    pub(super) started: BTreeSet<AssetId>,
    /// The assets whose steps this loop has started, with their runs.
    pub(super) own: BTreeMap<AssetId, WorkId>,
    /// The runs of this loop, until their ends were heard.
    pub(super) works: BTreeSet<WorkId>,
    /// The steps that are offered to all processes; `None` where each step runs in this one.
    pub(super) offers: Option<Offers>,
    /// So many steps may run at once.
    pub(super) places: NonZeroUsize,
    /// Where the loop meets what runs offered steps in this process.
    pub(super) exchange: Arc<Exchange>,
    pub(super) foreign: Foreign,
    /// The assets whose steps wait until others are done with them.
    pub(super) waiting: BTreeSet<AssetId>,
    pub(super) others: OthersLeases,
    /// The assets of which versions may be committed that are not recorded.
    pub(super) doubtful: BTreeSet<AssetId>,
    /// The comparison of such assets with the lake, which gives those that are still in doubt.
    pub(super) reconciling: JoinSet<BTreeSet<AssetId>>,
    pub(super) looks: JoinSet<Look>,
    /// The assets whose sources are looked at.
    pub(super) looking: BTreeSet<AssetId>,
    heard: Subscription,
    /// Ends the steps that this loop has started.
    pub(super) cancel: CancellationToken,
}

/// What a tenure begins with.
struct Found {
    versions: BTreeMap<AssetId, AssetVersion>,
    stale: BTreeSet<AssetId>,
    recorded: BTreeMap<AssetId, RecordedAsset>,
    heard_of: i64,
    /// The steps that an earlier tenure has offered.
    offers: Vec<Offer>,
    /// What the project says of the steps of its assets, where steps are offered.
    terms: BTreeMap<AssetId, OfferTerms>,
    assets: Vec<ScheduledAsset>,
    limits: Limits,
    /// So many steps may run at once.
    places: NonZeroUsize,
}

/// What commands have looked at since this was scheduled last is as fresh as that.
async fn take_looks(
    engine: &Engine,
    recorded: &mut BTreeMap<AssetId, RecordedAsset>,
) -> Result<(), EngineError> {
    let sources = engine.project().graph.assets().iter().filter(|asset| asset.reads_outside);
    for source in sources {
        let looked = engine.world().state.last_good_step(&source.id).await?;
        let Some(looked) = looked else { continue };
        let found = recorded.entry(source.id.clone());
        let found = found.or_insert_with(|| RecordedAsset::new(source.id.clone()));
        found.fresh_as_of = found.fresh_as_of.max(Some(looked));
    }
    Ok(())
}

async fn find(engine: &Engine, is_shared: bool, lease: LeaseToken) -> Result<Found, EngineError> {
    let state = engine.world().state.clone();
    // What a process committed that ended before it had recorded that is recorded now.
    let reconciled = reconcile(engine.world(), Scope::All).await?;
    engine.world().refresh_circuits().await?;
    let versions = state.versions().await?;
    let stale = match timeout(STALE_MAX, stale(engine, &reconciled)).await {
        Ok(Ok(stale)) => stale,
        // A step that has nothing to do ends at once, and one whose source is away holds up nothing but itself.
        Ok(Err(error)) => {
            let (code, error) = (error.code(), worded(&error));
            tracing::warn!(
                code,
                error,
                "it is not known what is new; every asset is taken to be out of date"
            );
            everything(engine.project())
        }
        Err(_) => {
            tracing::warn!("a source does not answer; every asset is taken to be out of date");
            everything(engine.project())
        }
    };
    let heard_of = state.newest_step().await?;
    let mut recorded =
        state.scheduled_assets().await?.into_iter().map(|asset| (asset.asset.clone(), asset)).collect();
    take_looks(engine, &mut recorded).await?;
    if !is_shared {
        let places = engine.world().concurrency(None);
        let (assets, limits) = told(engine.project(), places);
        let (offers, terms) = (Vec::new(), BTreeMap::new());
        return Ok(Found { versions, stale, recorded, heard_of, offers, terms, assets, limits, places });
    }
    let places = places(engine).await?;
    let (assets, limits) = told(engine.project(), places);
    let terms = terms(engine, &assets);
    let offers = state.adopt_offers(lease, &terms).await?;
    Ok(Found { versions, stale, recorded, heard_of, offers, terms, assets, limits, places })
}

fn everything(project: &Project) -> BTreeSet<AssetId> {
    project.graph.assets().iter().map(|asset| asset.id.clone()).collect()
}

/// What the scheduler is told of a project of which so many steps may run at once.
fn told(project: &Project, steps: NonZeroUsize) -> (Vec<ScheduledAsset>, Limits) {
    let limits = limits(&project.spec, steps);
    // A project that has no triggers any more is left to commands.
    match is_scheduled(project) {
        true => (scheduled(&project.graph, &project.spec), limits),
        false => (Vec::new(), limits),
    }
}

impl Tenure {
    /// Begins with what is recorded.
    pub(super) async fn begin(
        engine: &Engine,
        lease: Arc<Lease>,
        exchange: &Arc<Exchange>,
        is_shared: bool,
        cancel: &CancellationToken,
    ) -> Result<Self, EngineError> {
        let heard = engine.events().subscribe();
        let Found { versions, stale, mut recorded, heard_of, offers, terms, assets, limits, places } = tokio::select! {
            found = find(engine, is_shared, lease.token) => found?,
            reason = lease.over() => return Err(reason),
        };
        let (offers, idle) = Offers::take_over(&offers, terms, &mut recorded);
        for asset in &assets {
            let found = recorded.entry(asset.id.clone());
            found.or_insert_with(|| RecordedAsset::new(asset.id.clone())).stale = stale.contains(&asset.id);
        }
        let known: Vec<RecordedAsset> = recorded.values().cloned().collect();
        recorded.values_mut().for_each(|recorded| recorded.goes_on = None);
        let now = engine.world().options.clock.now();
        let circuits = engine.world().open_circuits();
        let open: Vec<(String, TimestampMicros)> = circuits.clone().into_iter().collect();
        let (scheduler, decisions) =
            Scheduler::restore_with(assets, &limits, &known, &open, now).map_err(refused)?;
        tracing::info!(assets = known.len(), "the project runs by its triggers");
        Ok(Self {
            begun: decisions,
            engine: engine.clone(),
            lease,
            scheduler,
            recorded,
            versions,
            circuits,
            promises: Promises::default(),
            kept_out: KeptOut::of(engine.project()),
            repairing: Repairing::default(),
            events: engine.begin(COMMAND),
            heard_of,
            logged: 0,
            taken: Taken::of_idle(idle),
            is_clock_back: false,
            runs: JoinSet::new(),
            started: offers.assets().cloned().collect(),
            own: BTreeMap::new(),
            works: BTreeSet::new(),
            offers: is_shared.then_some(offers),
            places,
            exchange: exchange.clone(),
            foreign: Foreign::default(),
            waiting: BTreeSet::new(),
            others: OthersLeases::default(),
            doubtful: BTreeSet::new(),
            reconciling: JoinSet::new(),
            looks: JoinSet::new(),
            looking: BTreeSet::new(),
            heard,
            cancel: cancel.child_token(),
        })
    }

    /// Schedules until `cancel`, and then until what runs has ended or is cut short. That the state store is away ends nothing: what
    /// was decided is carried out once it is recorded.
    ///
    /// # Errors
    ///
    /// Another process has taken the lease, what runs was cut short, or the loop met a defect.
    pub(super) async fn hold(
        &mut self,
        receiver: &mut Receiver<Message>,
        cancel: &CancellationToken,
    ) -> Result<(), EngineError> {
        // What was offered before is for this process too from now on.
        self.exchange.offered();
        let begun = std::mem::take(&mut self.begun);
        self.carry_out(begun, &[]).await?;
        self.forget_gone().await?;
        self.take_promises().await?;
        let (mut versions, mut freed) = (interval(VERSIONS_EVERY), interval(FREED_EVERY));
        let (mut ended, mut called) = (self.exchange.news(), self.exchange.news());
        let (mut next_ends, mut next_calls) = (Instant::now(), Instant::now());
        // A pause begins anew with whatever is heard; this comes however much that is.
        let mut clock = interval(CLOCK_EVERY);
        loop {
            if self.scheduler.next_wake().is_some_and(|wake| wake <= self.now()) {
                self.tick().await?;
            }
            let pause = self.pause();
            let (is_shared, waits) = (self.offers.is_some(), self.waits_for_ends());
            tokio::select! {
                // Offered steps go on, and another process schedules meanwhile.
                () = cancel.cancelled(), if is_shared => return Ok(()),
                () = cancel.cancelled(), if !is_shared => return self.drain(receiver).await,
                reason = self.lease.over() => return Err(reason),
                Some(ended) = self.runs.join_next() => self.run_ended(ended).await?,
                Some(found) = self.looks.join_next() => self.looked(found).await?,
                Some(message) = receiver.recv() => self.answer(message).await?,
                heard = self.heard.hear() => self.hear(heard).await?,
                Some(doubtful) = self.reconciling.join_next() => self.reconciled(doubtful).await?,
                () = self.exchange.until_ended(), if waits => self.look_at_offers().await?,
                () = ended.heard(OfferNews::Ended), if waits => self.look_at_offers().await?,
                () = sleep_until(next_ends), if waits => {
                    next_ends = Instant::now() + every(ended.is_passed_on()).0;
                    self.look_at_offers().await?;
                }
                () = called.heard(OfferNews::Called), if is_shared => self.look_at_calls().await?,
                () = sleep_until(next_calls), if is_shared => {
                    next_calls = Instant::now() + every(called.is_passed_on()).1;
                    self.look_at_calls().await?;
                }
                _ = freed.tick(), if !self.waiting.is_empty() => self.look_for_freed().await?,
                _ = versions.tick() => self.look_around().await?,
                _ = clock.tick() => self.tick().await?,
                () = sleep(pause) => self.tick().await?,
            }
        }
    }

    /// Starts nothing more, and waits until what runs has ended. What follows from that is recorded, for the next process to start.
    async fn drain(&mut self, receiver: &mut Receiver<Message>) -> Result<(), EngineError> {
        self.scheduler.stop_starting();
        // Whoever asked the process to end may kill it before its steps have ended, which is no fault of theirs.
        self.take_back_in_time().await;
        if !self.runs.is_empty() {
            tracing::info!(
                steps = self.runs.len(),
                "the process is to end, and waits for the steps that run"
            );
        }
        while !self.runs.is_empty() {
            tokio::select! {
                reason = self.lease.over() => return Err(reason),
                Some(ended) = self.runs.join_next() => self.run_ended(ended).await?,
                Some(message) = receiver.recv() => self.answer(message).await?,
                heard = self.heard.hear() => self.hear(heard).await?,
            }
        }
        Ok(())
    }

    /// Cancels what runs, and waits a while until that has ended. The steps are not told as ended: the next process starts them
    /// once more.
    pub(super) async fn end(mut self) {
        self.cancel.cancel();
        self.looks.abort_all();
        // A step may take longer to end than the process has, so that this comes first.
        self.take_back_in_time().await;
        let joined = async { while self.runs.join_next().await.is_some() {} };
        if timeout(END_MAX, joined).await.is_err() {
            tracing::warn!("steps do not end although they were cancelled; they are left");
            self.runs.abort_all();
        }
    }

    async fn take_back_in_time(&self) {
        match timeout(TAKE_BACK_MAX, self.take_back()).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(error = worded(&error), "steps that are cut short count as attempts");
            }
            Err(_) => {
                tracing::warn!("the state store does not answer; steps that are cut short count as attempts");
            }
        }
    }

    /// Steps that were cut short by an end in order are no attempts: a server that is restarted often gives up none of them.
    async fn take_back(&self) -> Result<(), EngineError> {
        // Offered steps are not cut short by the end of the process that offered them.
        if self.offers.is_some() {
            return Ok(());
        }
        let cut_short = |asset: &AssetId| {
            let mut recorded = self.recorded.get(asset)?.clone();
            let running = recorded.running.as_mut()?;
            running.attempt = running.attempt.saturating_sub(1);
            Some(recorded)
        };
        let assets: Vec<RecordedAsset> = self.started.iter().filter_map(cut_short).collect();
        if assets.is_empty() {
            return Ok(());
        }
        self.try_to_record_assets(&assets).await
    }

    pub(super) fn now(&self) -> TimestampMicros {
        self.engine.world().options.clock.now()
    }

    async fn tick(&mut self) -> Result<(), EngineError> {
        // After the machine has slept, or its clock was set, the lease may be over without anybody having taken it.
        self.lease.hold().await?;
        let now = self.now();
        let decisions = self.scheduler.tick(now);
        self.carry_out(decisions, &[]).await?;
        if self.has_kept_out() {
            self.look_at_kept_out().await?;
        }
        self.look_at_promises().await;
        Ok(())
    }

    /// The time until the next tick, as far as the clock is not set meanwhile.
    fn pause(&self) -> Duration {
        let wakes = [self.scheduler.next_wake(), self.promises.next_wake(self.now())];
        let Some(wake) = wakes.into_iter().flatten().min() else { return CLOCK_EVERY };
        let micros = u64::try_from(wake.0.saturating_sub(self.now().0)).unwrap_or(0);
        Duration::from_micros(micros).min(CLOCK_EVERY)
    }

    async fn answer(&mut self, message: Message) -> Result<(), EngineError> {
        match message {
            Message::LookAtClock => self.tick().await,
            // Whoever called was told meanwhile that the call was not recorded.
            Message::Trigger { answer, .. } if answer.is_closed() => Ok(()),
            Message::Trigger { name, answer } => {
                let (now, due) = (self.now(), waiting_for(self.engine.project(), &name));
                if due.is_empty() {
                    // Whoever asked may have gone.
                    let _ = answer.send(Err(unknown_webhook(self.engine.project(), &name)));
                    return Ok(());
                }
                tracing::info!(webhook = name, "a webhook was called");
                let decisions = self.scheduler.triggered(&name, now);
                self.carry_out(decisions, &[]).await?;
                let _ = answer.send(Ok(due));
                Ok(())
            }
            Message::Replace(engine) => self.replace(engine).await,
            Message::Outlook { count, answer } => {
                let _ = answer.send(self.outlook(count));
                Ok(())
            }
        }
    }

    /// Takes over a project that was loaded again. Triggers that cannot work leave the schedule as it was.
    async fn replace(&mut self, engine: Engine) -> Result<(), EngineError> {
        if self.offers.is_none() {
            self.places = engine.world().concurrency(None);
        }
        let (assets, limits) = told(engine.project(), self.places);
        let now = self.now();
        match self.scheduler.replace_graph(assets.clone(), &limits, now) {
            Ok(decisions) => {
                if let Some(offers) = &mut self.offers {
                    offers.define(terms(&engine, &assets));
                }
                self.kept_out = KeptOut::of(engine.project());
                self.exchange.replace(&engine);
                self.engine = engine;
                self.carry_out(decisions, &[]).await?;
                if self.waits_for_ends() {
                    // What nobody has claimed yet is for the project as it is now.
                    self.look_at_offers().await?;
                }
                self.take_promises().await?;
                self.forget_gone().await
            }
            Err(error) => {
                let hint = error.hint();
                tracing::warn!(error = worded(&error), hint, "the triggers are those of before");
                Ok(())
            }
        }
    }

    /// Forgets what is recorded of assets that the project has no more, once their steps have ended.
    async fn forget_gone(&mut self) -> Result<(), EngineError> {
        let assets = self.engine.project().graph.assets().iter().map(|asset| asset.id.clone());
        let offered = self.offers.iter().flat_map(Offers::assets).cloned();
        let kept: BTreeSet<AssetId> = assets.chain(self.own.keys().cloned()).chain(offered).collect();
        self.forget_places().await;
        match self.engine.world().state.keep_scheduled(self.lease.token, &kept).await {
            Ok(()) => {
                self.recorded.retain(|asset, _| kept.contains(asset));
                Ok(())
            }
            Err(lost @ StateError::LeaseLost) => Err(lost.into()),
            // The next process, or the next project, forgets them.
            Err(error) => {
                tracing::warn!(
                    error = worded(&error),
                    "what is recorded of assets that are gone was not forgotten"
                );
                Ok(())
            }
        }
    }

    /// Forgets the circuits and budgets of places that nothing asks any more.
    async fn forget_places(&self) {
        let world = self.engine.world();
        let connections = world.project.spec.connections.iter().map(|connection| connection.name.clone());
        let kept = connections.chain(world.source_circuits.values().cloned()).chain([PROJECT.to_owned()]);
        if let Err(error) = world.state.keep_circuits(&kept.collect()).await {
            tracing::warn!(%error, "circuits of places that are gone were not forgotten");
        }
    }

    fn outlook(&mut self, count: usize) -> Outlook {
        let upcoming = self.scheduler.upcoming_of_all(count);
        Outlook { is_active: true, upcoming }
    }
}

fn interval(every: Duration) -> Interval {
    let mut interval = tokio::time::interval(every);
    interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
    interval
}

fn refused(error: ScheduleError) -> EngineError {
    EngineError::Schedule { source: error }
}
