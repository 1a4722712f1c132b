//! `quantile`: continuous, interpolated between the two values around position `q · (n − 1)` (SQL's
//! `percentile_cont`). Exact up to 512 values; beyond that values are counted in buckets, 128 to each power of two, and
//! the result is within 0.4 % of the value at that rank. Exact or not depends on the number of values only, and
//! buckets are fixed, so that the result never depends on order.
//!
//! Nulls and NaN are skipped; infinities are values. Whole numbers beyond 2^53 are rounded to floats first.

use std::collections::BTreeMap;

use super::{
    bytes::{Reader, Writer},
    state::Partial,
    value::{Order, ValueRef},
};
use crate::FeatureError;

/// The most values that are kept one by one; beyond that, buckets take over.
const EXACT_MAX: usize = 512;
/// Low bits of a float that a bucket leaves open: 52 − 7.
const OPEN_BITS: u32 = 45;

#[derive(Debug, Clone, Default)]
pub(crate) struct Quantile {
    /// The values one by one, sorted when the state is read or written; empty once there are buckets.
    values: Vec<f64>,
    buckets: BTreeMap<i32, u64>,
    count: u64,
}

/// The bucket of a value; buckets are ordered as their values.
#[allow(clippy::cast_possible_truncation, reason = "the upper bits, which an i32 holds")]
fn bucket(value: f64) -> i32 {
    let bits = value.to_bits().cast_signed();
    let ordered = bits ^ (((bits >> 63).cast_unsigned() >> 1).cast_signed());
    (ordered >> OPEN_BITS) as i32
}

/// The value that lies this part of the way from one to the next.
pub(crate) fn between(low: f64, high: f64, part: f64) -> f64 {
    // Not the difference times a part when it is not needed: infinities have none.
    if part == 0.0 || low == high { low } else { low * (1.0 - part) + high * part }
}

/// The middle of a bucket.
fn middle(bucket: i32) -> f64 {
    let ordered = (i64::from(bucket) << OPEN_BITS) | (1 << (OPEN_BITS - 1));
    let bits = ordered ^ (((ordered >> 63).cast_unsigned() >> 1).cast_signed());
    let value = f64::from_bits(bits.cast_unsigned());
    if value.is_nan() {
        return f64::INFINITY.copysign(value);
    }
    // The two buckets around zero hold zero and what is next to nothing.
    if bucket == 0 || bucket == -1 { 0.0 } else { value }
}

impl Quantile {
    fn insert(&mut self, value: f64) {
        self.count += 1;
        if self.buckets.is_empty() {
            self.values.push(value + 0.0);
            if self.values.len() > EXACT_MAX {
                self.switch_to_buckets();
            }
        } else {
            *self.buckets.entry(bucket(value + 0.0)).or_default() += 1;
        }
    }

    fn switch_to_buckets(&mut self) {
        for value in std::mem::take(&mut self.values) {
            *self.buckets.entry(bucket(value)).or_default() += 1;
        }
    }

    fn sorted(&self) -> Vec<f64> {
        let mut values = self.values.clone();
        values.sort_unstable_by(f64::total_cmp);
        values
    }

    /// None without values. `q` is between 0 and 1.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rank lies between 0 and the count"
    )]
    pub(crate) fn at(&self, q: f64) -> Option<f64> {
        let position = q * (self.count.checked_sub(1)? as f64);
        let (below, part) = (position.floor(), position.fract());
        let ranks = [below as u64, (below as u64 + 1).min(self.count - 1)];
        let [low, high] = if self.buckets.is_empty() {
            let values = self.sorted();
            ranks.map(|rank| values.get(usize::try_from(rank).unwrap_or(usize::MAX)).copied())
        } else {
            self.ranked(ranks)
        };
        let (low, high) = (low?, high?);
        Some(between(low, high, part))
    }

    /// The values at two ranks, the first of which is not above the second.
    fn ranked(&self, [low, high]: [u64; 2]) -> [Option<f64>; 2] {
        let (mut seen, mut found) = (0, [None; 2]);
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen > low {
                found[0] = found[0].or_else(|| Some(middle(*bucket)));
            }
            if seen > high {
                found[1] = Some(middle(*bucket));
                break;
            }
        }
        found
    }
}

impl Partial for Quantile {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        if let Some(value) = value.as_float().filter(|value| !value.is_nan()) {
            self.insert(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        if !other.buckets.is_empty() {
            self.switch_to_buckets();
            for (bucket, count) in &other.buckets {
                *self.buckets.entry(*bucket).or_default() += count;
            }
            self.count += other.count;
            return;
        }
        other.values.iter().for_each(|value| self.insert(*value));
    }

    fn write(&self, out: &mut Writer) {
        out.unsigned(self.count);
        out.flag(!self.buckets.is_empty());
        out.unsigned((self.values.len() + self.buckets.len()) as u64);
        self.sorted().iter().for_each(|value| out.float(*value));
        for (bucket, count) in &self.buckets {
            out.signed(i128::from(*bucket));
            out.unsigned(*count);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let mut state = Self { count: input.unsigned()?, ..Self::default() };
        let bucketed = input.flag()?;
        let items = input.count(2)?;
        for _ in 0..items {
            if bucketed {
                let bucket = i32::try_from(input.signed()?)
                    .map_err(|_| FeatureError::bytes("a bucket is out of range"))?;
                state.buckets.insert(bucket, input.unsigned()?);
            } else {
                state.values.push(input.float()?);
            }
        }
        Ok(state)
    }
}
