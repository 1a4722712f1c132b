//! The next instant of each timer. Nothing is done for a timer until its instant has come.

use std::collections::BTreeSet;

use millstream_types::TimestampMicros;

/// A timer of the trigger `trigger` of the asset `asset`, both by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Timer {
    pub(crate) at: TimestampMicros,
    pub(crate) asset: usize,
    pub(crate) trigger: usize,
}

/// Timers by their instants. An ordered set does what a heap does, and a timer that is set anew leaves nothing behind.
#[derive(Debug, Default)]
pub(crate) struct Timers(BTreeSet<Timer>);

impl Timers {
    pub(crate) fn set(&mut self, timer: Timer) {
        self.0.insert(timer);
    }

    pub(crate) fn unset(&mut self, timer: Timer) {
        self.0.remove(&timer);
    }

    /// The next timer that is due at `now`.
    pub(crate) fn pop_due(&mut self, now: TimestampMicros) -> Option<Timer> {
        let first = *self.0.first().filter(|timer| timer.at <= now)?;
        self.0.remove(&first);
        Some(first)
    }

    pub(crate) fn next(&self) -> Option<TimestampMicros> {
        self.0.first().map(|timer| timer.at)
    }
}
