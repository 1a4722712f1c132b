//! Partitions of time: whole hours, days, weeks, months or years, each known by its number.
//!
//! A partition holds the instants from its start up to the start of the next one, so that every instant belongs to exactly one,
//! also where a clock skips or repeats an hour. Number 0 holds the first instant of 1970 (of weeks, the week of that day).

use std::fmt;

use chrono::{DateTime, Datelike, MappedLocalTime, NaiveDate, NaiveDateTime, NaiveTime, TimeDelta, TimeZone};
use chrono_tz::Tz;
use millstream_types::TimestampMicros;

use crate::cron::zone_named;

/// Microseconds of an hour.
const HOUR: i64 = 3_600_000_000;

/// Microseconds of a day of UTC.
const DAY: i64 = 24 * HOUR;

/// The day of the Monday before 1970-01-01, as a number of days.
const MONDAY: i64 = -3;

/// A time that is longer than any gap in a wall clock.
const GAP_MAX: TimeDelta = TimeDelta::hours(25);

/// The length of a partition of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartitionGrain {
    Hour,
    Day,
    Week,
    Month,
    Year,
}

/// A line of partitions of one grain, whose days begin at midnight of one time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Calendar {
    pub grain: PartitionGrain,
    zone: Tz,
}

/// Why a calendar, or a time in it, is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CalendarError {
    #[error("`{zone}` is no time zone")]
    Zone { zone: String, nearest: Option<&'static str> },
    #[error("`{text}` is no time")]
    Time { text: String },
    #[error("`{text}` is not where a partition begins")]
    Inside { text: String, start: String, next: String },
}

impl CalendarError {
    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Zone { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Zone { nearest: None, .. } => "write one like `Europe/Berlin`".to_owned(),
            Self::Time { .. } => "write `2024`, `2024-01`, `2024-01-31` or `2024-01-31T05`".to_owned(),
            Self::Inside { start, next, .. } => {
                format!("the partition that holds it begins at `{start}`, the next one at `{next}`")
            }
        }
    }
}

impl PartitionGrain {
    pub const ALL: [Self; 5] = [Self::Hour, Self::Day, Self::Week, Self::Month, Self::Year];

    /// The word in files and commands.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
            Self::Year => "year",
        }
    }

    /// The grain of that word.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|grain| grain.as_str() == word)
    }

    /// Whether each partition of this grain consists of whole ones of `finer`. Months and years do not consist of weeks.
    #[must_use]
    pub fn consists_of(self, finer: Self) -> bool {
        finer <= self && (finer != Self::Week || self == Self::Week)
    }
}

impl fmt::Display for PartitionGrain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Calendar {
    /// Days begin at midnight of `zone`, of UTC without one. Hours are those of UTC.
    ///
    /// # Errors
    ///
    /// There is no such zone.
    pub fn new(grain: PartitionGrain, zone: Option<&str>) -> Result<Self, CalendarError> {
        let zone = match zone {
            None => Tz::UTC,
            Some(name) => {
                zone_named(name).map_err(|nearest| CalendarError::Zone { zone: name.to_owned(), nearest })?
            }
        };
        Ok(Self { grain, zone })
    }

    /// The name of the zone.
    #[must_use]
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The same days in partitions of another length.
    #[must_use]
    pub fn by(&self, grain: PartitionGrain) -> Self {
        Self { grain, ..*self }
    }

    /// The number of the partition that holds an instant; `None` for an instant that no calendar reaches.
    #[must_use]
    pub fn number(&self, at: TimestampMicros) -> Option<i64> {
        if self.grain == PartitionGrain::Hour {
            return Some(at.0.div_euclid(HOUR));
        }
        if self.zone == Tz::UTC {
            return self.number_of_day(at.0.div_euclid(DAY));
        }
        let utc = DateTime::from_timestamp_micros(at.0)?;
        let day = utc.with_timezone(&self.zone).date_naive();
        let number = self.number_of_day(days(day))?;
        // A clock that is set back over midnight shows the day before once more.
        match (self.start(number), self.start(number.checked_add(1)?)) {
            (Some(start), _) if at < start => number.checked_sub(1),
            (_, Some(next)) if at >= next => number.checked_add(1),
            _ => Some(number),
        }
    }

    /// The number of the partition that holds a day without a time zone, counted from 1970-01-01.
    #[must_use]
    pub fn number_of_day(&self, day: i64) -> Option<i64> {
        Some(match self.grain {
            PartitionGrain::Hour => day.checked_mul(24)?,
            PartitionGrain::Day => day,
            PartitionGrain::Week => day.checked_sub(MONDAY)?.div_euclid(7),
            PartitionGrain::Month => {
                let date = date(day)?;
                (i64::from(date.year()) - 1970) * 12 + i64::from(date.month0())
            }
            PartitionGrain::Year => i64::from(date(day)?.year()) - 1970,
        })
    }

    /// The first instant of a partition; `None` for one that no calendar reaches.
    #[must_use]
    pub fn start(&self, number: i64) -> Option<TimestampMicros> {
        if self.grain == PartitionGrain::Hour {
            return number.checked_mul(HOUR).map(TimestampMicros);
        }
        let day = self.first_day(number)?;
        if self.zone == Tz::UTC {
            return day.checked_mul(DAY).map(TimestampMicros);
        }
        let midnight = date(day)?.and_time(NaiveTime::MIN);
        Some(TimestampMicros(self.instant(midnight)?.timestamp_micros()))
    }

    /// The first day of a partition of days or more, counted from 1970-01-01; of an hour the day that it lies in.
    #[must_use]
    pub fn first_day(&self, number: i64) -> Option<i64> {
        match self.grain {
            PartitionGrain::Hour => Some(number.div_euclid(24)),
            PartitionGrain::Day => Some(number),
            PartitionGrain::Week => number.checked_mul(7)?.checked_add(MONDAY),
            PartitionGrain::Month => {
                let year = i32::try_from(number.div_euclid(12).checked_add(1970)?).ok()?;
                let month = u32::try_from(number.rem_euclid(12)).ok()? + 1;
                NaiveDate::from_ymd_opt(year, month, 1).map(days)
            }
            PartitionGrain::Year => {
                let year = i32::try_from(number.checked_add(1970)?).ok()?;
                NaiveDate::from_ymd_opt(year, 1, 1).map(days)
            }
        }
    }

    /// The name of a partition for people: `2024`, `2024-01`, `2024-01-31`, `2024-01-31T05`; a week has that of its Monday.
    #[must_use]
    pub fn label(&self, number: i64) -> String {
        let Some(day) = self.first_day(number).and_then(date) else { return format!("#{number}") };
        match self.grain {
            PartitionGrain::Hour => format!("{}T{:02}", day.format("%Y-%m-%d"), number.rem_euclid(24)),
            PartitionGrain::Day | PartitionGrain::Week => day.format("%Y-%m-%d").to_string(),
            PartitionGrain::Month => day.format("%Y-%m").to_string(),
            PartitionGrain::Year => day.format("%Y").to_string(),
        }
    }

    /// The number of the partition that begins at the time that is written as a label of any grain, or in full.
    ///
    /// # Errors
    ///
    /// The text is no time, or one inside of a partition.
    pub fn parse(&self, text: &str) -> Result<i64, CalendarError> {
        let unknown = || CalendarError::Time { text: text.to_owned() };
        let time = written(text).ok_or_else(unknown)?;
        let number = match self.grain {
            PartitionGrain::Hour => self.number(TimestampMicros(time.and_utc().timestamp_micros())),
            _ => self.number_of_day(days(time.date())),
        };
        let number = number.ok_or_else(unknown)?;
        let begin = self.first_day(number).and_then(date).ok_or_else(unknown)?;
        let begin = match self.grain {
            PartitionGrain::Hour => time.date().and_hms_opt(chrono::Timelike::hour(&time), 0, 0),
            _ => begin.and_hms_opt(0, 0, 0),
        };
        if begin != Some(time) {
            return Err(CalendarError::Inside {
                text: text.to_owned(),
                start: self.label(number),
                next: self.label(number.saturating_add(1)),
            });
        }
        Ok(number)
    }

    /// The first instant at which the clock on the wall shows this time, or the first one after the gap that it lies in.
    fn instant(&self, wall: NaiveDateTime) -> Option<DateTime<Tz>> {
        match self.zone.from_local_datetime(&wall) {
            MappedLocalTime::Single(at) | MappedLocalTime::Ambiguous(at, _) => Some(at),
            MappedLocalTime::None => {
                // Before the gap the clock has another offset, by which the skipped time is the end of the gap or later.
                let before = wall.checked_sub_signed(GAP_MAX)?;
                let before = self.zone.from_local_datetime(&before).earliest()?;
                let (mut low, mut high) = (before, before.checked_add_signed(GAP_MAX + GAP_MAX)?);
                // The wall clock shows less than `wall` at `low`, and more at `high`.
                while high - low > TimeDelta::seconds(1) {
                    let middle = low.checked_add_signed((high - low) / 2)?;
                    if middle.naive_local() < wall { low = middle } else { high = middle }
                }
                high.with_timezone(&chrono::Utc).timestamp().checked_mul(1_000_000).and_then(|micros| {
                    DateTime::from_timestamp_micros(micros).map(|at| at.with_timezone(&self.zone))
                })
            }
        }
    }
}

impl fmt::Display for Calendar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.zone == Tz::UTC {
            self.grain.fmt(f)
        } else {
            write!(f, "{} {}", self.grain, self.zone.name())
        }
    }
}

/// Days from 1970-01-01 to a date.
fn days(date: NaiveDate) -> i64 {
    date.signed_duration_since(NaiveDate::default()).num_days()
}

fn date(days: i64) -> Option<NaiveDate> {
    NaiveDate::default().checked_add_signed(TimeDelta::try_days(days)?)
}

fn written(text: &str) -> Option<NaiveDateTime> {
    let text = text.trim().trim_end_matches('Z');
    let (day, time) = text.split_once(['T', ' ']).map_or((text, None), |(day, time)| (day, Some(time)));
    let mut numbers = day.split('-');
    let year = numbers.next().filter(|year| year.len() == 4)?.parse().ok()?;
    let mut two = || match numbers.next() {
        None => Some(1),
        Some(number) if number.len() == 2 => number.parse().ok(),
        Some(_) => None,
    };
    let date = NaiveDate::from_ymd_opt(year, two()?, two()?)?;
    if numbers.next().is_some() || (time.is_some() && day.len() != 10) {
        return None;
    }
    let mut numbers = time.unwrap_or("00").split(':');
    let mut two = || match numbers.next() {
        None => Some(0),
        Some(number) if number.len() == 2 => number.parse().ok(),
        Some(_) => None,
    };
    let time = date.and_hms_opt(two()?, two()?, two()?);
    if numbers.next().is_some() { None } else { time }
}
