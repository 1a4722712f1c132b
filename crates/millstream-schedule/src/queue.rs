//! The queue of assets that could run, and the places that running steps take.
//!
//! Assets that take the same places wait in one lane, so that a full pool costs one look and not one for each asset that waits
//! for it. Inside a lane, and between lanes, the smallest rank goes first: the instant since which an asset waits, moved
//! back by its priority. A rank never changes with time, and one level of priority is worth a fixed length of waiting, so that
//! nothing waits for ever behind more urgent arrivals. An asset that needs several places could still wait for ever behind those
//! that need one of them each; once it has waited for [`RESERVE_AFTER`], its places are kept free for it.

use std::{
    collections::{BTreeSet, HashMap},
    num::NonZeroUsize,
};

use millstream_types::{Span, TimestampMicros};

use crate::{HoldReason, Limits, trigger::micros};

/// One level of priority is worth so long a wait: an asset of priority 1 goes before those of priority 0 that came up to so much earlier.
pub const AGEING: Span = Span::from_ms(60_000);
/// For an asset that has waited for so long, the places that it needs are kept free.
pub const RESERVE_AFTER: Span = Span::from_ms(600_000);

/// The order in which assets leave the queue: the smallest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Rank {
    /// Since when the asset waits, moved back by its priority.
    at: i64,
    /// The number of the arrival, which orders equals.
    arrival: u64,
}

impl Rank {
    pub(crate) fn new(since: TimestampMicros, priority: i8, arrival: u64) -> Self {
        let lead = i64::from(priority).saturating_mul(micros(AGEING));
        Self { at: since.0.saturating_sub(lead), arrival }
    }
}

/// An asset in the queue, by its place in the graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Waiting {
    rank: Rank,
    asset: usize,
    since: TimestampMicros,
}

#[derive(Debug)]
struct Slots {
    reason: HoldReason,
    used: usize,
    max: usize,
}

impl Slots {
    fn is_full(&self) -> bool {
        self.used >= self.max
    }
}

#[derive(Debug)]
struct Lane {
    /// The places in `Queue::slots` of what the lane's assets take one of each.
    slots: Vec<usize>,
    waiting: BTreeSet<Waiting>,
}

#[derive(Debug)]
pub(crate) struct Queue {
    steps: Slots,
    slots: Vec<Slots>,
    lanes: Vec<Lane>,
    lane_of: HashMap<Vec<usize>, usize>,
    /// The lanes in which an asset waits.
    open: BTreeSet<usize>,
    by_connection: HashMap<String, usize>,
    by_pool: HashMap<String, usize>,
}

impl Queue {
    pub(crate) fn new(limits: &Limits) -> Self {
        let mut queue = Self {
            steps: Slots { reason: HoldReason::Steps, used: 0, max: limits.steps.get() },
            slots: Vec::new(),
            lanes: Vec::new(),
            lane_of: HashMap::new(),
            open: BTreeSet::new(),
            by_connection: HashMap::new(),
            by_pool: HashMap::new(),
        };
        for (name, max) in &limits.connections {
            let place = queue.add(HoldReason::Connection { name: name.clone() }, *max);
            queue.by_connection.insert(name.clone(), place);
        }
        for (name, max) in &limits.pools {
            let place = queue.add(HoldReason::Pool { name: name.clone() }, *max);
            queue.by_pool.insert(name.clone(), place);
        }
        queue
    }

    /// So many steps may run at once from now on.
    pub(crate) fn limit_steps(&mut self, steps: NonZeroUsize) {
        self.steps.max = steps.get();
    }

    /// The lane of assets that read over the connection and run in the pools. What has no limit takes no place.
    pub(crate) fn lane(&mut self, connection: Option<&String>, pools: &[String]) -> usize {
        let connection = connection.and_then(|name| self.by_connection.get(name)).into_iter();
        let pools = pools.iter().filter_map(|name| self.by_pool.get(name));
        let slots: Vec<usize> = connection.chain(pools).copied().collect();
        *self.lane_of.entry(slots).or_insert_with_key(|slots| {
            self.lanes.push(Lane { slots: slots.clone(), waiting: BTreeSet::new() });
            self.lanes.len() - 1
        })
    }

    /// The number of assets that wait.
    pub(crate) fn len(&self) -> usize {
        self.open.iter().map(|lane| self.lanes[*lane].waiting.len()).sum()
    }

    pub(crate) fn insert(&mut self, lane: usize, rank: Rank, asset: usize, since: TimestampMicros) {
        self.lanes[lane].waiting.insert(Waiting { rank, asset, since });
        self.open.insert(lane);
    }

    pub(crate) fn remove(&mut self, lane: usize, rank: Rank, asset: usize, since: TimestampMicros) {
        self.lanes[lane].waiting.remove(&Waiting { rank, asset, since });
        if self.lanes[lane].waiting.is_empty() {
            self.open.remove(&lane);
        }
    }

    /// Takes the asset out of the queue that goes next and fits into the limits.
    pub(crate) fn pop(&mut self, now: TimestampMicros) -> Option<usize> {
        let (lane, next) = self.next(now)?;
        self.remove(lane, next.rank, next.asset, next.since);
        Some(next.asset)
    }

    fn next(&self, now: TimestampMicros) -> Option<(usize, Waiting)> {
        if self.steps.is_full() {
            return None;
        }
        let mut heads: Vec<(Waiting, usize)> =
            self.open.iter().filter_map(|lane| Some((*self.lanes[*lane].waiting.first()?, *lane))).collect();
        heads.sort_unstable();
        let mut reserved = BTreeSet::new();
        for (head, lane) in heads {
            let slots = &self.lanes[lane].slots;
            if slots.iter().all(|slot| !self.slots[*slot].is_full() && !reserved.contains(slot)) {
                return Some((lane, head));
            }
            if now.0.saturating_sub(head.since.0) >= micros(RESERVE_AFTER) {
                reserved.extend(slots.iter().copied());
            }
        }
        None
    }

    /// What an asset of the lane waits for.
    pub(crate) fn obstacle(&self, lane: usize) -> HoldReason {
        if self.steps.is_full() {
            return HoldReason::Steps;
        }
        let full = self.lanes[lane].slots.iter().map(|slot| &self.slots[*slot]).find(|slots| slots.is_full());
        full.map_or(HoldReason::Reserved, |slots| slots.reason.clone())
    }

    /// A step of the lane begins. One that began elsewhere may take more places than there are.
    pub(crate) fn take(&mut self, lane: usize) {
        self.steps.used += 1;
        for slot in &self.lanes[lane].slots {
            self.slots[*slot].used += 1;
        }
    }

    /// A step of the lane has ended.
    pub(crate) fn release(&mut self, lane: usize) {
        self.steps.used = self.steps.used.saturating_sub(1);
        for slot in &self.lanes[lane].slots {
            self.slots[*slot].used = self.slots[*slot].used.saturating_sub(1);
        }
    }

    fn add(&mut self, reason: HoldReason, max: NonZeroUsize) -> usize {
        self.slots.push(Slots { reason, used: 0, max: max.get() });
        self.slots.len() - 1
    }
}
