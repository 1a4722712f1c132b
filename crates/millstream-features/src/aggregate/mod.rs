//! Aggregations as mergeable states. One file per family, which also says what the family makes of nulls, NaN,
//! infinities and overflow.
//!
//! Every state is a function of the multiset of its events: floats are added exactly, order comes from the total
//! order of events and never from arrival, sketches switch by what they contain. So a value is the same however the
//! input was ordered, cut into hops, or spread over threads and partitions.

mod bound;
mod bytes;
mod column;
mod count;
mod decay;
mod distinct;
mod ends;
mod exact;
mod extreme;
mod finish;
mod fixed;
mod frequent;
mod histogram;
mod moments;
mod quantile;
mod recency;
mod short;
mod state;
mod sum;
mod top;
mod trend;
mod value;
mod vector;

use arrow::datatypes::{DataType, Field};
use millstream_types::Span;

use crate::FeatureError;

pub use bound::BoundAggregation;
pub use exact::ExactSum;
pub use millstream_types::Aggregation;
pub use state::{STATE_VERSION, State};
pub use value::{Order, Value, ValueRef};

pub(crate) use bytes::{Reader, Writer};
pub(crate) use column::{Column, Data, Kind, build};
pub(crate) use exact::Parts;
pub(crate) use finish::{Finish, Outgrown, change, fits_decimal, ratio};
pub(crate) use quantile::between;
pub(crate) use recency::seconds;
pub(crate) use short::StateShape;

use column::list_of;
use state::Kinds;

/// How an aggregation is computed.
pub trait Aggregate {
    /// The state of no events.
    fn identity(&self) -> State;

    /// The type of its values over a column of type `input` (none for rows).
    ///
    /// # Errors
    ///
    /// The aggregation cannot be computed of that type, needs a column, or has a parameter out of range.
    fn output_type(&self, input: Option<&DataType>) -> Result<DataType, FeatureError>;
}

impl Aggregate for Aggregation {
    fn identity(&self) -> State {
        let ends = |newest, k| Kinds::Ends(ends::Ends { newest, k, kept: Vec::new() });
        let extreme = |greatest| Kinds::Extreme(extreme::Extreme { greatest, best: None });
        State(match self {
            Self::Count => Kinds::Count(count::Count::default()),
            Self::CountIf => Kinds::Count(count::Count { only_true: true, rows: 0 }),
            Self::Sum | Self::Mean | Self::Rate { .. } => Kinds::Sum(sum::Sum::default()),
            Self::Min => extreme(false),
            Self::Max => extreme(true),
            Self::First => ends(false, 1),
            Self::Last => ends(true, 1),
            Self::FirstK(k) => ends(false, *k),
            Self::LastK(k) => ends(true, *k),
            Self::Variance | Self::StandardDeviation => Kinds::Moments(moments::Moments::new(2)),
            Self::Skewness => Kinds::Moments(moments::Moments::new(3)),
            Self::Kurtosis => Kinds::Moments(moments::Moments::new(4)),
            Self::ApproxDistinct => Kinds::Approximate(distinct::Approximate::default()),
            Self::Distinct { bound } => Kinds::Distinct(distinct::Distinct::new(*bound)),
            Self::Quantile(_) => Kinds::Quantile(quantile::Quantile::default()),
            Self::TopK(k) => Kinds::Top(top::Top { k: *k, kept: Vec::new() }),
            Self::MostFrequent { bound } => Kinds::Frequent(frequent::Frequent::new(*bound)),
            Self::Histogram(edges) => Kinds::Histogram(histogram::Histogram::new(edges)),
            Self::Trend { .. } => Kinds::Trend(trend::Trend::default()),
            Self::TimeSinceLast => Kinds::Recency(recency::Recency::default()),
            Self::DecayedSum { half_life } | Self::DecayedMean { half_life } => {
                Kinds::Decay(decay::Decay::new(micros(*half_life)))
            }
            Self::VectorSum | Self::VectorMean => Kinds::Vectors(vector::Vectors::default()),
        })
    }

    fn output_type(&self, input: Option<&DataType>) -> Result<DataType, FeatureError> {
        let aggregation = self.name();
        if let Some(reason) = self.fault() {
            return Err(FeatureError::Parameter { aggregation, reason });
        }
        let Some(input) = input else {
            return match self {
                Self::Count => Ok(DataType::Int64),
                Self::Rate { .. } | Self::TimeSinceLast => Ok(DataType::Float64),
                _ => Err(FeatureError::NoColumn { aggregation }),
            };
        };
        let unsupported = || FeatureError::Unsupported { aggregation, data_type: input.clone() };
        let kind = Kind::of(input).ok_or_else(unsupported)?;
        let number = kind.is_number();
        let scalar = !matches!(kind, Kind::Vector | Kind::Nested);
        let output = match self {
            Self::Count => Some(DataType::Int64),
            Self::CountIf => (kind == Kind::Bool).then_some(DataType::Int64),
            Self::Sum => match kind {
                Kind::Int => Some(DataType::Int64),
                Kind::Float => Some(DataType::Float64),
                Kind::Decimal { scale } => Some(DataType::Decimal128(38, scale)),
                _ => None,
            },
            Self::Min | Self::Max => scalar.then(|| input.clone()),
            Self::MostFrequent { .. } => (kind != Kind::Vector).then(|| input.clone()),
            Self::First | Self::Last => Some(kept_type(input, kind)),
            Self::FirstK(_) | Self::LastK(_) => Some(list_of(kept_type(input, kind))),
            Self::TopK(_) => scalar.then(|| list_of(input.clone())),
            Self::ApproxDistinct | Self::Distinct { .. } => (kind != Kind::Vector).then_some(DataType::Int64),
            // Edges are floats: they have no scale to compare with a decimal's.
            Self::Histogram(_) => matches!(kind, Kind::Int | Kind::Float).then(|| list_of(DataType::Int64)),
            Self::TimeSinceLast => Some(DataType::Float64),
            Self::VectorSum | Self::VectorMean => (kind == Kind::Vector).then(|| kept_type(input, kind)),
            Self::Mean
            | Self::Variance
            | Self::StandardDeviation
            | Self::Skewness
            | Self::Kurtosis
            | Self::Quantile(_)
            | Self::Rate { .. }
            | Self::Trend { .. }
            | Self::DecayedSum { .. }
            | Self::DecayedMean { .. } => number.then_some(DataType::Float64),
        };
        // A negative scale would need powers of ten on the other side of every quotient.
        let scale_fits = !matches!(kind, Kind::Decimal { scale } if scale < 0);
        output.filter(|_| scale_fits).ok_or_else(unsupported)
    }
}

/// The type in which a value of the column is kept: vectors become vectors of float64.
fn kept_type(input: &DataType, kind: Kind) -> DataType {
    match input {
        DataType::FixedSizeList(field, size) if kind == Kind::Vector => {
            let element = Field::new(field.name(), DataType::Float64, true);
            DataType::FixedSizeList(element.into(), *size)
        }
        _ => input.clone(),
    }
}

/// A length of time in microseconds.
pub(crate) fn micros(span: Span) -> i64 {
    i64::try_from(span.ms()).unwrap_or(i64::MAX).saturating_mul(1_000)
}
