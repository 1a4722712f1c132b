//! Columns that know too much: what a model must not be trained on, or should at least be looked at.

mod entities;
mod pair;

use serde::{Deserialize, Serialize};

use super::scalar::Scalar;

pub(crate) use entities::Entities;
pub(crate) use pair::{Pair, TargetChunk};

/// Fewer rows than this prove nothing.
pub(super) const ROWS_MIN: u64 = 10;
/// A column whose correlation is beyond this counts as the target in other words.
pub(super) const CORRELATION_MIN: f64 = 0.999;
/// A column with more values than this is not looked at as a category.
pub(super) const CATEGORIES_MAX: usize = 1_000;
/// With fewer rows for each category than this, it proves nothing that each category goes with one target.
pub(super) const ROWS_PER_CATEGORY_MIN: u64 = 5;

/// One thing that looks like a leak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    /// The name of the column, or of the entity.
    pub name: String,
    pub leak: Leak,
    /// The number of rows that show the leak; for shared entities the number of these.
    pub count: u64,
    pub example: Option<Example>,
}

/// Why something looks like a leak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Leak {
    /// The feature saw events of the label's own instant, which its view allows.
    SameInstant,
    /// On the training side the column has the target's value wherever both have one.
    EqualsTarget { target: String },
    /// On the training side the column moves with the target.
    Correlates { target: String, correlation: f64 },
    /// On the training side each of the column's values goes with one value of the target.
    Determines { target: String, values: u64 },
    /// Entities have rows on more than one side.
    SharedEntities {
        /// Whether all entities were counted, rather than an even sample of them.
        exact: bool,
    },
}

/// A row that shows a leak.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Example {
    /// Number of the label row, from 0.
    pub row: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<Scalar>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Scalar>,
}
