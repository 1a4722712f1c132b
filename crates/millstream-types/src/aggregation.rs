//! What features compute of the events in a window: the words that projects write, the engine computes and the online store
//! keeps.

use serde::{Deserialize, Serialize};

use crate::Span;

/// The most values that `first_k`, `last_k` and `top_k` can be told to keep.
pub const K_MAX: usize = 10_000;
/// The most different values that `distinct` and `most_frequent` can be told to keep.
pub const BOUND_MAX: usize = 1_000_000;
/// The most edges that a histogram can have.
pub const EDGES_MAX: usize = 1_000;
/// The shortest half-life: with it the exponents of all times that an `i64` holds stay within an `i32`.
pub const HALF_LIFE_MIN: Span = Span::from_ms(60_000);

/// What to compute of the events in a window. `millstream-features` says the units and rules of each.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Aggregation {
    /// The number of rows or, when a column is named, of values that are not null.
    Count,
    /// The number of rows whose boolean column is true.
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
    /// The number of different values, exact as long as there are at most `bound` of them.
    Distinct {
        bound: usize,
    },
    /// The value at this quantile, a number between 0 and 1.
    Quantile(f64),
    /// The greatest k values.
    TopK(usize),
    MostFrequent {
        bound: usize,
    },
    /// The number of values between each two of these edges, which ascend, and beyond the outer ones.
    Histogram(Vec<f64>),
    /// The sum of the column, or the number of rows, per length of time.
    Rate {
        per: Span,
    },
    /// The slope of the least-squares line, per length of time.
    Trend {
        per: Span,
    },
    /// The seconds from the newest event to the time of the read.
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
    /// One aggregation of each kind, with minimal parameters that are valid, in the order in which they are listed to people.
    #[must_use]
    pub fn samples() -> [Self; 27] {
        [
            Self::Count,
            Self::CountIf,
            Self::Sum,
            Self::Mean,
            Self::Min,
            Self::Max,
            Self::First,
            Self::Last,
            Self::FirstK(1),
            Self::LastK(1),
            Self::Variance,
            Self::StandardDeviation,
            Self::Skewness,
            Self::Kurtosis,
            Self::ApproxDistinct,
            Self::Distinct { bound: 1 },
            Self::Quantile(0.0),
            Self::TopK(1),
            Self::MostFrequent { bound: 1 },
            Self::Histogram(vec![0.0]),
            Self::Rate { per: HALF_LIFE_MIN },
            Self::Trend { per: HALF_LIFE_MIN },
            Self::TimeSinceLast,
            Self::DecayedSum { half_life: HALF_LIFE_MIN },
            Self::DecayedMean { half_life: HALF_LIFE_MIN },
            Self::VectorSum,
            Self::VectorMean,
        ]
    }

    /// The aggregation of that name, among those that take nothing but a column.
    #[must_use]
    pub fn simple(name: &str) -> Option<Self> {
        Self::samples()
            .into_iter()
            .find(|aggregation| aggregation.name() == name && !aggregation.has_parameters())
    }

    fn has_parameters(&self) -> bool {
        matches!(
            self,
            Self::FirstK(_)
                | Self::LastK(_)
                | Self::Distinct { .. }
                | Self::Quantile(_)
                | Self::TopK(_)
                | Self::MostFrequent { .. }
                | Self::Histogram(_)
                | Self::Rate { .. }
                | Self::Trend { .. }
                | Self::DecayedSum { .. }
                | Self::DecayedMean { .. }
        )
    }

    /// Whether the aggregation can be computed of rows, without a column.
    #[must_use]
    pub fn takes_rows(&self) -> bool {
        matches!(self, Self::Count | Self::TimeSinceLast | Self::Rate { .. })
    }

    /// The word for the aggregation in a project file and in messages.
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

    /// What is wrong with the aggregation's parameters; none if nothing is.
    #[must_use]
    pub fn fault(&self) -> Option<&'static str> {
        Some(match self {
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
            _ => return None,
        })
    }
}
