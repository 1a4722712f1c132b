//! `min`, `max`: of numbers, instants, booleans, texts (by their bytes). Nulls and NaN are skipped; without any other
//! value the result is null. Infinities are values, and -0.0 is smaller than 0.0.

use super::{
    bytes::{Reader, Writer},
    state::Partial,
    value::{Order, Value, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone)]
pub(crate) struct Extreme {
    pub(crate) greatest: bool,
    pub(crate) best: Option<Value>,
}

impl Extreme {
    fn offer(&mut self, value: ValueRef<'_>) {
        let better = self.best.as_ref().is_none_or(|best| {
            let order = value.compare(&best.borrowed());
            if self.greatest { order.is_gt() } else { order.is_lt() }
        });
        if better {
            self.best = Some(value.to_value());
        }
    }
}

impl Partial for Extreme {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        if !value.is_nan() {
            self.offer(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        if let Some(best) = &other.best {
            self.offer(best.borrowed());
        }
    }

    fn write(&self, out: &mut Writer) {
        out.flag(self.greatest);
        out.value(self.best.as_ref().unwrap_or(&Value::Null));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let greatest = input.flag()?;
        let best = Some(input.value()?).filter(|value| *value != Value::Null);
        Ok(Self { greatest, best })
    }
}
