//! Trying again: how long to wait before the next attempt, how many attempts there are, and how many retries an hour may hold.
//!
//! The wait is drawn evenly between nothing and a ceiling that doubles with each attempt ("full jitter": Marc Brooker,
//! *Exponential Backoff And Jitter*, AWS Architecture Blog, 2015). Attempts that failed together so come back apart.

use std::{collections::BTreeMap, num::NonZeroU32, time::Duration};

use millstream_types::{Span, TimestampMicros};

/// The length of a slot of a [`RetryBudget`], in microseconds.
const SLOT: i64 = 60_000_000;
/// A budget looks back on so many slots: an hour.
const SLOTS: i64 = 60;

/// What a project or an asset says of trying again. What it leaves open is said by the level above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retrying {
    /// How often a step is attempted in all.
    pub attempts: Option<NonZeroU32>,
    /// The ceiling of the first wait.
    pub base: Option<Span>,
    /// No ceiling is higher than this.
    pub cap: Option<Span>,
}

impl Retrying {
    /// What this says, and `above` where it says nothing.
    #[must_use]
    pub fn or(self, above: Self) -> Self {
        Self {
            attempts: self.attempts.or(above.attempts),
            base: self.base.or(above.base),
            cap: self.cap.or(above.cap),
        }
    }
}

/// The wait before the retry number `retry`, from 0: evenly between nothing and `min(cap, base * 2^retry)`, by `random`, of
/// which all values are equally likely.
#[must_use]
pub fn full_jitter(base: Duration, cap: Duration, retry: u32, random: u64) -> Duration {
    let doubled = 1_u32.checked_shl(retry).and_then(|factor| base.checked_mul(factor));
    // A ceiling beyond the range is beyond every cap, unless there is nothing to double.
    let ceiling = doubled.unwrap_or(if base.is_zero() { base } else { cap }).min(cap);
    let nanos = (ceiling.as_nanos().min(u128::from(u64::MAX)) * u128::from(random)) >> 64;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The retries of the last hour, counted by the minute.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryBudget {
    /// How many retries began in each minute, by the number of the minute since 1970.
    pub minutes: BTreeMap<i64, u32>,
}

impl RetryBudget {
    /// Takes one retry, unless `per_hour` of them began within the last hour.
    pub fn take(&mut self, per_hour: u32, now: TimestampMicros) -> bool {
        let minute = now.0.div_euclid(SLOT);
        // What lies ahead was counted by a clock that was wrong.
        self.minutes.retain(|at, _| *at > minute - SLOTS && *at <= minute);
        let used: u64 = self.minutes.values().map(|count| u64::from(*count)).sum();
        if used >= u64::from(per_hour) {
            return false;
        }
        *self.minutes.entry(minute).or_default() += 1;
        true
    }

    /// Gives back a retry that was taken in this minute and did not begin.
    pub fn give_back(&mut self, now: TimestampMicros) {
        if let Some(count) = self.minutes.get_mut(&now.0.div_euclid(SLOT)) {
            *count = count.saturating_sub(1);
        }
    }

    /// The retries that began within the hour before `now`.
    #[must_use]
    pub fn used(&self, now: TimestampMicros) -> u64 {
        let minute = now.0.div_euclid(SLOT);
        let recent = self.minutes.iter().filter(|(at, _)| **at > minute - SLOTS && **at <= minute);
        recent.map(|(_, count)| u64::from(*count)).sum()
    }
}
