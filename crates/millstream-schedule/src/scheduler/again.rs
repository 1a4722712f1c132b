//! A step that could not reach its place is taken up again after a wait, where no circuit holds it, and so is one that was hindered by what all
//! steps use, such as a lake that is away or a disk that is full. The wait grows with each such end in a row, so that one asset whose
//! place does not answer asks no more often than the circuit of a place would.

use millstream_types::{Span, TimestampMicros};

use super::{
    Scheduler,
    node::{Due, Standing},
};
use crate::{CircuitPolicy, DueReason, Ending, timers::Timer, trigger::micros};

/// An asset that could not reach its place so many times in a row at most tries as soon as the circuit is closed.
const AT_ONCE_MAX: u32 = 2;

/// How often in a row an asset could not reach what it asks, or was hindered.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Unreached {
    in_a_row: u32,
    /// When it is taken up again; `None` where something else takes it up.
    at: Option<TimestampMicros>,
    /// Whether it was hindered the last time.
    is_hindered: bool,
}

impl Unreached {
    /// Whether the asset waits because it was hindered. Ticks wait with it; an event that somebody has told starts it all the same.
    pub(super) fn is_hindered_now(&self) -> bool {
        self.is_hindered && self.at.is_some()
    }

    /// The wait before the asset is taken up again.
    fn wait(&self) -> Span {
        let policy = CircuitPolicy::default();
        let doubled = 1_u64.checked_shl(self.in_a_row.saturating_sub(1)).unwrap_or(u64::MAX);
        Span::from_ms(policy.wait.ms().saturating_mul(doubled)).min(policy.wait_max)
    }
}

impl Scheduler {
    /// A step that the scheduler started has ended so.
    pub(super) fn take_up_again(&mut self, place: usize, ending: Ending, wave: u64) {
        let node = &mut self.nodes[place];
        let unreached = &mut node.state.unreached;
        match ending {
            Ending::Unreachable | Ending::Hindered => {
                unreached.in_a_row = unreached.in_a_row.saturating_add(1);
                unreached.is_hindered = ending == Ending::Hindered;
            }
            Ending::Well | Ending::Badly => *unreached = Unreached::default(),
            Ending::Passing => {}
        }
        if !matches!(ending, Ending::Unreachable | Ending::Hindered) || node.is_gone {
            return;
        }
        if ending == Ending::Unreachable && self.has_gate(place) {
            // Its circuit holds it until what it asks answers again.
            return self.make_due(place, wave, DueReason::Unreachable, i8::MIN);
        }
        self.wait_from_now(place);
    }

    fn wait_from_now(&mut self, place: usize) {
        let wait = micros(self.nodes[place].state.unreached.wait());
        self.wait_until(place, Some(TimestampMicros(self.now.0.saturating_add(wait))));
    }

    /// The circuit of the asset is closed, perhaps because another asset reached the place. One that could not time after time does
    /// not try at once, or it would open the circuit again and again for the others.
    pub(super) fn wait_instead(&mut self, place: usize) {
        let Some(node) = self.nodes.get_mut(place).filter(|node| node.state.unreached.in_a_row > AT_ONCE_MAX)
        else {
            return;
        };
        let is_for_nothing_else = |due: &mut Due| {
            due.standing == Standing::Held && !due.is_owed && due.reasons == [DueReason::Unreachable]
        };
        if node.state.due.take_if(is_for_nothing_else).is_some() {
            self.wait_from_now(place);
            self.settle_down(place);
        }
    }

    /// Takes up what has waited for long enough.
    pub(super) fn find_again(&mut self) {
        while let Some(timer) = self.again.pop_due(self.now) {
            let unreached = &mut self.nodes[timer.asset].state.unreached;
            unreached.at = None;
            let because = if unreached.is_hindered { DueReason::Hindered } else { DueReason::Unreachable };
            self.make_due(timer.asset, self.wave, because, i8::MIN);
        }
    }

    /// The asset starts now, whyever: how that ends decides what follows.
    pub(super) fn waits_no_more(&mut self, place: usize) {
        self.wait_until(place, None);
    }

    /// What waits goes on waiting after a reload.
    pub(super) fn wait_on(&mut self, place: usize) {
        if let Some(at) = self.nodes[place].state.unreached.at {
            self.again.set(Timer { at, asset: place, trigger: 0 });
        }
    }

    /// The clock was far ahead: nothing waits until it is there again.
    pub(super) fn rewind_wait(&mut self, place: usize, now: TimestampMicros) {
        let unreached = self.nodes[place].state.unreached;
        let longest = TimestampMicros(now.0.saturating_add(micros(unreached.wait())));
        if unreached.at.is_some_and(|at| at > longest) {
            self.wait_until(place, Some(longest));
        }
    }

    fn wait_until(&mut self, place: usize, at: Option<TimestampMicros>) {
        let unreached = &mut self.nodes[place].state.unreached;
        let timer = |at| Timer { at, asset: place, trigger: 0 };
        if let Some(before) = unreached.at {
            self.again.unset(timer(before));
        }
        unreached.at = at;
        if let Some(at) = at {
            self.again.set(timer(at));
        }
    }
}
