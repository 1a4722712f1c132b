//! What a feature is: a measure over a window.

use millstream_types::Span;
use serde::{Deserialize, Serialize};

use crate::aggregate::{Aggregation, micros};

/// Microseconds in five minutes.
pub const MINUTES_5: i64 = 300_000_000;
/// Microseconds in an hour.
pub const HOUR: i64 = 3_600_000_000;
/// Microseconds in a day. Days are UTC.
pub const DAY: i64 = 24 * HOUR;
/// The sizes of hops in microseconds, shortest first.
pub const HOPS: [i64; 3] = [MINUTES_5, HOUR, DAY];

/// Which events a value sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Window {
    /// The length of the window; none stands for all time.
    pub length: Option<Span>,
    /// Whether events at the very time of the read are seen.
    pub include_same_instant: bool,
}

impl Window {
    /// A window over the last `length` before the read.
    #[must_use]
    pub fn last(length: Span) -> Self {
        Self { length: Some(length), include_same_instant: false }
    }

    /// A window over all time before the read.
    #[must_use]
    pub fn all_time() -> Self {
        Self { length: None, include_same_instant: false }
    }

    /// The length of the hops in which the window's tail moves, in microseconds; none for all time.
    #[must_use]
    pub fn hop(&self) -> Option<i64> {
        self.length.map(|length| match micros(length) {
            length if length >= 12 * DAY => DAY,
            length if length >= 12 * HOUR => HOUR,
            _ => MINUTES_5,
        })
    }

    /// The time in microseconds from which on a read at `at` sees events.
    #[must_use]
    pub fn start(&self, at: i64) -> i64 {
        match (self.length, self.hop()) {
            (Some(length), Some(hop)) => floor(at.saturating_sub(micros(length)), hop),
            _ => i64::MIN,
        }
    }

    /// The time in microseconds from which on a read at `at` no longer sees events.
    #[must_use]
    pub fn end(&self, at: i64) -> i64 {
        if self.include_same_instant { at.saturating_add(1) } else { at }
    }
}

/// The last whole multiple of `hop` up to `time`.
pub(crate) fn floor(time: i64, hop: i64) -> i64 {
    time.saturating_sub(time.rem_euclid(hop))
}

/// An aggregation over one column of the events, where a condition holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Operand {
    pub aggregation: Aggregation,
    /// The number of the column to aggregate; none aggregates rows.
    pub column: Option<usize>,
    /// The number of a boolean column; rows where it is false or null are left out.
    pub filter: Option<usize>,
}

impl Operand {
    /// An operand over all rows of the window, without a filter.
    #[must_use]
    pub fn new(aggregation: Aggregation, column: Option<usize>) -> Self {
        Self { aggregation, column, filter: None }
    }
}

/// One aggregation, the ratio of two, or how one has changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    One(Operand),
    /// The ratio is a float, and null when one side is null or the denominator is zero.
    Ratio {
        numerator: Operand,
        denominator: Operand,
        /// The window of the denominator, where it has one of its own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        against: Option<Span>,
    },
    /// The value over the window less the value over the one of the same length before it: a count or a sum. The change is a float,
    /// and null where neither window has a value; one without a value counts as zero beside one that has one.
    Change(Operand),
}

impl Measure {
    /// The operands, in their order.
    #[must_use]
    pub fn operands(&self) -> Vec<&Operand> {
        match self {
            Self::One(operand) | Self::Change(operand) => vec![operand],
            Self::Ratio { numerator, denominator, .. } => vec![numerator, denominator],
        }
    }
}

/// A measure over a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Feature {
    pub measure: Measure,
    pub window: Window,
}

impl Feature {
    /// The windows that the feature sees: its own, and the one that is compared with it.
    #[must_use]
    pub fn windows(&self) -> [Window; 2] {
        let below = match &self.measure {
            Measure::Ratio { against: Some(length), .. } => Some(*length),
            // The window before is what a window twice as long has more.
            Measure::Change(_) => {
                self.window.length.map(|length| Span::from_ms(length.ms().saturating_mul(2)))
            }
            _ => self.window.length,
        };
        [self.window, Window { length: below, ..self.window }]
    }

    /// One aggregation over a window.
    #[must_use]
    pub fn new(aggregation: Aggregation, column: Option<usize>, window: Window) -> Self {
        Self { measure: Measure::One(Operand::new(aggregation, column)), window }
    }
}
