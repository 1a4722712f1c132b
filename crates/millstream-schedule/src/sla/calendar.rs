//! Which days a promise was kept.

use chrono::{Days, NaiveDate};
use chrono_tz::Tz;
use millstream_types::TimestampMicros;

use super::{
    Breach, Promise, Sla, WatchedPromise,
    deadline::{day_start, local_day},
};

/// What became of a promise on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DayState {
    Met,
    Missed,
    /// The day is not over, or its deadline has not come; so far the promise is kept.
    Open,
    /// Nobody watched, or nothing was promised for the day.
    Unknown,
}

impl DayState {
    /// The stable word for machines.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "missed",
            Self::Open => "open",
            Self::Unknown => "unknown",
        }
    }
}

/// A day, in the zone of the deadline, or in UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CalendarDay {
    pub day: NaiveDate,
    pub state: DayState,
}

/// The last `days` days of a promise up to the one of `now`, the oldest first.
#[must_use]
pub fn calendar(
    sla: &Sla,
    watched: &WatchedPromise,
    breaches: &[Breach],
    days: u64,
    now: TimestampMicros,
) -> Vec<CalendarDay> {
    let zone = sla.fresh_by.as_ref().map_or(Tz::UTC, super::Deadline::zone);
    let Some(today) = local_day(zone, now) else { return Vec::new() };
    let breaches: Vec<Breach> =
        breaches.iter().filter(|breach| breach.promise == watched.promise).copied().collect();
    let past = (0..days).rev().filter_map(|back| today.checked_sub_days(Days::new(back)));
    past.map(|day| CalendarDay { day, state: state_of(sla, watched, &breaches, zone, day) }).collect()
}

fn state_of(sla: &Sla, watched: &WatchedPromise, breaches: &[Breach], zone: Tz, day: NaiveDate) -> DayState {
    if watched.promise == Promise::FreshBy {
        let Some(deadline) = sla.fresh_by.as_ref().and_then(|by| by.on(day)) else {
            return DayState::Unknown;
        };
        return match deadline {
            early if early <= watched.since => DayState::Unknown,
            late if late > watched.judged_until => DayState::Open,
            _ if breaches.iter().any(|breach| breach.holds_at(deadline)) => DayState::Missed,
            _ => DayState::Met,
        };
    }
    let end = day.checked_add_days(Days::new(1)).and_then(|next| day_start(zone, next));
    let (Some(start), Some(end)) = (day_start(zone, day), end) else { return DayState::Unknown };
    if end <= watched.since || start > watched.judged_until {
        return DayState::Unknown;
    }
    let is_missed = |breach: &Breach| breach.broken_at < end && breach.met_at.is_none_or(|met| met > start);
    match breaches.iter().any(is_missed) {
        true => DayState::Missed,
        false if end > watched.judged_until => DayState::Open,
        false => DayState::Met,
    }
}

impl Breach {
    fn holds_at(&self, at: TimestampMicros) -> bool {
        self.broken_at <= at && self.met_at.is_none_or(|met| met > at)
    }
}
