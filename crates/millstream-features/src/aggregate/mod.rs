//! Aggregations as mergeable states. One file per family, which also says what the family makes of nulls, NaN,
//! infinities and overflow.
//!
//! Every state is a function of the multiset of its events: floats are added exactly, order comes from the total
//! order of events and never from arrival, sketches switch by what they contain. So a value is the same however the
//! input was ordered, cut into hops, or spread over threads and partitions.

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
use serde::{Deserialize, Serialize};

use crate::FeatureError;

pub use state::{STATE_VERSION, State};
pub use value::{Order, Value, ValueRef};

pub(crate) use bytes::{Reader, Writer};
pub(crate) use column::{Column, Data, Kind, build};
pub(crate) use exact::Parts;
pub(crate) use finish::{Finish, Outgrown, fits_decimal, ratio};
pub(crate) use quantile::between;
pub(crate) use recency::seconds;
pub(crate) use short::StateShape;

use column::list_of;
use state::Kinds;

/// Most values that `first_k`, `last_k` and `top_k` keep.
pub const K_MAX: usize = 10_000;
/// Most different values that `distinct` and `most_frequent` can be told to keep.
pub const BOUND_MAX: usize = 1_000_000;
/// Most edges of a histogram.
pub const EDGES_MAX: usize = 1_000;
/// Shortest half-life: with it the exponents of all times of an `i64` stay within an `i32`.
pub const HALF_LIFE_MIN: Span = Span::from_ms(60_000);

/// What to compute of the events in a window. Units and rules are written in the family's file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// Rows, or values that are not null when a column is named.
    Count,
    /// Rows whose boolean column is true.
    CountIf,
    Sum,
    Mean,
    Min,
    Max,
    First,
    Last,
    /// The oldest k values, oldest first.
    FirstK(usize),
    /// The newest k values, newest first.
    LastK(usize),
    Variance,
    StandardDeviation,
    Skewness,
    Kurtosis,
    ApproxDistinct,
    Distinct {
        bound: usize,
    },
    /// Between 0 and 1.
    Quantile(f64),
    TopK(usize),
    MostFrequent {
        bound: usize,
    },
    /// Ascending edges.
    Histogram(Vec<f64>),
    /// The sum of the column, or the number of rows, per length of time.
    Rate {
        per: Span,
    },
    /// The slope of the least-squares line, per length of time.
    Trend {
        per: Span,
    },
    /// Seconds.
    TimeSinceLast,
    DecayedSum {
        half_life: Span,
    },
    DecayedMean {
        half_life: Span,
    },
    VectorSum,
    VectorMean,
}

impl Aggregation {
    /// The word for it in a project file and in messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Count => "count",
            Self::CountIf => "count_if",
            Self::Sum => "sum",
            Self::Mean => "mean",
            Self::Min => "min",
            Self::Max => "max",
            Self::First => "first",
            Self::Last => "last",
            Self::FirstK(_) => "first_k",
            Self::LastK(_) => "last_k",
            Self::Variance => "variance",
            Self::StandardDeviation => "stddev",
            Self::Skewness => "skewness",
            Self::Kurtosis => "kurtosis",
            Self::ApproxDistinct => "approx_distinct",
            Self::Distinct { .. } => "distinct",
            Self::Quantile(_) => "quantile",
            Self::TopK(_) => "top_k",
            Self::MostFrequent { .. } => "most_frequent",
            Self::Histogram(_) => "histogram",
            Self::Rate { .. } => "rate",
            Self::Trend { .. } => "trend",
            Self::TimeSinceLast => "time_since_last",
            Self::DecayedSum { .. } => "decayed_sum",
            Self::DecayedMean { .. } => "decayed_mean",
            Self::VectorSum => "vector_sum",
            Self::VectorMean => "vector_mean",
        }
    }

    /// The state of no events.
    #[must_use]
    pub fn identity(&self) -> State {
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

    /// The type of its values over a column of type `input` (none for rows).
    ///
    /// # Errors
    ///
    /// The aggregation cannot be computed of that type, needs a column, or has a parameter out of range.
    pub fn output_type(&self, input: Option<&DataType>) -> Result<DataType, FeatureError> {
        self.check_parameters()?;
        let aggregation = self.name();
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

    fn check_parameters(&self) -> Result<(), FeatureError> {
        let reason = match self {
            Self::FirstK(k) | Self::LastK(k) | Self::TopK(k) if *k == 0 || *k > K_MAX => {
                "k must be between 1 and 10000"
            }
            Self::Distinct { bound } | Self::MostFrequent { bound } if *bound == 0 || *bound > BOUND_MAX => {
                "the bound must be between 1 and 1000000"
            }
            Self::Quantile(q) if !(0.0..=1.0).contains(q) => "the quantile must be between 0 and 1",
            Self::Histogram(edges) if edges.is_empty() || edges.len() > EDGES_MAX => {
                "a histogram needs between 1 and 1000 edges"
            }
            Self::Histogram(edges)
                if !edges.iter().all(|edge| edge.is_finite())
                    || !edges.iter().zip(edges.iter().skip(1)).all(|(left, right)| left < right) =>
            {
                "the edges must be finite and ascend"
            }
            Self::DecayedSum { half_life } | Self::DecayedMean { half_life }
                if *half_life < HALF_LIFE_MIN =>
            {
                "the half-life must be a minute or longer"
            }
            _ => return Ok(()),
        };
        Err(FeatureError::Parameter { aggregation: self.name(), reason })
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
