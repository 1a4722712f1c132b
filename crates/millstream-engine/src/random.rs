//! The random source, passed in so that tests can repeat a run.

use std::{
    fmt,
    hash::{BuildHasher, Hasher, RandomState},
};

/// A source of random numbers, either unpredictable or determined by a seed.
pub trait Random: Send + Sync + fmt::Debug {
    fn next(&self) -> u64;
}

/// Numbers from the machine's entropy.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u64 {
        // Each state has keys of its own, drawn from the operating system.
        RandomState::new().build_hasher().finish()
    }
}
