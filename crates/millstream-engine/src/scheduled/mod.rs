//! A project that runs by its triggers: the loop around the scheduler, which tells it what happens, records what it decides
//! and carries that out.
//!
//! One process of a project does this at a time. It holds the lease of a name that is no asset, [`LEASED`], and what it
//! records is bound to that lease; another process that serves the project too waits until the lease ends, and goes on with
//! what is recorded. Where several machines share the state store, the steps are offered to all such processes
//! ([`offers`]), and each of them runs what it claims ([`worker`]).

mod away;
mod clock;
mod exchange;
mod failures;
mod kept_out;
mod listen;
mod offers;
mod promises;
mod record;
mod repairs;
mod shared;
mod stale;
mod start;
mod tenure;
mod worker;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{
    FutureExt,
    future::{BoxFuture, OptionFuture},
};
use millstream_schedule::{Trigger, Upcoming};
use millstream_state::LoggedDecision;
use millstream_types::AssetId;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{Engine, EngineError, Project, error::told, lease::Lease};
use exchange::Exchange;
pub use shared::SharedSteps;
use tenure::Tenure;
use worker::Worker;

/// The name that is leased by the process that schedules the project.
const LEASED: &str = "schedule";

/// The command under which the lease is held.
const COMMAND: &str = "serve";

/// How long the loop waits after a fault before it begins again with what is recorded; after further ones it waits twice as
/// long each time, up to the second of these.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// So many messages wait for the loop; whoever has another one waits for a place.
const MESSAGES_MAX: usize = 1_024;

/// How long a call of a webhook waits to be recorded: less than those who call wait for an answer.
const RECORDED_MAX: Duration = Duration::from_secs(8);

/// What a process asks of the loop that runs its project by triggers. Cloning shares it; the loop outlives it.
#[derive(Clone, Debug)]
pub struct Scheduling {
    sender: mpsc::Sender<Message>,
}

/// Why a call of a webhook was not taken.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    #[error("no asset waits for the webhook `{name}`")]
    Unknown { name: String, known: Vec<String> },
    /// The process waits to take another one's place, or its loop begins again after a fault.
    #[error("this process does not schedule the project now")]
    Idle,
    /// The call was not on record in time, because the state store is away or the schedule only begins. It counts as not made.
    #[error("the call could not be recorded in time")]
    Unrecorded,
}

/// What comes, and whether this process sees to it.
#[derive(Clone, Debug, Default)]
pub struct Outlook {
    /// Whether this process schedules the project now.
    pub is_active: bool,
    /// The next instants at which each asset is due or its source is listed, in order of time.
    pub upcoming: Vec<(AssetId, Upcoming)>,
}

/// How a project is run by its triggers.
#[derive(Clone, Copy, Debug)]
pub struct KeepOptions {
    /// How long steps that run have to end once the process is to end.
    pub drain: Duration,
    /// Whether all processes that serve the project run its steps, and not only the one that schedules.
    pub shares: bool,
}

/// What the loop is told.
#[derive(Debug)]
enum Message {
    LookAtClock,
    Trigger { name: String, answer: oneshot::Sender<Result<Vec<AssetId>, TriggerError>> },
    Replace(Engine),
    Outlook { count: usize, answer: oneshot::Sender<Outlook> },
}

impl Scheduling {
    /// The webhook was called. Once this returns assets, the call is recorded and no crash loses it: those are due for it. A call
    /// that cannot be recorded within a bound is an error, and whoever made it makes it again; should it be recorded later all the
    /// same, one run answers both.
    pub fn triggered<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<AssetId>, TriggerError>> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            let asked = async {
                self.ask(Message::Trigger { name: name.to_owned(), answer }).await;
                answered.await.unwrap_or(Err(TriggerError::Idle))
            };
            tokio::time::timeout(RECORDED_MAX, asked).await.unwrap_or(Err(TriggerError::Unrecorded))
        })
    }

    /// The project was loaded again: from now on its assets run as `engine` knows them. What runs goes on as it began.
    pub fn replace(&self, engine: Engine) {
        self.tell(Message::Replace(engine));
    }

    /// The next `count` instants at which something is due.
    pub fn outlook(&self, count: usize) -> BoxFuture<'_, Outlook> {
        Box::pin(async move {
            let (answer, answered) = oneshot::channel();
            self.ask(Message::Outlook { count, answer }).await;
            answered.await.unwrap_or_default()
        })
    }

    /// The clock was set. Without this the loop finds it out within a second.
    pub fn look_at_clock(&self) {
        self.tell(Message::LookAtClock);
    }

    /// Tells the loop what waits for an answer. A loop that has ended hears nothing any more, and whoever waits learns that from
    /// the channel of the answer.
    async fn ask(&self, message: Message) {
        let _ = self.sender.send(message).await;
    }

    /// Tells the loop what needs no answer.
    fn tell(&self, message: Message) {
        if let Err(TrySendError::Full(message)) = self.sender.try_send(message) {
            // The loop is held up; what it has to know waits for a place.
            let sender = self.sender.clone();
            tokio::spawn(async move { sender.send(message).await });
        }
    }
}

impl Engine {
    /// Runs the project by its triggers until `cancel`, in the future that is returned. From then on nothing starts, and steps that
    /// run have `drain` to end; those that run longer are cancelled, and the next process starts them once more. While no asset has
    /// a trigger but "on change" and "by hand", nothing is done.
    #[must_use]
    pub fn keep_scheduled(
        &self,
        cancel: CancellationToken,
        drain: Duration,
    ) -> (Scheduling, BoxFuture<'static, ()>) {
        self.keep_scheduled_as(cancel, KeepOptions { drain, shares: self.world().state.is_shared() })
    }

    /// As [`Self::keep_scheduled`], and says whether the steps are shared with other processes: all of a project do, or none.
    #[must_use]
    pub fn keep_scheduled_as(
        &self,
        cancel: CancellationToken,
        options: KeepOptions,
    ) -> (Scheduling, BoxFuture<'static, ()>) {
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        let exchange = Arc::new(Exchange::new(self.clone()));
        let cut_short = CancellationToken::new();
        let keeper = Keeper { engine: self.clone(), receiver, exchange, cancel, options, cut_short };
        (Scheduling { sender }, Box::pin(keeper.keep()))
    }

    /// The newest decisions about when assets run, with their reasons.
    pub fn schedule_decisions(
        &self,
        limit: usize,
    ) -> BoxFuture<'_, Result<Vec<LoggedDecision>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.schedule_decisions(limit).await?) })
    }
}

/// Whether the project asks for more than to be run by commands.
fn is_scheduled(project: &Project) -> bool {
    let mut triggers = project.graph.assets().iter().flat_map(|asset| &asset.schedule.triggers);
    triggers.any(|trigger| !matches!(trigger, Trigger::Manual | Trigger::OnChange))
}

/// The webhooks for which some asset waits, by name.
fn webhooks(project: &Project) -> Vec<String> {
    let triggers = project.graph.assets().iter().flat_map(|asset| &asset.schedule.triggers);
    let names = triggers.filter_map(|trigger| match trigger {
        Trigger::Webhook(name) => Some(name.clone()),
        _ => None,
    });
    let mut names: Vec<String> = names.collect();
    names.sort();
    names.dedup();
    names
}

fn unknown_webhook(project: &Project, name: &str) -> TriggerError {
    TriggerError::Unknown { name: name.to_owned(), known: webhooks(project) }
}

/// What lives as long as the loop.
struct Keeper {
    engine: Engine,
    receiver: mpsc::Receiver<Message>,
    exchange: Arc<Exchange>,
    /// The wish that the loop ends.
    cancel: CancellationToken,
    options: KeepOptions,
    /// Cancelled when the time is over that steps have to end.
    cut_short: CancellationToken,
}

impl Keeper {
    async fn keep(self) {
        let _drained = self.cut_short_in_time();
        let worker = self.options.shares.then(|| Worker {
            exchange: self.exchange.clone(),
            cancel: self.cancel.clone(),
            cut_short: self.cut_short.clone(),
        });
        let works = OptionFuture::from(worker.map(Worker::work));
        tokio::join!(self.keep_scheduling(), works);
    }

    async fn keep_scheduling(mut self) {
        let mut pause = AGAIN;
        while !self.cancel.is_cancelled() {
            let began = Instant::now();
            if !is_scheduled(self.engine.project()) {
                if !self.wait_for_triggers().await {
                    return;
                }
                continue;
            }
            let held = AssertUnwindSafe(self.hold_office()).catch_unwind().await;
            // What a panic has left of the tenure was dropped: its steps are cut short, and its lease is free. The project is the one
            // that it had taken over last.
            self.exchange.set_schedules(false);
            self.engine = self.exchange.newest();
            let died = |_| Err(EngineError::Worker { doing: "scheduling the project" });
            match held.unwrap_or_else(died) {
                Ok(()) => {}
                Err(_) if self.cancel.is_cancelled() => return,
                Err(error) => {
                    let (code, hint, error) = (error.code(), error.hint().unwrap_or_default(), told(&error));
                    tracing::warn!(
                        code,
                        error,
                        hint,
                        "nothing runs by its triggers now; beginning again soon"
                    );
                    pause = if began.elapsed() > AGAIN_MAX { AGAIN } else { (pause * 2).min(AGAIN_MAX) };
                    self.pause(pause).await;
                }
            }
        }
    }

    /// Cuts short, on a task that ends with what is returned, what still runs when the time for it is over.
    fn cut_short_in_time(&self) -> AbortOnDropHandle<()> {
        let (cancel, drain, cut_short) = (self.cancel.clone(), self.options.drain, self.cut_short.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            cancel.cancelled().await;
            tokio::time::sleep(drain).await;
            cut_short.cancel();
        }))
    }

    /// Waits until the project has a trigger; false when the loop is to end.
    async fn wait_for_triggers(&mut self) -> bool {
        if self.options.shares
            && let Err(error) = self.engine.forget_offers(&self.cancel).await
        {
            let (code, error) = (error.code(), told(&error));
            tracing::warn!(code, error, "what an earlier project has offered was not forgotten");
        }
        while !is_scheduled(self.engine.project()) {
            tokio::select! {
                () = self.cancel.cancelled() => return false,
                message = self.receiver.recv() => match message {
                    Some(message) => self.decline(message),
                    // Nobody is left who could load the project again.
                    None => return false,
                }
            }
        }
        true
    }

    /// Schedules the project, once no other process does, until the loop is to end or something goes wrong.
    async fn hold_office(&mut self) -> Result<(), EngineError> {
        let lease = self.take_lease().await?;
        let begun = tokio::select! {
            begun = Tenure::begin(
                &self.engine,
                lease.clone(),
                &self.exchange,
                self.options.shares,
                &self.cut_short,
            ) => begun,
            () = self.cancel.cancelled() => Err(EngineError::Cancelled),
        };
        let mut tenure = match begun {
            Ok(tenure) => tenure,
            Err(error) => {
                lease.end().await;
                return Err(error);
            }
        };
        self.exchange.set_schedules(true);
        let ended = tenure.hold(&mut self.receiver, &self.cancel).await;
        self.exchange.set_schedules(false);
        tenure.end().await;
        lease.end().await;
        ended
    }

    /// Waits until no other process schedules the project.
    async fn take_lease(&mut self) -> Result<Arc<Lease>, EngineError> {
        let world = self.engine.world().clone();
        let events = self.engine.begin(COMMAND);
        let leased = [AssetId::new(LEASED)];
        let taking =
            world.lease_while(COMMAND, &leased, Duration::MAX, &events, &self.cancel, &self.cut_short);
        tokio::pin!(taking);
        loop {
            tokio::select! {
                lease = &mut taking => return lease,
                Some(message) = self.receiver.recv() => match message {
                    Message::Replace(engine) => {
                        self.exchange.replace(&engine);
                        self.engine = engine;
                    }
                    message => decline(&self.engine, self.options, message),
                },
            }
        }
    }

    /// Waits a little after a fault.
    async fn pause(&mut self, pause: Duration) {
        let paused = tokio::time::sleep(pause);
        tokio::pin!(paused);
        loop {
            tokio::select! {
                () = self.cancel.cancelled() => return,
                () = &mut paused => return,
                Some(message) = self.receiver.recv() => self.decline(message),
            }
        }
    }

    fn decline(&mut self, message: Message) {
        match message {
            Message::Replace(engine) => {
                self.exchange.replace(&engine);
                self.engine = engine;
            }
            message => decline(&self.engine, self.options, message),
        }
    }
}

/// Answers while the project is not scheduled by this process.
fn decline(engine: &Engine, options: KeepOptions, message: Message) {
    // Whoever asked may have gone.
    match message {
        Message::Trigger { name, answer } => {
            let due = waiting_for(engine.project(), &name);
            if due.is_empty() {
                let _ = answer.send(Err(unknown_webhook(engine.project(), &name)));
            } else if options.shares {
                leave_call(engine, name, due, answer);
            } else {
                let _ = answer.send(Err(TriggerError::Idle));
            }
        }
        Message::Outlook { answer, .. } => {
            let _ = answer.send(Outlook::default());
        }
        Message::LookAtClock | Message::Replace(_) => {}
    }
}

/// Records the call of a webhook for the process that schedules, and answers then.
fn leave_call(
    engine: &Engine,
    name: String,
    due: Vec<AssetId>,
    answer: oneshot::Sender<Result<Vec<AssetId>, TriggerError>>,
) {
    let state = engine.world().state.clone();
    tokio::spawn(async move {
        let recorded = state.record_webhook_call(&name).await;
        let answered = recorded.map(|()| due).map_err(|error| {
            tracing::warn!(webhook = name, %error, "the call of a webhook was not recorded");
            TriggerError::Unrecorded
        });
        let _ = answer.send(answered);
    });
}

/// The assets that wait for the webhook.
fn waiting_for(project: &Project, name: &str) -> Vec<AssetId> {
    let waits = |trigger: &Trigger| matches!(trigger, Trigger::Webhook(hook) if hook == name);
    let assets = project.graph.assets().iter();
    let waiting = assets.filter(|asset| asset.schedule.triggers.iter().any(waits));
    waiting.map(|asset| asset.id.clone()).collect()
}
