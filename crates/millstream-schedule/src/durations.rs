//! How long an asset's step is expected to take.

use std::collections::VecDeque;

use millstream_types::Span;

/// So many of the last durations are kept.
pub(crate) const DURATIONS_MAX: usize = 50;

/// The durations of an asset's last steps that ended well.
#[derive(Clone, Debug, Default)]
pub(crate) struct Durations(VecDeque<Span>);

impl Durations {
    pub(crate) fn of(newest_last: &[Span]) -> Self {
        let from = newest_last.len().saturating_sub(DURATIONS_MAX);
        Self(newest_last[from..].iter().copied().collect())
    }

    pub(crate) fn add(&mut self, took: Span) {
        if self.0.len() == DURATIONS_MAX {
            self.0.pop_front();
        }
        self.0.push_back(took);
    }

    /// The 95th percentile, in microseconds: 95 of 100 steps took no longer. Nothing for an asset that never ran.
    pub(crate) fn expected(&self) -> i64 {
        let mut sorted: Vec<Span> = self.0.iter().copied().collect();
        sorted.sort_unstable();
        let rank = (sorted.len() * 95).div_ceil(100);
        rank.checked_sub(1)
            .and_then(|place| sorted.get(place))
            .map_or(0, |span| crate::trigger::micros(*span))
    }
}
