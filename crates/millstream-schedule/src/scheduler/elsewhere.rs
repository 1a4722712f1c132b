//! Steps that run in other processes than the one that schedules: they go on when it ends, and are interrupted when theirs does.

use std::{collections::BTreeMap, num::NonZeroUsize};

use millstream_types::{AssetId, TimestampMicros};

use super::{
    ATTEMPTS_MAX, REASONS_MAX, Scheduler,
    install::restored_state,
    node::{Due, Node, Running, Standing},
};
use crate::{CatchUp, Decision, DueReason, GoesOn, RecordedAttempt, ScheduledAsset, SkipReason};

impl Scheduler {
    /// The process that ran the step of the asset is gone, and did not tell how it ended. The step starts once more, unless that
    /// was its last attempt.
    pub fn interrupted(&mut self, asset: &AssetId, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        if let Some(place) = self.place(asset) {
            self.interrupt(place);
        }
        self.decide()
    }

    /// So many steps may run at once from now on. Those that run go on, though they be more.
    pub fn limit_steps(&mut self, steps: NonZeroUsize, now: TimestampMicros) -> Vec<Decision> {
        self.begin(now);
        self.queue.limit_steps(steps);
        self.decide()
    }

    fn interrupt(&mut self, place: usize) {
        let was_started = |running: &mut Running| running.started_for.is_some();
        let Some(running) = self.nodes[place].state.running.take_if(was_started) else { return };
        self.queue.release(running.lane);
        self.forget_probe(place);
        let node = &mut self.nodes[place];
        let Some(mut owed) = running.started_for else { return };
        if node.is_gone || owed.attempt >= ATTEMPTS_MAX {
            (node.state.stale, node.state.failed_after) = (true, self.arrivals);
            self.give_up(place, running.wave);
            return self.settle_down(place);
        }
        owed.reasons.retain(|reason| *reason != DueReason::Interrupted);
        owed.reasons.insert(0, DueReason::Interrupted);
        owed.reasons.truncate(REASONS_MAX);
        let attempt = owed.attempt + 1;
        let owed = Due { attempt, standing: Standing::Open, is_told: true, is_owed: true, ..owed };
        node.state.due = Some(match node.state.due.take() {
            Some(later) => owed.with(later),
            None => owed,
        });
        self.open.push_back(place);
        self.refresh(place);
    }

    /// A step that was interrupted again and again is not started once more. That does not end well for what reads the asset.
    pub(super) fn give_up(&mut self, place: usize, wave: u64) {
        let node = &mut self.nodes[place];
        node.state.failed = true;
        node.state.last_wave = wave.max(node.state.last_wave);
        let (asset, because) = (node.asset.id.clone(), SkipReason::InterruptedAgain);
        self.decisions.push(Decision::Skip { asset, answers: Vec::new(), because });
    }

    /// The attempt goes on in another process, with this definition of the asset. It may not have read what the asset reads now, and
    /// it takes the places that it took when it began.
    pub(super) fn take_over(&mut self, place: usize, attempt: RecordedAttempt, goes_on: &GoesOn) {
        let wave = self.wave;
        let (since, arrival) = (self.clock, self.arrivals);
        let lane = self.queue.lane(goes_on.connection.as_ref(), &goes_on.pools);
        let node = &mut self.nodes[place];
        let started_for = Due {
            wave,
            reasons: vec![DueReason::Interrupted],
            since,
            priority: node.asset.priority,
            arrival,
            // An attempt that was taken back is the first one again.
            attempt: attempt.attempt.max(1),
            look_before: None,
            standing: Standing::Open,
            is_told: true,
            is_owed: true,
        };
        let (fresh_as_of, began_with) =
            (attempt.fresh_as_of, Some((goes_on.connection.clone(), goes_on.pools.clone())));
        node.state.running =
            Some(Running { wave, fresh_as_of, lane, began_with, started_for: Some(started_for) });
        node.state.last_wave = wave;
        let is_other = goes_on.definition != node.asset.definition;
        node.state.stale |= is_other;
        node.state.stale_again = node.state.stale;
        self.queue.take(lane);
        if goes_on.is_probe {
            self.take_over_probe(place);
        }
        self.refresh(place);
    }

    /// The step of an asset that the project does not have goes on in another process: until it ends, it keeps its places, and the asset
    /// does not overlap if it comes back.
    pub(super) fn take_over_gone(&mut self, asset: &AssetId, attempt: RecordedAttempt, goes_on: &GoesOn) {
        let asset = ScheduledAsset {
            id: asset.clone(),
            definition: goes_on.definition,
            inputs: Vec::new(),
            needs: BTreeMap::new(),
            reads_outside: false,
            triggers: Vec::new(),
            catch_up: CatchUp::default(),
            priority: 0,
            connection: goes_on.connection.clone(),
            pools: goes_on.pools.clone(),
            circuit: None,
            set_aside_after: None,
            is_promised: false,
        };
        let state = restored_state(&asset, None, self.now, &mut self.decisions);
        let (place, lane) = (self.nodes.len(), self.queue.lane(asset.connection.as_ref(), &asset.pools));
        self.places.insert(asset.id.clone(), place);
        self.met.push(0);
        self.nodes.push(Node {
            asset,
            inputs: Vec::new(),
            users: Vec::new(),
            followers: Vec::new(),
            lane,
            is_watched: false,
            is_gone: true,
            waiters: Vec::new(),
            skipped: Vec::new(),
            state,
        });
        self.take_over(place, attempt, goes_on);
    }
}
