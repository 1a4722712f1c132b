//! Sums of floats that do not depend on the order of their terms: each float is a whole number times a power of
//! two, and whole numbers add up exactly. Only reading the sum rounds, once.
//!
//! The sum is kept in digits of 32 bits, each in an `i64` whose upper half collects carries, so that adding a float
//! touches three digits and carries are propagated once in half a billion additions. Digits exist only for the range
//! of exponents that occurred.

use super::{
    bytes::{Reader, Writer},
    fixed::{Fixed, low},
};
use crate::FeatureError;

/// Additions between two propagations of carries: `2^29 · 2^32` stays far within an `i64`, also when two sums merge.
const PENDING_MAX: u32 = 1 << 29;

/// An exact sum of finite numbers, and counts of those that are not finite.
#[derive(Debug, Clone, Default)]
pub struct ExactSum {
    first: i32,
    digits: Vec<i64>,
    pending: u32,
    pub(crate) specials: Specials,
}

/// How many terms were not finite. They are counted, so that merging needs no order either.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Specials {
    nan: u64,
    positive: u64,
    negative: u64,
}

impl Specials {
    fn add(&mut self, value: f64) {
        if value.is_nan() {
            self.nan += 1;
        } else if value > 0.0 {
            self.positive += 1;
        } else {
            self.negative += 1;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.nan += other.nan;
        self.positive += other.positive;
        self.negative += other.negative;
    }

    /// What the sum is if any term was not finite.
    pub(crate) fn value(&self) -> Option<f64> {
        match (self.nan, self.positive, self.negative) {
            (0, 0, 0) => None,
            (0, _, 0) => Some(f64::INFINITY),
            (0, 0, _) => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }
}

/// A finite float as sign, mantissa and exponent: `± mantissa · 2^exponent`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts {
    pub(crate) negative: bool,
    pub(crate) mantissa: u64,
    pub(crate) exponent: i32,
}

impl Parts {
    /// None for NaN and infinities.
    pub(crate) fn of(value: f64) -> Option<Self> {
        let bits = value.to_bits();
        let exponent = i32::try_from((bits >> 52) & 0x7ff).unwrap_or(0x7ff);
        let fraction = bits & ((1 << 52) - 1);
        let negative = bits >> 63 == 1;
        match exponent {
            0x7ff => None,
            0 => Some(Self { negative, mantissa: fraction, exponent: -1074 }),
            _ => Some(Self { negative, mantissa: fraction | (1 << 52), exponent: exponent - 1075 }),
        }
    }
}

impl ExactSum {
    /// Adds a float, which may be NaN or infinite.
    pub fn add_float(&mut self, value: f64) {
        self.add_float_scaled(value, 0);
    }

    /// Adds `value · 2^scale`.
    pub(crate) fn add_float_scaled(&mut self, value: f64, scale: i32) {
        match Parts::of(value) {
            Some(parts) => {
                self.add_bits(
                    parts.negative,
                    u128::from(parts.mantissa),
                    parts.exponent.saturating_add(scale),
                );
            }
            None => self.specials.add(value),
        }
    }

    /// Adds a whole number.
    pub fn add_int(&mut self, value: i128) {
        let bits = value.unsigned_abs();
        self.add_bits(value < 0, bits & u128::from(u64::MAX), 0);
        if bits >> 64 != 0 {
            self.add_bits(value < 0, bits >> 64, 64);
        }
    }

    /// Adds `± mantissa · 2^exponent`; the mantissa has at most 96 bits.
    fn add_bits(&mut self, negative: bool, mantissa: u128, exponent: i32) {
        if mantissa == 0 {
            return;
        }
        let bits = mantissa << exponent.rem_euclid(32);
        let digits = [low(bits), low(bits >> 32), low(bits >> 64), low(bits >> 96)];
        let used = 4 - digits.iter().rev().take_while(|digit| **digit == 0).count();
        self.add_digits(negative, exponent.div_euclid(32), digits.get(..used).unwrap_or(&digits));
    }

    pub(crate) fn add_fixed(&mut self, value: &Fixed) {
        self.add_digits(value.negative, value.exponent, &value.magnitude);
    }

    /// Counts a term that is not finite.
    pub(crate) fn add_special(&mut self, value: f64) {
        self.specials.add(value);
    }

    /// Adds `± digits · 2^(32 · at)`.
    pub(crate) fn add_digits(&mut self, negative: bool, at: i32, digits: &[u32]) {
        let start = self.reserve(at, digits.len());
        for (slot, digit) in self.digits.iter_mut().skip(start).zip(digits) {
            if negative {
                *slot -= i64::from(*digit);
            } else {
                *slot += i64::from(*digit);
            }
        }
        self.pending += 1;
        if self.pending >= PENDING_MAX {
            self.carry();
        }
    }

    /// Makes room for `count` digits from digit number `at` and says where in `digits` they start.
    fn reserve(&mut self, at: i32, count: usize) -> usize {
        if self.digits.is_empty() {
            self.first = at;
        }
        if at < self.first {
            let missing = usize::try_from(self.first - at).unwrap_or(0);
            self.digits.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = at;
        }
        let start = usize::try_from(self.first.abs_diff(at)).unwrap_or(0);
        if start + count > self.digits.len() {
            self.digits.resize(start + count, 0);
        }
        start
    }

    fn carry(&mut self) {
        let mut carry = 0_i64;
        for digit in &mut self.digits {
            let value = *digit + carry;
            *digit = value & 0xffff_ffff;
            carry = value >> 32;
        }
        // A negative sum ends in a carry of -1 that stands above all digits.
        if carry != 0 {
            self.digits.push(carry);
        }
        self.pending = 1;
    }

    /// The sum `total · 2^exponent`.
    #[must_use]
    pub fn of_whole(total: i128, exponent: i32) -> Self {
        let bits = total.unsigned_abs();
        let mut sum = Self::default();
        sum.add_bits(total < 0, bits & u128::from(u64::MAX), exponent);
        sum.add_bits(total < 0, bits >> 64, exponent.saturating_add(64));
        sum
    }

    /// Total and exponent of a sum of finite terms whose digits fit.
    pub(crate) fn to_whole(&self) -> Option<(i128, i32)> {
        if self.specials != Specials::default() {
            return None;
        }
        let mut fixed = self.fixed();
        let exponent = fixed.exponent.checked_mul(32)?;
        fixed.exponent = 0;
        Some((fixed.to_i128()?, exponent))
    }

    /// Takes in all terms of `other`.
    pub fn merge(&mut self, other: &Self) {
        self.specials.merge(&other.specials);
        if other.digits.is_empty() {
            return;
        }
        if self.pending + other.pending > PENDING_MAX {
            self.carry();
        }
        let start = self.reserve(other.first, other.digits.len());
        for (slot, digit) in self.digits.iter_mut().skip(start).zip(&other.digits) {
            *slot += digit;
        }
        self.pending += other.pending;
        if self.pending >= PENDING_MAX {
            self.carry();
        }
    }

    /// The exact sum of the finite terms.
    pub(crate) fn fixed(&self) -> Fixed {
        let mut digits = self.digits.clone();
        let negative = settle(&mut digits);
        if negative {
            digits.iter_mut().for_each(|digit| *digit = -*digit);
            settle(&mut digits);
        }
        let magnitude = digits.iter().map(|digit| u32::try_from(*digit).unwrap_or(0)).collect();
        Fixed::new(negative, self.first, magnitude)
    }

    /// The sum, if it is a whole number within an `i128`.
    #[must_use]
    pub fn whole(&self) -> Option<i128> {
        if self.specials == Specials::default() { self.fixed().to_i128() } else { None }
    }

    /// The sum divided by `count`, within two units in the last place of the true quotient; `count` is not zero.
    #[must_use]
    pub fn over(&self, count: u64) -> f64 {
        self.specials.value().unwrap_or_else(|| self.fixed().over(&Fixed::from_u64(count)))
    }

    /// The sum as bytes. Equal sums give equal bytes, whatever their terms were.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        self.write(&mut out);
        out.bytes
    }

    /// Reads what [`ExactSum::to_bytes`] wrote.
    ///
    /// # Errors
    ///
    /// The bytes are damaged, or longer than the sum.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, FeatureError> {
        let mut input = Reader::new(bytes);
        let sum = Self::read(&mut input)?;
        if input.is_empty() { Ok(sum) } else { Err(FeatureError::bytes("something follows the sum")) }
    }

    /// The sum rounded once to the nearest float. Zero is positive.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.specials.value().unwrap_or_else(|| self.fixed().to_f64())
    }

    pub(crate) fn write(&self, out: &mut Writer) {
        let fixed = self.fixed();
        out.flag(fixed.negative);
        out.signed(i128::from(fixed.exponent));
        out.unsigned(fixed.magnitude.len() as u64);
        fixed.magnitude.iter().for_each(|digit| out.raw(&digit.to_le_bytes()));
        let Specials { nan, positive, negative } = self.specials;
        out.flag(self.specials != Specials::default());
        if self.specials != Specials::default() {
            [nan, positive, negative].iter().for_each(|count| out.unsigned(*count));
        }
    }

    pub(crate) fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let negative = input.flag()?;
        let exponent = i32::try_from(input.signed()?)
            .ok()
            .filter(|exponent| exponent.unsigned_abs() < 1 << 26)
            .ok_or(FeatureError::Bytes { reason: "an exponent is out of range" })?;
        let count = input.count(4)?;
        let mut digits = Vec::with_capacity(count);
        for _ in 0..count {
            digits.push(u32::from_le_bytes(input.array()?));
        }
        let mut sum = Self::default();
        if !digits.is_empty() {
            sum.add_digits(negative, exponent, &digits);
        }
        if input.flag()? {
            sum.specials =
                Specials { nan: input.unsigned()?, positive: input.unsigned()?, negative: input.unsigned()? };
        }
        Ok(sum)
    }
}

/// Propagates carries; digits end between 0 and 2^32 and the sign is returned. For a negative number the digits are
/// negative below zero only at the top.
fn settle(digits: &mut Vec<i64>) -> bool {
    let mut carry = 0_i64;
    for digit in digits.iter_mut() {
        let value = *digit + carry;
        *digit = value & 0xffff_ffff;
        carry = value >> 32;
    }
    if carry != 0 {
        digits.push(carry);
    }
    carry < 0
}
