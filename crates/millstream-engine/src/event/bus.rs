//! Everything that is told of work in this process goes over one bus, whatever the work is and whoever listens.
//!
//! There are two ways to listen. Who asked for a piece of work gives an [`Observer`] to its [`Publisher`], and who counts all
//! work gives one to the bus; an observer misses nothing: the work goes on when it has returned. Everybody else subscribes, to the work of the whole process,
//! and hears also when a piece of work begins and ends; work never waits for subscribers, and one that falls too far behind
//! is told how much it missed.
//!
//! The state store does not listen: a step is recorded before it is told that it has ended, by the holder of its lease
//! (docs/decisions/0020).

use std::{
    fmt,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use futures::future::BoxFuture;
use tokio::sync::broadcast::{self, error::RecvError};

use super::Event;

/// Events that are kept for a subscriber that does not take them.
const WAITING_MAX: usize = 1_024;

/// Receives the events of one piece of work in order, from any thread. The work waits for it.
pub trait Observer: Send + Sync {
    fn event(&self, event: &Event);

    /// The scheduler of this process decided something, in words such as `started`; so many assets wait now, and so many of its
    /// steps run. Only an observer of the whole bus hears this.
    fn scheduled(&self, _decisions: &[&'static str], _waiting: usize, _running: usize) {}
}

/// Observers of all work of the process.
type Observers = Arc<RwLock<Vec<Arc<dyn Observer>>>>;

/// The bus of a process. Cloning shares it.
#[derive(Clone)]
pub struct EventBus {
    sender: broadcast::Sender<WorkEvent>,
    observers: Observers,
    /// The number of the next piece of work.
    next: Arc<AtomicU64>,
}

/// The number of a piece of work. No two pieces of work of a process have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(u64);

/// A piece of work: a run, a materialisation, the build of a dataset, a maintenance.
#[derive(Debug)]
pub struct Work {
    pub id: WorkId,
    /// The command, or the request, that asked for the work.
    pub command: String,
}

/// A change in a piece of work, as subscribers hear it.
#[derive(Clone, Debug)]
pub struct WorkEvent {
    pub work: Arc<Work>,
    pub change: WorkChange,
}

/// What a subscriber is told of a piece of work.
#[derive(Clone, Debug)]
pub enum WorkChange {
    Began,
    /// Something happened in the work.
    Told(Arc<Event>),
    /// The work is over, however it ended.
    Ended,
}

/// By which one piece of work tells what happens in it. Cloning shares it; the work is over when the last clone is dropped.
#[derive(Clone)]
pub struct Publisher {
    announced: Arc<Announced>,
    observers: Vec<Arc<dyn Observer>>,
}

/// A piece of work from its beginning to its end.
struct Announced {
    work: Arc<Work>,
    sender: broadcast::Sender<WorkEvent>,
    /// Those who hear all work of the process.
    observers: Observers,
}

/// What a subscriber hears next.
#[derive(Clone, Debug)]
pub enum Heard {
    Change(WorkEvent),
    /// The number of changes that went by before they were taken.
    Missed(u64),
}

/// The changes of all work of the process, from the subscription on.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<WorkEvent>);

impl Default for EventBus {
    fn default() -> Self {
        Self {
            sender: broadcast::Sender::new(WAITING_MAX),
            observers: Observers::default(),
            next: Arc::new(AtomicU64::new(1)),
        }
    }
}

impl EventBus {
    /// Announces a piece of work that `command` asks for.
    #[must_use]
    pub fn begin(&self, command: &str) -> Publisher {
        let id = WorkId(self.next.fetch_add(1, Ordering::Relaxed));
        let work = Arc::new(Work { id, command: command.to_owned() });
        let announced = Announced { work, sender: self.sender.clone(), observers: self.observers.clone() };
        announced.tell(WorkChange::Began);
        Publisher { announced: Arc::new(announced), observers: Vec::new() }
    }

    /// Lets `observer` hear every event of all work from now on, for as long as the bus lives.
    pub fn observe(&self, observer: Arc<dyn Observer>) {
        self.observers.write().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    /// Tells the observers what the scheduler decided.
    pub(crate) fn scheduled(&self, decisions: &[&'static str], waiting: usize, running: usize) {
        for observer in self.observers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            observer.scheduled(decisions, waiting, running);
        }
    }

    /// Listens to all work of the process from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.sender.subscribe())
    }
}

impl Publisher {
    /// The work by which its events are known among others.
    #[must_use]
    pub fn work(&self) -> &Work {
        &self.announced.work
    }

    /// Lets `observer` hear every event of the work.
    #[must_use]
    pub fn observed_by(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers.push(observer);
        self
    }

    /// Tells all who listen.
    pub fn publish(&self, event: Event) {
        for observer in &self.observers {
            observer.event(&event);
        }
        for observer in self.announced.observers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            observer.event(&event);
        }
        if self.announced.is_heard() {
            self.announced.tell(WorkChange::Told(Arc::new(event)));
        }
    }
}

impl fmt::Debug for EventBus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EventBus").finish_non_exhaustive()
    }
}

impl Announced {
    fn is_heard(&self) -> bool {
        self.sender.receiver_count() > 0
    }

    fn tell(&self, change: WorkChange) {
        // An error says that nobody subscribes.
        let _ = self.sender.send(WorkEvent { work: self.work.clone(), change });
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        self.tell(WorkChange::Ended);
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("work", self.work()).finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next change; `None` when the bus and all work are gone.
    pub fn hear(&mut self) -> BoxFuture<'_, Option<Heard>> {
        Box::pin(async move {
            match self.0.recv().await {
                Ok(event) => Some(Heard::Change(event)),
                Err(RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
                Err(RecvError::Closed) => None,
            }
        })
    }
}
