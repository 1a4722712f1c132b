//! A time of day on some days of the week, in a time zone: `09:00 Europe/Berlin`.
//!
//! A time that the clock skips is the first instant after the gap; of one that it repeats, it is the earlier.

use std::{fmt, str::FromStr};

use chrono::{
    DateTime, Datelike, Days, Duration, LocalResult, NaiveDate, NaiveDateTime, TimeZone, Utc, Weekday,
};
use chrono_tz::Tz;
use millstream_types::TimestampMicros;

use crate::{CronError, cron::zone_named};

/// The minutes of the longest stretch that a zone ever left out.
const GAP_MAX: i64 = 2 * 24 * 60;
/// A day of each week lies within so many days.
const LOOK: u64 = 9;

/// The instants by which something has to be done, one on each of its days.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline {
    /// Minutes after midnight by the clock on the wall.
    minute: u32,
    zone: Tz,
    days: WeekDays,
}

/// Days of the week; bit 0 is Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WeekDays(u8);

/// Why a text is no deadline.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeadlineError {
    #[error("`{text}` is no time of day")]
    Time { text: String },
    #[error("`{text}` names no days")]
    Days { text: String },
    #[error(transparent)]
    Zone(#[from] CronError),
}

impl DeadlineError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Time { .. } => {
                "write hours and minutes, and perhaps a time zone: `09:00 Europe/Berlin`".into()
            }
            Self::Days { .. } => "write `weekdays`, `weekends`, `daily`, or days as in `mon, wed`".into(),
            Self::Zone(error) => error.hint(),
        }
    }
}

impl WeekDays {
    pub const ALL: Self = Self(0b111_1111);
    const WORKING: Self = Self(0b001_1111);
    const FREE: Self = Self(0b110_0000);

    fn has(self, day: Weekday) -> bool {
        self.0 >> day.num_days_from_monday() & 1 == 1
    }
}

/// `daily`, `weekdays`, `weekends`, or names of days with commas between them.
impl FromStr for WeekDays {
    type Err = DeadlineError;

    fn from_str(text: &str) -> Result<Self, DeadlineError> {
        match text.trim().to_ascii_lowercase().as_str() {
            "daily" => return Ok(Self::ALL),
            "weekdays" => return Ok(Self::WORKING),
            "weekends" => return Ok(Self::FREE),
            _ => {}
        }
        let mut days = 0;
        for name in text.split([',', ' ']).filter(|name| !name.is_empty()) {
            let day: Weekday =
                name.parse().map_err(|_| DeadlineError::Days { text: text.trim().to_owned() })?;
            days |= 1_u8 << day.num_days_from_monday();
        }
        match days {
            0 => Err(DeadlineError::Days { text: text.trim().to_owned() }),
            days => Ok(Self(days)),
        }
    }
}

impl fmt::Display for WeekDays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::ALL => return f.write_str("daily"),
            Self::WORKING => return f.write_str("weekdays"),
            Self::FREE => return f.write_str("weekends"),
            _ => {}
        }
        let names = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let named = names.iter().enumerate().filter(|(place, _)| self.0 >> place & 1 == 1);
        f.write_str(&named.map(|(_, name)| *name).collect::<Vec<_>>().join(", "))
    }
}

impl Deadline {
    /// Reads `09:00`, or `09:00 Europe/Berlin`; the zone is UTC where none is named.
    pub fn new(text: &str, days: WeekDays) -> Result<Self, DeadlineError> {
        let fault = || DeadlineError::Time { text: text.trim().to_owned() };
        let mut words = text.split_whitespace();
        let (hour, minute) = words.next().and_then(|time| time.split_once(':')).ok_or_else(fault)?;
        let is_number = |text: &str| text.len() <= 2 && text.chars().all(|one| one.is_ascii_digit());
        if !is_number(hour) || !is_number(minute) || minute.len() != 2 {
            return Err(fault());
        }
        let (hour, minute): (u32, u32) =
            (hour.parse().map_err(|_| fault())?, minute.parse().map_err(|_| fault())?);
        let zone = words.next().unwrap_or("UTC");
        let zone = zone_named(zone).map_err(|nearest| CronError::Zone { zone: zone.to_owned(), nearest })?;
        if hour > 23 || minute > 59 || words.next().is_some() {
            return Err(fault());
        }
        Ok(Self { minute: hour * 60 + minute, zone, days })
    }

    #[must_use]
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The first deadline after `instant`.
    #[must_use]
    pub fn next_after(&self, instant: TimestampMicros) -> Option<TimestampMicros> {
        let first = local_day(self.zone, instant)?.checked_sub_days(Days::new(1))?;
        let days = (0..=LOOK).filter_map(|days| first.checked_add_days(Days::new(days)));
        days.filter_map(|day| self.on(day)).find(|deadline| *deadline > instant)
    }

    /// The last deadline at or before `instant`.
    #[must_use]
    pub fn last_until(&self, instant: TimestampMicros) -> Option<TimestampMicros> {
        let last = local_day(self.zone, instant)?.checked_add_days(Days::new(1))?;
        let days = (0..=LOOK).filter_map(|days| last.checked_sub_days(Days::new(days)));
        days.filter_map(|day| self.on(day)).find(|deadline| *deadline <= instant)
    }

    /// The deadline on a day, if the day has one.
    #[must_use]
    pub fn on(&self, day: NaiveDate) -> Option<TimestampMicros> {
        if !self.days.has(day.weekday()) {
            return None;
        }
        instant_of(self.zone, day.and_hms_opt(self.minute / 60, self.minute % 60, 0)?)
    }

    /// The beginning of the day of an instant.
    #[must_use]
    pub fn day_start(&self, instant: TimestampMicros) -> TimestampMicros {
        let start = local_day(self.zone, instant).and_then(|day| day_start(self.zone, day));
        start.unwrap_or(instant)
    }
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.minute / 60, self.minute % 60)?;
        if self.zone != Tz::UTC {
            write!(f, " {}", self.zone.name())?;
        }
        if self.days == WeekDays::ALL { Ok(()) } else { write!(f, ", {}", self.days) }
    }
}

/// The day on the wall at an instant.
pub(super) fn local_day(zone: Tz, instant: TimestampMicros) -> Option<NaiveDate> {
    let utc = DateTime::<Utc>::from_timestamp_micros(instant.0)?;
    Some(utc.with_timezone(&zone).date_naive())
}

/// The first instant of a day.
pub(super) fn day_start(zone: Tz, day: NaiveDate) -> Option<TimestampMicros> {
    instant_of(zone, day.and_hms_opt(0, 0, 0)?)
}

fn instant_of(zone: Tz, wall: NaiveDateTime) -> Option<TimestampMicros> {
    (0..=GAP_MAX).find_map(|minutes| {
        let wall = wall.checked_add_signed(Duration::minutes(minutes))?;
        match zone.from_local_datetime(&wall) {
            LocalResult::Single(found) | LocalResult::Ambiguous(found, _) => {
                Some(TimestampMicros(found.timestamp_micros()))
            }
            LocalResult::None => None,
        }
    })
}
