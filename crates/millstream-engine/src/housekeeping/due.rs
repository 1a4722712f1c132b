//! When housekeeping is due: facts in, a decision out.

use millstream_schedule::Trigger;
use millstream_state::HousekeepingRecord;
use millstream_types::TimestampMicros;

/// How long an attempt that did not end is given before the next one, in microseconds; after further ones twice as long each time, up
/// to the second of these.
const AGAIN: i64 = 10 * MINUTE;
const AGAIN_MAX: i64 = 6 * 60 * MINUTE;
const MINUTE: i64 = 60_000_000;

/// What is recorded from so far ahead was recorded by a clock that was wrong.
const AHEAD_MAX: i64 = 24 * 60 * MINUTE;

/// Whether housekeeping is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing is recorded, so that no tick was missed: ticks count from now on.
    Unknown,
    Later,
    Now,
}

/// Whether a tick of the schedule has come since housekeeping last ended well. Ticks that came while no process ran are answered by
/// one attempt.
pub(super) fn due(schedule: &Trigger, whole: Option<&HousekeepingRecord>, now: TimestampMicros) -> Due {
    let Some(whole) = whole else { return Due::Unknown };
    if let Some(begun) = whole.begun.filter(|_| whole.failures > 0) {
        let doublings = (whole.failures - 1).min(16);
        let pause = AGAIN.saturating_mul(1 << doublings).min(AGAIN_MAX);
        let is_over = now.0 >= begun.0.saturating_add(pause) || is_ahead(begun, now);
        return if is_over { Due::Now } else { Due::Later };
    }
    let last = last(whole);
    let next = schedule.next_after(last);
    match next.is_some_and(|next| next <= now) || is_ahead(last, now) {
        true => Due::Now,
        false => Due::Later,
    }
}

/// From when on a tick is unanswered.
pub(super) fn last(whole: &HousekeepingRecord) -> TimestampMicros {
    whole.ended.unwrap_or(whole.since)
}

fn is_ahead(recorded: TimestampMicros, now: TimestampMicros) -> bool {
    recorded.0 > now.0.saturating_add(AHEAD_MAX)
}
