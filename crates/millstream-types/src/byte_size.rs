//! Amounts of memory, written `512MiB`, `8GiB` in YAML and on the command line.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A positive number of bytes in whole units. A number without a unit counts mebibytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize {
    bytes: u64,
}

/// Units with their length in bytes; a unit stands before those that end like it.
const UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("", 1 << 20),
];

impl ByteSize {
    #[must_use]
    pub const fn from_bytes(bytes: u64) -> Self {
        Self { bytes }
    }

    #[must_use]
    pub const fn bytes(self) -> u64 {
        self.bytes
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.bytes {
            bytes if bytes >= 1 << 30 && bytes.is_multiple_of(1 << 30) => write!(f, "{}GiB", bytes >> 30),
            bytes => write!(f, "{}MiB", bytes >> 20),
        }
    }
}

impl FromStr for ByteSize {
    type Err = ByteSizeError;

    fn from_str(text: &str) -> Result<Self, ByteSizeError> {
        let wrong = || ByteSizeError { text: text.into() };
        let trimmed = text.trim();
        let (digits, unit) = UNITS
            .iter()
            .find_map(|(unit, bytes)| trimmed.strip_suffix(unit).map(|digits| (digits, *bytes)))
            .ok_or_else(wrong)?;
        let count: u64 = digits.trim().parse().map_err(|_| wrong())?;
        match count.checked_mul(unit) {
            Some(bytes) if bytes > 0 => Ok(Self { bytes }),
            _ => Err(wrong()),
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = ByteSizeError;

    fn try_from(text: String) -> Result<Self, ByteSizeError> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

/// Not an amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an amount of memory: write a whole number and one of MiB, GiB, as in `8GiB`")]
pub struct ByteSizeError {
    text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_numbers_with_units() {
        let bytes = |text: &str| text.parse::<ByteSize>().ok().map(ByteSize::bytes);
        for (text, expected) in [
            ("512MiB", Some(512 << 20)),
            (" 8 GiB ", Some(8 << 30)),
            ("64KiB", Some(64 << 10)),
            ("2GB", Some(2_000_000_000)),
            ("16", Some(16 << 20)),
            ("0", None),
            ("", None),
            ("-1GiB", None),
            ("1.5GiB", None),
            ("half", None),
            ("99999999999TiB", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        assert_eq!(ByteSize::from_bytes(3 << 30).to_string(), "3GiB");
        assert_eq!(ByteSize::from_bytes(1_536 << 20).to_string(), "1536MiB");
    }
}
