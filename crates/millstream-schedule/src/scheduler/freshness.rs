//! "Keep it fresher than this": the latest instant at which a run still does that.
//!
//! An asset that is up to date is as fresh as the sources that it is made of, whenever they were looked at last, because a look
//! that finds nothing new makes it fresher too. So when its freshness runs out its old sources are looked at, what they change
//! on the way is run, and the asset itself runs only if something reached it.

use std::collections::{BTreeMap, VecDeque};

use millstream_types::{AssetId, Span, TimestampMicros};

use super::Scheduler;
use crate::{DueReason, Trigger, timers::Timer, trigger::micros};

/// What is needed to keep an asset fresh.
pub(super) struct Outlook {
    /// The latest instant at which the next run may begin.
    pub(super) start_at: TimestampMicros,
    /// Sources that were looked at no later than this are to be looked at by that run.
    pub(super) look_before: TimestampMicros,
    /// How long after the instant that it is fresh as of the asset may begin to run again, in microseconds.
    pub(super) period: i64,
}

/// As fresh as of this instant, in microseconds; `NEVER` if it was never looked at, `ALWAYS` if no run could make it fresher.
type AsOf = i64;
const NEVER: AsOf = i64::MIN;
const ALWAYS: AsOf = i64::MAX;

impl Scheduler {
    /// The instant that what the asset holds is as fresh as of: that of its oldest source, as long as nothing on the way is out of
    /// date; `None` where that is not known.
    pub fn fresh_as_of(&mut self, asset: &AssetId) -> Option<TimestampMicros> {
        let place = self.place(asset)?;
        let around = self.upstream(place);
        match self.as_of(place, &around) {
            NEVER => None,
            ALWAYS => self.nodes[place].state.fresh_as_of,
            as_of => Some(TimestampMicros(as_of.min(self.now.0))),
        }
    }

    /// How long it takes, by what the last steps took, until the asset is up to date with its sources of this moment: its own
    /// step and the longest chain of steps before it.
    pub fn expected(&mut self, asset: &AssetId) -> Span {
        let Some(place) = self.place(asset) else { return Span::from_ms(0) };
        let around = self.upstream(place);
        let length = self.critical(place, &around, self.now.0);
        Span::from_ms(u64::try_from(length / 1_000).unwrap_or(0))
    }

    /// A timer of freshness has come. Whether a run is needed is found out only now, since others may have made the asset fresh
    /// meanwhile.
    pub(super) fn judge_freshness(&mut self, timer: Timer, span: Span) {
        let state = &self.nodes[timer.asset].state;
        // When the step that runs has ended, the timer is set anew.
        if state.running.is_some() {
            return;
        }
        let outlook = self.outlook(timer.asset, timer.trigger, span);
        if outlook.start_at > self.now {
            return self.set_timer(timer, Some(outlook.start_at));
        }
        let state = &mut self.nodes[timer.asset].state.triggers[timer.trigger];
        state.seen = self.now.max(TimestampMicros(state.answered.0.saturating_add(1)));
        self.make_due(timer.asset, self.wave, DueReason::Tick(Trigger::Freshness(span)), i8::MIN);
        if let Some(due) = &mut self.nodes[timer.asset].state.due {
            due.look_before = Some(outlook.look_before);
        }
    }

    /// Sets the timers of the asset's triggers on freshness.
    pub(super) fn arm_freshness(&mut self, place: usize) {
        for trigger in 0..self.nodes[place].asset.triggers.len() {
            if matches!(self.nodes[place].asset.triggers[trigger], Trigger::Freshness(_)) {
                self.arm(place, trigger);
            }
        }
    }

    /// The run begins so late that the asset gets older than `span` only when the run has ended, by what its steps and those of the
    /// old or stale assets before it are expected to take. It begins no sooner than half of `span` after the instant that the asset
    /// is fresh as of, and after the attempt before: where the steps take longer than that, no run could keep the asset fresh, and
    /// runs without a pause would only cost.
    pub(super) fn outlook(&mut self, place: usize, trigger: usize, span: Span) -> Outlook {
        let (span, half) = (micros(span), micros(span) / 2);
        let around = self.upstream(place);
        let as_of = match self.as_of(place, &around) {
            ALWAYS => self.nodes[place].state.fresh_as_of.map_or(NEVER, |at| at.0),
            as_of => as_of.min(self.now.0),
        };
        let look_before = as_of.saturating_add(half).max(self.now.0.saturating_sub(half));
        let state = &self.nodes[place].state.triggers[trigger];
        let attempt = if state.was_answered { state.answered.0 } else { NEVER };
        let period = span.saturating_sub(self.critical(place, &around, look_before)).max(half);
        let next = if as_of == NEVER { self.now.0 } else { as_of.saturating_add(period) };
        Outlook {
            start_at: TimestampMicros(next.max(attempt.saturating_add(half))),
            look_before: TimestampMicros(look_before),
            period,
        }
    }

    /// What the asset would be as fresh as of, if its step began now and ended well.
    pub(super) fn fresh_if_started(&mut self, place: usize) -> TimestampMicros {
        let node = &self.nodes[place];
        if !node.is_watched || node.asset.reads_outside {
            return self.now;
        }
        let around = self.upstream(place);
        let inputs = self.nodes[place].inputs.iter().copied();
        let as_of = self.as_of_all(&around);
        let oldest = inputs.filter_map(|input| as_of.get(&input).copied()).min().unwrap_or(ALWAYS);
        // A source that was never looked at says nothing of what is read of it now.
        if oldest == NEVER { self.now } else { TimestampMicros(oldest.min(self.now.0)) }
    }

    /// The asset and all that it reads as far as triggers keep it fresh, each after what it reads. What is set aside counts too: its
    /// rows are as old as they are, whether or not it runs.
    fn upstream(&mut self, place: usize) -> Vec<usize> {
        self.walks += 1;
        self.met[place] = self.walks;
        let (mut ahead, mut found) = (VecDeque::from([place]), Vec::new());
        while let Some(next) = ahead.pop_front() {
            self.visits += 1;
            if next != place && !self.nodes[next].has_triggers() {
                continue;
            }
            found.push(next);
            for input in &self.nodes[next].inputs {
                if self.met[*input] != self.walks {
                    self.met[*input] = self.walks;
                    ahead.push_back(*input);
                }
            }
        }
        found.sort_unstable();
        found
    }

    fn as_of(&self, place: usize, around: &[usize]) -> AsOf {
        self.as_of_all(around).get(&place).copied().unwrap_or(ALWAYS)
    }

    fn as_of_all(&self, around: &[usize]) -> BTreeMap<usize, AsOf> {
        let mut as_of = BTreeMap::new();
        for place in around {
            let node = &self.nodes[*place];
            let value = if node.state.stale || node.asset.reads_outside {
                node.state.fresh_as_of.map_or(NEVER, |at| at.0)
            } else {
                node.inputs.iter().filter_map(|input| as_of.get(input).copied()).min().unwrap_or(ALWAYS)
            };
            as_of.insert(*place, value);
        }
        as_of
    }

    /// How long the longest chain of steps is expected to take that a run of the asset would need, its own included.
    fn critical(&self, place: usize, around: &[usize], look_before: AsOf) -> i64 {
        let mut lengths: BTreeMap<usize, i64> = BTreeMap::new();
        for next in around {
            let node = &self.nodes[*next];
            let before =
                node.inputs.iter().filter_map(|input| lengths.get(input).copied()).max().unwrap_or(0);
            let is_old =
                node.asset.reads_outside && node.state.fresh_as_of.is_none_or(|at| at.0 <= look_before);
            let runs = *next == place || node.state.stale || is_old || before > 0;
            let own = if runs { node.state.durations.expected() } else { 0 };
            lengths.insert(*next, own.saturating_add(before));
        }
        lengths.get(&place).copied().unwrap_or(0)
    }
}
