//! Numbers: as floats, with parameters from the finite values of the training rows.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array},
    compute::cast,
    datatypes::{DataType, Float64Type},
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

use super::{Cuts, Limits};
use crate::{
    FeatureError,
    aggregate::{Aggregate, Aggregation, Finish, Order, Value, ValueRef, between},
};

/// A float that is written as its shortest text, which every reader reads back to the same bits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Exact(pub(super) f64);

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format!("{:?}", self.0))
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value: f64 = String::deserialize(deserializer)?.parse().map_err(D::Error::custom)?;
        if value.is_finite() { Ok(Self(value)) } else { Err(D::Error::custom("a parameter is not finite")) }
    }
}

fn numbers(encoding: &'static str, column: &ArrayRef) -> Result<Float64Array, FeatureError> {
    if !column.data_type().is_numeric() {
        return Err(FeatureError::EncodingType { encoding, data_type: column.data_type().clone() });
    }
    as_floats(column)
}

fn as_floats(column: &ArrayRef) -> Result<Float64Array, FeatureError> {
    let floats = cast(column, &DataType::Float64).map_err(FeatureError::arrow("read numbers"))?;
    Ok(floats.as_primitive::<Float64Type>().clone())
}

/// A target as numbers; true is 1.
pub(super) fn target(encoding: &'static str, target: &ArrayRef) -> Result<Float64Array, FeatureError> {
    let data_type = target.data_type();
    if !data_type.is_numeric() && *data_type != DataType::Boolean {
        return Err(FeatureError::NoTarget { encoding });
    }
    as_floats(target)
}

/// The finite values of the training rows, ascending.
pub(super) fn training(
    encoding: &'static str,
    column: &ArrayRef,
    training: &BooleanArray,
) -> Result<Vec<f64>, FeatureError> {
    let numbers = numbers(encoding, column)?;
    let rows = numbers.iter().zip(training).filter(|(_, is_training)| *is_training == Some(true));
    let mut values: Vec<f64> =
        rows.filter_map(|(value, _)| value.filter(|value| value.is_finite())).collect();
    values.sort_unstable_by(f64::total_cmp);
    Ok(values)
}

/// The value at a quantile, interpolated between its neighbours. None without values.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place lies between 0 and the length"
)]
fn quantile(sorted: &[f64], q: f64) -> Option<f64> {
    let position = q * (sorted.len().checked_sub(1)? as f64);
    let (below, part) = (position.floor(), position.fract());
    let low = *sorted.get(below as usize)?;
    let high = *sorted.get(below as usize + 1).unwrap_or(&low);
    Some(between(low, high, part))
}

#[allow(clippy::cast_precision_loss, reason = "a share of a few quantiles")]
pub(super) fn edges(cuts: &Cuts, sorted: &[f64]) -> Option<Vec<Exact>> {
    let mut edges = match cuts {
        Cuts::Edges(edges) => edges.clone(),
        Cuts::Quantiles(count) => {
            let at = |part: usize| quantile(sorted, part as f64 / *count as f64);
            (1..*count).map(at).collect::<Option<Vec<_>>>()?
        }
    };
    edges.dedup();
    Some(edges.into_iter().map(Exact).collect())
}

pub(super) fn limits(limits: &Limits, sorted: &[f64]) -> Option<(Option<Exact>, Option<Exact>)> {
    match limits {
        Limits::Bounds { low, high } => Some((low.map(Exact), high.map(Exact))),
        Limits::Quantiles { low, high } => {
            let (low, high) = (quantile(sorted, *low)?, quantile(sorted, *high)?);
            Some((Some(Exact(low)), Some(Exact(high))))
        }
    }
}

/// Mean and standard deviation of the whole; the latter is 0 for a constant. None without values, and where they do not
/// fit a float.
#[allow(clippy::cast_precision_loss, reason = "a count of rows in a formula of floats")]
pub(super) fn mean_and_deviation(values: &[f64]) -> Result<Option<(Exact, Exact)>, FeatureError> {
    let of = |aggregation: Aggregation| -> Result<Option<f64>, FeatureError> {
        let mut state = aggregation.identity();
        values.iter().for_each(|value| state.add(Order::default(), ValueRef::Float(*value)));
        let finish = Finish::new(&aggregation, Some(&DataType::Float64), None)?;
        Ok(match finish.value(&state, 0) {
            Ok(Value::Float(value)) if value.is_finite() => Some(value),
            _ => None,
        })
    };
    let Some(mean) = of(Aggregation::Mean)? else { return Ok(None) };
    let rows = values.len() as f64;
    let deviation = match of(Aggregation::Variance)? {
        Some(variance) => (variance * (rows - 1.0) / rows).sqrt(),
        None if values.len() == 1 => 0.0,
        None => return Ok(None),
    };
    Ok(Some((Exact(mean), Exact(deviation))))
}

pub(super) fn standard(value: f64, mean: f64, deviation: f64) -> f64 {
    match deviation {
        _ if value.is_nan() => value,
        0.0 => 0.0,
        _ => (value - mean) / deviation,
    }
}

pub(super) fn clipped(value: f64, low: Option<Exact>, high: Option<Exact>) -> f64 {
    let value = low.map_or(value, |low| if value < low.0 { low.0 } else { value });
    high.map_or(value, |high| if value > high.0 { high.0 } else { value })
}

/// Each value mapped to another or to null.
pub(super) fn map(
    encoding: &'static str,
    column: &ArrayRef,
    mapped: impl Fn(f64) -> Option<f64>,
) -> Result<ArrayRef, FeatureError> {
    let numbers = numbers(encoding, column)?;
    Ok(floats(numbers.iter().map(|value| value.and_then(&mapped))))
}

/// The number of edges up to each value.
pub(super) fn buckets(
    encoding: &'static str,
    column: &ArrayRef,
    edges: Option<&[Exact]>,
) -> Result<ArrayRef, FeatureError> {
    let bucket = |value: f64| {
        let edges = edges.filter(|_| !value.is_nan())?;
        i64::try_from(edges.partition_point(|edge| edge.0 <= value)).ok()
    };
    let buckets: Int64Array = numbers(encoding, column)?.iter().map(|value| value.and_then(bucket)).collect();
    Ok(Arc::new(buckets))
}

pub(super) fn floats(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(values.collect::<Float64Array>())
}
