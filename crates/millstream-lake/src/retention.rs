//! How long a table itself wants its log and its removed files to be kept. Other tools set this, for readers of their
//! own.

use std::{collections::BTreeMap, time::Duration};

/// The setting that says how long commits stay.
const LOG_KEY: &str = "delta.logRetentionDuration";
/// The setting that says how long a removed file stays. It also decides how long checkpoints remember the file.
pub(crate) const FILES_KEY: &str = "delta.deletedFileRetentionDuration";
/// The setting that says whether old commits may be deleted at all.
const CLEANUP_KEY: &str = "delta.enableExpiredLogCleanup";

/// The longest of `ours` and the times that the table's settings ask for; `None` when the settings forbid to delete, or
/// ask for something that is not understood.
pub(crate) fn retention(settings: &BTreeMap<String, String>, ours: Duration) -> Option<Duration> {
    if settings.get(CLEANUP_KEY).is_some_and(|value| !value.trim().eq_ignore_ascii_case("true")) {
        return None;
    }
    let asked = [LOG_KEY, FILES_KEY].into_iter().filter_map(|key| settings.get(key));
    asked.map(|text| interval(text)).try_fold(ours, |longest, asked| Some(longest.max(asked?)))
}

/// The length of an interval such as `interval 30 days` or `interval 1 week 12 hours`, also without the first word.
/// Months and years have no fixed length and are not allowed by Delta either.
fn interval(text: &str) -> Option<Duration> {
    let text = text.trim().to_ascii_lowercase();
    let mut words = text.strip_prefix("interval ").unwrap_or(&text).split_whitespace();
    let mut sum = None;
    while let Some(number) = words.next() {
        let number: u64 = number.parse().ok()?;
        let unit = words.next()?;
        let micros = number.checked_mul(micros_of(unit.strip_suffix('s').unwrap_or(unit))?)?;
        sum = Some(sum.unwrap_or(Duration::ZERO).checked_add(Duration::from_micros(micros))?);
    }
    sum
}

fn micros_of(unit: &str) -> Option<u64> {
    Some(match unit {
        "microsecond" => 1,
        "millisecond" => 1_000,
        "second" => 1_000_000,
        "minute" => 60_000_000,
        "hour" => 3_600_000_000,
        "day" => 86_400_000_000,
        "week" => 604_800_000_000,
        _ => return None,
    })
}
