//! What comes, for people who ask.

use std::{cmp::Reverse, collections::BinaryHeap};

use millstream_types::{AssetId, TimestampMicros};

use super::Scheduler;
use crate::Trigger;

/// An instant at which an asset will be due, if nothing else happens before.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Upcoming {
    pub at: TimestampMicros,
    /// Why.
    pub trigger: Trigger,
}

impl Scheduler {
    /// The next `count` instants after the present one at which the asset is due or its source is listed, in order, and by which
    /// trigger. Those of [`Trigger::Freshness`] are estimates: as if each run ended well and took as long as expected, and nothing
    /// else made the asset fresh. Triggers that wait for something else to happen have none.
    pub fn upcoming(&mut self, asset: &AssetId, count: usize) -> Vec<Upcoming> {
        let place = self.place(asset);
        self.next_of(place, count).into_iter().map(|(_, upcoming)| upcoming).collect()
    }

    /// The next `count` instants of all assets together, as [`Self::upcoming`] gives them of one; at one instant by trigger and by
    /// asset. No more than `count` instants are worked out besides the first one of each trigger.
    pub fn upcoming_of_all(&mut self, count: usize) -> Vec<(AssetId, Upcoming)> {
        self.next_of(0..self.nodes.len(), count)
    }

    fn next_of(&mut self, places: impl IntoIterator<Item = usize>, count: usize) -> Vec<(AssetId, Upcoming)> {
        let mut ahead = BinaryHeap::new();
        for place in places {
            self.visits += 1;
            for trigger in 0..self.nodes[place].asset.triggers.len() {
                if let Some((at, period)) = self.series(place, trigger) {
                    let node = &self.nodes[place].asset;
                    let upcoming = Upcoming { at, trigger: node.triggers[trigger].clone() };
                    ahead.push(Reverse((upcoming, node.id.clone(), period)));
                }
            }
        }
        let mut found = Vec::new();
        while found.len() < count
            && let Some(Reverse((upcoming, asset, period))) = ahead.pop()
        {
            self.visits += 1;
            let following = match period {
                Some(period) => upcoming.at.0.checked_add(period).map(TimestampMicros),
                None => upcoming.trigger.next_after(upcoming.at),
            };
            if let Some(at) = following {
                let next = Upcoming { at, trigger: upcoming.trigger.clone() };
                ahead.push(Reverse((next, asset.clone(), period)));
            }
            found.push((asset, upcoming));
        }
        found
    }

    /// The first instant of a trigger after the present one, and for freshness the microseconds between one and the next.
    fn series(&mut self, place: usize, trigger: usize) -> Option<(TimestampMicros, Option<i64>)> {
        let node = &self.nodes[place];
        if let Trigger::Freshness(span) = &node.asset.triggers[trigger] {
            let outlook = self.outlook(place, trigger, *span);
            let first = outlook.start_at.0.max(self.now.0.saturating_add(1));
            return Some((TimestampMicros(first), Some(outlook.period.max(1))));
        }
        // A clock that went back is waited for by the timer, and nothing comes before that.
        let timer = node.state.triggers[trigger].timer.filter(|at| *at > self.now);
        let first = timer.or_else(|| node.asset.triggers[trigger].next_after(self.now))?;
        Some((first, None))
    }
}
