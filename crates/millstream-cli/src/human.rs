//! Numbers, sizes and durations as people read and write them.

use std::time::Duration;

use millstream_engine::Stale;
use millstream_types::{AssetId, TimestampMicros};

use crate::standing::between;

/// `1,234,567`
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// A whole number as people write it: `20000000`, `20,000,000`, `20_000_000`, `20M`; `k`, `M` and `G` are powers of
/// 1,000. The error says what may be written.
pub fn whole_number(text: &str) -> Result<u64, String> {
    let wrong = || "write a whole number, as in `20000000`, `20,000,000` or `20M`".to_owned();
    let text = text.trim();
    let (digits, factor) = match text.char_indices().last() {
        Some((at, 'k' | 'K')) => (&text[..at], 1_000),
        Some((at, 'm' | 'M')) => (&text[..at], 1_000_000),
        Some((at, 'g' | 'G')) => (&text[..at], 1_000_000_000),
        _ => (text, 1),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong());
    }
    let digits: String = digits.chars().filter(|c| !matches!(c, ',' | '_')).collect();
    if !digits.bytes().all(|digit| digit.is_ascii_digit()) {
        return Err(wrong());
    }
    let number = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    number.ok_or_else(|| "the number is too large".to_owned())
}

/// `1 row`, `2,000 rows`: the number and its noun, with an `s` where English wants one.
#[must_use]
pub fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {noun}{plural}", thousands(number))
}

/// `999 B`, `1.5 kB`, `2.3 GB` (powers of 1,000).
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if number < 1_000 {
        return format!("{number} B");
    }
    let mut value = number as f64 / 1_000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1_000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `3 ms`, `0.8 s`, `42 s`, `3 min 12 s`, `2 h 5 min`, `3 d 4 h`.
#[must_use]
pub fn duration(duration: Duration) -> String {
    let ms = duration.as_millis();
    let seconds = duration.as_secs();
    match seconds {
        0 if ms < 100 => format!("{ms} ms"),
        0..60 if duration.as_secs_f64() < 9.95 => format!("{:.1} s", duration.as_secs_f64()),
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {} min", seconds / 3_600, seconds % 3_600 / 60),
        _ => format!("{} d {} h", seconds / 86_400, seconds % 86_400 / 3_600),
    }
}

/// Rows per second, `1,200,000 rows/s`; `None` without rows, and below a tenth of a second, where the figure would be
/// noise.
#[must_use]
#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate of two significant digits, never negative"
)]
pub fn rate(rows: u64, elapsed: Duration) -> Option<String> {
    if elapsed < Duration::from_millis(100) || rows == 0 {
        return None;
    }
    let exact = rows as f64 / elapsed.as_secs_f64();
    let scale = 10_f64.powf((exact.log10().floor() - 1.0).max(0.0));
    let rounded = (exact / scale).round() * scale;
    Some(format!("{} rows/s", thousands(rounded as u64)))
}

/// `just now`, `5 min ago`, `3 d ago`: the age in its largest unit.
#[must_use]
pub fn ago(age: Duration) -> String {
    match age.as_secs() {
        0..10 => "just now".to_owned(),
        seconds @ 10..60 => format!("{seconds} s ago"),
        seconds @ 60..3_600 => format!("{} min ago", seconds / 60),
        seconds @ 3_600..86_400 => format!("{} h ago", seconds / 3_600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

/// Since when an asset is stale, and why: `silver.orders went stale 2 h ago: the last step failed: …`
#[must_use]
pub fn stale(asset: &AssetId, stale: &Stale, now: TimestampMicros) -> String {
    match stale.since {
        Some(since) => format!("{asset} went stale {}: {}", ago(between(since, now)), stale.cause),
        None => format!("{asset} is stale: {}", stale.cause),
    }
}

/// The first characters of a text on one line, with `…` where something was left out.
#[must_use]
pub fn shorten(text: &str, width: usize) -> String {
    use unicode_width::UnicodeWidthChar;

    let mut short = String::new();
    let mut used = 0;
    let mut cut_at = 0;
    for character in text.chars().map(|c| if c.is_control() { ' ' } else { c }) {
        used += character.width().unwrap_or(0);
        if used > width {
            short.truncate(cut_at);
            short.push('…');
            return short;
        }
        short.push(character);
        if used < width {
            cut_at = short.len();
        }
    }
    short
}

/// An amount in millionths of the currency, with four digits or more: `0.0123 EUR`.
pub(crate) fn money(millionths: u64, currency: &str) -> String {
    let (whole, part) = (millionths / 1_000_000, millionths % 1_000_000);
    let digits = format!("{part:06}");
    let digits = if part > 0 && part < 100 { digits.as_str() } else { digits.get(..4).unwrap_or(&digits) };
    format!("{}.{digits} {currency}", thousands(whole))
}
