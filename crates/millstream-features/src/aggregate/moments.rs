//! `variance`, `stddev`, `skewness`, `kurtosis`: from exact sums of powers. The formulas are evaluated in whole
//! numbers and only the last division and root round, so there is no cancellation and no dependence on order.
//!
//! Sample statistics, as SQL's `var_samp` and pandas: variance and standard deviation need two values, skewness
//! three, (excess) kurtosis four; below that, and for the latter two when all values are equal, the result is null.
//! Nulls are skipped; NaN or an infinity gives NaN. Within a few units in the last place of the true value.

use super::{
    bytes::{Reader, Writer},
    exact::ExactSum,
    fixed::Fixed,
    state::Partial,
    value::{Order, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    /// The sums of the values' first, second, … powers.
    pub(crate) sums: Vec<ExactSum>,
}

impl Moments {
    pub(crate) fn new(powers: usize) -> Self {
        Self { count: 0, sums: vec![ExactSum::default(); powers] }
    }

    fn sums(&self) -> Vec<Fixed> {
        self.sums.iter().map(ExactSum::fixed).collect()
    }

    fn special(&self) -> bool {
        self.sums.first().is_some_and(|sum| sum.specials.value().is_some())
    }

    /// `n · Σx² − (Σx)²`.
    fn spread(&self, sums: &[Fixed]) -> Option<Fixed> {
        let [one, two, ..] = sums else { return None };
        Some(Fixed::from_u64(self.count).times(two).minus(&one.times(one)))
    }

    pub(crate) fn variance(&self, scale: i8) -> Option<f64> {
        if self.count < 2 {
            return None;
        }
        if self.special() {
            return Some(f64::NAN);
        }
        let ten = Fixed::power_of_ten(scale);
        let divisor = Fixed::from_u64(self.count).times(&Fixed::from_u64(self.count - 1));
        Some(self.spread(&self.sums())?.over(&divisor.times(&ten).times(&ten)))
    }

    #[allow(clippy::cast_precision_loss, reason = "a count of rows in a formula of floats")]
    pub(crate) fn skewness(&self) -> Option<f64> {
        if self.count < 3 {
            return None;
        }
        if self.special() {
            return Some(f64::NAN);
        }
        let sums = self.sums();
        let [one, two, three, ..] = sums.as_slice() else { return None };
        let count = Fixed::from_u64(self.count);
        let spread = self.spread(&sums).filter(|spread| !spread.is_zero())?;
        // n² · Σ(x − mean)³
        let third = count
            .times(&count)
            .times(three)
            .minus(&Fixed::from_u64(3).times(&count).times(one).times(two))
            .plus(&Fixed::from_u64(2).times(&one.times(one).times(one)));
        let squared = third.times(&third).over(&spread.times(&spread).times(&spread));
        let n = self.count as f64;
        let skewness = squared.sqrt() * ((n * (n - 1.0)).sqrt() / (n - 2.0));
        Some(if third.negative { -skewness } else { skewness })
    }

    #[allow(clippy::cast_precision_loss, reason = "a count of rows in a formula of floats")]
    pub(crate) fn kurtosis(&self) -> Option<f64> {
        if self.count < 4 {
            return None;
        }
        if self.special() {
            return Some(f64::NAN);
        }
        let sums = self.sums();
        let [one, two, three, four] = sums.as_slice() else { return None };
        let count = Fixed::from_u64(self.count);
        let spread = self.spread(&sums).filter(|spread| !spread.is_zero())?;
        let one_squared = one.times(one);
        // n³ · Σ(x − mean)⁴
        let fourth = count
            .times(&count)
            .times(&count)
            .times(four)
            .minus(&Fixed::from_u64(4).times(&count).times(&count).times(one).times(three))
            .plus(&Fixed::from_u64(6).times(&count).times(&one_squared).times(two))
            .minus(&Fixed::from_u64(3).times(&one_squared).times(&one_squared));
        // (n − 1) / ((n − 2)(n − 3)) · ((n + 1) · (fourth / spread² − 3) + 6), as one quotient.
        let spread = spread.times(&spread);
        let excess = fourth.minus(&Fixed::from_u64(3).times(&spread));
        let inner = Fixed::from_u64(self.count + 1).times(&excess).plus(&Fixed::from_u64(6).times(&spread));
        let divisor = Fixed::from_u64(self.count - 2).times(&Fixed::from_u64(self.count - 3)).times(&spread);
        Some(Fixed::from_u64(self.count - 1).times(&inner).over(&divisor))
    }
}

/// The number as an exact value; None if it is not finite or not a number.
pub(crate) fn exact(value: ValueRef<'_>) -> Option<Fixed> {
    match value {
        ValueRef::Int(value) => Some(Fixed::from_i128(i128::from(value))),
        ValueRef::Decimal(value) => Some(Fixed::from_i128(value)),
        ValueRef::Float(value) => Fixed::from_f64(value),
        _ => None,
    }
}

impl Partial for Moments {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        self.count += 1;
        let Some(value) = exact(value) else {
            if let (ValueRef::Float(value), Some(sum)) = (value, self.sums.first_mut()) {
                sum.add_special(value);
            }
            return;
        };
        let mut power = value.clone();
        let last = self.sums.len();
        for (at, sum) in self.sums.iter_mut().enumerate() {
            sum.add_fixed(&power);
            if at + 1 < last {
                power = power.times(&value);
            }
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        for (sum, other) in self.sums.iter_mut().zip(&other.sums) {
            sum.merge(other);
        }
    }

    fn write(&self, out: &mut Writer) {
        out.unsigned(self.count);
        out.unsigned(self.sums.len() as u64);
        self.sums.iter().for_each(|sum| sum.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let count = input.unsigned()?;
        let powers = input.count(4)?;
        let sums = (0..powers).map(|_| ExactSum::read(input)).collect::<Result<_, _>>()?;
        Ok(Self { count, sums })
    }
}
