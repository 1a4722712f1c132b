//! Whole numbers of any size times a power of two: what exact sums are read into, and what the formulas of the
//! moments are evaluated in, so that only their last step rounds.

use std::cmp::Ordering;

use super::exact::Parts;

/// `± magnitude · 2^(32 · exponent)`, magnitude with the least digit first and without outer zeros.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fixed {
    pub(crate) negative: bool,
    pub(crate) exponent: i32,
    pub(crate) magnitude: Vec<u32>,
}

impl Fixed {
    pub(crate) fn new(negative: bool, mut exponent: i32, mut magnitude: Vec<u32>) -> Self {
        while magnitude.last() == Some(&0) {
            magnitude.pop();
        }
        let zeros = magnitude.iter().take_while(|digit| **digit == 0).count();
        if zeros > 0 {
            magnitude.drain(..zeros);
            exponent = exponent.saturating_add(i32::try_from(zeros).unwrap_or(i32::MAX));
        }
        if magnitude.is_empty() {
            return Self::default();
        }
        Self { negative, exponent, magnitude }
    }

    pub(crate) fn from_i128(value: i128) -> Self {
        let bits = value.unsigned_abs();
        Self::new(value < 0, 0, (0..4).map(|digit| low(bits >> (32 * digit))).collect())
    }

    /// None for NaN and infinities.
    pub(crate) fn from_f64(value: f64) -> Option<Self> {
        let Parts { negative, mantissa, exponent } = Parts::of(value)?;
        let bits = u128::from(mantissa) << exponent.rem_euclid(32);
        let magnitude = (0..3).map(|digit| low(bits >> (32 * digit))).collect();
        Some(Self::new(negative, exponent.div_euclid(32), magnitude))
    }

    /// `2^exponent`.
    pub(crate) fn power_of_two(exponent: i32) -> Self {
        Self {
            negative: false,
            exponent: exponent.div_euclid(32),
            magnitude: vec![1 << exponent.rem_euclid(32)],
        }
    }

    /// `10^scale`; a negative scale counts as 0.
    pub(crate) fn power_of_ten(scale: i8) -> Self {
        Self::from_i128(10_i128.saturating_pow(u32::try_from(scale).unwrap_or(0)))
    }

    pub(crate) fn from_u64(value: u64) -> Self {
        Self::from_i128(i128::from(value))
    }

    pub(crate) fn is_zero(&self) -> bool {
        self.magnitude.is_empty()
    }

    pub(crate) fn negated(mut self) -> Self {
        self.negative = !self.negative && !self.is_zero();
        self
    }

    pub(crate) fn plus(&self, other: &Self) -> Self {
        if self.is_zero() {
            return other.clone();
        }
        if other.is_zero() {
            return self.clone();
        }
        let exponent = self.exponent.min(other.exponent);
        let (left, right) = (self.aligned(exponent), other.aligned(exponent));
        if self.negative == other.negative {
            return Self::new(self.negative, exponent, add(&left, &right));
        }
        match compare(&left, &right) {
            Ordering::Equal => Self::default(),
            Ordering::Greater => Self::new(self.negative, exponent, subtract(&left, &right)),
            Ordering::Less => Self::new(other.negative, exponent, subtract(&right, &left)),
        }
    }

    pub(crate) fn minus(&self, other: &Self) -> Self {
        self.plus(&other.clone().negated())
    }

    pub(crate) fn times(&self, other: &Self) -> Self {
        let mut product = vec![0_u32; self.magnitude.len() + other.magnitude.len()];
        for (at, left) in self.magnitude.iter().enumerate() {
            let mut carry = 0_u64;
            for (slot, right) in product.iter_mut().skip(at).zip(other.magnitude.iter().chain([&0])) {
                let sum = u64::from(*left) * u64::from(*right) + u64::from(*slot) + carry;
                *slot = low(u128::from(sum));
                carry = sum >> 32;
            }
        }
        Self::new(self.negative != other.negative, self.exponent + other.exponent, product)
    }

    /// The whole number, if it is one and fits.
    pub(crate) fn to_i128(&self) -> Option<i128> {
        if self.is_zero() {
            return Some(0);
        }
        let shift = u32::try_from(self.exponent).ok()?.checked_mul(32)?;
        if self.bits() + u64::from(shift) > 127 {
            return None;
        }
        let value =
            self.magnitude.iter().rev().fold(0_i128, |value, digit| (value << 32) | i128::from(*digit));
        let value = value << shift;
        Some(if self.negative { -value } else { value })
    }

    /// The nearest `f64`, ties to even; infinite beyond the range.
    pub(crate) fn to_f64(&self) -> f64 {
        if self.is_zero() {
            return 0.0;
        }
        let top = self.top_exponent();
        if top > 1023 {
            return if self.negative { f64::NEG_INFINITY } else { f64::INFINITY };
        }
        let precision = if top >= -1022 { 53 } else { 53 - (-1022 - top) };
        if precision < 0 {
            return if self.negative { -0.0 } else { 0.0 };
        }
        let value = scaled(self.rounded(precision), top - precision + 1);
        if self.negative { -value } else { value }
    }

    /// `self / other` with a relative error below two units in the last place. `other` is not zero.
    pub(crate) fn over(&self, other: &Self) -> f64 {
        if self.is_zero() {
            return 0.0;
        }
        let value = self.rounded(53) / other.rounded(53);
        let value = scaled(value, clamp(self.top_exponent() - other.top_exponent()));
        if self.negative == other.negative { value } else { -value }
    }

    /// Exponent of the highest set bit.
    fn top_exponent(&self) -> i64 {
        let bits = i64::try_from(self.bits()).unwrap_or(i64::MAX);
        i64::from(self.exponent) * 32 + bits - 1
    }

    fn bits(&self) -> u64 {
        let top = self.magnitude.last().map_or(0, |digit| digit.leading_zeros());
        self.magnitude.len() as u64 * 32 - u64::from(top)
    }

    /// The highest `precision` bits (0 to 53) as a whole number, rounded to the nearest, ties to even.
    fn rounded(&self, precision: i64) -> f64 {
        let digits = self.magnitude.iter().rev();
        let mut window = 0_u128;
        for digit in digits.clone().chain(std::iter::repeat(&0)).take(4) {
            window = (window << 32) | u128::from(*digit);
        }
        window <<= window.leading_zeros();
        // The window misses bits only when there are more than four digits, and then none of the first 96.
        let sticky = digits.skip(4).any(|digit| *digit != 0);
        if precision <= 0 {
            // The value is below half of the smallest step, just at it, or above.
            let above = (window << 1) != 0 || sticky;
            return if precision == 0 && above { 1.0 } else { 0.0 };
        }
        let dropped = u32::try_from(128 - precision).unwrap_or(75);
        let kept = window >> dropped;
        let rest = window << (128 - dropped);
        let half = 1_u128 << 127;
        let up = rest > half || (rest == half && (sticky || kept & 1 == 1));
        #[allow(clippy::cast_precision_loss, reason = "at most 53 bits are left, which a float holds")]
        let value = (kept + u128::from(up)) as f64;
        value
    }

    fn aligned(&self, exponent: i32) -> Vec<u32> {
        let zeros = usize::try_from(self.exponent - exponent).unwrap_or(0);
        let mut digits = vec![0; zeros];
        digits.extend_from_slice(&self.magnitude);
        digits
    }
}

/// `value · 2^exponent`, exact where the result is a normal number or `value` a whole one.
fn scaled(mut value: f64, mut exponent: i64) -> f64 {
    while exponent > 1000 {
        value *= power_of_two(1000);
        exponent -= 1000;
    }
    while exponent < -1000 {
        // The value stays normal down to the last step, so that only one multiplication rounds.
        value *= power_of_two(-1000);
        exponent += 1000;
    }
    value * power_of_two(exponent)
}

fn power_of_two(exponent: i64) -> f64 {
    f64::from_bits(u64::try_from(exponent + 1023).unwrap_or(0) << 52)
}

fn clamp(exponent: i64) -> i64 {
    exponent.clamp(-2500, 2500)
}

#[allow(clippy::cast_possible_truncation, reason = "the low digit is what is asked for")]
pub(crate) fn low(bits: u128) -> u32 {
    bits as u32
}

fn add(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut carry = 0_u64;
    let mut sum = Vec::with_capacity(left.len().max(right.len()) + 1);
    for at in 0..left.len().max(right.len()) {
        let digit = |digits: &[u32]| u64::from(digits.get(at).copied().unwrap_or(0));
        carry += digit(left) + digit(right);
        sum.push(low(u128::from(carry)));
        carry >>= 32;
    }
    sum.push(low(u128::from(carry)));
    sum
}

/// `left` is not smaller than `right`.
fn subtract(left: &[u32], right: &[u32]) -> Vec<u32> {
    let mut borrow = 0_i64;
    let mut difference = Vec::with_capacity(left.len());
    for (at, digit) in left.iter().enumerate() {
        let value = i64::from(*digit) - i64::from(right.get(at).copied().unwrap_or(0)) - borrow;
        borrow = i64::from(value < 0);
        difference.push(u32::try_from(value + (borrow << 32)).unwrap_or(0));
    }
    difference
}

fn compare(left: &[u32], right: &[u32]) -> Ordering {
    let trimmed = |digits: &[u32]| digits.iter().rposition(|digit| *digit != 0).map_or(0, |at| at + 1);
    let (left_len, right_len) = (trimmed(left), trimmed(right));
    left_len
        .cmp(&right_len)
        .then_with(|| left.iter().take(left_len).rev().cmp(right.iter().take(right_len).rev()))
}
