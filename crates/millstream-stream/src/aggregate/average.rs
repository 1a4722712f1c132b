//! Means.

use arrow::datatypes::{DECIMAL128_MAX_PRECISION, DataType, i256};

use super::{
    Accumulator, Results, Taken,
    sum::{Terms, fits_decimal, float_results, whole_results},
};
use crate::{
    StreamError,
    state::{Reader, Writer},
};

/// How many more digits than the values the mean of decimals has, as in SQL.
const MORE_DIGITS: u8 = 4;

#[derive(Debug)]
pub(super) struct Average {
    terms: Terms,
    output: DataType,
    /// By how many powers of ten a sum of decimals is scaled up before it is divided.
    more: u32,
}

impl Average {
    pub(super) fn new(column: usize, data_type: &DataType) -> Option<Self> {
        let terms = Terms::new(column, data_type)?;
        let (output, more) = match data_type {
            DataType::Decimal128(precision, scale) => {
                let digits = precision.saturating_add(MORE_DIGITS).min(DECIMAL128_MAX_PRECISION);
                let places = scale.saturating_add(MORE_DIGITS.cast_signed()).min(digits.cast_signed());
                (DataType::Decimal128(digits, places), u32::try_from(places.checked_sub(*scale)?).ok()?)
            }
            _ => (DataType::Float64, 0),
        };
        Some(Self { terms, output, more })
    }

    pub(super) fn output(&self) -> &DataType {
        &self.output
    }

    /// The mean of decimals, cut off behind its last digit.
    fn decimal(&self, slot: u32, count: u64, precision: u8) -> Option<i128> {
        let sum = i256::from_i128(self.terms.totals.whole(slot)?);
        let scaled = sum.checked_mul(i256::from_i128(10_i128.checked_pow(self.more)?))?;
        let mean = scaled.checked_div(i256::from_i128(i128::from(count)))?.to_i128()?;
        fits_decimal(mean, precision).then_some(mean)
    }
}

impl Accumulator for Average {
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
        let counts = slots.iter().map(|slot| (*slot, self.terms.totals.count(*slot)));
        if let DataType::Decimal128(precision, _) = self.output {
            return whole_results(
                &self.output,
                counts.map(|(slot, count)| match count {
                    0 => Ok(None),
                    _ => self.decimal(slot, count, precision).map(Some).ok_or(()),
                }),
            );
        }
        let totals = &self.terms.totals;
        Ok(float_results(counts.map(|(slot, count)| (count > 0).then(|| totals.sum(slot).over(count)))))
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
