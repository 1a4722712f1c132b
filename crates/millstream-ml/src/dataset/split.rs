//! On which side each row is. A row's side depends on the row, the plan and, by time, on the times of all rows; never on
//! how rows come in batches.

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, StringArray},
    datatypes::TimestampMicrosecondType,
};
use millstream_types::Span;
use serde::{Deserialize, Serialize};

use super::{
    hash::{chance, fraction, hash_rows},
    labels::instants,
    plan::{Shares, SplitBy, SplitPlan},
};
use crate::DatasetError;

/// A side of a split.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    Train,
    Validation,
    Test,
}

impl Side {
    /// The word in the column `split`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Validation => "validation",
            Self::Test => "test",
        }
    }
}

/// How many rows are on each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SideRows {
    pub train: u64,
    pub validation: u64,
    pub test: u64,
    /// Rows on no side, because they lie in the embargo before a side begins.
    pub embargoed: u64,
    /// Rows on no side of a split by time, because they have no time.
    pub without_time: u64,
}

/// Decides on which side each row is.
#[derive(Debug)]
pub(crate) struct Splitter {
    rule: Rule,
    time: usize,
}

#[derive(Debug)]
enum Rule {
    /// The first times of validation and test, and the length of the embargo, in microseconds.
    Time {
        validation: i64,
        test: i64,
        embargo: i64,
    },
    /// Rows train up to the fraction `train` of all hashes, and validate from there up to the fraction `validation`.
    Hash {
        columns: Vec<usize>,
        seed: u64,
        train: f64,
        validation: f64,
    },
    Random {
        seed: u64,
        train: f64,
        validation: f64,
    },
}

/// The sides of some rows; none for rows on no side.
pub(crate) type Sides = Vec<Option<Side>>;

impl Splitter {
    /// `times` are those of all label rows, for a split by time; `time` is the number of their column.
    pub(crate) fn new(plan: &SplitPlan, time: usize, times: Vec<i64>) -> Self {
        let Shares { train, validation, .. } = plan.shares;
        let (seed, by_hash) = match &plan.by {
            SplitBy::Time { embargo } => return Self { rule: by_time(plan.shares, *embargo, times), time },
            SplitBy::Hash { columns, seed } => (*seed, Some(columns.clone())),
            SplitBy::Random { seed } => (*seed, None),
        };
        let validation = train + validation;
        let rule = match by_hash {
            Some(columns) => Rule::Hash { columns, seed, train, validation },
            None => Rule::Random { seed, train, validation },
        };
        Self { rule, time }
    }

    /// The sides of label rows, the first of which has the number `first`; `count` grows by the rows on each side.
    pub(crate) fn sides(
        &self,
        labels: &RecordBatch,
        first: u64,
        count: &mut SideRows,
    ) -> Result<Sides, DatasetError> {
        let side = |fraction: f64, train: f64, validation: f64| match fraction {
            low if low < train => Some(Side::Train),
            low if low < validation => Some(Side::Validation),
            _ => Some(Side::Test),
        };
        let sides: Sides = match &self.rule {
            Rule::Time { validation, test, embargo } => {
                by_times(&instants(labels.column(self.time))?, [*validation, *test], *embargo, count)
            }
            Rule::Hash { columns, seed, train, validation } => {
                let keys: Vec<ArrayRef> = columns.iter().map(|at| labels.column(*at).clone()).collect();
                let hashes = hash_rows(&keys, labels.num_rows(), *seed)?;
                hashes.into_iter().map(|hash| side(fraction(hash), *train, *validation)).collect()
            }
            Rule::Random { seed, train, validation } => (first..)
                .take(labels.num_rows())
                .map(|row| side(chance(row, *seed), *train, *validation))
                .collect(),
        };
        for side in sides.iter().flatten() {
            match side {
                Side::Train => count.train += 1,
                Side::Validation => count.validation += 1,
                Side::Test => count.test += 1,
            }
        }
        Ok(sides)
    }
}

fn by_times(times: &ArrayRef, begins: [i64; 2], embargo: i64, count: &mut SideRows) -> Sides {
    let [validation, test] = begins;
    let is_embargoed = |time: i64| {
        begins.iter().any(|begin| time < *begin && time >= begin.saturating_sub(embargo) && *begin < i64::MAX)
    };
    let side = |time: Option<i64>| match time {
        None => {
            count.without_time += 1;
            None
        }
        Some(time) if is_embargoed(time) => {
            count.embargoed += 1;
            None
        }
        Some(time) if time < validation => Some(Side::Train),
        Some(time) if time < test => Some(Side::Validation),
        Some(_) => Some(Side::Test),
    };
    times.as_primitive::<TimestampMicrosecondType>().iter().map(side).collect()
}

fn by_time(shares: Shares, embargo: Option<Span>, mut times: Vec<i64>) -> Rule {
    times.sort_unstable();
    let validation = begin(&times, shares.train);
    // Without validation rows the test side begins where the validation side would have.
    let test =
        if shares.validation == 0.0 { validation } else { begin(&times, shares.train + shares.validation) };
    let micros = |span: Span| i64::try_from(span.ms()).unwrap_or(i64::MAX).saturating_mul(1_000);
    Rule::Time { validation, test: test.max(validation), embargo: embargo.map_or(0, micros) }
}

/// The first time after a share of the rows; of the two ends of a run of equal times the nearer one.
#[allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place lies between 0 and the length"
)]
fn begin(times: &[i64], share: f64) -> i64 {
    let place = (times.len() as f64 * share).round() as usize;
    let Some(time) = times.get(place) else { return i64::MAX };
    let start = times.partition_point(|other| other < time);
    let end = times.partition_point(|other| other <= time);
    if place - start <= end - place { *time } else { times.get(end).copied().unwrap_or(i64::MAX) }
}

/// The column `split`.
pub(crate) fn side_column(sides: &Sides) -> StringArray {
    sides.iter().map(|side| side.map(Side::name)).collect()
}
