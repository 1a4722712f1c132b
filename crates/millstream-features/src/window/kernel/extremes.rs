//! `min` and `max` of whole numbers and floats from the extremes of blocks.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Float64Array, Int64Array},
    buffer::BooleanBuffer,
};

use super::{
    super::{
        entity_group::EntityGroup,
        layout::Read,
        seen::{Run, Seen},
    },
    Input,
    totals::{counted, running_count},
};
use crate::{
    FeatureError,
    aggregate::{Column, Data, build},
};

/// The number of rows in a block of the first level, and of blocks in a block of the next level.
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

pub(super) fn extreme(
    group: &mut EntityGroup<'_>,
    input: Input,
    seen: &Seen,
    greatest: bool,
    read: &Read,
) -> Result<Option<ArrayRef>, FeatureError> {
    let mask = group.mask(input);
    let Some(values) = group.column(input.0) else { return Ok(None) };
    let included = |row: usize| mask.as_ref().is_none_or(|mask| mask.value(row));
    // Turned round for the greatest, so that the smallest is looked for.
    let turned = |key: i64| if greatest { !key } else { key };
    let (keys, counts) = match &values.data {
        Data::Int(array) => {
            let key = |(row, value): (usize, &i64)| if included(row) { turned(*value) } else { i64::MAX };
            let keys = array.values().iter().enumerate().map(key).collect::<Vec<_>>();
            (keys, group.counts(input))
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
    let is_float = matches!(group.column(input.0).map(|column| &column.data), Some(Data::Float(_)));
    let smallest = Smallest::new(keys);
    let found = seen.each().map(|runs| {
        let of = |(low, high): &Run| smallest.of(*low as usize, *high as usize);
        (counted(counts.as_deref(), runs) > 0).then(|| turned(runs.iter().map(of).min().unwrap_or(i64::MAX)))
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
