//! What a column holds, in figures. They are computed in one pass over chunks of a fixed size, so they do not depend on
//! memory, threads or batches.
//!
//! Counts, mean, deviation and ends are exact. Quantiles, bins and the categories of columns with many values are
//! those of a sample once there are more than [`SAMPLE_ROWS`] rows: the same rows for every column, chosen by their
//! number.

mod bins;
mod distinct;
mod moments;
mod observe;

use serde::{Deserialize, Serialize};

use super::scalar::Scalar;

pub(crate) use distinct::Distinct;
pub(crate) use moments::Together;
pub(crate) use observe::{Observer, numbers};

/// About this many rows are sampled for quantiles, bins and frequent categories, if there are more.
pub const SAMPLE_ROWS: u64 = 100_000;
/// Distinct values are counted exactly up to this many.
pub(super) const DISTINCT_MAX: usize = 10_000;
/// The quantiles that are reported.
pub(super) const QUANTILES: [f64; 7] = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99];
/// Bins of a histogram, at most.
pub(super) const BINS: usize = 20;
/// Categories that are named, at most.
pub(super) const CATEGORIES: usize = 20;

/// Figures of one column. What a type does not have, as the mean of texts, is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ColumnStatistics {
    pub rows: u64,
    pub nulls: u64,
    /// NaN and infinities; they are in no mean, deviation, end, quantile or bin.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub not_finite: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub distinct: Option<DistinctCount>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// The standard deviation, with the rows as the whole population.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stddev: Option<f64>,
    /// The number of values that quantiles and bins look at; `None` if they look at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<u64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quantiles: Vec<Quantile>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub histogram: Vec<Bin>,
    /// The most frequent values, most frequent first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Category>,
    /// How the values came about, if the column is a feature.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statuses: Option<StatusCounts>,
}

/// Number of distinct values, nulls left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DistinctCount {
    pub count: u64,
    /// Whether the count is exact rather than an estimate.
    pub exact: bool,
}

/// The value below which this share of the rows lies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Quantile {
    pub quantile: f64,
    pub value: Scalar,
}

/// The rows from one value up to the next one; the last bin includes its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    pub from: Scalar,
    pub to: Scalar,
    pub rows: u64,
}

/// Rows with one value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Category {
    pub value: Scalar,
    pub rows: u64,
}

/// Rows by status.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusCounts {
    pub present: u64,
    pub null: u64,
    pub missing: u64,
    pub expired: u64,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde wants a reference")]
fn is_zero(count: &u64) -> bool {
    *count == 0
}
