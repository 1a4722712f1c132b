//! Exact sums in one machine number: a whole number times a power of two. Most sums fit; the rest are left to the
//! general state.

use crate::aggregate::Parts;

/// `total · 2^exponent`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Whole {
    pub(crate) total: i128,
    pub(crate) exponent: i32,
}

/// Bits of a total without its sign: 14 bytes hold them, and sixty thousand of them add up in an `i128`.
const BITS_MAX: u32 = 111;

impl Whole {
    pub(crate) fn of_int(value: i128) -> Option<Self> {
        (bits(value) <= BITS_MAX).then_some(Self { total: value, exponent: 0 })
    }

    /// None for NaN and infinities.
    pub(crate) fn of_float(value: f64) -> Option<Self> {
        let Parts { negative, mantissa, exponent } = Parts::of(value)?;
        let total = i128::from(mantissa);
        Some(Self { total: if negative { -total } else { total }, exponent })
    }

    /// None when the sum needs more bits than there are.
    pub(crate) fn plus(self, other: Self) -> Option<Self> {
        if self.total == 0 {
            return Some(other);
        }
        if other.total == 0 {
            return Some(self);
        }
        self.aligned_plus(other).or_else(|| self.shortest().aligned_plus(other.shortest()))
    }

    fn aligned_plus(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let total = self.at(exponent)?.checked_add(other.at(exponent)?)?;
        (bits(total) <= BITS_MAX).then_some(Self { total, exponent })
    }

    /// The total as a multiple of `2^exponent`, which is not above its own exponent.
    pub(crate) fn at(self, exponent: i32) -> Option<i128> {
        let shift = self.exponent.checked_sub(exponent)?.cast_unsigned();
        (bits(self.total).checked_add(shift)? <= BITS_MAX).then(|| self.total << shift)
    }

    /// The same number with an odd total. Zero has the exponent 0.
    pub(crate) fn shortest(self) -> Self {
        if self.total == 0 {
            return Self::default();
        }
        let zeros = self.total.trailing_zeros();
        Self { total: self.total >> zeros, exponent: self.exponent.saturating_add(zeros.cast_signed()) }
    }

    /// The nearest float, rounded once; none where that is not certain, next to the ends of the range.
    #[allow(clippy::cast_precision_loss, reason = "the nearest float is what is asked for")]
    pub(crate) fn to_float(self) -> Option<f64> {
        Some(self.total as f64 * power_of_two(self.exponent)?)
    }

    /// The quotient with two roundings, as the general state computes it; none as in [`Whole::to_float`].
    #[allow(clippy::cast_precision_loss, reason = "the two roundings are what the function says")]
    pub(crate) fn over(self, divisor: u128) -> Option<f64> {
        Some(self.total as f64 / divisor as f64 * power_of_two(self.exponent)?)
    }
}

fn bits(value: i128) -> u32 {
    128 - value.unsigned_abs().leading_zeros()
}

fn power_of_two(exponent: i32) -> Option<f64> {
    let biased = u64::try_from(exponent.saturating_add(1023)).ok()?;
    (-900..=850).contains(&exponent).then(|| f64::from_bits(biased << 52))
}
