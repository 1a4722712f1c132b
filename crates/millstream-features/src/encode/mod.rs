//! Encodings and transforms of features for models: fitted on the training rows only, stored with the dataset, and
//! applied with the same code to training rows and to requests.
//!
//! What has a defined outcome, whatever the encoding: a null is no category and no value; fitting passes over it. Where
//! nothing could be fitted, because there are no training rows or all are null, no category is known, and a transform that
//! needs a fitted parameter gives nulls. [`Fitted::values`] says on how many values an encoding rests.
//!
//! | encoding | null | not seen in training | NaN |
//! |---|---|---|---|
//! | one_hot | all 0 | `other` is 1 | a category |
//! | ordinal | null | -1 | a category |
//! | hashing | null | its bucket | a category |
//! | frequency | null | 0.0 | a category |
//! | target | overall mean | overall mean | a category |
//! | log | null | | NaN; below 0 null |
//! | bucketize | null | | null |
//! | clip, standardise | null | | NaN |
//!
//! Fitting numbers passes over NaN and infinities. Categories are compared by the text of their values; all zeros are
//! one, all NaN too.

mod category;
mod fitted;
mod number;

pub use fitted::{FITTED_VERSION, Fitted, apply_chain, chain_columns};

use arrow::{
    array::{Array, ArrayRef, BooleanArray, new_empty_array},
    datatypes::DataType,
};
use serde::{Deserialize, Serialize};

use crate::FeatureError;

/// The most columns of a one-hot encoding, not counting `other`.
pub const ONE_HOT_MAX: usize = 1_000;
/// The most buckets of a hash encoding.
pub const BUCKETS_MAX: u32 = 1 << 24;
/// The most edges or quantiles of a bucketisation.
pub const EDGES_MAX: usize = 1_000;

/// How a column becomes one or several that a model can take.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encoding {
    /// An int8 of 0 and 1 for each of the most frequent categories, and one for all others.
    OneHot { max_categories: usize },
    /// The place of the category among those seen, in the order of their texts, from 0; int64.
    Ordinal,
    /// The XXH3 hash of the category's text modulo the number of buckets; int64.
    Hashing { buckets: u32 },
    /// The mean of the target over the category's training rows, drawn to the overall mean as if there were `smoothing`
    /// more rows with that; float64.
    Target { smoothing: f64 },
    /// The share of the training rows that have a category, which have this one; float64.
    Frequency,
    /// `ln(1 + x)`; float64.
    Log,
    /// The number of edges up to the value; int64.
    Bucketize(Cuts),
    /// The nearest value within the limits; float64.
    Clip(Limits),
    /// The distance from the mean in standard deviations (of the whole, not of a sample); 0 for a constant; float64.
    Standardise,
}

/// Where buckets end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cuts {
    /// The edges between buckets, ascending.
    Edges(Vec<f64>),
    /// This many buckets of about equal size in training; equal edges fall together.
    Quantiles(usize),
}

/// Between which values a column is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limits {
    Bounds {
        low: Option<f64>,
        high: Option<f64>,
    },
    /// The values at these quantiles of the training rows.
    Quantiles {
        low: f64,
        high: f64,
    },
}

impl Encoding {
    /// The word for the encoding in a project file and in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::OneHot { .. } => "one_hot",
            Self::Ordinal => "ordinal",
            Self::Hashing { .. } => "hashing",
            Self::Target { .. } => "target",
            Self::Frequency => "frequency",
            Self::Log => "log",
            Self::Bucketize(_) => "bucketize",
            Self::Clip(_) => "clip",
            Self::Standardise => "standardise",
        }
    }

    /// Whether the parameters make sense.
    ///
    /// # Errors
    ///
    /// A parameter is out of range.
    pub fn check(&self) -> Result<(), FeatureError> {
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let reason = match self {
            Self::OneHot { max_categories } if !(1..=ONE_HOT_MAX).contains(max_categories) => {
                "it has between 1 and 1000 categories"
            }
            Self::Hashing { buckets } if !(1..=BUCKETS_MAX).contains(buckets) => {
                "it has between 1 and 2^24 buckets"
            }
            Self::Target { smoothing } if !smoothing.is_finite() || *smoothing < 0.0 => {
                "the smoothing is a number of rows, 0 or more"
            }
            Self::Bucketize(Cuts::Edges(edges)) if edges.is_empty() || edges.len() > EDGES_MAX => {
                "it has between 1 and 1000 edges"
            }
            Self::Bucketize(Cuts::Edges(edges))
                if !edges.iter().all(|edge| edge.is_finite())
                    || !edges.is_sorted_by(|left, right| left < right) =>
            {
                "the edges must be finite and ascend"
            }
            Self::Bucketize(Cuts::Quantiles(count)) if !(2..=EDGES_MAX).contains(count) => {
                "it has between 2 and 1000 quantiles"
            }
            Self::Clip(Limits::Bounds { low, high }) if low.or(*high).is_none() => "it needs a bound",
            Self::Clip(Limits::Bounds { low, high })
                if [low, high].into_iter().flatten().any(|bound| !bound.is_finite())
                    || low.zip(*high).is_some_and(|(low, high)| low > high) =>
            {
                "the bounds must be finite and ascend"
            }
            Self::Clip(Limits::Quantiles { low, high }) if !share(*low) || !share(*high) || low > high => {
                "the quantiles must be between 0 and 1 and ascend"
            }
            _ => return Ok(()),
        };
        Err(FeatureError::Encoding { encoding: self.name(), reason })
    }
}

/// Looks at the rows where `training` is true, and at no others.
///
/// # Errors
///
/// A parameter is out of range, the encoding cannot take the column's type, a target is missing, or lengths differ.
pub fn fit(
    encoding: &Encoding,
    column: &ArrayRef,
    target: Option<&ArrayRef>,
    training: &BooleanArray,
) -> Result<Fitted, FeatureError> {
    encoding.check()?;
    for (array, rows) in
        [("training", training.len()), ("target", target.map_or(column.len(), |array| array.len()))]
    {
        if rows != column.len() {
            return Err(FeatureError::Length { array, rows, expected: column.len() });
        }
    }
    Fitted::fit(encoding, column, target, training)
}

/// Fits one encoding after the other, each on what the one before gives. Only the last may give several columns.
///
/// # Errors
///
/// As [`fit`]; and a chain that is empty, or goes on after several columns.
pub fn fit_chain(
    encodings: &[Encoding],
    column: &ArrayRef,
    target: Option<&ArrayRef>,
    training: &BooleanArray,
) -> Result<Vec<Fitted>, FeatureError> {
    let mut fitted = Vec::with_capacity(encodings.len());
    let mut column = column.clone();
    for (at, encoding) in encodings.iter().enumerate() {
        let step = fit(encoding, &column, target, training)?;
        if at + 1 < encodings.len() {
            column = step.apply_one(&column)?;
        }
        fitted.push(step);
    }
    Ok(fitted)
}

/// Whether a chain can take a column and a target of these types. It is fitted on no rows, so that there is one judge.
///
/// # Errors
///
/// As [`fit_chain`].
pub fn check_chain(
    encodings: &[Encoding],
    column: &DataType,
    target: Option<&DataType>,
) -> Result<(), FeatureError> {
    let (column, target) = (new_empty_array(column), target.map(new_empty_array));
    fit_chain(encodings, &column, target.as_ref(), &BooleanArray::from(Vec::<bool>::new())).map(drop)
}
