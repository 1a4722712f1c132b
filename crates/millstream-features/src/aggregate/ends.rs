//! `first`, `last`, `first_k`, `last_k`: by the total order (event time, known time, sequence). Nulls are skipped,
//! NaN is a value. `first_k` lists the oldest first, `last_k` the newest first. Events that are equal in the whole
//! order are told apart by their value, so that even then nothing depends on arrival.

use super::{
    bytes::{Reader, Writer},
    state::Partial,
    value::{Order, Value, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone)]
pub(crate) struct Ends {
    pub(crate) newest: bool,
    pub(crate) k: usize,
    /// The events that are kept, beginning with the oldest or, if `newest` is set, with the newest.
    pub(crate) kept: Vec<(Order, Value)>,
}

impl Ends {
    fn offer(&mut self, order: Order, value: ValueRef<'_>) {
        let at = self.kept.partition_point(|(kept, other)| {
            let before = kept.cmp(&order).then_with(|| other.borrowed().compare(&value));
            if self.newest { before.is_gt() } else { before.is_lt() }
        });
        if at < self.k {
            self.kept.truncate(self.k - 1);
            self.kept.insert(at, (order, value.to_value()));
        }
    }
}

impl Partial for Ends {
    fn add(&mut self, order: Order, value: ValueRef<'_>) {
        self.offer(order, value);
    }

    fn merge(&mut self, other: &Self) {
        other.kept.iter().for_each(|(order, value)| self.offer(*order, value.borrowed()));
    }

    fn write(&self, out: &mut Writer) {
        out.flag(self.newest);
        out.unsigned(self.k as u64);
        out.unsigned(self.kept.len() as u64);
        for (order, value) in &self.kept {
            out.order(*order);
            out.value(value);
        }
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        let newest = input.flag()?;
        let k = usize::try_from(input.unsigned()?).unwrap_or(usize::MAX).max(1);
        let count = input.count(4)?;
        let kept = (0..count).map(|_| Ok((input.order()?, input.value()?)));
        Ok(Self { newest, k, kept: kept.collect::<Result<_, FeatureError>>()? })
    }
}
