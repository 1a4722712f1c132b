//! `count`, `count_if`: how many rows. Without a column every row counts, with one its nulls do not; NaN counts.
//! `count_if` counts the rows whose boolean column is true. An empty window counts 0.

use super::{
    bytes::{Reader, Writer},
    state::Partial,
    value::{Order, ValueRef},
};
use crate::FeatureError;

#[derive(Debug, Clone, Default)]
pub(crate) struct Count {
    pub(crate) only_true: bool,
    pub(crate) rows: u64,
}

impl Partial for Count {
    fn add(&mut self, _: Order, value: ValueRef<'_>) {
        self.rows += u64::from(!self.only_true || matches!(value, ValueRef::Bool(true)));
    }

    fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
    }

    fn write(&self, out: &mut Writer) {
        out.flag(self.only_true);
        out.unsigned(self.rows);
    }

    fn read(input: &mut Reader<'_>) -> Result<Self, FeatureError> {
        Ok(Self { only_true: input.flag()?, rows: input.unsigned()? })
    }
}
