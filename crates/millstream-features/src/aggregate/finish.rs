//! From a state to its value.

use arrow::datatypes::DataType;

use super::{
    Aggregate, Aggregation, State,
    column::Kind,
    micros,
    state::Kinds,
    sum::Sum,
    value::{Value, ValueRef},
};
use crate::FeatureError;

/// A sum that its type cannot hold, or more different values than are kept: not a value, and no null either, as a default
/// would stand for that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Outgrown;

/// How the state of one aggregation over one column is read.
#[derive(Debug, Clone)]
pub(crate) struct Finish {
    pub(crate) aggregation: Aggregation,
    pub(crate) output: DataType,
    /// The scale of the column if it is of decimals, else 0.
    pub(crate) scale: i8,
    decimal: bool,
    float: bool,
    /// Length of the window in microseconds, for `rate`.
    length: Option<u64>,
}

impl Finish {
    pub(crate) fn new(
        aggregation: &Aggregation,
        input: Option<&DataType>,
        length: Option<u64>,
    ) -> Result<Self, FeatureError> {
        if matches!(aggregation, Aggregation::Rate { .. }) && length.is_none() {
            let reason = "a rate needs a window";
            return Err(FeatureError::Parameter { aggregation: aggregation.name(), reason });
        }
        let kind = input.and_then(Kind::of);
        let scale = match kind {
            Some(Kind::Decimal { scale }) => scale,
            _ => 0,
        };
        Ok(Self {
            output: aggregation.output_type(input)?,
            aggregation: aggregation.clone(),
            scale,
            decimal: matches!(kind, Some(Kind::Decimal { .. })),
            float: kind == Some(Kind::Float),
            length,
        })
    }

    /// The value at time `at` (microseconds).
    ///
    /// # Errors
    ///
    /// The state is beyond what the value can hold.
    pub(crate) fn value(&self, state: &State, at: i64) -> Result<Value, Outgrown> {
        let scale = self.scale;
        let float = |value: Option<f64>| value.map_or(Value::Null, Value::Float);
        Ok(match (&self.aggregation, &state.0) {
            (_, Kinds::Count(count)) => Value::Int(i64::try_from(count.rows).unwrap_or(i64::MAX)),
            (Aggregation::Mean, Kinds::Sum(sum)) => float(sum.mean(scale)),
            (Aggregation::Rate { per }, Kinds::Sum(sum)) => {
                let per = micros(*per).unsigned_abs();
                float(self.length.and_then(|length| sum.quotient(per, length, scale)))
            }
            (_, Kinds::Sum(sum)) => self.sum(sum)?,
            (_, Kinds::Extreme(extreme)) => extreme.best.clone().unwrap_or(Value::Null),
            (Aggregation::First | Aggregation::Last, Kinds::Ends(ends)) => {
                ends.kept.first().map_or(Value::Null, |(_, value)| value.clone())
            }
            (_, Kinds::Ends(ends)) => list(ends.kept.iter().map(|(_, value)| value)),
            (Aggregation::Variance, Kinds::Moments(moments)) => float(moments.variance(scale)),
            (Aggregation::StandardDeviation, Kinds::Moments(moments)) => {
                float(moments.variance(scale).map(f64::sqrt))
            }
            (Aggregation::Skewness, Kinds::Moments(moments)) => float(moments.skewness()),
            (_, Kinds::Moments(moments)) => float(moments.kurtosis()),
            (_, Kinds::Distinct(distinct)) => {
                Value::Int(i64::try_from(distinct.count().ok_or(Outgrown)?).unwrap_or(i64::MAX))
            }
            (_, Kinds::Approximate(distinct)) => {
                Value::Int(i64::try_from(distinct.estimate()).unwrap_or(i64::MAX))
            }
            (Aggregation::Quantile(q), Kinds::Quantile(quantile)) => {
                float(quantile.at(*q).map(|value| value / 10_f64.powi(i32::from(scale))))
            }
            (_, Kinds::Top(top)) => list(top.kept.iter()),
            (_, Kinds::Frequent(frequent)) => frequent.value()?.unwrap_or(Value::Null),
            (_, Kinds::Histogram(histogram)) if histogram.counts.iter().all(|count| *count == 0) => {
                Value::Null
            }
            (_, Kinds::Histogram(histogram)) => {
                let count = |count: &u64| Value::Int(i64::try_from(*count).unwrap_or(i64::MAX));
                Value::List(histogram.counts.iter().map(count).collect())
            }
            (Aggregation::Trend { per }, Kinds::Trend(trend)) => {
                float(trend.slope(micros(*per).unsigned_abs(), scale))
            }
            (_, Kinds::Recency(recency)) => float(recency.seconds_until(at)),
            (Aggregation::DecayedMean { .. }, Kinds::Decay(decay)) => float(decay.mean(scale)),
            (_, Kinds::Decay(decay)) => float(decay.sum(at, scale)),
            (Aggregation::VectorMean, Kinds::Vectors(vectors)) => vectors.mean().unwrap_or(Value::Null),
            (_, Kinds::Vectors(vectors)) => vectors.sum().unwrap_or(Value::Null),
            // The state belongs to another aggregation.
            (_, Kinds::Quantile(_) | Kinds::Trend(_)) => Value::Null,
        })
    }

    fn sum(&self, sum: &Sum) -> Result<Value, Outgrown> {
        if sum.count == 0 {
            return Ok(Value::Null);
        }
        if self.float {
            return Ok(Value::Float(sum.sum.value()));
        }
        let whole = sum.sum.fixed().to_i128().ok_or(Outgrown)?;
        if self.decimal {
            return if fits_decimal(whole) { Ok(Value::Decimal(whole)) } else { Err(Outgrown) };
        }
        i64::try_from(whole).map(Value::Int).map_err(|_| Outgrown)
    }
}

/// Whether an unscaled number has at most 38 digits.
pub(crate) fn fits_decimal(value: i128) -> bool {
    value.unsigned_abs() < 10_u128.pow(38)
}

fn list<'a>(values: impl Iterator<Item = &'a Value>) -> Value {
    let values: Vec<_> = values.cloned().collect();
    if values.is_empty() { Value::Null } else { Value::List(values) }
}

/// `ratio` of two values as floats: null when one is null or the divisor is zero.
pub(crate) fn ratio(numerator: ValueRef<'_>, denominator: ValueRef<'_>, scales: [i8; 2]) -> Option<f64> {
    let [above, below] = [(numerator, scales[0]), (denominator, scales[1])]
        .map(|(value, scale)| value.as_float().map(|value| value / 10_f64.powi(i32::from(scale))));
    below.filter(|below| *below != 0.0).and_then(|below| Some(above? / below))
}

/// What `later` has more than what is in `both` beside it: null when both are null, a null beside a number is zero.
pub(crate) fn change(later: ValueRef<'_>, both: ValueRef<'_>, scales: [i8; 2]) -> Option<f64> {
    let [later, both] = [(later, scales[0]), (both, scales[1])]
        .map(|(value, scale)| value.as_float().map(|value| value / 10_f64.powi(i32::from(scale))));
    let both = both?;
    let later = later.unwrap_or(0.0);
    Some(later - (both - later))
}
