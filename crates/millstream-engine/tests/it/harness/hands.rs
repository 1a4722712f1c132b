//! The clock and the dice of a world: they stand still until a test moves them.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use millstream_engine::{Clock, Random};
use millstream_types::TimestampMicros;

/// 2026-07-01T00:00:00Z, where every clock begins.
const BEGIN: i64 = 1_782_864_000_000_000;

/// A clock that only its owner moves.
#[derive(Clone, Debug)]
pub(crate) struct Hands(Arc<AtomicI64>);

impl Hands {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(BEGIN)))
    }

    pub(crate) fn fork(&self) -> Self {
        Self(Arc::new(AtomicI64::new(self.now().0)))
    }

    /// Moves the clock; back with a number below zero.
    pub(crate) fn pass(&self, seconds: i64) {
        self.0.fetch_add(seconds * 1_000_000, Ordering::Relaxed);
    }
}

impl Clock for Hands {
    fn now(&self) -> TimestampMicros {
        TimestampMicros(self.0.load(Ordering::Relaxed))
    }
}

/// Numbers that follow from a seed (splitmix64).
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl Random for Dice {
    fn next(&self) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
