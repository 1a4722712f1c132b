//! `sum`, `mean`, `rate`: exact sums (see `exact`), rounded once when they are read.
//!
//! - Nulls are skipped; without any value the result is null.
//! - Whole numbers sum to int64, decimals to `decimal(38, scale)`; a sum that does not fit is [`super::Outgrown`] and
//!   never null, as null gets a default. Since the sum is exact until it is read, what fits in the end is right whatever
//!   happened in between.
//! - Floats: the nearest float to the true sum. NaN, or infinities of both signs, give NaN; infinities of one sign
//!   give that infinity. A sum of zero is +0.0.
//! - `mean` and `rate` are floats within two units in the last place of the true quotient.

use super::{
    bytes::{Reader, Writer},
    exact::ExactSum,
    fixed::Fixed,
    state::Partial,
    value::{Order, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone, Default)]
pub(crate) struct Sum {
    pub(crate) count: u64,
    pub(crate) sum: ExactSum,
}

impl Sum {
    /// `sum · factor / (divisor · 10^scale)`.
    pub(crate) fn quotient(&self, factor: u64, divisor: u64, scale: i8) -> Option<f64> {
        if self.count == 0 || divisor == 0 {
            return None;
        }
        Some(self.sum.specials.value().unwrap_or_else(|| {
            let divisor = Fixed::from_u64(divisor).times(&Fixed::power_of_ten(scale));
            self.sum.fixed().times(&Fixed::from_u64(factor)).over(&divisor)
        }))
    }

    pub(crate) fn mean(&self, scale: i8) -> Option<f64> {
        self.quotient(1, self.count, scale)
    }
}

impl Partial for Sum {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        match value {
            ValueRef::Int(value) => self.sum.add_int(i128::from(value)),
            ValueRef::Decimal(value) => self.sum.add_int(value),
            ValueRef::Float(value) => self.sum.add_float(value),
            // A rate without a column counts rows.
            ValueRef::Bool(true) => self.sum.add_int(1),
            _ => return,
        }
        self.count += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum.merge(&other.sum);
    }

    fn write(&self, out: &mut Writer) {
        out.unsigned(self.count);
        self.sum.write(out);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        Ok(Self { count: input.unsigned()?, sum: ExactSum::read(input)? })
    }
}
