//! A project that runs by its triggers: the loop around the scheduler, which tells it what happens, records what it decides
//! and carries that out.
//!
//! One process of a project does this at a time. It holds the lease of a name that is no asset, [`LEASED`], and what it
//! records is bound to that lease; another process that serves the project too waits until the lease ends, and goes on with
//! what is recorded.

mod away;
mod clock;
mod failures;
mod listen;
mod promises;
mod record;
mod stale;
mod start;
mod tenure;

use std::{
    panic::AssertUnwindSafe,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{FutureExt, future::BoxFuture};
use millstream_schedule::{Trigger, Upcoming};
use millstream_state::LoggedDecision;
use millstream_types::AssetId;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use crate::{Engine, EngineError, Project, error::told, lease::Lease};
use tenure::Tenure;

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
        let (sender, receiver) = mpsc::channel(MESSAGES_MAX);
        let keeper =
            Keeper { engine: self.clone(), receiver, cancel, drain, cut_short: CancellationToken::new() };
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
    /// The wish that the loop ends.
    cancel: CancellationToken,
    /// How long steps have then to end.
    drain: Duration,
    /// Cancelled when that time is over.
    cut_short: CancellationToken,
}

impl Keeper {
    async fn keep(mut self) {
        let _drained = self.cut_short_in_time();
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
            // What a panic has left of the tenure was dropped: its steps are cut short, and its lease is free.
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
        let (cancel, drain, cut_short) = (self.cancel.clone(), self.drain, self.cut_short.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            cancel.cancelled().await;
            tokio::time::sleep(drain).await;
            cut_short.cancel();
        }))
    }

    /// Waits until the project has a trigger; false when the loop is to end.
    async fn wait_for_triggers(&mut self) -> bool {
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
            begun = Tenure::begin(&self.engine, lease.clone(), &self.cut_short) => begun,
            () = self.cancel.cancelled() => Err(EngineError::Cancelled),
        };
        let mut tenure = match begun {
            Ok(tenure) => tenure,
            Err(error) => {
                lease.end().await;
                return Err(error);
            }
        };
        let ended = tenure.hold(&mut self.receiver, &self.cancel).await;
        self.engine = tenure.end().await;
        lease.end().await;
        ended
    }

    /// Waits until no other process schedules the project.
    async fn take_lease(&mut self) -> Result<Arc<Lease>, EngineError> {
        let world = self.engine.world().clone();
        let events = self.engine.begin(COMMAND);
        let leased = [AssetId::new(LEASED)];
        let taking = world.lease(COMMAND, &leased, Duration::MAX, &events, &self.cut_short);
        tokio::pin!(taking);
        loop {
            tokio::select! {
                lease = &mut taking => return lease,
                () = self.cancel.cancelled() => return Err(EngineError::Cancelled),
                Some(message) = self.receiver.recv() => match message {
                    Message::Replace(engine) => self.engine = engine,
                    message => decline(&self.engine, message),
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
            Message::Replace(engine) => self.engine = engine,
            message => decline(&self.engine, message),
        }
    }
}

/// Answers while the project is not scheduled by this process.
fn decline(engine: &Engine, message: Message) {
    // Whoever asked may have gone.
    match message {
        Message::Trigger { name, answer } => {
            let is_known = webhooks(engine.project()).contains(&name);
            let error = if is_known { TriggerError::Idle } else { unknown_webhook(engine.project(), &name) };
            let _ = answer.send(Err(error));
        }
        Message::Outlook { answer, .. } => {
            let _ = answer.send(Outlook::default());
        }
        Message::LookAtClock | Message::Replace(_) => {}
    }
}
