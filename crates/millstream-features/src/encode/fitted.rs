//! An encoding with what it learned from the training rows: applied, named, written and read.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, BooleanArray, Int8Array, Int64Array},
    datatypes::{DataType, Field},
};
use serde::{Deserialize, Deserializer, Serialize};

use super::{
    Encoding,
    category::{self, Categories},
    number::{self, Exact},
};
use crate::FeatureError;

/// Version of the written form of a fitted encoding.
pub const FITTED_VERSION: u8 = 1;

/// An encoding that was fitted. Its JSON carries a version; parameters are written so that they are read back to the bit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    #[serde(deserialize_with = "known_version")]
    version: u8,
    /// The type of the column that the encoding was fitted on, in Arrow's words.
    input: String,
    /// The number of values that the encoding was fitted on.
    values: u64,
    how: How,
}

/// The parameters that an encoding learned from the training rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "encoding")]
enum How {
    /// The categories, the most frequent first.
    OneHot {
        categories: Vec<String>,
    },
    /// The categories in the order of their texts.
    Ordinal {
        categories: Vec<String>,
    },
    Hashing {
        buckets: u32,
    },
    Target {
        categories: Vec<(String, Exact)>,
        overall: Option<Exact>,
    },
    Frequency {
        categories: Vec<(String, Exact)>,
    },
    Log,
    /// The edges of the buckets; none where nothing could be fitted.
    Bucketize {
        edges: Option<Vec<Exact>>,
    },
    Clip {
        limits: Option<(Option<Exact>, Option<Exact>)>,
    },
    Standardise {
        mean_and_deviation: Option<(Exact, Exact)>,
    },
}

fn known_version<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u8, D::Error> {
    match u8::deserialize(deserializer)? {
        FITTED_VERSION => Ok(FITTED_VERSION),
        other => Err(serde::de::Error::custom(format!("version {other} is unknown"))),
    }
}

impl Fitted {
    pub(super) fn fit(
        encoding: &Encoding,
        column: &ArrayRef,
        target: Option<&ArrayRef>,
        training: &BooleanArray,
    ) -> Result<Self, FeatureError> {
        let name = encoding.name();
        let input = category::plain_type(column.data_type()).to_string();
        let (how, values) = match encoding {
            Encoding::OneHot { .. } | Encoding::Ordinal | Encoding::Frequency => {
                let seen = Categories::count(name, column, training)?;
                let rows = seen.rows();
                let how = match encoding {
                    Encoding::OneHot { max_categories } => {
                        How::OneHot { categories: seen.most_frequent(*max_categories) }
                    }
                    Encoding::Ordinal => How::Ordinal { categories: seen.sorted() },
                    _ => How::Frequency { categories: seen.shares() },
                };
                (how, rows)
            }
            Encoding::Hashing { buckets } => {
                let seen = Categories::count(name, column, training)?;
                (How::Hashing { buckets: *buckets }, seen.rows())
            }
            Encoding::Target { smoothing } => {
                let target = target.ok_or(FeatureError::NoTarget { encoding: name })?;
                let target = number::target(name, target)?;
                let means = category::means(name, column, &target, training, *smoothing)?;
                (How::Target { categories: means.categories, overall: means.overall }, means.rows)
            }
            Encoding::Log | Encoding::Bucketize(_) | Encoding::Clip(_) | Encoding::Standardise => {
                let values = number::training(name, column, training)?;
                let how = match encoding {
                    Encoding::Bucketize(cuts) => How::Bucketize { edges: number::edges(cuts, &values) },
                    Encoding::Clip(limits) => How::Clip { limits: number::limits(limits, &values) },
                    Encoding::Standardise => {
                        How::Standardise { mean_and_deviation: number::mean_and_deviation(&values)? }
                    }
                    _ => How::Log,
                };
                (how, values.len() as u64)
            }
        };
        Ok(Self { version: FITTED_VERSION, input, values, how })
    }

    /// The word for the encoding.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.how {
            How::OneHot { .. } => "one_hot",
            How::Ordinal { .. } => "ordinal",
            How::Hashing { .. } => "hashing",
            How::Target { .. } => "target",
            How::Frequency { .. } => "frequency",
            How::Log => "log",
            How::Bucketize { .. } => "bucketize",
            How::Clip { .. } => "clip",
            How::Standardise { .. } => "standardise",
        }
    }

    /// How many values were learned from.
    #[must_use]
    pub fn values(&self) -> u64 {
        self.values
    }

    /// The columns that [`Fitted::apply`] gives for a column of this name: one of the same name, or for one_hot
    /// `name=category` and `name_other`.
    #[must_use]
    pub fn columns(&self, name: &str) -> Vec<Field> {
        let one = |data_type| vec![Field::new(name, data_type, true)];
        match &self.how {
            How::OneHot { categories } => {
                let names = categories.iter().map(|category| format!("{name}={category}"));
                let names = names.chain([format!("{name}_other")]);
                names.map(|name| Field::new(name, DataType::Int8, false)).collect()
            }
            How::Ordinal { .. } | How::Hashing { .. } | How::Bucketize { .. } => one(DataType::Int64),
            How::Target { .. }
            | How::Frequency { .. }
            | How::Log
            | How::Clip { .. }
            | How::Standardise { .. } => one(DataType::Float64),
        }
    }

    /// The columns for these values, in the order of [`Fitted::columns`], as long as the column.
    ///
    /// # Errors
    ///
    /// The column has another type than the one that the encoding was fitted on.
    pub fn apply(&self, column: &ArrayRef) -> Result<Vec<ArrayRef>, FeatureError> {
        let name = self.name();
        if category::plain_type(column.data_type()).to_string() != self.input {
            let (expected, found) = (self.input.clone(), column.data_type().clone());
            return Err(FeatureError::FittedType { encoding: name, expected, found });
        }
        let one = |array: ArrayRef| Ok(vec![array]);
        match &self.how {
            How::OneHot { categories } => one_hot(name, column, categories),
            How::Ordinal { categories } => {
                let place =
                    category::lookup(name, column, categories.iter().map(String::as_str).zip(0_i64..))?;
                one(Arc::new(
                    place.map(|found| found.map(|place| place.unwrap_or(-1))).collect::<Int64Array>(),
                ))
            }
            How::Hashing { buckets } => one(category::hashed(name, column, *buckets)?),
            How::Target { categories, overall } => {
                let known = categories.iter().map(|(category, mean)| (category.as_str(), mean.0));
                let overall = overall.map(|mean| mean.0);
                let means = category::lookup(name, column, known)?;
                one(number::floats(means.map(|found| found.flatten().or(overall))))
            }
            How::Frequency { categories } => {
                let known = categories.iter().map(|(category, share)| (category.as_str(), share.0));
                let shares = category::lookup(name, column, known)?;
                one(number::floats(shares.map(|found| found.map(|share| share.unwrap_or(0.0)))))
            }
            How::Log => one(number::map(name, column, |value| {
                (value.is_nan() || value >= 0.0).then(|| value.ln_1p())
            })?),
            How::Bucketize { edges } => one(number::buckets(name, column, edges.as_deref())?),
            How::Clip { limits } => {
                let Some((low, high)) = limits else { return one(number::map(name, column, |_| None)?) };
                one(number::map(name, column, |value| Some(number::clipped(value, *low, *high)))?)
            }
            How::Standardise { mean_and_deviation } => {
                let fitted = *mean_and_deviation;
                one(number::map(name, column, |value| {
                    let (mean, deviation) = fitted?;
                    Some(number::standard(value, mean.0, deviation.0))
                })?)
            }
        }
    }

    /// The only column that [`Fitted::apply`] gives.
    pub(super) fn apply_one(&self, column: &ArrayRef) -> Result<ArrayRef, FeatureError> {
        let reason = "it gives several columns, so that it must be the last step";
        let several = FeatureError::Encoding { encoding: self.name(), reason };
        // One that has seen no category gives one column, and still stands for several.
        if matches!(self.how, How::OneHot { .. }) {
            return Err(several);
        }
        self.apply(column)?.pop().ok_or(several)
    }

    /// The text that is stored.
    #[must_use]
    pub fn to_json(&self) -> String {
        // Texts and numbers only: there is nothing that JSON cannot hold.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// Reads what [`Fitted::to_json`] of this or an earlier version wrote.
    ///
    /// # Errors
    ///
    /// The text is damaged or of a later version.
    pub fn from_json(text: &str) -> Result<Self, FeatureError> {
        serde_json::from_str(text).map_err(|error| FeatureError::Fitted { reason: error.to_string() })
    }
}

fn one_hot(
    name: &'static str,
    column: &ArrayRef,
    categories: &[String],
) -> Result<Vec<ArrayRef>, FeatureError> {
    let places = category::lookup(name, column, categories.iter().map(String::as_str).zip(0_usize..))?;
    let mut columns = vec![vec![0_i8; column.len()]; categories.len() + 1];
    for (row, place) in places.enumerate() {
        let Some(place) = place else { continue };
        let hot = columns.get_mut(place.unwrap_or(categories.len()));
        if let Some(hot) = hot.and_then(|column| column.get_mut(row)) {
            *hot = 1;
        }
    }
    Ok(columns.into_iter().map(|column| -> ArrayRef { Arc::new(Int8Array::from(column)) }).collect())
}

/// Applies one encoding after the other; without any, the column stays as it is.
///
/// # Errors
///
/// The column is not of the type that the first was fitted on.
pub fn apply_chain(chain: &[Fitted], column: &ArrayRef) -> Result<Vec<ArrayRef>, FeatureError> {
    let Some((last, steps)) = chain.split_last() else { return Ok(vec![column.clone()]) };
    let mut column = column.clone();
    for step in steps {
        column = step.apply_one(&column)?;
    }
    last.apply(&column)
}

/// The columns that [`apply_chain`] gives for a column; without any encoding, the column itself.
#[must_use]
pub fn chain_columns(chain: &[Fitted], column: &Field) -> Vec<Field> {
    chain.last().map_or_else(|| vec![column.clone()], |last| last.columns(column.name()))
}
