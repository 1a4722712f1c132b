//! `top_k`: the k greatest values, greatest first, equal values each on its own. Nulls and NaN are skipped; an empty
//! window gives null.

use super::{
    bytes::{Reader, Writer},
    state::Partial,
    value::{Order, Value, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone)]
pub(crate) struct Top {
    pub(crate) k: usize,
    pub(crate) kept: Vec<Value>,
}

impl Top {
    fn offer(&mut self, value: ValueRef<'_>) {
        let at = self.kept.partition_point(|kept| kept.borrowed().compare(&value).is_ge());
        if at < self.k {
            self.kept.truncate(self.k - 1);
            self.kept.insert(at, value.to_value());
        }
    }
}

impl Partial for Top {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        if !value.is_nan() {
            self.offer(value);
        }
    }

    fn merge(&mut self, other: &Self) {
        other.kept.iter().for_each(|value| self.offer(value.borrowed()));
    }

    fn write(&self, out: &mut Writer) {
        out.unsigned(self.k as u64);
        out.unsigned(self.kept.len() as u64);
        self.kept.iter().for_each(|value| out.value(value));
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let k = usize::try_from(input.unsigned()?).unwrap_or(usize::MAX).max(1);
        let count = input.count(1)?;
        Ok(Self { k, kept: (0..count).map(|_| input.value()).collect::<Result<_, _>>()? })
    }
}
