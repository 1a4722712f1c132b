//! Steps that were started and cannot begin, because somebody else works on the asset.

use millstream_types::{AssetId, TimestampMicros};

use super::{
    REASONS_MAX, Scheduler,
    node::{Due, Standing},
};
use crate::Decision;

impl Scheduler {
    /// The step of the asset that was started cannot begin, because somebody else works on the asset, and nothing of it was done. It
    /// gives its places back and waits; what comes meanwhile is answered by it too. [`Self::freed`] ends the wait.
    pub fn kept_away(&mut self, asset: &AssetId, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset) {
            self.postpone(place);
        }
        self.decide()
    }

    /// Nobody else works on the asset any more. A step that waited for that starts as soon as there is a place for it.
    pub fn freed(&mut self, asset: &AssetId, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset)
            && let Some(due) = &mut self.nodes[place].state.due
            && due.standing == Standing::KeptAway
        {
            due.standing = Standing::Open;
            self.open.push_back(place);
        }
        self.decide()
    }

    fn postpone(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let was_started = |running: &mut super::Running| running.started_for.is_some();
        let Some(running) = node.state.running.take_if(was_started) else { return };
        self.queue.release(running.lane);
        self.forget_probe(place);
        let node = &mut self.nodes[place];
        let Some(owed) = running.started_for else { return };
        self.decisions.push(Decision::Postponed { asset: node.asset.id.clone() });
        if node.is_gone {
            return self.settle_down(place);
        }
        let owed = Due { standing: Standing::KeptAway, is_told: true, is_owed: true, ..owed };
        node.state.due = Some(match node.state.due.take() {
            Some(later) => owed.with(later),
            None => owed,
        });
        self.refresh(place);
    }
}

impl Due {
    /// Takes in what came to be due while this one was taken to run.
    pub(super) fn with(mut self, later: Self) -> Self {
        self.priority = self.priority.max(later.priority);
        self.look_before = self.look_before.max(later.look_before);
        for reason in later.reasons {
            if self.reasons.len() < REASONS_MAX && !self.reasons.contains(&reason) {
                self.reasons.push(reason);
            }
        }
        self
    }
}
