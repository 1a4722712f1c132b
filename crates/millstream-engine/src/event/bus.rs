//! Everything that is told of work in this process goes over one bus, whatever the work is and whoever listens.
//!
//! There are two ways to listen. Who asked for a piece of work gives an [`Observer`] to its [`Publisher`], and misses
//! nothing: the work goes on when the observer has returned. Everybody else subscribes, to the work of the whole process;
//! work never waits for them, and who falls too far behind is told how much was missed.
//!
//! The state store does not listen: a step is recorded before it is told that it has ended, by the holder of its lease
//! (docs/decisions/0020).

use std::{
    fmt,
    sync::{
        Arc,
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
}

/// The bus of a process. Cloning shares it.
#[derive(Clone, Debug)]
pub struct EventBus {
    sender: broadcast::Sender<WorkEvent>,
    /// The number of the next piece of work.
    next: Arc<AtomicU64>,
}

/// The number of a piece of work: a run, a materialisation, the build of a dataset, a maintenance. No two of a process
/// have the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkId(u64);

/// An event, and the work in which it happened.
#[derive(Clone, Debug)]
pub struct WorkEvent {
    pub work: WorkId,
    pub event: Arc<Event>,
}

/// By which one piece of work tells what happens in it. Cloning shares it.
#[derive(Clone)]
pub struct Publisher {
    work: WorkId,
    sender: broadcast::Sender<WorkEvent>,
    observers: Vec<Arc<dyn Observer>>,
}

/// What a subscriber hears next.
#[derive(Clone, Debug)]
pub enum Heard {
    Event(WorkEvent),
    /// So many events went by before they were taken.
    Missed(u64),
}

/// Events of the process, from the subscription on.
#[derive(Debug)]
pub struct Subscription(broadcast::Receiver<WorkEvent>);

impl Default for EventBus {
    fn default() -> Self {
        Self { sender: broadcast::Sender::new(WAITING_MAX), next: Arc::new(AtomicU64::new(1)) }
    }
}

impl EventBus {
    /// Announces a piece of work.
    #[must_use]
    pub fn begin(&self) -> Publisher {
        let work = WorkId(self.next.fetch_add(1, Ordering::Relaxed));
        Publisher { work, sender: self.sender.clone(), observers: Vec::new() }
    }

    /// Listens to all work of the process from now on.
    #[must_use]
    pub fn subscribe(&self) -> Subscription {
        Subscription(self.sender.subscribe())
    }
}

impl Publisher {
    /// The number of the work, by which its events are known among others.
    #[must_use]
    pub fn work(&self) -> WorkId {
        self.work
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
        if self.sender.receiver_count() > 0 {
            // The last subscriber may have left meanwhile.
            let _ = self.sender.send(WorkEvent { work: self.work, event: Arc::new(event) });
        }
    }
}

impl fmt::Debug for Publisher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Publisher").field("work", &self.work).finish_non_exhaustive()
    }
}

impl Subscription {
    /// The next event; `None` when there is no work left that could tell one.
    pub fn hear(&mut self) -> BoxFuture<'_, Option<Heard>> {
        Box::pin(async move {
            match self.0.recv().await {
                Ok(event) => Some(Heard::Event(event)),
                Err(RecvError::Lagged(missed)) => Some(Heard::Missed(missed)),
                Err(RecvError::Closed) => None,
            }
        })
    }
}
