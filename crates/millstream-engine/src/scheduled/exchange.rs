//! Where the loop that schedules and the worker of one process meet: the project as it is now, and bells that spare them to look
//! again and again at what the other one has just recorded.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use millstream_state::NewsOfOffers;
use tokio::sync::{Notify, watch};

use crate::{Engine, WorkId};

/// So many runs of the worker are known as such: as many as the bus keeps events.
const WORKS_MAX: usize = 1_024;

#[derive(Debug)]
pub(super) struct Exchange {
    engine: watch::Sender<Engine>,
    /// Whether this process is the one that schedules.
    schedules: AtomicBool,
    /// The newest runs of the worker, of which the loop hears on the bus.
    works: Mutex<BTreeSet<WorkId>>,
    offered: Notify,
    ended: Notify,
    /// What other processes change among offered steps.
    news: NewsOfOffers,
}

impl Exchange {
    pub(super) fn new(engine: Engine) -> Self {
        Self {
            news: engine.world().state.news_of_offers(),
            engine: watch::Sender::new(engine),
            schedules: AtomicBool::new(false),
            works: Mutex::default(),
            offered: Notify::new(),
            ended: Notify::new(),
        }
    }

    /// The engine of the project as it is now, and as it comes to be.
    pub(super) fn engine(&self) -> watch::Receiver<Engine> {
        self.engine.subscribe()
    }

    /// The engine of the project as it is now.
    pub(super) fn newest(&self) -> Engine {
        self.engine.borrow().clone()
    }

    /// The project was loaded again.
    pub(super) fn replace(&self, engine: &Engine) {
        self.engine.send_replace(engine.clone());
    }

    pub(super) fn set_schedules(&self, schedules: bool) {
        self.schedules.store(schedules, Ordering::Relaxed);
    }

    pub(super) fn schedules(&self) -> bool {
        self.schedules.load(Ordering::Relaxed)
    }

    /// The worker has begun a run.
    pub(super) fn add(&self, work: WorkId) {
        let mut works = self.works.lock().unwrap_or_else(PoisonError::into_inner);
        works.insert(work);
        while works.len() > WORKS_MAX {
            works.pop_first();
        }
    }

    /// Whether the run is one of the worker's.
    pub(super) fn has(&self, work: WorkId) -> bool {
        self.works.lock().unwrap_or_else(PoisonError::into_inner).contains(&work)
    }

    /// What other processes change among offered steps, from now on.
    pub(super) fn news(&self) -> NewsOfOffers {
        self.news.clone()
    }

    /// Steps are offered.
    pub(super) fn offered(&self) {
        self.offered.notify_one();
    }

    pub(super) async fn until_offered(&self) {
        self.offered.notified().await;
    }

    /// The end of a step is on record.
    pub(super) fn ended(&self) {
        self.ended.notify_one();
    }

    pub(super) async fn until_ended(&self) {
        self.ended.notified().await;
    }
}
