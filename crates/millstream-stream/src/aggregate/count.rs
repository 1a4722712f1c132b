//! Numbers of rows, or of values that are not null.

use std::sync::Arc;

use arrow::array::{Array, Int64Array};

use super::{Accumulator, Results, Taken};
use crate::{
    StreamError,
    state::{Reader, Writer},
};

#[derive(Debug)]
pub(super) struct Count {
    column: Option<usize>,
    counts: Vec<i64>,
}

impl Count {
    pub(super) fn new(column: Option<usize>) -> Self {
        Self { column, counts: Vec::new() }
    }
}

impl Accumulator for Count {
    fn resize(&mut self, slots: usize) {
        self.counts.resize(slots, 0);
    }

    fn update(&mut self, taken: Taken<'_>) -> Result<(), StreamError> {
        let column = self.column.and_then(|column| taken.rows.columns().get(column));
        let nulls = column.and_then(|column| column.logical_nulls()).filter(|nulls| nulls.null_count() > 0);
        let counts = &mut self.counts;
        match nulls {
            None => taken.slots.iter().for_each(|slot| {
                if let Some(count) = counts.get_mut(*slot as usize) {
                    *count += 1;
                }
            }),
            Some(nulls) => taken.slots.iter().zip(nulls.iter()).for_each(|(slot, valid)| {
                if let Some(count) = counts.get_mut(*slot as usize) {
                    *count += i64::from(valid);
                }
            }),
        }
        Ok(())
    }

    fn merge(&mut self, into: u32, from: u32) -> Result<(), StreamError> {
        let more = self.counts.get(from as usize).copied().unwrap_or(0);
        if let Some(count) = self.counts.get_mut(into as usize) {
            *count += more;
        }
        Ok(())
    }

    fn reset(&mut self, slot: u32) {
        if let Some(count) = self.counts.get_mut(slot as usize) {
            *count = 0;
        }
    }

    fn results(&self, slots: &[u32], _: &[i64]) -> Result<Results, StreamError> {
        let counts = slots.iter().map(|slot| self.counts.get(*slot as usize).copied().unwrap_or(0));
        let values: Int64Array = counts.collect::<Vec<_>>().into();
        Ok(Results { values: Arc::new(values), outgrown: Vec::new() })
    }

    fn bytes(&mut self) -> usize {
        self.counts.capacity() * 8
    }

    fn write(&self, slot: u32, out: &mut Writer) {
        out.i64(self.counts.get(slot as usize).copied().unwrap_or(0));
    }

    fn read(&mut self, slot: u32, input: &mut Reader<'_>) -> Result<(), StreamError> {
        let count = input.i64()?;
        if let Some(slot) = self.counts.get_mut(slot as usize) {
            *slot = count;
        }
        Ok(())
    }
}
