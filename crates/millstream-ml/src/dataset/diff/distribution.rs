//! How far the values of a column moved.

use std::collections::BTreeMap;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray},
    buffer::BooleanBuffer,
    compute::{cast, filter},
    datatypes::{DataType, Float64Type},
};

use super::{
    DatasetFile, Shift,
    rows::{batches, only, unreadable},
};
use crate::{
    DatasetError,
    dataset::{hash::chance, scalar::scalar},
};

/// About this many rows of each version are sampled, if there are more.
const ROWS_MAX: f64 = 500_000.0;
/// Bins of a population stability index.
const BINS: usize = 10;
/// Smaller shares count as this one: a share of zero would make the index infinite.
const SHARE_MIN: f64 = 1e-4;
/// Categories that are told apart; the others count as one.
const CATEGORIES_MAX: usize = 10_000;

/// The values of one column in one version.
#[derive(Default)]
struct Values {
    rows: u64,
    nulls: u64,
    /// Finite numbers and times, ascending.
    numbers: Vec<f64>,
    categories: BTreeMap<String, u64>,
}

pub(super) fn shift(before: &DatasetFile, after: &DatasetFile, name: &str) -> Result<Shift, DatasetError> {
    let (old, new) = (values(before, name)?, values(after, name)?);
    let mut shift = Shift {
        name: name.into(),
        nulls: [share(old.nulls, old.rows), share(new.nulls, new.rows)],
        psi: None,
        distance: None,
        mean_shift: None,
    };
    if !old.numbers.is_empty() && !new.numbers.is_empty() {
        shift.psi = Some(index(&shares(&old.numbers, &old.numbers), &shares(&old.numbers, &new.numbers)));
        shift.distance = Some(cumulative_distance(&old.numbers, &new.numbers));
        shift.mean_shift = mean_shift(&old.numbers, &new.numbers);
    } else if !old.categories.is_empty() && !new.categories.is_empty() {
        let (old, new) = category_shares(&old.categories, &new.categories);
        shift.psi = Some(index(&old, &new));
        shift.distance = Some(old.iter().zip(&new).map(|(old, new)| (old - new).abs()).sum::<f64>() / 2.0);
    }
    Ok(shift)
}

#[allow(clippy::cast_precision_loss, reason = "a share of rows, roughly")]
fn values(file: &DatasetFile, name: &str) -> Result<Values, DatasetError> {
    let mut values = Values::default();
    let share = ROWS_MAX / file.manifest.data.rows.max(1) as f64;
    let mut first = 0;
    for batch in batches(file, &[name])? {
        let batch = batch.map_err(|source| unreadable(file, source.into()))?;
        let Some(column) = only(&batch) else { continue };
        let chosen = BooleanBuffer::collect_bool(column.len(), |row| {
            share >= 1.0 || chance(first + row as u64, 0) < share
        });
        first += column.len() as u64;
        let column = filter(column, &BooleanArray::new(chosen, None));
        add(&mut values, &column.map_err(DatasetError::arrow("sample a column"))?)?;
    }
    values.numbers.sort_unstable_by(f64::total_cmp);
    Ok(values)
}

fn add(values: &mut Values, column: &ArrayRef) -> Result<(), DatasetError> {
    values.rows += column.len() as u64;
    values.nulls += column.logical_nulls().map_or(0, |nulls| nulls.null_count() as u64);
    let data_type = column.data_type();
    if data_type.is_numeric() || data_type.is_temporal() {
        let whole = match data_type {
            DataType::Date32 | DataType::Time32(_) => cast(column, &DataType::Int32),
            other if other.is_temporal() => cast(column, &DataType::Int64),
            _ => Ok(column.clone()),
        };
        let floats = whole.and_then(|whole| cast(&whole, &DataType::Float64));
        let floats = floats.map_err(DatasetError::arrow("compare numbers"))?;
        let floats = floats.as_primitive::<Float64Type>().iter().flatten();
        values.numbers.extend(floats.filter(|value| value.is_finite()));
    } else if !data_type.is_nested() {
        for value in (0..column.len()).filter_map(|row| scalar(column, row)) {
            let value = value.to_string();
            let is_known = values.categories.contains_key(&value) || values.categories.len() < CATEGORIES_MAX;
            *values.categories.entry(if is_known { value } else { String::new() }).or_default() += 1;
        }
    }
    Ok(())
}

#[allow(clippy::cast_precision_loss, reason = "a share of rows")]
fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

/// The shares of `values` in the bins between the deciles of `base`; both ascend.
fn shares(base: &[f64], values: &[f64]) -> Vec<f64> {
    let mut edges: Vec<f64> =
        (1..BINS).filter_map(|bin| base.get(base.len() * bin / BINS).copied()).collect();
    edges.dedup();
    let mut ends: Vec<usize> =
        edges.iter().map(|edge| values.partition_point(|value| value < edge)).collect();
    ends.push(values.len());
    let mut start = 0;
    let mut next = |end: usize| share((end - std::mem::replace(&mut start, end)) as u64, values.len() as u64);
    ends.into_iter().map(&mut next).collect()
}

fn category_shares(old: &BTreeMap<String, u64>, new: &BTreeMap<String, u64>) -> (Vec<f64>, Vec<f64>) {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let shares = |counts: &BTreeMap<String, u64>| {
        let rows = counts.values().sum();
        names.iter().map(|name| share(counts.get(*name).copied().unwrap_or_default(), rows)).collect()
    };
    (shares(old), shares(new))
}

/// The population stability index.
fn index(old: &[f64], new: &[f64]) -> f64 {
    let term = |(old, new): (&f64, &f64)| {
        let (old, new) = (old.max(SHARE_MIN), new.max(SHARE_MIN));
        (new - old) * (new / old).ln()
    };
    old.iter().zip(new).map(term).sum()
}

/// The largest distance of two cumulative distributions; both sides ascend.
fn cumulative_distance(old: &[f64], new: &[f64]) -> f64 {
    let (mut at, mut distance) = ([0, 0], 0.0_f64);
    while let (Some(one), Some(other)) = (old.get(at[0]), new.get(at[1])) {
        let value = one.min(*other);
        let passed =
            |values: &[f64], at: usize| values.iter().skip(at).take_while(|other| **other <= value).count();
        at = [at[0] + passed(old, at[0]), at[1] + passed(new, at[1])];
        let shares = [share(at[0] as u64, old.len() as u64), share(at[1] as u64, new.len() as u64)];
        distance = distance.max((shares[0] - shares[1]).abs());
    }
    distance
}

#[allow(clippy::cast_precision_loss, reason = "a count of rows in a mean")]
fn mean_shift(old: &[f64], new: &[f64]) -> Option<f64> {
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    let (before, after) = (mean(old), mean(new));
    let squares: f64 = old.iter().map(|value| (value - before) * (value - before)).sum();
    let deviation = (squares / old.len() as f64).sqrt();
    let shift = (after - before) / deviation;
    shift.is_finite().then_some(shift)
}
