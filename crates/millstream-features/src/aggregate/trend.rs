//! `trend`: the slope of the least-squares line through (event time, value), in units of the value per given length
//! of time. From exact sums, so that microseconds since 1970 do not cancel; within a few units in the last place.
//!
//! Nulls are skipped; NaN or an infinity gives NaN. Null when there are not two different times.

use super::{
    bytes::{Reader, Writer},
    exact::ExactSum,
    fixed::Fixed,
    moments::exact,
    state::Partial,
    value::{Order, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone, Default)]
pub(crate) struct Trend {
    count: u64,
    times: ExactSum,
    times_squared: ExactSum,
    values: ExactSum,
    products: ExactSum,
}

impl Trend {
    /// The slope as the change of the value in `per` microseconds; none where the trend is null.
    pub(crate) fn slope(&self, per: u64, scale: i8) -> Option<f64> {
        let count = Fixed::from_u64(self.count);
        let times = self.times.fixed();
        let spread = count.times(&self.times_squared.fixed()).minus(&times.times(&times));
        if spread.is_zero() {
            return None;
        }
        if self.values.specials.value().is_some() {
            return Some(f64::NAN);
        }
        let rise = count.times(&self.products.fixed()).minus(&times.times(&self.values.fixed()));
        Some(rise.times(&Fixed::from_u64(per)).over(&spread.times(&Fixed::power_of_ten(scale))))
    }

    fn sums(&self) -> [&ExactSum; 4] {
        [&self.times, &self.times_squared, &self.values, &self.products]
    }
}

impl Partial for Trend {
    fn add(&mut self, order: Order, value: ValueRef<'_>) {
        let time = i128::from(order.event);
        self.count += 1;
        self.times.add_int(time);
        self.times_squared.add_int(time * time);
        match (exact(value), value) {
            (Some(value), _) => {
                self.values.add_fixed(&value);
                self.products.add_fixed(&value.times(&Fixed::from_i128(time)));
            }
            (None, ValueRef::Float(value)) => self.values.add_special(value),
            _ => {}
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.times.merge(&other.times);
        self.times_squared.merge(&other.times_squared);
        self.values.merge(&other.values);
        self.products.merge(&other.products);
    }

    fn write(&self, out: &mut Writer) {
        out.unsigned(self.count);
        self.sums().iter().for_each(|sum| sum.write(out));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        Ok(Self {
            count: input.unsigned()?,
            times: ExactSum::read(input)?,
            times_squared: ExactSum::read(input)?,
            values: ExactSum::read(input)?,
            products: ExactSum::read(input)?,
        })
    }
}
