//! `decayed_sum`, `decayed_mean`: each value weighs `2^(-age / half_life)`.
//!
//! The state weighs values forwards, by `2^(time / half_life)` since 1970: whole half-lives go into the exponent of the
//! exact sum, where no number is too large, and only the rest into a float, once per event. Reading divides by the weight
//! of the time of the read. So states merge without knowing when they will be read, in any order. The sum is within
//! a few units in the last place of each term. The state grows by a digit for 32 half-lives between its events.
//!
//! Nulls are skipped; NaN and infinities as in `sum`; without values the result is null.

use super::{
    bytes::{Reader, Writer},
    exact::ExactSum,
    fixed::Fixed,
    state::Partial,
    value::{Order, ValueRef},
};
use crate::FeatureError;

/// The number of half-lives before and after 1970 that are told apart, 255 years of the shortest one. The bound keeps a time
/// far from 1970 from filling the memory with digits of the sum.
const WHOLE_MAX: i64 = 1 << 27;

#[derive(Debug, Clone)]
pub(crate) struct Decay {
    /// The half-life in microseconds, above zero.
    half_life: i64,
    count: u64,
    weighted: ExactSum,
    weights: ExactSum,
}

impl Decay {
    pub(crate) fn new(half_life: i64) -> Self {
        Self { half_life, count: 0, weighted: ExactSum::default(), weights: ExactSum::default() }
    }

    /// Whole half-lives since 1970, and the weight within the last one, from 1 up to 2.
    #[allow(clippy::cast_precision_loss, reason = "a share of a half-life, rounded once")]
    fn weight(&self, time: i64) -> (i32, f64) {
        let whole = time.div_euclid(self.half_life);
        let part = time.rem_euclid(self.half_life) as f64 / self.half_life as f64;
        (i32::try_from(whole.clamp(-WHOLE_MAX, WHOLE_MAX)).unwrap_or(0), part.exp2())
    }

    pub(crate) fn sum(&self, at: i64, scale: i8) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if let Some(special) = self.weighted.specials.value() {
            return Some(special);
        }
        let (whole, part) = self.weight(at);
        let divisor = Fixed::power_of_two(whole).times(&Fixed::power_of_ten(scale));
        Some(self.weighted.fixed().over(&divisor) / part)
    }

    pub(crate) fn mean(&self, scale: i8) -> Option<f64> {
        if self.count == 0 {
            return None;
        }
        if let Some(special) = self.weighted.specials.value() {
            return Some(special);
        }
        let divisor = self.weights.fixed().times(&Fixed::power_of_ten(scale));
        (!divisor.is_zero()).then(|| self.weighted.fixed().over(&divisor))
    }
}

impl Partial for Decay {
    fn add(&mut self, order: Order, value: ValueRef<'_>) {
        let Some(value) = value.as_float() else { return };
        let (whole, part) = self.weight(order.event);
        self.count += 1;
        // Half of the weight, so that the greatest float does not overflow.
        self.weighted.add_float_scaled(value * (part / 2.0), whole + 1);
        self.weights.add_float_scaled(part, whole);
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.weighted.merge(&other.weighted);
        self.weights.merge(&other.weights);
    }

    fn write(&self, out: &mut Writer) {
        out.signed(i128::from(self.half_life));
        out.unsigned(self.count);
        self.weighted.write(out);
        self.weights.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        Ok(Self {
            half_life: input.long()?.max(1),
            count: input.unsigned()?,
            weighted: ExactSum::read(input)?,
            weights: ExactSum::read(input)?,
        })
    }
}
