//! What comes, for people who ask.

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
        let Some(place) = self.place(asset) else { return Vec::new() };
        let mut found = Vec::new();
        for (at, trigger) in self.nodes[place].asset.triggers.clone().into_iter().enumerate() {
            let known = |at| Upcoming { at, trigger: trigger.clone() };
            if let Trigger::Freshness(span) = trigger {
                let outlook = self.outlook(place, at, span);
                let period = outlook.period.max(1);
                let first = outlook.start_at.0.max(self.now.0.saturating_add(1));
                let following = std::iter::successors(Some(first), |at| at.checked_add(period));
                found.extend(following.take(count).map(|at| known(TimestampMicros(at))));
            } else {
                let following =
                    std::iter::successors(trigger.next_after(self.now), |at| trigger.next_after(*at));
                found.extend(following.take(count).map(known));
            }
        }
        found.sort();
        found.truncate(count);
        found
    }
}
