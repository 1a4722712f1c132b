//! From due to started, skipped or told to wait.

use super::{
    Scheduler,
    node::{Cleared, Running, Standing},
    order::Verdict,
};
use crate::{Answer, Decision, DueReason, HoldReason, SkipReason, Start, StartedStep};

impl Scheduler {
    /// Looks at everything that came to be due or may go on now, starts what fits, and closes the call.
    pub(super) fn decide(&mut self) -> Vec<Decision> {
        // A call that tells something else may be the first after a wait was over.
        self.find_probes();
        loop {
            while let Some(place) = self.open.pop_front() {
                self.consider(place, false);
            }
            let next = if self.is_closing { None } else { self.queue.pop(self.clock) };
            let Some(place) = next else { break };
            if let Some(due) = &mut self.nodes[place].state.due {
                due.standing = Standing::Open;
            }
            self.consider(place, true);
        }
        self.decisions.extend(self.starts.drain(..).map(Decision::Start));
        self.tell_holds();
        std::mem::take(&mut self.decisions)
    }

    /// Finds out what becomes of an asset that is due. `has_place` says that the limits have room for its step.
    fn consider(&mut self, place: usize, has_place: bool) {
        self.visits += 1;
        let is_open = |due: &super::Due| due.standing == Standing::Open;
        if !self.nodes[place].state.due.as_ref().is_some_and(is_open) {
            return;
        }
        if self.nodes[place].state.failures.aside.is_some() {
            return self.skip(place, SkipReason::SetAside);
        }
        match self.verdict(place) {
            Verdict::Run if !self.passes_circuit(place, has_place) => {
                if let Some(due) = &mut self.nodes[place].state.due {
                    due.standing = Standing::Held;
                }
            }
            Verdict::Run if has_place => self.start(place),
            Verdict::Run => {
                let node = &mut self.nodes[place];
                let Some(due) = &mut node.state.due else { return };
                due.standing = Standing::Queued;
                self.queue.insert(node.lane, due.rank(), place, due.since);
            }
            Verdict::Behind(first) => {
                let Some(due) = &mut self.nodes[place].state.due else { return };
                due.standing = Standing::Behind(first);
                let priority = due.priority;
                self.nodes[first].waiters.push(place);
                self.raise(first, priority);
            }
            Verdict::UpToDate => self.skip(place, SkipReason::UpToDate),
            Verdict::UpstreamFailed(failed) => {
                let asset = self.nodes[failed].asset.id.clone();
                if !self.nodes[failed].skipped.contains(&place) {
                    self.nodes[failed].skipped.push(place);
                }
                self.skip(place, SkipReason::UpstreamFailed { asset });
            }
        }
    }

    fn start(&mut self, place: usize) {
        let fresh_as_of = self.fresh_if_started(place);
        let Some(due) = self.nodes[place].state.due.take() else { return };
        let answers = self.take_answers(place, due.is_owed);
        let is_probe = self.is_probe(place);
        let node = &mut self.nodes[place];
        let (lane, wave) = (node.lane, due.wave);
        let step = StartedStep {
            asset: node.asset.id.clone(),
            reasons: due.reasons.clone(),
            priority: due.priority,
            answers,
            attempt: due.attempt,
            is_probe,
            fresh_as_of,
        };
        node.state.running =
            Some(Running { wave, fresh_as_of, lane, began_with: None, started_for: Some(due) });
        node.state.stale_again = false;
        node.state.last_wave = wave;
        node.state.cleared = Some(Cleared { wave, added: self.added });
        node.state.was_skipped = false;
        self.queue.take(lane);
        self.waits_no_more(place);
        match self.starts.iter_mut().find(|start| start.wave == wave) {
            Some(start) => start.steps.push(step),
            None => self.starts.push(Start { wave, steps: vec![step] }),
        }
        self.due_again(place);
        self.refresh(place);
    }

    fn skip(&mut self, place: usize, because: SkipReason) {
        let Some(due) = self.nodes[place].state.due.take() else { return };
        let answers = self.take_answers(place, due.is_owed);
        let node = &mut self.nodes[place];
        if matches!(because, SkipReason::UpstreamFailed { .. }) {
            node.state.last_wave = due.wave.max(node.state.last_wave);
            (node.state.failed, node.state.was_skipped) = (true, true);
            node.state.halted_by.clear();
            node.state.failed_after = self.arrivals;
        }
        let asset = node.asset.id.clone();
        self.decisions.push(Decision::Skip { asset, answers, because });
        self.due_again(place);
        self.settle_down(place);
    }

    /// The asset neither runs nor is due for the reason it was: what waits for it goes on, and it goes on itself.
    pub(super) fn settle_down(&mut self, place: usize) {
        self.refresh(place);
        let node = &mut self.nodes[place];
        if let Some(due) = node.state.due.as_mut().filter(|due| due.standing == Standing::AfterRun) {
            due.standing = Standing::Open;
            self.open.push_back(place);
        }
        for waiter in std::mem::take(&mut self.nodes[place].waiters) {
            if let Some(due) = self.nodes[waiter].state.due.as_mut()
                && due.standing == Standing::Behind(place)
            {
                due.standing = Standing::Open;
                self.open.push_back(waiter);
            }
        }
        if self.nodes[place].is_gone {
            self.places.remove(&self.nodes[place].asset.id);
        } else {
            self.arm_freshness(place);
        }
    }

    /// The ticks and events that wait for an answer get it now. Where missed ticks have an answer each, one that is `owed` for an
    /// earlier tick leaves the others to those after it.
    fn take_answers(&mut self, place: usize, is_owed: bool) -> Vec<Answer> {
        let node = &mut self.nodes[place];
        let mut answers = Vec::new();
        for (trigger, state) in node.asset.triggers.iter().zip(&mut node.state.triggers) {
            if !state.waits() {
                continue;
            }
            let after = state.answered;
            let missed = state.missed_until.filter(|missed| *missed > after);
            if is_owed && missed.is_some() {
                continue;
            }
            let until =
                match missed.and_then(|missed| trigger.next_after(after).filter(|tick| *tick <= missed)) {
                    Some(tick) => tick,
                    None => state.seen,
                };
            state.answered = until;
            state.was_answered = true;
            state.missed_until = missed.filter(|missed| *missed > until);
            answers.push(Answer { trigger: trigger.clone(), after, until });
        }
        answers
    }

    /// Where missed ticks are still to be answered one by one, the asset is due again.
    fn due_again(&mut self, place: usize) {
        let node = &self.nodes[place];
        let waits = node.state.triggers.iter().position(super::node::TriggerState::waits);
        if let Some(trigger) = waits {
            let reason = DueReason::Tick(node.asset.triggers[trigger].clone());
            self.wave += 1;
            self.make_due(place, self.wave, reason, i8::MIN);
            if let Some(due) = &mut self.nodes[place].state.due {
                due.is_told = true;
            }
        }
    }

    /// What was skipped because the asset had not ended well may run now, for this reason.
    pub(super) fn release(&mut self, place: usize, wave: u64, because: &DueReason) {
        for skipped in std::mem::take(&mut self.nodes[place].skipped) {
            let node = &self.nodes[skipped];
            if node.state.was_skipped && node.state.stale && node.runs_on_change() {
                self.make_due(skipped, wave, because.clone(), i8::MIN);
            }
        }
    }

    /// Says of what came to be due in this call, and did not start, why it waits.
    fn tell_holds(&mut self) {
        let mut places = std::mem::take(&mut self.newly_due);
        places.sort_unstable();
        places.dedup();
        for place in places {
            let node = &self.nodes[place];
            let Some(due) = node.state.due.as_ref().filter(|due| !due.is_told) else { continue };
            let because = match due.standing {
                Standing::AfterRun => HoldReason::Running,
                Standing::Behind(first) => HoldReason::Upstream { asset: self.nodes[first].asset.id.clone() },
                Standing::KeptAway => HoldReason::KeptAway,
                Standing::Queued | Standing::Open if self.is_closing => HoldReason::Closing,
                Standing::Held => self.circuit_hold(place),
                Standing::Queued | Standing::Open => self.queue.obstacle(node.lane),
            };
            self.decisions.push(Decision::NotNow { asset: node.asset.id.clone(), because });
            if let Some(due) = &mut self.nodes[place].state.due {
                due.is_told = true;
            }
        }
    }
}
