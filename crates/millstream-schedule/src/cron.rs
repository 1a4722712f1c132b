//! Cron lines of five fields in a time zone, by the Open Cron Pattern.
//!
//! Both clock changes follow Vixie's rules. A line of one fixed time a day (`30 2 * * *`) ticks exactly once on such a day: at
//! the first instant after the gap when the clock skips its time, and at the earlier of the two when the clock repeats it.
//! A line with a wildcard, a list, a range or a step among its minutes or hours follows the clock of the wall: what is skipped
//! does not tick, and what is repeated ticks twice.

use std::{
    cmp::Ordering,
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
    sync::Arc,
};

use chrono::{DateTime, NaiveDate, Utc};
use chrono_tz::{TZ_VARIANTS, Tz};
use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use millstream_types::TimestampMicros;

/// Longer than any stretch of time that a zone ever left out, in microseconds.
const GAP_MAX: i64 = 2 * DAY;
const DAY: i64 = 24 * 60 * 60 * 1_000_000;
/// The calendar repeats after so many years, so that a line which matches in none of them never matches.
const CALENDAR_YEARS: i32 = 400;

/// A checked cron line with its time zone. It ticks at least once in each turn of the calendar.
///
/// Its text is canonical: names of days and months are numbers (`MON` is 1), nicknames are their fields (`@daily` is
/// `0 0 * * *`), and the zone follows unless it is UTC. Lines of equal text are equal.
#[derive(Clone)]
pub struct CronLine {
    /// The library's own form takes five kilobytes.
    cron: Arc<Cron>,
    /// The five fields in canonical form.
    fields: Arc<str>,
    zone: Tz,
}

impl CronLine {
    /// Reads a line of five fields, or a nickname such as `@daily`, in the time zone of this name (`Europe/Berlin`).
    ///
    /// Errors when the line or the zone is none, when the line has a field for seconds or for years, and when no day ever
    /// matches it.
    pub fn new(line: &str, zone: &str) -> Result<Self, CronError> {
        let zone = zone_named(zone).map_err(|nearest| CronError::Zone { zone: zone.to_owned(), nearest })?;
        let written: Vec<&str> = line.split_whitespace().collect();
        let text = written.join(" ");
        if !matches!(written.as_slice(), [nickname] if nickname.starts_with('@')) && written.len() != 5 {
            return Err(CronError::Fields { line: text, count: written.len() });
        }
        let cron = parser().parse(&text).map_err(|error| wrong(&written, &error))?;
        if !matches_some_day(&cron) {
            return Err(CronError::Never { line: text });
        }
        let fields = cron.pattern.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Ok(Self { cron: Arc::new(cron), fields: fields.into(), zone })
    }

    /// The five fields in canonical form, without the zone.
    #[must_use]
    pub fn fields(&self) -> &str {
        &self.fields
    }

    /// The name of the time zone.
    #[must_use]
    pub fn zone(&self) -> &'static str {
        self.zone.name()
    }

    /// The first instant after `instant` at which the line ticks, in whole seconds; `None` beyond the range of the calendar.
    #[must_use]
    pub fn next_after(&self, instant: TimestampMicros) -> Option<TimestampMicros> {
        if let Some(found) = self.search(instant.0) {
            return Some(found);
        }
        // The library gives up on a stretch of more than two hours that a zone left out, such as the 30th of December 2011 in
        // `Pacific/Apia`. So the search goes on with the first instant from which it finds something.
        let (mut fails, mut finds) = (instant.0, instant.0.checked_add(GAP_MAX)?);
        self.search(finds)?;
        while finds - fails > 1_000_000 {
            let middle = fails + (finds - fails) / 2;
            if self.search(middle).is_some() {
                finds = middle;
            } else {
                fails = middle;
            }
        }
        self.search(finds)
    }

    /// An instant at or before `instant` at which the line ticks, and hardly any later one: around a clock change there may be one.
    pub(crate) fn near_before(&self, instant: TimestampMicros) -> Option<TimestampMicros> {
        let from = DateTime::<Utc>::from_timestamp_micros(instant.0)?.with_timezone(&self.zone);
        let found = self.cron.find_previous_occurrence(&from, true).ok()?;
        Some(TimestampMicros(found.timestamp_micros())).filter(|found| *found <= instant)
    }

    fn search(&self, from: i64) -> Option<TimestampMicros> {
        let local = DateTime::<Utc>::from_timestamp_micros(from)?.with_timezone(&self.zone);
        let found = self.cron.find_next_occurrence(&local, false).ok()?;
        Some(TimestampMicros(found.timestamp_micros())).filter(|found| found.0 > from)
    }
}

impl fmt::Debug for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CronLine({self})")
    }
}

/// The five fields, and the zone behind them unless it is UTC: `0 6 * * 1-5 Europe/Berlin`.
impl fmt::Display for CronLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.fields)?;
        if self.zone == Tz::UTC { Ok(()) } else { write!(f, " {}", self.zone.name()) }
    }
}

/// Reads what `Display` writes: five fields or a nickname, and perhaps a time zone behind them. Without one it is UTC.
impl FromStr for CronLine {
    type Err = CronError;

    fn from_str(text: &str) -> Result<Self, CronError> {
        let words: Vec<&str> = text.split_whitespace().collect();
        match words.split_last() {
            Some((zone, line)) if ends_with_zone(&words) => Self::new(&line.join(" "), zone),
            _ => Self::new(text, "UTC"),
        }
    }
}

impl PartialEq for CronLine {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for CronLine {}

impl PartialOrd for CronLine {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for CronLine {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.fields(), self.zone()).cmp(&(other.fields(), other.zone()))
    }
}

impl Hash for CronLine {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.fields(), self.zone()).hash(state);
    }
}

/// Why a text is no cron line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CronError {
    #[error(
        "`{line}` has {count} fields, and a cron line has five: minute, hour, day of month, month, day of week"
    )]
    Fields { line: String, count: usize },
    #[error("`{line}` is no cron line: {because}")]
    Wrong { line: String, because: String },
    #[error("`{line}` never ticks: no day of the calendar matches it")]
    Never { line: String },
    #[error("`{zone}` is no time zone")]
    Zone { zone: String, nearest: Option<&'static str> },
}

impl CronError {
    /// What to do about it.
    #[must_use]
    pub fn hint(&self) -> String {
        match self {
            Self::Fields { count: 6, .. } => {
                "leave out the field for seconds; `every 30s` ticks more often than each minute".into()
            }
            Self::Fields { .. } | Self::Wrong { .. } => {
                "write five fields, as in `0 6 * * *` or `*/15 8-18 * * MON-FRI`, or one of `@hourly`, `@daily`, `@weekly`, `@monthly` and `@yearly`"
                    .into()
            }
            Self::Never { .. } => "name a day that the month has, as in `0 6 L * *` for its last one".into(),
            Self::Zone { nearest: Some(nearest), .. } => format!("did you mean `{nearest}`?"),
            Self::Zone { nearest: None, .. } => "write a name as in `Europe/Berlin`, or `UTC`".into(),
        }
    }
}

fn parser() -> CronParser {
    CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build()
}

fn wrong(written: &[&str], error: &croner::errors::CronError) -> CronError {
    let line = written.join(" ");
    if let [nickname] = written {
        return CronError::Wrong { line, because: format!("there is no nickname `{nickname}`") };
    }
    // The library does not say which field it means: it is the first one that is wrong by itself.
    const NAMES: [&str; 5] = ["minute", "hour", "day of month", "month", "day of week"];
    let is_wrong = |(place, field): &(usize, &&str)| {
        let alone = (0..NAMES.len()).map(|at| if at == *place { **field } else { "*" });
        parser().parse(&alone.collect::<Vec<_>>().join(" ")).is_err()
    };
    let found = written.iter().enumerate().find(is_wrong);
    let named = found.and_then(|(place, field)| Some((NAMES.get(place)?, field)));
    let because = match named {
        Some((name, field)) => format!("its {name} `{field}` is wrong"),
        None => error.to_string().trim_end_matches('.').to_owned(),
    };
    CronError::Wrong { line, because }
}

/// Whether some day matches, whatever the zone. The search is cheap: it goes from day to day of the months that match.
fn matches_some_day(cron: &Cron) -> bool {
    let Some(start) = NaiveDate::from_ymd_opt(2000, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0)) else {
        return false;
    };
    let end = NaiveDate::from_ymd_opt(2000 + CALENDAR_YEARS, 1, 1).and_then(|day| day.and_hms_opt(0, 0, 0));
    let found = cron.find_next_occurrence(&start, true).ok();
    found.zip(end).is_some_and(|(found, end)| found < end)
}

/// The zone of that name; without one, the name that is nearest.
pub(crate) fn zone_named(name: &str) -> Result<Tz, Option<&'static str>> {
    name.parse().map_err(|_| {
        let near = |zone: &Tz| (strsim::damerau_levenshtein(zone.name(), name), zone.name());
        let nearest = TZ_VARIANTS.iter().map(near).min().filter(|(distance, _)| *distance <= 3);
        nearest.map(|(_, name)| name)
    })
}

/// Whether the last of the words is meant as a zone: it follows the last field, and is no day of the week as in a line with
/// seconds. No zone begins with the name of a day.
fn ends_with_zone(words: &[&str]) -> bool {
    const DAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];
    let fields = if words.first().is_some_and(|first| first.starts_with('@')) { 1 } else { 5 };
    words.get(fields).is_some_and(|zone| {
        let is_day = zone.get(..3).is_some_and(|name| DAYS.iter().any(|day| name.eq_ignore_ascii_case(day)));
        words.len() == fields + 1 && zone.starts_with(|first: char| first.is_ascii_alphabetic()) && !is_day
    })
}
