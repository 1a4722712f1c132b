//! When things happen in the shop: months that grow, quiet nights, busy evenings and weekends.

use rand::Rng;
use rand_chacha::ChaCha8Rng;

/// One month of 2026.
#[derive(Clone, Copy)]
pub(super) struct Month {
    pub(super) number: u32,
    pub(super) days: u32,
    /// The days of 2026 before the month.
    day_first: u32,
    /// The month's share of the year's rows, in parts of the sum over all months.
    weight: u64,
}

pub(super) const MONTHS: [Month; 6] = [
    Month { number: 1, days: 31, day_first: 0, weight: 14 },
    Month { number: 2, days: 28, day_first: 31, weight: 13 },
    Month { number: 3, days: 31, day_first: 59, weight: 16 },
    Month { number: 4, days: 30, day_first: 90, weight: 17 },
    Month { number: 5, days: 31, day_first: 120, weight: 19 },
    Month { number: 6, days: 30, day_first: 151, weight: 21 },
];

/// 2026-01-01T00:00:00Z in seconds.
const YEAR_START_SECONDS: i64 = 1_767_225_600;
pub(super) const DAY_SECONDS: u32 = 86_400;
/// The days of the months that follow the generated ones, from July on.
const DAYS_AFTER: [u32; 6] = [31, 31, 30, 31, 30, 31];
/// The number of the month that follows the generated ones.
const MONTH_AFTER: u32 = 7;
/// 2026-01-01 is a Thursday; Monday is 0.
const WEEKDAY_FIRST: u32 = 3;
/// Share of a weekday's orders, Monday first.
const WEEKDAY_WEIGHTS: [u64; 7] = [13, 12, 12, 13, 15, 18, 17];
/// Share of an hour's orders, from midnight UTC.
const HOUR_WEIGHTS: [u32; 24] =
    [12, 7, 4, 3, 3, 5, 10, 20, 32, 40, 44, 46, 50, 48, 44, 44, 48, 56, 68, 80, 84, 74, 50, 26];

/// Rows per month; their sum is `rows`.
pub(super) fn split_by_month(rows: u64) -> Vec<u64> {
    split(rows, &MONTHS.map(|month| month.weight))
}

/// Rows per day of a month; their sum is `rows`.
pub(super) fn split_by_day(month: Month, rows: u64) -> Vec<u64> {
    let weights: Vec<u64> = (0..month.days)
        .map(|day| WEEKDAY_WEIGHTS[((WEEKDAY_FIRST + month.day_first + day) % 7) as usize])
        .collect();
    split(rows, &weights)
}

/// Shares of `rows` by weight; rounding leaves nothing over.
fn split(rows: u64, weights: &[u64]) -> Vec<u64> {
    let total: u64 = weights.iter().sum();
    let mut weight_before = 0;
    let mut rows_before = 0;
    weights
        .iter()
        .map(|weight| {
            weight_before += weight;
            let rows_until = rows * weight_before / total;
            let share = rows_until - rows_before;
            rows_before = rows_until;
            share
        })
        .collect()
}

/// Seconds of a day at which `rows` things happen, ascending.
pub(super) fn times_of_day(rows: u64, random: &mut ChaCha8Rng) -> Vec<u32> {
    let total: u32 = HOUR_WEIGHTS.iter().sum();
    let mut times: Vec<u32> = (0..rows)
        .map(|_| {
            let mut drawn = random.random_range(0..total);
            let mut hour = 0;
            for (index, weight) in (0..).zip(HOUR_WEIGHTS) {
                hour = index;
                if drawn < weight {
                    break;
                }
                drawn -= weight;
            }
            hour * 3_600 + random.random_range(0..3_600)
        })
        .collect();
    times.sort_unstable();
    times
}

/// Microseconds since 1970 of a second in a day (from 0) of a month.
pub(super) fn micros(month: Month, day: u32, second: u32) -> i64 {
    let days = i64::from(month.day_first + day);
    (YEAR_START_SECONDS + days * i64::from(DAY_SECONDS) + i64::from(second)) * 1_000_000
}

/// The month and the day of it, both from 1, that lie `days` after the last generated day's end; `None` beyond the year.
pub(super) fn after_the_data(mut days: u32) -> Option<(u32, u32)> {
    for (month, length) in (MONTH_AFTER..).zip(DAYS_AFTER) {
        if days < length {
            return Some((month, days + 1));
        }
        days -= length;
    }
    None
}

/// A second of the day as hours, minutes and seconds.
pub(super) fn clock(second: u32) -> (u32, u32, u32) {
    (second / 3_600, second / 60 % 60, second % 60)
}

/// The instant of so many milliseconds since 1970, by RFC 3339, to the millisecond.
pub(super) fn instant(ms: i64) -> String {
    let (seconds, ms) = (ms.div_euclid(1_000), ms.rem_euclid(1_000));
    let (days, second) =
        (seconds.div_euclid(i64::from(DAY_SECONDS)), seconds.rem_euclid(i64::from(DAY_SECONDS)));
    // The years begin in March, so that the day of a leap year is their last one; an era has 400 of them.
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let months = (5 * day_of_year + 2) / 153;
    let (day, month) =
        (day_of_year - (153 * months + 2) / 5 + 1, if months < 10 { months + 3 } else { months - 9 });
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{ms:03}Z")
}
