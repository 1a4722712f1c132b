//! Instants as RFC 3339 text, written without detours: an answer has one for every value.

use arrow::{array::timezone::Tz, compute::kernels::cast_utils::string_to_datetime};

const SECONDS_PER_DAY: i64 = 86_400;

/// `2026-11-01T00:00:00Z` with 0, 3, 6 or 9 digits of a second, as few as say it exactly; no quotes.
pub(crate) fn write(out: &mut Vec<u8>, seconds: i64, nanos: u32) {
    let time = seconds.rem_euclid(SECONDS_PER_DAY);
    write_date(out, seconds.div_euclid(SECONDS_PER_DAY));
    out.push(b'T');
    digits(out, time / 3_600, 2);
    out.push(b':');
    digits(out, time / 60 % 60, 2);
    out.push(b':');
    digits(out, time % 60, 2);
    let nanos = i64::from(nanos);
    let (fraction, width) = match nanos {
        0 => (0, 0),
        _ if nanos % 1_000_000 == 0 => (nanos / 1_000_000, 3),
        _ if nanos % 1_000 == 0 => (nanos / 1_000, 6),
        _ => (nanos, 9),
    };
    if width > 0 {
        out.push(b'.');
        digits(out, fraction, width);
    }
    out.push(b'Z');
}

/// [`write()`] of microseconds since 1970.
pub(crate) fn write_micros(out: &mut Vec<u8>, micros: i64) {
    let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default();
    write(out, micros.div_euclid(1_000_000), nanos);
}

/// The day that lies `days` after 1970-01-01, as `2026-11-01`. Years before 0 carry a sign, those after 9999 more digits.
pub(crate) fn write_date(out: &mut Vec<u8>, days: i64) {
    // Counted from 0000-03-01 in eras of 400 years, so that the leap day is the last day of its year.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    if year < 0 {
        out.push(b'-');
    }
    digits(out, year.abs(), 4);
    out.push(b'-');
    digits(out, month, 2);
    out.push(b'-');
    digits(out, day, 2);
}

/// A number that is not negative, with leading zeros up to `width`.
fn digits(out: &mut Vec<u8>, mut number: i64, width: usize) {
    let mut buffer = [b'0'; 20];
    let mut start = buffer.len();
    while number > 0 || buffer.len() - start < width {
        start -= 1;
        buffer[start] = b'0' + u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
    }
    out.extend_from_slice(&buffer[start..]);
}

/// Microseconds since 1970 of an RFC 3339 text; without a zone it is UTC. Digits below a microsecond are cut off.
pub(crate) fn parse_micros(text: &str) -> Option<i64> {
    // Instants are never shorter, and never much longer: what is longer is no instant and need not be looked at.
    if !text.is_ascii() || text.len() > 40 {
        return None;
    }
    let utc: Tz = "+00:00".parse().ok()?;
    string_to_datetime(&utc, text).ok().map(|instant| instant.timestamp_micros())
}
