//! `time_since_last`: seconds from the newest event (with a value, if a column is named) to the time of the read.
//! Null without events.

use super::{
    bytes::{Reader, Writer},
    state::Partial,
    value::{Order, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone, Default)]
pub(crate) struct Recency {
    pub(crate) newest: Option<i64>,
}

impl Recency {
    pub(crate) fn seconds_until(&self, at: i64) -> Option<f64> {
        self.newest.map(|newest| seconds(at, newest))
    }
}

/// Seconds between two instants in microseconds.
#[allow(clippy::cast_precision_loss, reason = "seconds, rounded once")]
pub(crate) fn seconds(at: i64, since: i64) -> f64 {
    (i128::from(at) - i128::from(since)) as f64 / 1e6
}

impl Partial for Recency {
    fn add(&mut self, order: Order, _: ValueRef<'_>) {
        self.newest = self.newest.max(Some(order.event));
    }

    fn merge(&mut self, other: &Self) {
        self.newest = self.newest.max(other.newest);
    }

    fn write(&self, out: &mut Writer) {
        out.flag(self.newest.is_some());
        if let Some(newest) = self.newest {
            out.signed(i128::from(newest));
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let newest = if input.flag()? { Some(input.long()?) } else { None };
        Ok(Self { newest })
    }
}
