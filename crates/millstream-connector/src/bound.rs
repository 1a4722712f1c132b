//! How much one read brings before it ends, and where it ended.

use std::time::{Duration, Instant};

use crate::PartVersion;

/// How much of a source is taken in at once, at most; a read ends at the first clean position at which one of these is
/// reached. It may go beyond a bound by what stands between two clean positions, such as the rest of a transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bound {
    /// Rows, malformed and deleted ones among them; `None` for any number.
    pub rows: Option<u64>,
    /// Bytes of raw input; `None` for any number.
    pub bytes: Option<u64>,
    /// Time since the read began; `None` for as long as it takes.
    pub time: Option<Duration>,
}

impl Bound {
    /// A read without a bound ends where the part ends.
    pub const NONE: Self = Self { rows: None, bytes: None, time: None };

    #[must_use]
    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }
}

/// Counts what was taken against a bound.
#[derive(Clone, Copy, Debug)]
pub struct Meter {
    bound: Bound,
    rows: u64,
    bytes: u64,
    started: Instant,
}

impl Meter {
    #[must_use]
    pub fn start(bound: Bound) -> Self {
        Self { bound, rows: 0, bytes: 0, started: Instant::now() }
    }

    pub fn add(&mut self, rows: usize, bytes: usize) {
        self.rows = self.rows.saturating_add(rows as u64);
        self.bytes = self.bytes.saturating_add(bytes as u64);
    }

    /// Whether a read is to end at the next clean position.
    #[must_use]
    pub fn is_reached(&self) -> bool {
        let left = self.left();
        left.rows == Some(0) || left.bytes == Some(0) || left.time == Some(Duration::ZERO)
    }

    /// What may still be taken.
    #[must_use]
    pub fn left(&self) -> Bound {
        Bound {
            rows: self.bound.rows.map(|rows| rows.saturating_sub(self.rows)),
            bytes: self.bound.bytes.map(|bytes| bytes.saturating_sub(self.bytes)),
            time: self.bound.time.map(|time| time.saturating_sub(self.started.elapsed())),
        }
    }
}

/// Where a read ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReadEnd {
    /// The version to remember for the part. Of a part that was read to a bound, it is one with which
    /// [`crate::Connector::discover`] offers the rest as [`crate::PartChange::Grown`].
    pub version: PartVersion,
    /// The position that the read came to, where that is beyond its last row: a log may go on without a row for this
    /// source. `None` where it is the last row's.
    pub position: Option<i64>,
    /// Whether the read ended at its bound, so that the part as it was discovered has more behind the position.
    pub more: bool,
}

impl ReadEnd {
    /// The end of a read that came to the part's own end.
    #[must_use]
    pub fn of_part(version: PartVersion) -> Self {
        Self { version, position: None, more: false }
    }
}
