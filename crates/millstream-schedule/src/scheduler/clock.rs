//! Ticks: which are due, which were missed, and what a clock that goes back does to them.

use millstream_types::TimestampMicros;

use super::{CATCH_UP_MAX, CLOCK_BACK_MAX, LATE_MAX, Scheduler};
use crate::{Answer, CatchUp, Decision, DueReason, SkipReason, Trigger, timers::Timer, trigger::micros};

impl Scheduler {
    /// Opens a call: takes over the present instant, and opens a wave for what the call tells.
    pub(super) fn begin(&mut self, now: TimestampMicros) {
        self.back = self.latest.0.saturating_sub(now.0).max(0);
        if self.back > micros(CLOCK_BACK_MAX) {
            self.rewind(now);
        }
        let passed = now.0.saturating_sub(self.now.0).max(0);
        self.clock = TimestampMicros(self.clock.0.saturating_add(passed));
        self.latest = self.latest.max(now);
        self.now = now;
        self.wave += 1;
    }

    /// Takes in all timers that are due.
    pub(super) fn find_ticks(&mut self) {
        while let Some(timer) = self.timers.pop_due(self.now) {
            self.visits += 1;
            self.nodes[timer.asset].state.triggers[timer.trigger].timer = None;
            match &self.nodes[timer.asset].asset.triggers[timer.trigger] {
                Trigger::NewFiles { .. } | Trigger::Events { .. } => self.look(timer),
                Trigger::Freshness(span) => self.judge_freshness(timer, *span),
                _ => {
                    let state = &self.nodes[timer.asset].state;
                    self.find_tick(timer, state.running.is_some() || state.due.is_some());
                }
            }
        }
    }

    /// Takes in the due ticks of one trigger, which are not missed where the asset runs or is due already.
    pub(super) fn find_tick(&mut self, timer: Timer, is_attended: bool) {
        let node = &self.nodes[timer.asset];
        let (trigger, catch_up) = (node.asset.triggers[timer.trigger].clone(), node.asset.catch_up);
        let (first, last) = (timer.at, trigger.last_tick(timer.at, self.now));
        self.set_timer(Timer { at: last, ..timer }, trigger.next_after(last));
        let is_late = self.now.0.saturating_sub(last.0) > micros(LATE_MAX);
        if !is_attended && (is_late || first < last) {
            match catch_up {
                CatchUp::Latest => {}
                CatchUp::All => {
                    let answered = self.nodes[timer.asset].state.triggers[timer.trigger].answered;
                    let cut = trigger.back_from(last, CATCH_UP_MAX, answered);
                    self.skip_ticks(timer, cut, SkipReason::BeyondCatchUp);
                    self.nodes[timer.asset].state.triggers[timer.trigger].missed_until = Some(last);
                }
                CatchUp::None if is_late => return self.skip_ticks(timer, last, SkipReason::Missed),
                CatchUp::None => self.skip_ticks(timer, TimestampMicros(last.0 - 1), SkipReason::Missed),
            }
        }
        self.nodes[timer.asset].state.triggers[timer.trigger].seen = last;
        if self.nodes[timer.asset].state.unreached.is_hindered_now() {
            // The step at the end of the wait answers the tick too. Another one now would be hindered like the last.
            return;
        }
        self.make_due(timer.asset, self.wave, DueReason::Tick(trigger), i8::MIN);
    }

    /// Answers the ticks of one trigger up to and including `until` with a skip, if there are any.
    fn skip_ticks(&mut self, timer: Timer, until: TimestampMicros, because: SkipReason) {
        let node = &mut self.nodes[timer.asset];
        let state = &mut node.state.triggers[timer.trigger];
        if until < timer.at || until <= state.answered {
            return;
        }
        let trigger = node.asset.triggers[timer.trigger].clone();
        let answer = Answer { trigger, after: state.answered, until };
        state.answered = until;
        state.seen = state.seen.max(until);
        let asset = node.asset.id.clone();
        self.decisions.push(Decision::Skip { asset, answers: vec![answer], because });
    }

    /// The time has come to list the source of the asset. While the asset runs or is due there is no need, nor while it waits because
    /// it was hindered: its next step lists the source.
    fn look(&mut self, timer: Timer) {
        let node = &self.nodes[timer.asset];
        let is_hindered = node.state.unreached.is_hindered_now();
        let is_asked = node.state.failures.aside.is_none() && !is_hindered && !self.is_held(&node.asset.id);
        if node.state.running.is_none() && node.state.due.is_none() && is_asked {
            self.decisions.push(Decision::Look { asset: node.asset.id.clone() });
        }
        let next = self.nodes[timer.asset].asset.triggers[timer.trigger].next_after(self.now);
        self.set_timer(timer, next);
    }

    /// Sets the timer of a trigger to another instant, or to none.
    pub(super) fn set_timer(&mut self, timer: Timer, at: Option<TimestampMicros>) {
        let state = &mut self.nodes[timer.asset].state.triggers[timer.trigger];
        if let Some(before) = state.timer {
            self.timers.unset(Timer { at: before, ..timer });
        }
        state.timer = at;
        if let Some(at) = at {
            self.timers.set(Timer { at, ..timer });
        }
    }

    /// The clock was far ahead. What lies after `now` is forgotten, so that nothing waits until the clock is there again.
    fn rewind(&mut self, now: TimestampMicros) {
        (self.latest, self.now) = (now, now);
        self.rewind_gates(now);
        for place in 0..self.nodes.len() {
            self.visits += 1;
            let state = &mut self.nodes[place].state;
            state.fresh_as_of = state.fresh_as_of.map(|at| at.min(now));
            let started_for = state.running.iter_mut().filter_map(|running| running.started_for.as_mut());
            for due in state.due.iter_mut().chain(started_for) {
                due.look_before = due.look_before.map(|at| at.min(now));
            }
            for trigger in 0..self.nodes[place].state.triggers.len() {
                self.rewind_trigger(place, trigger, now);
            }
            self.rewind_wait(place, now);
        }
    }

    fn rewind_trigger(&mut self, place: usize, trigger: usize, now: TimestampMicros) {
        let node = &mut self.nodes[place];
        let state = &mut node.state.triggers[trigger];
        let was_ahead = state.answered > now || state.seen > now;
        if was_ahead {
            let watched = &node.asset.triggers[trigger];
            let waits = watched.is_event() && state.waits();
            state.answered = state.answered.min(now);
            state.seen = state.answered;
            state.missed_until = None;
            let from = state.answered;
            let (asset, trigger) = (node.asset.id.clone(), watched.clone());
            self.decisions.push(Decision::Watch { asset: asset.clone(), trigger: trigger.clone(), from });
            if waits {
                // The event is acknowledged already, and nothing but its record makes up for it after a crash.
                let at = TimestampMicros(from.0.saturating_add(1));
                state.seen = at;
                self.decisions.push(Decision::Noted { asset, trigger, at });
            }
        }
        self.arm(place, trigger);
    }

    /// Sets the timer of a trigger from what is known of it.
    pub(super) fn arm(&mut self, place: usize, trigger: usize) {
        let node = &self.nodes[place];
        let state = &node.state.triggers[trigger];
        let at = match &node.asset.triggers[trigger] {
            Trigger::NewFiles { .. } | Trigger::Events { .. } => Some(self.now),
            Trigger::Freshness(span) => Some(self.outlook(place, trigger, *span).start_at),
            timed => timed.next_after(state.answered.max(state.seen)),
        };
        self.set_timer(Timer { at: self.now, asset: place, trigger }, at);
    }
}
