//! Housekeeping beside other work: it waits while this process does something else, though not for ever.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use futures::FutureExt;

use crate::{Heard, Publisher, Subscription, WorkChange, WorkEvent, WorkId};

/// What else is at work in this process.
pub(super) struct Quiet {
    heard: Subscription,
    own: WorkId,
    /// The pieces of work that have begun, and of which no end was heard.
    running: BTreeSet<WorkId>,
    /// How long it may be waited yet, over all tables.
    left: Duration,
}

/// How long one housekeeping waits for quiet, all tables together.
const QUIET_WHOLE: Duration = Duration::from_secs(20 * 60);

impl Quiet {
    pub(super) fn beside(own: &Publisher, heard: Subscription) -> Self {
        Self { heard, own: own.work().id, running: BTreeSet::new(), left: QUIET_WHOLE }
    }

    /// Waits until nothing else is at work, but no longer than `most`.
    pub(super) async fn wait(&mut self, most: Duration) {
        while let Some(Some(heard)) = self.heard.hear().now_or_never() {
            self.note(&heard);
        }
        let most = most.min(self.left);
        let until_quiet = async {
            while !self.running.is_empty() {
                match self.heard.hear().await {
                    Some(heard) => self.note(&heard),
                    None => return,
                }
            }
        };
        // Work that never ends would keep the house untidy for ever.
        let began = Instant::now();
        let _ = tokio::time::timeout(most, until_quiet).await;
        self.left = self.left.saturating_sub(began.elapsed());
    }

    fn note(&mut self, heard: &Heard) {
        match heard {
            Heard::Change(WorkEvent { work, change }) if work.id != self.own => {
                match change {
                    WorkChange::Ended => self.running.remove(&work.id),
                    WorkChange::Began | WorkChange::Told(_) => self.running.insert(work.id),
                };
            }
            Heard::Change(_) => {}
            // Ends may be among them; what still runs tells of itself soon.
            Heard::Missed(_) => self.running.clear(),
        }
    }
}
