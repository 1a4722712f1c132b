//! How processes share steps that are offered to all of them.
//!
//! Each looks at what is offered and decides for itself; the store gives each step to the first that asks for it. So a process asks
//! for no more than its part, as long as others may have room too.

use std::num::NonZeroUsize;

/// An offered step that nobody has claimed, as a process sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OfferedStep {
    /// Whether the process has the definition for which the step is meant. The process that schedules offers nothing for long that it
    /// has not itself.
    pub has_definition: bool,
    /// Whether what the step makes lies on the machine that runs it: only the process that schedules runs it, which looks after it too.
    pub is_local: bool,
}

/// A process that may claim offered steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claimant {
    /// So many more steps it can run.
    pub free: usize,
    /// The number of processes that have room for a step, itself among them.
    pub workers: NonZeroUsize,
    /// Whether it is the one that schedules.
    pub schedules: bool,
}

/// The steps that the process asks for, by their places among those that are `offered`, the most urgent first.
#[must_use]
pub fn claims(claimant: Claimant, offered: &[OfferedStep]) -> Vec<usize> {
    let may_claim = |step: &OfferedStep| step.has_definition && (claimant.schedules || !step.is_local);
    let places: Vec<usize> =
        offered.iter().enumerate().filter(|(_, step)| may_claim(step)).map(|(place, _)| place).collect();
    let part = places.len().div_ceil(claimant.workers.get());
    places.into_iter().take(part.min(claimant.free)).collect()
}
