//! How one operand is computed over ranges of sorted events. Counts and sums come from running totals of whole
//! numbers (floats become whole numbers of a common power of two, where they fit), the first and last value from the
//! neighbouring events, extremes from extremes of blocks; everything else from the states of blocks. Each gives the same
//! bits as the states do.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, Decimal128Array, Float64Array, Int64Array, UInt32Array},
    buffer::BooleanBuffer,
    compute::take,
    datatypes::DataType,
};

use super::{
    layout::{Layout, Read},
    part::{Part, narrow},
    tree::Tree,
};
use crate::{
    FeatureError,
    aggregate::{Aggregation, Column, Data, Parts, build, fits_decimal, seconds},
};

type Bounds = [(u32, u32)];

/// Values of one operand for all labels of the part.
pub(super) fn operand(
    part: &mut Part<'_>,
    layout: &Layout,
    read: &Read,
    bounds: &Bounds,
) -> Result<ArrayRef, FeatureError> {
    let Some(slot) = layout.slots.get(read.slot) else { return Err(FeatureError::Mismatch) };
    let (column, filter) = (slot.column, slot.filter);
    let ordered = !part.has_equal_orders;
    let fast = match &read.finish.aggregation {
        Aggregation::Count => Some(count(part, column, filter, bounds)),
        Aggregation::Sum | Aggregation::Mean | Aggregation::Rate { .. } => {
            sum(part, read, (column, filter), bounds)?
        }
        Aggregation::First if ordered => Some(end(part, (column, filter), bounds, false, read)?),
        Aggregation::Last if ordered => Some(end(part, (column, filter), bounds, true, read)?),
        Aggregation::TimeSinceLast => Some(since_last(part, column, filter, bounds)),
        Aggregation::Min => extreme(part, (column, filter), bounds, false, read)?,
        Aggregation::Max => extreme(part, (column, filter), bounds, true, read)?,
        _ => None,
    };
    match fast {
        Some(values) => Ok(values),
        None => states(part, read, &slot.identity, (column, filter), bounds),
    }
}

/// The flags that are true and not null.
pub(super) fn only_true(flags: &BooleanArray) -> BooleanBuffer {
    match flags.nulls() {
        Some(nulls) => flags.values() & nulls.inner(),
        None => flags.values().clone(),
    }
}

/// How many bits are set before each position; one longer than the mask.
pub(super) fn running_count(mask: &BooleanBuffer) -> Vec<u32> {
    let mut total = 0;
    let mut counts = Vec::with_capacity(mask.len() + 1);
    counts.push(total);
    for set in mask {
        total += u32::from(set);
        counts.push(total);
    }
    counts
}

/// Number of events with a value in a range.
fn counted(counts: Option<&Vec<u32>>, low: u32, high: u32) -> u32 {
    let at = |position: u32| counts.map(|counts| counts.get(position as usize).copied().unwrap_or(0));
    at(high).zip(at(low)).map_or(high - low, |(high, low)| high - low)
}

fn count(part: &mut Part<'_>, column: Option<usize>, filter: Option<usize>, bounds: &Bounds) -> ArrayRef {
    let counts = part.counts(column, filter);
    let count = |(low, high): &(u32, u32)| i64::from(counted(counts.as_deref(), *low, *high));
    Arc::new(bounds.iter().map(count).collect::<Vec<_>>().into_iter().map(Some).collect::<Int64Array>())
}

/// Running sums of a column: after each event, the sum so far as a whole number times `2^exponent`. Differences of two
/// are exact, also when the running sum itself has wrapped around.
pub(super) struct Prefix {
    sums: Vec<i128>,
    exponent: i32,
}

impl Prefix {
    /// None when the column is not of numbers, has values that are not finite, or spans too many powers of two.
    pub(super) fn new(column: &Column, mask: Option<&BooleanBuffer>) -> Option<Self> {
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

    fn sum(&self, low: u32, high: u32) -> i128 {
        let at = |position: u32| self.sums.get(position as usize).copied().unwrap_or(0);
        at(high).wrapping_sub(at(low))
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

#[allow(clippy::cast_precision_loss)]
fn sum(
    part: &mut Part<'_>,
    read: &Read,
    (column, filter): (Option<usize>, Option<usize>),
    bounds: &Bounds,
) -> Result<Option<ArrayRef>, FeatureError> {
    let Some(prefix) = part.prefix(column, filter) else { return Ok(None) };
    let counts = part.counts(column, filter);
    let sums = bounds.iter().map(|(low, high)| {
        let count = counted(counts.as_deref(), *low, *high);
        (count > 0).then(|| (prefix.sum(*low, *high), count))
    });
    let power = 2_f64.powi(prefix.exponent);
    let ten = 10_u128.checked_pow(u32::try_from(read.finish.scale).unwrap_or(0));
    let float = |array: Float64Array| -> ArrayRef { Arc::new(array) };
    Ok(Some(match (&read.finish.aggregation, &read.finish.output) {
        (Aggregation::Mean, _) => {
            // The same two roundings as the quotient of two exact numbers.
            let Some(ten) = ten.filter(|ten| *ten < 1 << 90) else { return Ok(None) };
            float(
                sums.map(|sum| sum.map(|(sum, n)| sum as f64 / (u128::from(n) * ten) as f64 * power))
                    .collect(),
            )
        }
        (Aggregation::Rate { .. }, _) => return Ok(None),
        (_, DataType::Float64) => float(sums.map(|sum| sum.map(|(sum, _)| sum as f64 * power)).collect()),
        (_, DataType::Decimal128(precision, scale)) => {
            let sums = sums.map(|sum| sum.map(|(sum, _)| sum).filter(|sum| fits_decimal(*sum)));
            let array = sums.collect::<Decimal128Array>().with_precision_and_scale(*precision, *scale);
            Arc::new(array.map_err(FeatureError::arrow("build a decimal"))?)
        }
        _ => {
            Arc::new(sums.map(|sum| sum.and_then(|(sum, _)| i64::try_from(sum).ok())).collect::<Int64Array>())
        }
    }))
}

/// For each range its first or last event with a value.
fn end_indices(
    part: &mut Part<'_>,
    column: Option<usize>,
    filter: Option<usize>,
    bounds: &Bounds,
    newest: bool,
) -> UInt32Array {
    let Some(mask) = part.mask(column, filter) else {
        let index = |(low, high): &(u32, u32)| (low < high).then(|| if newest { high - 1 } else { *low });
        return bounds.iter().map(index).collect();
    };
    let near = nearest(&mask, newest);
    let index = |(low, high): &(u32, u32)| {
        let from = if newest { high.checked_sub(1)? } else { *low };
        near.get(from as usize).copied().filter(|found| low <= found && found < high)
    };
    bounds.iter().map(index).collect()
}

/// For each position the nearest set bit at or before it, or at or after it; `u32::MAX` without one.
fn nearest(mask: &BooleanBuffer, before: bool) -> Vec<u32> {
    let mut found = u32::MAX;
    let mut near = vec![found; mask.len()];
    let mut visit = |row: usize, slot: &mut u32| {
        if mask.value(row) {
            found = narrow(row);
        }
        *slot = found;
    };
    if before {
        near.iter_mut().enumerate().for_each(|(row, slot)| visit(row, slot));
    } else {
        near.iter_mut().enumerate().rev().for_each(|(row, slot)| visit(row, slot));
    }
    near
}

fn end(
    part: &mut Part<'_>,
    (column, filter): (Option<usize>, Option<usize>),
    bounds: &Bounds,
    newest: bool,
    read: &Read,
) -> Result<ArrayRef, FeatureError> {
    let indices = end_indices(part, column, filter, bounds, newest);
    picked(part, column, &indices, &read.finish.output)
}

/// The column's values at the indices.
fn picked(
    part: &Part<'_>,
    column: Option<usize>,
    indices: &UInt32Array,
    output: &DataType,
) -> Result<ArrayRef, FeatureError> {
    let action = "read the values of a feature";
    let taken = match part.column(column).map(|column| &column.data) {
        Some(Data::Int(array)) if array.data_type() == output => take(array, indices, None),
        Some(Data::Float(array)) if array.data_type() == output => take(array, indices, None),
        Some(Data::Text(array)) if array.data_type() == output => take(array, indices, None),
        _ => {
            let value = |index: Option<u32>| {
                index.map_or(crate::aggregate::Value::Null, |index| {
                    part.value(column, index as usize).to_value()
                })
            };
            return build(&indices.iter().map(value).collect::<Vec<_>>(), output);
        }
    };
    taken.map_err(FeatureError::arrow(action))
}

fn since_last(
    part: &mut Part<'_>,
    column: Option<usize>,
    filter: Option<usize>,
    bounds: &Bounds,
) -> ArrayRef {
    let indices = end_indices(part, column, filter, bounds, true);
    let since = |(index, at): (Option<u32>, &i64)| {
        index.and_then(|index| part.times.get(index as usize)).map(|time| seconds(*at, *time))
    };
    Arc::new(indices.iter().zip(&part.label_times).map(since).collect::<Float64Array>())
}

/// Rows in a block of the first level, blocks in one of the next.
const BLOCK: usize = 64;
const LEVELS: usize = 3;

/// Smallest keys of aligned blocks, level by level.
struct Smallest {
    levels: Vec<Vec<i64>>,
}

impl Smallest {
    fn new(keys: Vec<i64>) -> Self {
        let mut levels = vec![keys];
        for level in 0..LEVELS {
            let blocks = levels.get(level).map_or(&[][..], |keys| keys.as_slice()).chunks(BLOCK);
            levels.push(blocks.map(|block| block.iter().copied().min().unwrap_or(i64::MAX)).collect());
        }
        Self { levels }
    }

    fn of(&self, mut low: usize, mut high: usize) -> i64 {
        let mut smallest = i64::MAX;
        for (level, keys) in self.levels.iter().enumerate() {
            let (first, last) = (low.div_ceil(BLOCK), high / BLOCK);
            let whole = first < last && level < LEVELS;
            let [left, right] =
                if whole { [low..first * BLOCK, last * BLOCK..high] } else { [low..high, 0..0] };
            for range in [left, right] {
                let keys = keys.get(range).unwrap_or(&[]);
                smallest = keys.iter().fold(smallest, |smallest, key| smallest.min(*key));
            }
            if !whole {
                break;
            }
            (low, high) = (first, last);
        }
        smallest
    }
}

/// A float as a whole number of the same order, and back.
fn ordered(bits: i64) -> i64 {
    bits ^ ((bits >> 63).cast_unsigned() >> 1).cast_signed()
}

fn extreme(
    part: &mut Part<'_>,
    (column, filter): (Option<usize>, Option<usize>),
    bounds: &Bounds,
    greatest: bool,
    read: &Read,
) -> Result<Option<ArrayRef>, FeatureError> {
    let mask = part.mask(column, filter);
    let Some(values) = part.column(column) else { return Ok(None) };
    let included = |row: usize| mask.as_ref().is_none_or(|mask| mask.value(row));
    // Turned round for the greatest, so that the smallest is looked for.
    let turned = |key: i64| if greatest { !key } else { key };
    let (keys, counts) = match &values.data {
        Data::Int(array) => {
            let key = |(row, value): (usize, &i64)| if included(row) { turned(*value) } else { i64::MAX };
            let keys = array.values().iter().enumerate().map(key).collect::<Vec<_>>();
            (keys, part.counts(column, filter))
        }
        Data::Float(array) => {
            let counts = |(row, value): (usize, &f64)| included(row) && !value.is_nan();
            let some: BooleanBuffer = array.values().iter().enumerate().map(counts).collect();
            let key = |(row, value): (usize, &f64)| match some.value(row) {
                true => turned(ordered(value.to_bits().cast_signed())),
                false => i64::MAX,
            };
            let keys = array.values().iter().enumerate().map(key).collect::<Vec<_>>();
            (keys, (some.count_set_bits() < some.len()).then(|| Arc::new(running_count(&some))))
        }
        _ => return Ok(None),
    };
    let is_float = matches!(part.column(column).map(|column| &column.data), Some(Data::Float(_)));
    let smallest = Smallest::new(keys);
    let found = bounds.iter().map(|(low, high)| {
        (counted(counts.as_deref(), *low, *high) > 0)
            .then(|| turned(smallest.of(*low as usize, *high as usize)))
    });
    let array: ArrayRef = if is_float {
        Arc::new(
            found
                .map(|key| key.map(|key| f64::from_bits(ordered(key).cast_unsigned())))
                .collect::<Float64Array>(),
        )
    } else {
        Arc::new(found.collect::<Int64Array>())
    };
    if array.data_type() == &read.finish.output {
        return Ok(Some(array));
    }
    let values = Column::new(&array)?;
    let values: Vec<_> = (0..values.len()).map(|row| values.value(row).to_value()).collect();
    build(&values, &read.finish.output).map(Some)
}

/// Any aggregation, from states.
fn states(
    part: &mut Part<'_>,
    read: &Read,
    identity: &crate::aggregate::State,
    (column, filter): (Option<usize>, Option<usize>),
    bounds: &Bounds,
) -> Result<ArrayRef, FeatureError> {
    let mask = part.mask(column, filter);
    let part = &*part;
    let mut tree = Tree::new(identity, |state, row| {
        if mask.as_ref().is_none_or(|mask| mask.value(row)) {
            state.add(part.order(row), part.value(column, row));
        }
    });
    let values = part.each_range(bounds, |next, time, low, high| {
        if next {
            tree.clear();
        }
        Ok(read.finish.value(&tree.range(low, high)?, time))
    })?;
    build(&values, &read.finish.output)
}
