//! Counts and sums as differences of running totals of whole numbers, which are exact.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Decimal128Array, Float64Array, Int64Array},
    buffer::BooleanBuffer,
    datatypes::DataType,
};

use super::{
    super::{
        entity_group::EntityGroup,
        layout::Read,
        seen::{Run, Seen},
    },
    Computed, Input, only_true,
};
use crate::{
    FeatureError,
    aggregate::{Aggregation, Column, Data, Parts, fits_decimal},
};

/// The number of bits that are set before each position; one longer than the mask.
pub(in super::super) fn running_count(mask: &BooleanBuffer) -> Vec<u32> {
    let mut total = 0;
    let mut counts = Vec::with_capacity(mask.len() + 1);
    counts.push(total);
    for set in mask {
        total += u32::from(set);
        counts.push(total);
    }
    counts
}

/// Number of events with a value in these runs; every event has one where there are no counts.
pub(super) fn counted(counts: Option<&Vec<u32>>, runs: &[Run]) -> u32 {
    let at = |position: u32| counts.map(|counts| counts.get(position as usize).copied().unwrap_or(0));
    let of = |(low, high): &Run| at(*high).zip(at(*low)).map_or(high - low, |(high, low)| high - low);
    runs.iter().map(of).sum()
}

fn counts_of(counts: Option<&Vec<u32>>, seen: &Seen) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(seen.each().map(|runs| i64::from(counted(counts, runs)))))
}

pub(super) fn count(group: &mut EntityGroup<'_>, input: Input, seen: &Seen) -> ArrayRef {
    counts_of(group.counts(input).as_deref(), seen)
}

pub(super) fn count_if(group: &mut EntityGroup<'_>, input: Input, seen: &Seen) -> Option<ArrayRef> {
    let mask = group.mask(input);
    let Some(Data::Bool(flags)) = group.column(input.0).map(|column| &column.data) else { return None };
    let flags = only_true(flags);
    let flags = mask.map_or_else(|| flags.clone(), |mask| &flags & mask.as_ref());
    Some(counts_of(Some(&running_count(&flags)), seen))
}

/// Running sums of a column: after each event, the sum so far as a whole number times `2^exponent`. Differences of two
/// are exact, also when the running sum itself has wrapped around.
pub(in super::super) struct Prefix {
    sums: Vec<i128>,
    exponent: i32,
}

impl Prefix {
    /// Sums a column up; none when it is not of numbers, has values that are not finite, or spans too many powers of two.
    pub(in super::super) fn new(column: &Column, mask: Option<&BooleanBuffer>) -> Option<Self> {
        let included = |row: usize| mask.is_none_or(|mask| mask.value(row));
        match &column.data {
            Data::Int(values) => {
                let value = |(row, value): (usize, &i64)| if included(row) { i128::from(*value) } else { 0 };
                Some(Self { sums: running(values.values().iter().enumerate().map(value)), exponent: 0 })
            }
            Data::Decimal(values) => {
                let value = |(row, value): (usize, &i128)| if included(row) { *value } else { 0 };
                let largest = values.values().iter().enumerate().map(value).map(i128::unsigned_abs).max()?;
                (128 - largest.leading_zeros() + bits(values.len()) < 127).then(|| Self {
                    sums: running(values.values().iter().enumerate().map(value)),
                    exponent: 0,
                })
            }
            Data::Float(values) => {
                let value = |(row, value): (usize, &f64)| if included(row) { *value } else { 0.0 };
                let (mut lowest, mut highest) = (i32::MAX, i32::MIN);
                for value in values.values().iter().enumerate().map(value) {
                    let parts = Parts::of(value)?;
                    if parts.mantissa != 0 {
                        // Not the lowest set bit: finding it costs more than the room it saves.
                        lowest = lowest.min(parts.exponent);
                        highest = highest.max(parts.exponent);
                    }
                }
                let exponent = if lowest == i32::MAX { 0 } else { lowest };
                let span = u32::try_from(highest.saturating_sub(exponent).max(0)).ok()?;
                // Away from the ends of the exponents, so that a result is rounded once.
                if span + 53 + bits(values.len()) >= 127 || exponent < -900 || highest > 850 {
                    return None;
                }
                let whole = |value: f64| {
                    let parts = Parts::of(value)?;
                    let shift = u32::try_from(parts.exponent - exponent).unwrap_or(0);
                    let whole = i128::from(parts.mantissa) << shift.min(127);
                    Some(if parts.negative { -whole } else { whole })
                };
                let wholes = values.values().iter().enumerate().map(value);
                Some(Self { sums: running(wholes.map(|value| whole(value).unwrap_or(0))), exponent })
            }
            _ => None,
        }
    }

    fn sum(&self, runs: &[Run]) -> i128 {
        let at = |position: u32| self.sums.get(position as usize).copied().unwrap_or(0);
        let of = |(low, high): &Run| at(*high).wrapping_sub(at(*low));
        runs.iter().map(of).fold(0, i128::wrapping_add)
    }
}

fn bits(rows: usize) -> u32 {
    usize::BITS - rows.leading_zeros()
}

fn running(values: impl Iterator<Item = i128>) -> Vec<i128> {
    let mut total = 0_i128;
    let mut sums = Vec::with_capacity(values.size_hint().0 + 1);
    sums.push(total);
    for value in values {
        total = total.wrapping_add(value);
        sums.push(total);
    }
    sums
}

#[allow(clippy::cast_precision_loss, reason = "the nearest float, as the general state gives")]
pub(super) fn sum(
    group: &mut EntityGroup<'_>,
    read: &Read,
    input: Input,
    seen: &Seen,
) -> Result<Option<Computed>, FeatureError> {
    let Some(prefix) = group.prefix(input) else { return Ok(None) };
    let counts = group.counts(input);
    let sums = seen.each().map(|runs| {
        let count = counted(counts.as_deref(), runs);
        (count > 0).then(|| (prefix.sum(runs), count))
    });
    let power = 2_f64.powi(prefix.exponent);
    let ten = 10_u128.checked_pow(u32::try_from(read.finish.scale).unwrap_or(0));
    let float = |array: Float64Array| Computed::from(Arc::new(array) as ArrayRef);
    Ok(Some(match (&read.finish.aggregation, &read.finish.output) {
        (Aggregation::Mean, _) => {
            // The same two roundings as the quotient of two exact numbers.
            let Some(ten) = ten.filter(|ten| *ten < 1 << 90) else { return Ok(None) };
            float(
                sums.map(|sum| sum.map(|(sum, n)| sum as f64 / (u128::from(n) * ten) as f64 * power))
                    .collect(),
            )
        }
        (_, DataType::Float64) => float(sums.map(|sum| sum.map(|(sum, _)| sum as f64 * power)).collect()),
        (_, DataType::Decimal128(precision, scale)) => {
            let (sums, outgrown) = fitting(sums, |sum| fits_decimal(sum).then_some(sum));
            let array = Decimal128Array::from(sums).with_precision_and_scale(*precision, *scale);
            let values = Arc::new(array.map_err(FeatureError::arrow("build a decimal"))?);
            Computed { values, outgrown }
        }
        _ => {
            let (sums, outgrown) = fitting(sums, |sum| i64::try_from(sum).ok());
            Computed { values: Arc::new(Int64Array::from(sums)), outgrown }
        }
    }))
}

/// The sums as numbers of a type, and where the type cannot hold them; a sum of no events is null.
fn fitting<T>(
    sums: impl Iterator<Item = Option<(i128, u32)>>,
    fit: impl Fn(i128) -> Option<T>,
) -> (Vec<Option<T>>, Vec<u32>) {
    let mut outgrown = Vec::new();
    let fitting = sums.zip(0..).map(|(sum, label)| {
        let (sum, _) = sum?;
        let fitting = fit(sum);
        if fitting.is_none() {
            outgrown.push(label);
        }
        fitting
    });
    (fitting.collect(), outgrown)
}
