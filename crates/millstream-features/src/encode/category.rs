//! Categories: the texts of a column's values.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{Array, ArrayRef, AsArray, BooleanArray, Float64Array, Int64Array, StringArray},
    compute::cast,
    datatypes::{DataType, Float32Type, Float64Type},
};
use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_64;

use super::number::Exact;
use crate::{
    FeatureError,
    aggregate::{Aggregate, Aggregation, Finish, Order, State, Value, ValueRef},
};

/// The type without its encoding: a column of texts may come as any of the types of texts.
pub(super) fn plain_type(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Dictionary(_, values) => plain_type(values),
        DataType::LargeUtf8 | DataType::Utf8View => DataType::Utf8,
        other => other.clone(),
    }
}

/// The values as texts.
fn texts(encoding: &'static str, column: &ArrayRef) -> Result<StringArray, FeatureError> {
    let data_type = plain_type(column.data_type());
    let is_category = match &data_type {
        DataType::Boolean | DataType::Utf8 => true,
        other => other.is_numeric() || other.is_temporal(),
    };
    if !is_category {
        return Err(FeatureError::EncodingType { encoding, data_type });
    }
    let action = "read categories";
    let plain = cast(column, &data_type).map_err(FeatureError::arrow(action))?;
    // Adding zero makes both zeros one.
    let plain: ArrayRef = match &data_type {
        DataType::Float64 => {
            Arc::new(plain.as_primitive::<Float64Type>().unary::<_, Float64Type>(|value| value + 0.0))
        }
        DataType::Float32 => {
            Arc::new(plain.as_primitive::<Float32Type>().unary::<_, Float32Type>(|value| value + 0.0))
        }
        // The text of an instant needs no zone, and finding one by its name would need a table of them.
        DataType::Timestamp(unit, Some(_)) => {
            cast(&plain, &DataType::Timestamp(*unit, None)).map_err(FeatureError::arrow(action))?
        }
        _ => plain,
    };
    let texts = cast(&plain, &DataType::Utf8).map_err(FeatureError::arrow(action))?;
    Ok(texts.as_string::<i32>().clone())
}

/// The categories of the training rows, and how many rows each has.
pub(super) struct Categories(BTreeMap<String, u64>);

impl Categories {
    pub(super) fn count(
        encoding: &'static str,
        column: &ArrayRef,
        training: &BooleanArray,
    ) -> Result<Self, FeatureError> {
        let texts = texts(encoding, column)?;
        let mut counts: HashMap<&str, u64> = HashMap::new();
        for (text, is_training) in texts.iter().zip(training) {
            if let (Some(text), Some(true)) = (text, is_training) {
                *counts.entry(text).or_default() += 1;
            }
        }
        Ok(Self(counts.into_iter().map(|(text, count)| (text.to_owned(), count)).collect()))
    }

    pub(super) fn rows(&self) -> u64 {
        self.0.values().sum()
    }

    pub(super) fn sorted(self) -> Vec<String> {
        self.0.into_keys().collect()
    }

    /// The first of these are the most frequent; equal ones by their texts.
    pub(super) fn most_frequent(&self, most: usize) -> Vec<String> {
        let mut categories: Vec<_> = self.0.iter().collect();
        categories.sort_by(|one, other| other.1.cmp(one.1).then_with(|| one.0.cmp(other.0)));
        categories.into_iter().take(most).map(|(category, _)| category.clone()).collect()
    }

    #[allow(clippy::cast_precision_loss, reason = "a share of rows, rounded once")]
    pub(super) fn shares(&self) -> Vec<(String, Exact)> {
        let rows = self.rows() as f64;
        self.0.iter().map(|(category, count)| (category.clone(), Exact(*count as f64 / rows))).collect()
    }
}

/// Means of a target by category.
pub(super) struct Means {
    pub(super) categories: Vec<(String, Exact)>,
    /// The overall mean of the target; none without a row.
    pub(super) overall: Option<Exact>,
    pub(super) rows: u64,
}

/// Means over the training rows that have a category and a finite target, drawn to the overall mean.
#[allow(clippy::cast_precision_loss, reason = "a count of rows in a mean")]
pub(super) fn means(
    encoding: &'static str,
    column: &ArrayRef,
    target: &Float64Array,
    training: &BooleanArray,
    smoothing: f64,
) -> Result<Means, FeatureError> {
    let texts = texts(encoding, column)?;
    let finish = Finish::new(&Aggregation::Mean, Some(&DataType::Float64), None)?;
    let mean = |state: &State| match finish.value(state, 0) {
        Ok(Value::Float(mean)) => Some(mean),
        _ => None,
    };
    // Sums of states are exact: the order of the rows does not matter.
    let identity = Aggregation::Mean.identity();
    let (mut overall, mut rows) = (identity.clone(), 0_u64);
    let mut by_category: BTreeMap<&str, (State, u64)> = BTreeMap::new();
    for ((text, value), is_training) in texts.iter().zip(target).zip(training) {
        let Some(value) = value.filter(|value| value.is_finite() && is_training == Some(true)) else {
            continue;
        };
        overall.add(Order::default(), ValueRef::Float(value));
        rows += 1;
        if let Some(text) = text {
            let (state, count) = by_category.entry(text).or_insert_with(|| (identity.clone(), 0));
            state.add(Order::default(), ValueRef::Float(value));
            *count += 1;
        }
    }
    let overall = mean(&overall);
    let drawn = |(category, (state, count)): (&str, (State, u64))| {
        let (mean, overall, count) = (mean(&state)?, overall?, count as f64);
        Some((category.to_owned(), Exact((mean * count + overall * smoothing) / (count + smoothing))))
    };
    let categories = by_category.into_iter().filter_map(drawn).collect();
    Ok(Means { categories, overall: overall.map(Exact), rows })
}

/// For each row what is known of its category: none for a null, then none for a category that is not known.
pub(super) fn lookup<'k, T: Copy + 'k>(
    encoding: &'static str,
    column: &ArrayRef,
    known: impl Iterator<Item = (&'k str, T)>,
) -> Result<impl Iterator<Item = Option<Option<T>>>, FeatureError> {
    let texts = texts(encoding, column)?;
    let known: HashMap<&str, T> = known.collect();
    Ok((0..texts.len()).map(move |row| texts.is_valid(row).then(|| known.get(texts.value(row)).copied())))
}

pub(super) fn hashed(
    encoding: &'static str,
    column: &ArrayRef,
    buckets: u32,
) -> Result<ArrayRef, FeatureError> {
    let bucket =
        |text: &str| i64::try_from(xxh3_64(text.as_bytes()) % u64::from(buckets.max(1))).unwrap_or(0);
    let hashed: Int64Array = texts(encoding, column)?.iter().map(|text| text.map(bucket)).collect();
    Ok(Arc::new(hashed))
}
