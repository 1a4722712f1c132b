//! `vector_sum`, `vector_mean`: element by element over vectors of a fixed size, each element as in `sum` and `mean`
//! of floats. Null vectors, and vectors with a null element, are skipped; without any the result is null.

use super::{
    bytes::{Reader, Writer},
    exact::ExactSum,
    fixed::Fixed,
    state::Partial,
    value::{Order, Value, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone, Default)]
pub(crate) struct Vectors {
    count: u64,
    sums: Vec<ExactSum>,
}

impl Vectors {
    pub(crate) fn sum(&self) -> Option<Value> {
        self.elements(|sum| sum.value())
    }

    pub(crate) fn mean(&self) -> Option<Value> {
        let count = Fixed::from_u64(self.count);
        self.elements(|sum| sum.specials.value().unwrap_or_else(|| sum.fixed().over(&count)))
    }

    fn elements(&self, read: impl Fn(&ExactSum) -> f64) -> Option<Value> {
        let values = || self.sums.iter().map(|sum| Value::Float(read(sum))).collect();
        (self.count > 0).then(|| Value::List(values()))
    }

    fn element(&mut self, at: usize, value: f64) {
        if at >= self.sums.len() {
            self.sums.resize_with(at + 1, ExactSum::default);
        }
        if let Some(sum) = self.sums.get_mut(at) {
            sum.add_float(value);
        }
    }
}

impl Partial for Vectors {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        match value {
            ValueRef::Vector(values) => {
                values.iter().enumerate().for_each(|(at, value)| self.element(at, *value));
            }
            ValueRef::List(values) => {
                for (at, value) in values.iter().enumerate() {
                    self.element(at, value.borrowed().as_float().unwrap_or(f64::NAN));
                }
            }
            _ => return,
        }
        self.count += 1;
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        if other.sums.len() > self.sums.len() {
            self.sums.resize_with(other.sums.len(), ExactSum::default);
        }
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
        let size = input.count(4)?;
        Ok(Self { count, sums: (0..size).map(|_| ExactSum::read(input)).collect::<Result<_, _>>()? })
    }
}
