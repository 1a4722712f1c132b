//! Quantiles and histograms of values in order.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, Float64Array, Int64Array},
    compute::cast,
    datatypes::{DataType, Float64Type},
};

use super::{BINS, Bin, QUANTILES, Quantile};
use crate::{
    DatasetError,
    dataset::scalar::{Scalar, scalar},
};

/// The values at [`QUANTILES`]: values of the column, never between two of them.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place lies between 0 and the length"
)]
pub(super) fn quantiles(sorted: &ArrayRef) -> Vec<Quantile> {
    let last = sorted.len().saturating_sub(1);
    let value = |quantile: f64| {
        let row = (last as f64 * quantile).round() as usize;
        scalar(sorted, row).map(|value| Quantile { quantile, value })
    };
    QUANTILES.into_iter().filter_map(value).collect()
}

/// Bins of equal width; one per value for whole numbers that lie close together.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "the number of a bin, at most twenty"
)]
pub(super) fn histogram(sorted: &ArrayRef) -> Result<Vec<Bin>, DatasetError> {
    let floats = as_floats(sorted)?;
    let (Some(low), Some(high)) = (floats.values().first().copied(), floats.values().last().copied()) else {
        return Ok(Vec::new());
    };
    let width = high - low;
    if !width.is_finite() {
        return Ok(Vec::new());
    }
    let is_by_value = sorted.data_type().is_integer() && width < BINS as f64;
    let (bins, step) = match () {
        () if is_by_value => (width as usize + 1, 1.0),
        () if width == 0.0 => (1, 0.0),
        () => (BINS, width / BINS as f64),
    };
    let mut rows = vec![0_u64; bins];
    for value in floats.values() {
        let bin = if step > 0.0 { ((value - low) / step) as usize } else { 0 };
        if let Some(rows) = rows.get_mut(bin.min(bins - 1)) {
            *rows += 1;
        }
    }
    let edge = |at: usize| if at == bins && !is_by_value { high } else { low + step * at as f64 };
    let edges: Vec<f64> = (0..=bins).map(edge).collect();
    let edges = as_values(&edges, sorted.data_type())?;
    let bins = rows.into_iter().zip(edges.windows(2)).filter_map(|(rows, edges)| {
        let [from, to] = edges else { return None };
        Some(Bin { from: from.clone()?, to: to.clone()?, rows })
    });
    Ok(bins.collect())
}

/// The numbers or times of a column, as floats.
fn as_floats(column: &ArrayRef) -> Result<Float64Array, DatasetError> {
    let failed = DatasetError::arrow("read numbers");
    let plain = match column.data_type() {
        DataType::Date32 => cast(column, &DataType::Int32),
        data_type if data_type.is_temporal() => cast(column, &DataType::Int64),
        _ => Ok(Arc::clone(column)),
    };
    let floats = plain.and_then(|plain| cast(&plain, &DataType::Float64)).map_err(failed)?;
    Ok(floats.as_primitive::<Float64Type>().clone())
}

/// Edges of bins as values of the column: times stay times, numbers become floats.
#[allow(clippy::cast_possible_truncation, reason = "times lie within an i64 as the column's own ends do")]
fn as_values(edges: &[f64], data_type: &DataType) -> Result<Vec<Option<Scalar>>, DatasetError> {
    let array: ArrayRef = if data_type.is_temporal() {
        let whole: ArrayRef =
            Arc::new(Int64Array::from_iter_values(edges.iter().map(|edge| edge.round() as i64)));
        let narrow = match data_type {
            DataType::Date32 => cast(&whole, &DataType::Int32).and_then(|days| cast(&days, data_type)),
            _ => cast(&whole, data_type),
        };
        narrow.map_err(DatasetError::arrow("name the bins of a column"))?
    } else {
        Arc::new(Float64Array::from_iter_values(edges.iter().copied()))
    };
    Ok((0..array.len()).map(|row| scalar(&array, row)).collect())
}
