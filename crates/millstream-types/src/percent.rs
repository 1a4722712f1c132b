//! Shares, written `5%` in YAML.

use std::{cmp::Ordering, fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// The number of units in one percent: shares have up to nine digits after the point.
const UNITS_PER_PERCENT: u64 = 1_000_000_000;
/// The number of units in the whole, 100 %.
const UNITS: u64 = 100 * UNITS_PER_PERCENT;
/// The most digits that a share can have after the point.
const DIGITS: usize = 9;

/// A share between 0 % and 100 %, exactly as it was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u64);

impl Percent {
    /// One part of a hundred.
    pub const ONE: Self = Self(UNITS_PER_PERCENT);

    /// The share as a float between 0 and 1, which may be rounded. [`Percent::compare`] compares counts without rounding.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share is wanted as near as a number can be")]
    pub fn fraction(self) -> f64 {
        self.0 as f64 / UNITS_PER_PERCENT as f64 / 100.0
    }

    /// How the share that `part` is of `whole` stands to this one.
    #[must_use]
    pub fn compare(self, part: u64, whole: u64) -> Ordering {
        (u128::from(part) * u128::from(UNITS)).cmp(&(u128::from(self.0) * u128::from(whole)))
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0 / UNITS_PER_PERCENT)?;
        match self.0 % UNITS_PER_PERCENT {
            0 => f.write_str("%"),
            rest => write!(f, ".{}%", format!("{rest:0DIGITS$}").trim_end_matches('0')),
        }
    }
}

impl FromStr for Percent {
    type Err = PercentError;

    fn from_str(text: &str) -> Result<Self, PercentError> {
        let wrong = || PercentError { text: text.into() };
        let number = text.trim().strip_suffix('%').ok_or_else(wrong)?.trim();
        let number = number.strip_prefix('+').unwrap_or(number);
        let (whole, rest) = number.split_once('.').unwrap_or((number, ""));
        let is_number = |digits: &str| digits.bytes().all(|digit| digit.is_ascii_digit());
        let rest = rest.trim_end_matches('0');
        if !is_number(whole) || !is_number(rest) || rest.len() > DIGITS || number.trim_matches('.').is_empty()
        {
            return Err(wrong());
        }
        let digits = |text: &str| if text.is_empty() { Ok(0) } else { text.parse::<u64>() };
        let whole = digits(whole).ok().and_then(|whole| whole.checked_mul(UNITS_PER_PERCENT));
        let rest = digits(&format!("{rest:0<DIGITS$}")).ok();
        let units = whole.zip(rest).and_then(|(whole, rest)| whole.checked_add(rest));
        units.filter(|units| *units <= UNITS).map(Self).ok_or_else(wrong)
    }
}

impl TryFrom<String> for Percent {
    type Error = PercentError;

    fn try_from(text: String) -> Result<Self, PercentError> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

/// Not a share.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a share: write a number between 0 and 100 and a `%`, as in `5%`")]
pub struct PercentError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        let parsed = text.parse::<Percent>().ok().map(|share| share.to_string());
        assert_eq!(parsed.as_deref(), expected, "{text}");
    }

    #[test]
    fn shares_are_kept_as_they_are_written() {
        check("5%", Some("5%"));
        check(" 29 % ", Some("29%"));
        check("0%", Some("0%"));
        check("100.000%", Some("100%"));
        check(".5%", Some("0.5%"));
        check("33.333333333%", Some("33.333333333%"));
        for wrong in ["5", "%", ".%", "-1%", "100.1%", "1e1%", "0.0000000001%", "NaN%", "1.2.3%", ""] {
            check(wrong, None);
        }
    }

    #[test]
    fn counts_are_compared_without_rounding() {
        let stands =
            |share: &str, part, whole| share.parse::<Percent>().ok().map(|it| it.compare(part, whole));
        for part in 0..=1000_u64 {
            let share = format!("{}.{}%", part / 10, part % 10);
            assert_eq!(stands(&share, part, 1000), Some(Ordering::Equal), "{share}");
            assert_eq!(stands(&share, part + 1, 1000), Some(Ordering::Greater), "{share}");
            assert_eq!(
                stands(&share, part, 1001),
                Some(if part == 0 { Ordering::Equal } else { Ordering::Less })
            );
        }
        assert_eq!(stands("100%", u64::MAX, u64::MAX), Some(Ordering::Equal));
    }
}
