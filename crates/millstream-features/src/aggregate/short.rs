//! States as machine numbers, for hops: what kind of numbers a state is made of, and the way there and back.

use super::{
    count::Count,
    exact::ExactSum,
    extreme::Extreme,
    recency::Recency,
    state::{Kinds, State},
    sum::Sum,
    value::Value,
};

/// What a state is made of, as far as machine numbers can stand for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StateShape {
    Count { only_true: bool },
    Sum,
    Extreme { greatest: bool },
    Recency,
    Other,
}

impl State {
    pub(crate) fn shape(&self) -> StateShape {
        match &self.0 {
            Kinds::Count(count) => StateShape::Count { only_true: count.only_true },
            Kinds::Sum(_) => StateShape::Sum,
            Kinds::Extreme(extreme) => StateShape::Extreme { greatest: extreme.greatest },
            Kinds::Recency(_) => StateShape::Recency,
            _ => StateShape::Other,
        }
    }

    pub(crate) fn of_count(only_true: bool, rows: u64) -> Self {
        Self(Kinds::Count(Count { only_true, rows }))
    }

    /// A sum of `total · 2^exponent`, of that many terms.
    pub(crate) fn of_sum(count: u64, total: i128, exponent: i32) -> Self {
        Self(Kinds::Sum(Sum { count, sum: ExactSum::of_whole(total, exponent) }))
    }

    pub(crate) fn of_extreme(greatest: bool, best: Option<Value>) -> Self {
        Self(Kinds::Extreme(Extreme { greatest, best }))
    }

    pub(crate) fn of_recency(newest: Option<i64>) -> Self {
        Self(Kinds::Recency(Recency { newest }))
    }

    /// Number of terms, total and exponent of a sum that has only finite terms and fits.
    pub(crate) fn as_sum(&self) -> Option<(u64, i128, i32)> {
        let Kinds::Sum(Sum { count, sum }) = &self.0 else { return None };
        let (total, exponent) = sum.to_whole()?;
        Some((*count, total, exponent))
    }
}
