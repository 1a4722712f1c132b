//! From failing rows to figures, and from figures to the step's verdict.

use arrow::buffer::BooleanBuffer;
use millstream_types::{CheckId, Percent, Severity};

use crate::{Contract, Evaluated, bitmap};

/// How often one check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckCount {
    pub check: CheckId,
    pub severity: Severity,
    pub failed: u64,
    /// The number of rows of which this check is the first that kept them out: each rejected row counts once.
    pub rejected: u64,
}

/// Figures over any number of batches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Rows that came, malformed ones included.
    pub rows: u64,
    /// Rows that were kept out, malformed ones included.
    pub rejected: u64,
    /// Rows that could not even be decoded.
    pub malformed: u64,
    /// Failing rows of each check, in the order of [`Contract::checks`].
    failed: Vec<u64>,
    /// Rows of which each check is the first that kept them out, in the same order.
    rejected_by: Vec<u64>,
}

impl Tally {
    /// The figures of one batch, after [`crate::UniqueIndex::check`].
    #[must_use]
    pub fn of(evaluated: &Evaluated) -> Self {
        let (mut failed, mut rejected_by) = (Vec::new(), Vec::new());
        let mut counted: Option<BooleanBuffer> = None;
        for failure in &evaluated.failures {
            add(&mut failed, failure.check, &failure.rows);
            if failure.rejects {
                let first = counted.as_ref().map_or_else(|| failure.rows.clone(), |it| &failure.rows & &!it);
                add(&mut rejected_by, failure.check, &first);
                counted = bitmap::union(counted, Some(&failure.rows));
            }
        }
        Self {
            rows: evaluated.rows.num_rows() as u64,
            rejected: evaluated.rejected_count() as u64,
            malformed: 0,
            failed,
            rejected_by,
        }
    }

    /// Counts rows that could not be decoded.
    pub fn add_malformed(&mut self, rows: u64) {
        self.rows += rows;
        self.rejected += rows;
        self.malformed += rows;
    }

    /// Adds the figures of another batch; the order of batches does not matter.
    pub fn merge(&mut self, other: &Self) {
        self.rows += other.rows;
        self.rejected += other.rejected;
        self.malformed += other.malformed;
        merge(&mut self.failed, &other.failed);
        merge(&mut self.rejected_by, &other.rejected_by);
    }

    /// Every check of the contract with its figure, zero included.
    #[must_use]
    pub fn counts(&self, contract: &Contract) -> Vec<CheckCount> {
        let figure = |figures: &[u64], at: usize| figures.get(at).copied().unwrap_or(0);
        let count = |(at, check): (usize, &crate::CheckInfo)| CheckCount {
            check: check.id.clone(),
            severity: check.severity,
            failed: figure(&self.failed, at),
            rejected: figure(&self.rejected_by, at),
        };
        contract.checks().iter().enumerate().map(count).collect()
    }
}

fn add(figures: &mut Vec<u64>, check: usize, rows: &BooleanBuffer) {
    figures.resize(figures.len().max(check + 1), 0);
    figures[check] += rows.count_set_bits() as u64;
}

fn merge(sums: &mut Vec<u64>, others: &[u64]) {
    sums.resize(sums.len().max(others.len()), 0);
    for (sum, other) in sums.iter_mut().zip(others) {
        *sum += other;
    }
}

/// Whether the step may commit.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Commit,
    /// Rows failed a check of severity `halt`: the first such check.
    Halted {
        check: CheckId,
        failed: u64,
    },
    /// The breaker: a larger share of rows was rejected than `halt_above` allows.
    BreakerOpen {
        rejected: u64,
        rows: u64,
        halt_above: Percent,
    },
}

impl Verdict {
    /// Decides from the figures of the whole step. A share that equals `halt_above` passes.
    #[must_use]
    pub fn of(tally: &Tally, counts: &[CheckCount], halt_above: Option<Percent>) -> Self {
        let halting = counts.iter().find(|count| count.severity == Severity::Halt && count.failed > 0);
        if let Some(CheckCount { check, failed, .. }) = halting {
            return Self::Halted { check: check.clone(), failed: *failed };
        }
        match halt_above {
            Some(halt_above) if halt_above.compare(tally.rejected, tally.rows).is_gt() => {
                Self::BreakerOpen { rejected: tally.rejected, rows: tally.rows, halt_above }
            }
            _ => Self::Commit,
        }
    }
}
