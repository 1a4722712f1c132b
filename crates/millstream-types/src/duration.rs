//! Lengths of time, written `15m`, `1h`, `90d` in YAML.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Serialize};

/// A positive length of time in whole units: `500ms`, `30s`, `15m`, `12h`, `7d`, `4w`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    ms: u64,
}

/// Units from long to short, with their length in milliseconds.
const UNITS: [(&str, u64); 6] =
    [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("ms", 1), ("m", 60_000), ("s", 1_000)];

impl Span {
    #[must_use]
    pub const fn from_ms(ms: u64) -> Self {
        Self { ms }
    }

    #[must_use]
    pub const fn ms(self) -> u64 {
        self.ms
    }

    #[must_use]
    pub const fn as_std(self) -> Duration {
        Duration::from_millis(self.ms)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_length =
            [("w", 604_800_000), ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)];
        match by_length.iter().find(|(_, ms)| self.ms >= *ms && self.ms.is_multiple_of(*ms)) {
            Some((unit, ms)) => write!(f, "{}{unit}", self.ms / ms),
            None => write!(f, "{}ms", self.ms),
        }
    }
}

impl FromStr for Span {
    type Err = DurationError;

    fn from_str(text: &str) -> Result<Self, DurationError> {
        let wrong = || DurationError::Wrong { text: text.into() };
        let trimmed = text.trim();
        let (digits, ms) = UNITS
            .iter()
            .find_map(|(unit, ms)| trimmed.strip_suffix(unit).map(|digits| (digits, *ms)))
            .ok_or_else(wrong)?;
        let count: u64 = digits.trim().parse().map_err(|_| wrong())?;
        match count.checked_mul(ms) {
            Some(0) => Err(DurationError::TooShort { text: text.into() }),
            Some(ms) => Ok(Self { ms }),
            None => Err(wrong()),
        }
    }
}

impl TryFrom<String> for Span {
    type Error = DurationError;

    fn try_from(text: String) -> Result<Self, DurationError> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// Not a length of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DurationError {
    #[error(
        "`{text}` is not a length of time: write a whole number and one of ms, s, m, h, d, w, as in `15m`"
    )]
    Wrong { text: String },
    #[error("`{text}` is too short: a length of time is more than nothing, as in `1ms` or `15m`")]
    TooShort { text: String },
}
