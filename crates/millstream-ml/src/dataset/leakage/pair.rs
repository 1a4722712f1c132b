//! One column beside one target, over the rows of the training side.

use std::collections::HashMap;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, Float64Array},
    compute::filter,
    row::{RowConverter, SortField},
};
use xxhash_rust::xxh3::xxh3_64;

use super::{CATEGORIES_MAX, CORRELATION_MIN, Example, Finding, Leak, ROWS_MIN, ROWS_PER_CATEGORY_MIN};
use crate::{
    DatasetError,
    dataset::{
        scalar::scalar,
        statistics::{Together, numbers},
    },
};

/// The training rows of a chunk as all pairs with one target see them.
#[derive(Debug)]
pub(crate) struct TargetChunk {
    /// The number of each row.
    rows: Vec<u64>,
    values: ArrayRef,
    numbers: Option<Float64Array>,
    hashes: Vec<Option<u64>>,
}

impl TargetChunk {
    /// `training` marks the chunk's rows of the training side, `first` is the number of the chunk's first row.
    pub(crate) fn new(column: &ArrayRef, training: &BooleanArray, first: u64) -> Result<Self, DatasetError> {
        let values = filter(column, training).map_err(DatasetError::arrow("choose training rows"))?;
        let rows = training.values().set_indices().map(|row| first + row as u64).collect();
        let (numbers, hashes) = (numbers(&values)?, hashes(&values)?);
        Ok(Self { rows, values, numbers, hashes })
    }
}

/// What is known of a column and a target so far. A relation that one row has disproved is not looked at again.
#[derive(Debug)]
pub(crate) struct Pair {
    name: String,
    target: String,
    together: Together,
    may_equal: bool,
    may_determine: bool,
    /// Which target each value of the column goes with, both as hashes.
    goes_with: HashMap<u64, u64>,
    first_target: Option<u64>,
    /// Whether the target has more than one value where the column has one.
    varies: bool,
    compared: u64,
    example: Option<Example>,
}

impl Pair {
    pub(crate) fn new(name: &str, target: &str, has_same_type: bool) -> Self {
        Self {
            name: name.into(),
            target: target.into(),
            together: Together::default(),
            may_equal: has_same_type,
            may_determine: true,
            goes_with: HashMap::new(),
            first_target: None,
            varies: false,
            compared: 0,
            example: None,
        }
    }

    pub(crate) fn add(
        &mut self,
        column: &ArrayRef,
        training: &BooleanArray,
        target: &TargetChunk,
    ) -> Result<(), DatasetError> {
        let values = filter(column, training).map_err(DatasetError::arrow("choose training rows"))?;
        if let (Some(own), Some(others)) = (numbers(&values)?, &target.numbers) {
            let finite = |(one, other): (Option<f64>, Option<f64>)| {
                Some([one?, other?]).filter(|pair| pair.iter().all(|number| number.is_finite()))
            };
            let pairs: Vec<[f64; 2]> = own.iter().zip(others).filter_map(finite).collect();
            self.together.add(&pairs);
        }
        if self.may_equal || self.may_determine {
            self.compare(&values, &hashes(&values)?, target);
        }
        Ok(())
    }

    fn compare(&mut self, values: &ArrayRef, hashes: &[Option<u64>], target: &TargetChunk) {
        for (at, (own, other)) in hashes.iter().zip(&target.hashes).enumerate() {
            let (Some(own), Some(other)) = (own, other) else { continue };
            self.compared += 1;
            self.varies |= self.first_target.is_some_and(|first| first != *other);
            self.first_target.get_or_insert(*other);
            if self.example.is_none() {
                let row = target.rows.get(at).copied().unwrap_or_default();
                let (value, target) = (scalar(values, at), scalar(&target.values, at));
                self.example = Some(Example { row, value, target });
            }
            self.may_equal &= own == other;
            if self.may_determine {
                self.may_determine = *self.goes_with.entry(*own).or_insert(*other) == *other
                    && self.goes_with.len() <= CATEGORIES_MAX;
                if !self.may_determine {
                    self.goes_with = HashMap::new();
                }
            }
            if !self.may_equal && !self.may_determine {
                return;
            }
        }
    }

    pub(crate) fn finish(self) -> Option<Finding> {
        let values = self.goes_with.len() as u64;
        let correlation = self.together.correlation().filter(|found| found.abs() > CORRELATION_MIN);
        let is_shown = self.compared >= ROWS_MIN && self.varies;
        let target = self.target;
        let (leak, count) = if self.may_equal && is_shown {
            (Leak::EqualsTarget { target }, self.compared)
        } else if let Some(correlation) = correlation.filter(|_| self.together.count >= ROWS_MIN) {
            (Leak::Correlates { target, correlation }, self.together.count)
        } else if self.may_determine && is_shown && self.compared >= ROWS_PER_CATEGORY_MIN * values {
            (Leak::Determines { target, values }, self.compared)
        } else {
            return None;
        };
        Some(Finding { name: self.name, leak, count, example: self.example })
    }
}

/// A hash of each value; none for nulls. Nested values have none.
fn hashes(column: &ArrayRef) -> Result<Vec<Option<u64>>, DatasetError> {
    if column.data_type().is_nested() {
        return Ok(vec![None; column.len()]);
    }
    let rows = RowConverter::new(vec![SortField::new(column.data_type().clone())])
        .and_then(|converter| converter.convert_columns(std::slice::from_ref(column)))
        .map_err(DatasetError::arrow("look at a column's values"))?;
    let nulls = column.logical_nulls();
    let hash = |(at, row): (usize, arrow::row::Row<'_>)| {
        let is_null = nulls.as_ref().is_some_and(|nulls| nulls.is_null(at));
        (!is_null).then(|| xxh3_64(row.data()))
    };
    Ok(rows.iter().enumerate().map(hash).collect())
}
