//! Least and greatest values: of numbers and times as whole numbers in the same order, of texts and bytes by their bytes.

use std::{cmp::Ordering, sync::Arc};

use arrow::{
    array::{ArrayRef, AsArray, BinaryArray, StringArray},
    compute::cast,
    datatypes::DataType,
};

use super::{
    Accumulator, Results, Taken,
    ordinal::{array_of, each_float, each_whole, is_whole, of_float},
};
use crate::{
    StreamError,
    state::{Reader, Writer},
};

/// The accumulator of least or greatest values of a type, if it has an order.
pub(super) fn extreme(column: usize, data_type: &DataType, greatest: bool) -> Option<Box<dyn Accumulator>> {
    let better = if greatest { Ordering::Greater } else { Ordering::Less };
    let data_type = data_type.clone();
    match data_type {
        DataType::Boolean | DataType::Float32 | DataType::Float64 => {
            Some(Box::new(Numbers { column, data_type, better, best: Vec::new() }))
        }
        _ if is_whole(&data_type) => Some(Box::new(Numbers { column, data_type, better, best: Vec::new() })),
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => {
            Some(Box::new(Texts { column, data_type, better, best: Vec::new(), kept: 0 }))
        }
        _ => None,
    }
}

#[derive(Debug)]
struct Numbers {
    column: usize,
    data_type: DataType,
    /// How a value compares with the best one so far if it is better.
    better: Ordering,
    best: Vec<Option<i128>>,
}

impl Numbers {
    fn offer(best: &mut [Option<i128>], better: Ordering, slot: u32, value: i128) {
        if let Some(best) = best.get_mut(slot as usize)
            && best.is_none_or(|best| value.cmp(&best) == better)
        {
            *best = Some(value);
        }
    }
}

impl Accumulator for Numbers {
    fn resize(&mut self, slots: usize) {
        self.best.resize(slots, None);
    }

    fn update(&mut self, taken: Taken<'_>) -> Result<(), StreamError> {
        let Some(column) = taken.rows.columns().get(self.column) else { return Ok(()) };
        let (best, better) = (&mut self.best, self.better);
        let mut offer = |row: usize, value: i128| {
            if let Some(slot) = taken.slots.get(row) {
                Self::offer(best, better, *slot, value);
            }
        };
        match &self.data_type {
            DataType::Boolean => {
                let values = column.as_boolean().iter().enumerate();
                values.for_each(|(row, value)| {
                    value.into_iter().for_each(|value| offer(row, i128::from(value)));
                });
            }
            DataType::Float32 | DataType::Float64 => {
                each_float(column, |row, value| offer(row, i128::from(of_float(value))));
            }
            _ => each_whole(column, offer),
        }
        Ok(())
    }

    fn merge(&mut self, into: u32, from: u32) -> Result<(), StreamError> {
        if let Some(value) = self.best.get(from as usize).copied().flatten() {
            Self::offer(&mut self.best, self.better, into, value);
        }
        Ok(())
    }

    fn reset(&mut self, slot: u32) {
        if let Some(best) = self.best.get_mut(slot as usize) {
            *best = None;
        }
    }

    fn results(&self, slots: &[u32], _: &[i64]) -> Result<Results, StreamError> {
        let values = slots.iter().map(|slot| self.best.get(*slot as usize).copied().flatten());
        let values = array_of(&self.data_type, values);
        let values = values.ok_or(StreamError::Damaged { reason: "an extreme is of no number" })?;
        Ok(Results { values, outgrown: Vec::new() })
    }

    fn bytes(&mut self) -> usize {
        self.best.capacity() * size_of::<Option<i128>>()
    }

    fn write(&self, slot: u32, out: &mut Writer) {
        let best = self.best.get(slot as usize).copied().flatten();
        out.flag(best.is_some());
        if let Some(best) = best {
            out.i128(best);
        }
    }

    fn read(&mut self, slot: u32, input: &mut Reader<'_>) -> Result<(), StreamError> {
        let best = if input.flag()? { Some(input.i128()?) } else { None };
        if let Some(slot) = self.best.get_mut(slot as usize) {
            *slot = best;
        }
        Ok(())
    }
}

#[derive(Debug)]
struct Texts {
    column: usize,
    data_type: DataType,
    better: Ordering,
    best: Vec<Option<Box<[u8]>>>,
    /// The bytes of all best values.
    kept: usize,
}

impl Texts {
    fn offer(&mut self, slot: u32, value: &[u8]) {
        if let Some(best) = self.best.get_mut(slot as usize)
            && best.as_ref().is_none_or(|best| value.cmp(best) == self.better)
        {
            self.kept += value.len();
            self.kept -= best.as_ref().map_or(0, |best| best.len());
            *best = Some(value.into());
        }
    }
}

impl Accumulator for Texts {
    fn resize(&mut self, slots: usize) {
        self.best.resize(slots, None);
    }

    fn update(&mut self, taken: Taken<'_>) -> Result<(), StreamError> {
        let Some(column) = taken.rows.columns().get(self.column) else { return Ok(()) };
        let column = cast(column, &DataType::LargeBinary).map_err(StreamError::arrow("read texts"))?;
        let values = column.as_binary::<i64>();
        for (value, slot) in values.iter().zip(taken.slots) {
            if let Some(value) = value {
                self.offer(*slot, value);
            }
        }
        Ok(())
    }

    fn merge(&mut self, into: u32, from: u32) -> Result<(), StreamError> {
        if let Some(value) = self.best.get(from as usize).cloned().flatten() {
            self.offer(into, &value);
        }
        Ok(())
    }

    fn reset(&mut self, slot: u32) {
        if let Some(best) = self.best.get_mut(slot as usize).and_then(Option::take) {
            self.kept -= best.len();
        }
    }

    fn results(&self, slots: &[u32], _: &[i64]) -> Result<Results, StreamError> {
        let values = slots.iter().map(|slot| self.best.get(*slot as usize).and_then(Option::as_deref));
        let text = matches!(self.data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View);
        let array: ArrayRef = if text {
            let texts: Result<Vec<Option<&str>>, _> =
                values.map(|value| value.map(std::str::from_utf8).transpose()).collect();
            Arc::new(StringArray::from(texts.map_err(|_| StreamError::damaged("a text is none"))?))
        } else {
            Arc::new(values.collect::<BinaryArray>())
        };
        let values = cast(&array, &self.data_type).map_err(StreamError::arrow("build texts"))?;
        Ok(Results { values, outgrown: Vec::new() })
    }

    fn bytes(&mut self) -> usize {
        self.best.capacity() * size_of::<Option<Box<[u8]>>>() + self.kept
    }

    fn write(&self, slot: u32, out: &mut Writer) {
        let best = self.best.get(slot as usize).and_then(Option::as_deref);
        out.flag(best.is_some());
        if let Some(best) = best {
            out.block(best);
        }
    }

    fn read(&mut self, slot: u32, input: &mut Reader<'_>) -> Result<(), StreamError> {
        self.reset(slot);
        if input.flag()? {
            let value = input.block()?;
            self.offer(slot, value);
        }
        Ok(())
    }
}
