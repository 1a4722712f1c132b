//! Instants as RFC 3339 text, written without detours: an answer has one for every value.

use arrow::{array::timezone::Tz, compute::kernels::cast_utils::string_to_datetime};

const SECONDS_PER_DAY: i64 = 86_400;

/// Appends `2026-11-01T00:00:00Z` with 0, 3, 6 or 9 digits of a second, as few as say it exactly; no quotes.
pub(crate) fn write(out: &mut Vec<u8>, seconds: i64, nanos: u32) {
    let mut text = Text::new();
    let time = u32::try_from(seconds.rem_euclid(SECONDS_PER_DAY)).unwrap_or_default();
    text.date(seconds.div_euclid(SECONDS_PER_DAY));
    text.byte(b'T');
    text.two(time / 3_600);
    text.byte(b':');
    text.two(time / 60 % 60);
    text.byte(b':');
    text.two(time % 60);
    if nanos > 0 {
        text.byte(b'.');
        text.three(nanos / 1_000_000);
    }
    if !nanos.is_multiple_of(1_000_000) {
        text.three(nanos / 1_000 % 1_000);
    }
    if !nanos.is_multiple_of(1_000) {
        text.three(nanos % 1_000);
    }
    text.byte(b'Z');
    text.append(out);
}

/// [`write()`] of microseconds since 1970.
pub(crate) fn write_micros(out: &mut Vec<u8>, micros: i64) {
    let nanos = u32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or_default();
    write(out, micros.div_euclid(1_000_000), nanos);
}

/// Appends the day that lies `days` after 1970-01-01, as `2026-11-01`. Years before 0 carry a sign, those after 9999 more
/// digits.
pub(crate) fn write_date(out: &mut Vec<u8>, days: i64) {
    let mut text = Text::new();
    text.date(days);
    text.append(out);
}

/// A text that is put together beside its destination and appended at once: many small appends cost more than the digits.
struct Text {
    bytes: [u8; Self::LONGEST],
    length: usize,
}

impl Text {
    /// A sign, 19 digits of a year, and 26 characters after it.
    const LONGEST: usize = 48;

    fn new() -> Self {
        Self { bytes: [0; Self::LONGEST], length: 0 }
    }

    fn byte(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.length) {
            *place = byte;
            self.length += 1;
        }
    }

    fn digit(&mut self, digit: u32) {
        self.byte(b'0' + (digit % 10).to_le_bytes()[0]);
    }

    fn two(&mut self, number: u32) {
        self.digit(number / 10);
        self.digit(number);
    }

    fn three(&mut self, number: u32) {
        self.digit(number / 100);
        self.two(number % 100);
    }

    fn year(&mut self, year: i64) {
        match u32::try_from(year) {
            Ok(year @ 0..=9_999) => {
                self.two(year / 100);
                self.two(year % 100);
            }
            _ => format!("{year:05}").bytes().for_each(|byte| self.byte(byte)),
        }
    }

    fn date(&mut self, days: i64) {
        // Counted from 0000-03-01 in eras of 400 years, so that the leap day is the last day of its year.
        let days = days + 719_468;
        let era = days.div_euclid(146_097);
        let day_of_era = u32::try_from(days.rem_euclid(146_097)).unwrap_or_default();
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let shifted_month = (5 * day_of_year + 2) / 153;
        let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
        self.year(i64::from(year_of_era) + era * 400 + i64::from(month <= 2));
        self.byte(b'-');
        self.two(month);
        self.byte(b'-');
        self.two(day_of_year - (153 * shifted_month + 2) / 5 + 1);
    }

    fn append(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.bytes[..self.length]);
    }
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
