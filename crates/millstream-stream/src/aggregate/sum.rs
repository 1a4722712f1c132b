//! Sums, and what they share with means.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Float64Array},
    datatypes::{DECIMAL128_MAX_PRECISION, DataType},
};

use super::{
    Accumulator, Results, Taken,
    ordinal::{array_of, each_float, each_whole, is_float, is_whole},
    totals::Totals,
};
use crate::{
    StreamError,
    state::{Reader, Writer},
};

#[derive(Debug)]
pub(super) struct Sum {
    terms: Terms,
    output: DataType,
}

/// The terms of sums and means.
#[derive(Debug)]
pub(super) struct Terms {
    column: usize,
    pub(super) floats: bool,
    pub(super) totals: Totals,
}

impl Terms {
    pub(super) fn new(column: usize, data_type: &DataType) -> Option<Self> {
        let number = is_float(data_type) || (is_whole(data_type) && !data_type.is_temporal());
        number.then(|| Self { column, floats: is_float(data_type), totals: Totals::default() })
    }

    pub(super) fn add(&mut self, taken: Taken<'_>) {
        let Some(column) = taken.rows.columns().get(self.column) else { return };
        let (slots, totals) = (taken.slots, &mut self.totals);
        if self.floats {
            each_float(column, |row, value| {
                if let Some(slot) = slots.get(row) {
                    totals.add_float(*slot, value);
                }
            });
        } else {
            each_whole(column, |row, value| {
                if let Some(slot) = slots.get(row) {
                    totals.add_int(*slot, value);
                }
            });
        }
    }
}

impl Sum {
    pub(super) fn new(column: usize, data_type: &DataType) -> Option<Self> {
        let terms = Terms::new(column, data_type)?;
        let output = match data_type {
            DataType::Decimal128(precision, scale) => {
                DataType::Decimal128(precision.saturating_add(10).min(DECIMAL128_MAX_PRECISION), *scale)
            }
            _ if terms.floats => DataType::Float64,
            _ if data_type.is_unsigned_integer() => DataType::UInt64,
            _ => DataType::Int64,
        };
        Some(Self { terms, output })
    }

    pub(super) fn output(&self) -> &DataType {
        &self.output
    }

    fn fits(&self, value: i128) -> bool {
        match self.output {
            DataType::Decimal128(precision, _) => fits_decimal(value, precision),
            DataType::UInt64 => u64::try_from(value).is_ok(),
            _ => i64::try_from(value).is_ok(),
        }
    }
}

/// Whether an unscaled number has at most `precision` digits.
pub(super) fn fits_decimal(value: i128, precision: u8) -> bool {
    value.unsigned_abs() < 10_u128.pow(u32::from(precision.min(DECIMAL128_MAX_PRECISION)))
}

/// Results of whole numbers; the error of a row says that its value does not fit.
pub(super) fn whole_results(
    output: &DataType,
    values: impl Iterator<Item = Result<Option<i128>, ()>>,
) -> Result<Results, StreamError> {
    let mut outgrown = Vec::new();
    let values = values.enumerate().map(|(row, value)| {
        value.unwrap_or_else(|()| {
            outgrown.push(row);
            None
        })
    });
    let values = array_of(output, values).ok_or(StreamError::Damaged { reason: "a sum is of no number" })?;
    Ok(Results { values, outgrown })
}

pub(super) fn float_results(values: impl Iterator<Item = Option<f64>>) -> Results {
    let values: ArrayRef = Arc::new(values.collect::<Float64Array>());
    Results { values, outgrown: Vec::new() }
}

impl Accumulator for Sum {
    fn resize(&mut self, slots: usize) {
        self.terms.totals.resize(slots);
    }

    fn update(&mut self, taken: Taken<'_>) -> Result<(), StreamError> {
        self.terms.add(taken);
        Ok(())
    }

    fn merge(&mut self, into: u32, from: u32) -> Result<(), StreamError> {
        self.terms.totals.merge(into, from);
        Ok(())
    }

    fn reset(&mut self, slot: u32) {
        self.terms.totals.reset(slot);
    }

    fn results(&self, slots: &[u32], _: &[i64]) -> Result<Results, StreamError> {
        let totals = &self.terms.totals;
        if self.terms.floats {
            let sums = slots.iter().map(|slot| (totals.count(*slot) > 0).then(|| totals.rounded(*slot)));
            return Ok(float_results(sums));
        }
        whole_results(
            &self.output,
            slots.iter().map(|slot| match totals.count(*slot) {
                0 => Ok(None),
                _ => totals.whole(*slot).filter(|sum| self.fits(*sum)).map(Some).ok_or(()),
            }),
        )
    }

    fn bytes(&mut self) -> usize {
        self.terms.totals.bytes()
    }

    fn write(&self, slot: u32, out: &mut Writer) {
        self.terms.totals.write(slot, out);
    }

    fn read(&mut self, slot: u32, input: &mut Reader<'_>) -> Result<(), StreamError> {
        self.terms.totals.read(slot, input)
    }
}
