//! One JSON value, by its text, as a value of a type. The text is taken rather than a parsed number, so that an int64
//! beyond 2^53 and a decimal keep every digit.

use std::borrow::Cow;

use arrow::{compute::kernels::cast_utils::parse_decimal, datatypes::Decimal128Type};
use serde::Deserialize;

use super::instant;

/// The last second of the year 9999.
const LATEST_SECOND: i64 = 253_402_300_799;

/// More characters than any number that fits has; longer ones are not looked at.
const LONGEST_NUMBER: usize = 60;

/// Why a value does not fit its type: what was found, in words that follow "found".
pub(crate) type Mismatch = String;

pub(crate) fn boolean(text: &str) -> Result<bool, Mismatch> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(describe(text)),
    }
}

/// An integer, also one written as `3.0` or `3e2`: data frames turn whole numbers into floats as soon as one is missing.
pub(crate) fn integer<T: std::str::FromStr + TryFrom<i64>>(text: &str) -> Result<T, Mismatch> {
    /// Up to here every whole number is a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if !is_number(text) {
        return Err(describe(text));
    }
    if !text.contains(['.', 'e', 'E']) {
        return text.parse().map_err(|_| format!("{}, which is out of range", describe(text)));
    }
    let float: f64 = text.parse().map_err(|_| describe(text))?;
    if float.is_infinite() {
        return Err(format!("{}, which is out of range", describe(text)));
    }
    if float.fract() != 0.0 {
        return Err(format!("{}, which has a fraction", describe(text)));
    }
    if float.abs() > EXACT {
        return Err(format!("{}, which is not exact as written", describe(text)));
    }
    #[allow(clippy::cast_possible_truncation, reason = "a whole number of at most 2^53")]
    let whole = float as i64;
    T::try_from(whole).map_err(|_| format!("{}, which is out of range", describe(text)))
}

pub(crate) fn float64(text: &str) -> Result<f64, Mismatch> {
    if !is_number(text) {
        return Err(describe(text));
    }
    let value: f64 = text.parse().map_err(|_| describe(text))?;
    if value.is_finite() { Ok(value) } else { Err(format!("{}, which is out of range", describe(text))) }
}

pub(crate) fn float32(text: &str) -> Result<f32, Mismatch> {
    if !is_number(text) {
        return Err(describe(text));
    }
    let value: f32 = text.parse().map_err(|_| describe(text))?;
    if value.is_finite() { Ok(value) } else { Err(format!("{}, which is out of range", describe(text))) }
}

pub(crate) fn string(text: &str) -> Result<Cow<'_, str>, Mismatch> {
    #[derive(Deserialize)]
    struct Text<'a>(#[serde(borrow)] Cow<'a, str>);
    if !text.starts_with('"') {
        return Err(describe(text));
    }
    let text: Text<'_> =
        serde_json::from_str(text).map_err(|_| "a string that is no valid text".to_owned())?;
    Ok(text.0)
}

pub(crate) fn binary(text: &str) -> Result<Vec<u8>, Mismatch> {
    let decoded = super::base64::decode(&string(text)?);
    decoded.ok_or_else(|| format!("{}, which is no base64", describe(text)))
}

/// A decimal as a number or as a string; digits beyond the scale are refused rather than rounded.
pub(crate) fn decimal(text: &str, precision: u8, scale: i8) -> Result<i128, Mismatch> {
    let number = if text.starts_with('"') { string(text)? } else { Cow::Borrowed(text) };
    if !is_plain_number(&number) {
        return Err(describe(text));
    }
    let digits = number.split_once('.').map_or("", |(_, fraction)| fraction.trim_end_matches('0')).len();
    if digits > usize::try_from(scale).unwrap_or(0) {
        return Err(format!("{}, which has more digits after the point", describe(text)));
    }
    parse_decimal::<Decimal128Type>(&number, precision, scale)
        .map_err(|_| format!("{}, which has too many digits", describe(text)))
}

/// Days since 1970.
pub(crate) fn date(text: &str) -> Result<i32, Mismatch> {
    let day = string(text)?;
    let midnight = if day.len() == 10 { instant::parse_micros(&day) } else { None };
    let days = midnight.map(|micros| micros.div_euclid(86_400_000_000));
    days.and_then(|days| i32::try_from(days).ok())
        .ok_or_else(|| format!("{}, which is no date", describe(text)))
}

/// Microseconds since 1970 of an RFC 3339 text (UTC unless it has a zone) or of a number of seconds. Digits below a
/// microsecond are cut off.
pub(crate) fn instant(text: &str) -> Result<i64, Mismatch> {
    if text.starts_with('"') {
        let micros = instant::parse_micros(&string(text)?);
        return micros.ok_or_else(|| format!("{}, which is no RFC 3339 time", describe(text)));
    }
    if !is_plain_number(text) {
        return Err(describe(text));
    }
    let micros = parse_decimal::<Decimal128Type>(text, 38, 6).map_err(|_| describe(text))?;
    match i64::try_from(micros) {
        Ok(micros) if micros.abs() / 1_000_000 <= LATEST_SECOND => Ok(micros),
        _ => Err(format!("{}, which as seconds since 1970 lies beyond the year 9999", describe(text))),
    }
}

/// Whether a JSON value is a number.
fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first == '-' || first.is_ascii_digit())
}

/// Digits with at most one point, and no exponent: what `parse_decimal` takes without wrapping around.
fn is_plain_number(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    digits.len() <= LONGEST_NUMBER
        && digits.starts_with(|first: char| first.is_ascii_digit())
        && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
        && digits.bytes().filter(|byte| *byte == b'.').count() <= 1
}

/// What a JSON value is, with the beginning of it.
pub(crate) fn describe(text: &str) -> String {
    const SHOWN: usize = 40;
    let kind = match text.as_bytes().first() {
        Some(b'n') => return "null".to_owned(),
        Some(b't' | b'f') => "the boolean",
        Some(b'"') => "the string",
        Some(b'[') => "the list",
        Some(b'{') => "the object",
        _ => "the number",
    };
    let mut shown: String = text.chars().take(SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    format!("{kind} {shown}")
}
