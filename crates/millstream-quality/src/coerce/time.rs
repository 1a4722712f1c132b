//! Conversions to dates and instants.

use arrow::{
    array::{Array, ArrayRef, AsArray},
    datatypes::{
        DataType, Date32Type, Date64Type, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType,
        TimestampNanosecondType, TimestampSecondType,
    },
};
use chrono::{DateTime, NaiveDate, Offset, TimeZone};

use super::{
    Coerced, Target, Zone, convert, refuse_all,
    text::{Text, parse_column},
};
use crate::QualityError;

const MICROS_A_DAY: i64 = 86_400_000_000;
const MILLIS_A_DAY: i64 = 86_400_000;

pub(super) fn to_date(array: &ArrayRef) -> Result<Coerced, QualityError> {
    let to = DataType::Date32;
    let day = |micros: i64| days_of(micros, MICROS_A_DAY);
    Ok(match array.data_type() {
        DataType::Utf8 => parse_column::<Date32Type>(array.as_string(), &to, |text| match text.get() {
            date @ [_, _, _, _, _, _, _, _, _, _] => iso_date(date),
            _ => day(timestamp_in(text, &Zone::Utc)?),
        }),
        DataType::Date64 => convert::<Date64Type, Date32Type>(array, &to, |ms| days_of(ms, MILLIS_A_DAY)),
        DataType::Timestamp(TimeUnit::Second, _) => {
            convert::<TimestampSecondType, Date32Type>(array, &to, |s| days_of(s, 86_400))
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            convert::<TimestampMillisecondType, Date32Type>(array, &to, |ms| days_of(ms, MILLIS_A_DAY))
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            convert::<TimestampMicrosecondType, Date32Type>(array, &to, day)
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            convert::<TimestampNanosecondType, Date32Type>(array, &to, |ns| day(micros_of_nanos(ns)?))
        }
        _ => return refuse_all(array, &Target::Date),
    })
}

pub(super) fn to_timestamp(array: &ArrayRef, zone: &Zone) -> Result<Coerced, QualityError> {
    let target = Target::Timestamp(*zone);
    let to = target.data_type();
    // A typed instant knows its zone, or it is naive and is read in the column's zone.
    let read_in = match array.data_type() {
        DataType::Timestamp(_, Some(_)) => Zone::Utc,
        _ => *zone,
    };
    let instant = |local: Option<i64>| read_in.instant(local?);
    Ok(match array.data_type() {
        DataType::Utf8 => {
            parse_column::<TimestampMicrosecondType>(array.as_string(), &to, |text| timestamp_in(text, zone))
        }
        DataType::Date32 => convert::<Date32Type, TimestampMicrosecondType>(array, &to, |day| {
            instant(i64::from(day).checked_mul(MICROS_A_DAY))
        }),
        DataType::Date64 => {
            convert::<Date64Type, TimestampMicrosecondType>(array, &to, |ms| instant(ms.checked_mul(1_000)))
        }
        DataType::Timestamp(TimeUnit::Second, _) => {
            convert::<TimestampSecondType, TimestampMicrosecondType>(array, &to, |s| {
                instant(s.checked_mul(1_000_000))
            })
        }
        DataType::Timestamp(TimeUnit::Millisecond, _) => {
            convert::<TimestampMillisecondType, TimestampMicrosecondType>(array, &to, |ms| {
                instant(ms.checked_mul(1_000))
            })
        }
        DataType::Timestamp(TimeUnit::Microsecond, _) => {
            convert::<TimestampMicrosecondType, TimestampMicrosecondType>(array, &to, |us| instant(Some(us)))
        }
        DataType::Timestamp(TimeUnit::Nanosecond, _) => {
            convert::<TimestampNanosecondType, TimestampMicrosecondType>(array, &to, |ns| {
                instant(micros_of_nanos(ns))
            })
        }
        _ => return refuse_all(array, &target),
    })
}

fn micros_of_nanos(nanos: i64) -> Option<i64> {
    (nanos % 1_000 == 0).then_some(nanos / 1_000)
}

fn days_of(ticks: i64, ticks_a_day: i64) -> Option<i32> {
    (ticks % ticks_a_day == 0).then_some(ticks / ticks_a_day).and_then(|days| i32::try_from(days).ok())
}

impl Zone {
    /// The instant at which clocks in this zone show `local` (microseconds); the earlier one of two.
    #[inline]
    fn instant(&self, local: i64) -> Option<i64> {
        match self {
            Self::Utc => Some(local),
            Self::Named(zone) => {
                let naive = DateTime::from_timestamp_micros(local)?.naive_utc();
                let offset = zone.offset_from_local_datetime(&naive).earliest()?;
                local.checked_sub(i64::from(offset.fix().local_minus_utc()) * 1_000_000)
            }
        }
    }
}

/// `YYYY-MM-DD` as days since 1970.
#[inline]
pub(crate) fn iso_date(text: &[u8]) -> Option<i32> {
    let text: &[u8; 10] = text.try_into().ok()?;
    let digit = |at: usize| u32::from(text[at].wrapping_sub(b'0'));
    let parts = [digit(0), digit(1), digit(2), digit(3), digit(5), digit(6), digit(8), digit(9)];
    if text[4] != b'-' || text[7] != b'-' || parts.iter().any(|digit| *digit > 9) {
        return None;
    }
    let year = parts[0] * 1_000 + parts[1] * 100 + parts[2] * 10 + parts[3];
    if year == 0 {
        // No calendar that people write dates in has this year, and many readers of tables stop at it.
        return None;
    }
    days_since_epoch(year, parts[4] * 10 + parts[5], parts[6] * 10 + parts[7])
}

#[inline]
fn days_since_epoch(year: u32, month: u32, day: u32) -> Option<i32> {
    const EPOCH: i32 = 719_163;
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, month, day)?;
    Some(chrono::Datelike::num_days_from_ce(&date).wrapping_sub(EPOCH))
}

/// An instant as text, for bounds and lists in a contract.
pub(crate) fn timestamp_micros(text: &str, zone: &Zone) -> Option<i64> {
    timestamp_in(Text::new(text), zone)
}

#[inline]
fn timestamp_in(text: Text<'_>, zone: &Zone) -> Option<i64> {
    let text = text.get();
    let (date, rest) = text.split_at_checked(10)?;
    let midnight = i64::from(iso_date(date)?).wrapping_mul(MICROS_A_DAY);
    let Some((clock, rest)) = rest.split_first_chunk::<9>() else {
        return if rest.is_empty() { zone.instant(midnight) } else { None };
    };
    let local = midnight.wrapping_add(time_of_day(clock)?.wrapping_mul(1_000_000));
    let (fraction, rest) = match rest {
        [b'.', digits @ ..] => fraction(digits)?,
        rest => (0, rest),
    };
    let local = local.wrapping_add(fraction);
    match rest {
        [] => zone.instant(local),
        [b'Z' | b'z'] | b" UTC" => Some(local),
        [sign @ (b'+' | b'-'), digits @ ..] => {
            let offset = offset_seconds(digits)?.wrapping_mul(1_000_000);
            Some(if *sign == b'+' { local.wrapping_sub(offset) } else { local.wrapping_add(offset) })
        }
        _ => None,
    }
}

/// `T` or a blank and `HH:MM:SS`, in seconds.
#[inline]
fn time_of_day(text: &[u8; 9]) -> Option<i64> {
    let digit = |at: usize| u32::from(text[at].wrapping_sub(b'0'));
    let parts = [digit(1), digit(2), digit(4), digit(5), digit(7), digit(8)];
    let separators = matches!(text[0], b'T' | b't' | b' ') && text[3] == b':' && text[6] == b':';
    if !separators || parts.iter().any(|digit| *digit > 9) {
        return None;
    }
    let (hours, minutes, seconds) =
        (parts[0] * 10 + parts[1], parts[2] * 10 + parts[3], parts[4] * 10 + parts[5]);
    (hours < 24 && minutes < 60 && seconds < 60).then(|| i64::from(hours * 3_600 + minutes * 60 + seconds))
}

/// Digits after the point, in microseconds, and what follows them. Beyond the sixth all must be zero.
#[inline]
fn fraction(text: &[u8]) -> Option<(i64, &[u8])> {
    let len = text.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(len);
    let (micros, beyond) = digits.split_at(len.min(6));
    if len == 0 || beyond.iter().any(|byte| *byte != b'0') {
        return None;
    }
    let value = micros.iter().fold(0, |value: i64, byte| value * 10 + i64::from(byte - b'0'));
    let missing = (micros.len()..6).fold(1, |factor: i64, _| factor * 10);
    Some((value * missing, rest))
}

/// `HH`, `HHMM` or `HH:MM`, in seconds.
fn offset_seconds(text: &[u8]) -> Option<i64> {
    let (hours, minutes) = match text {
        [h1, h2] => ([h1, h2], [&b'0', &b'0']),
        [h1, h2, m1, m2] | [h1, h2, b':', m1, m2] => ([h1, h2], [m1, m2]),
        _ => return None,
    };
    let number = |digits: [&u8; 2]| {
        digits.iter().try_fold(0, |value: i64, byte| {
            byte.is_ascii_digit().then(|| value * 10 + i64::from(*byte - b'0'))
        })
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    (hours < 24 && minutes < 60).then_some(hours * 3_600 + minutes * 60)
}
