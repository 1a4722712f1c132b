//! From failing rows to figures, and from figures to the step's verdict.

use millstream_types::{CheckId, Percent, Severity};

use crate::{Contract, Evaluated};

/// How often one check failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckCount {
    pub check: CheckId,
    pub severity: Severity,
    pub failed: u64,
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
}

impl Tally {
    /// The figures of one batch, after [`crate::UniqueIndex::check`].
    #[must_use]
    pub fn of(evaluated: &Evaluated) -> Self {
        let mut failed = Vec::new();
        for failure in &evaluated.failures {
            failed.resize(failed.len().max(failure.check + 1), 0);
            failed[failure.check] += failure.rows.count_set_bits() as u64;
        }
        Self {
            rows: evaluated.rows.num_rows() as u64,
            rejected: evaluated.rejected_count() as u64,
            malformed: 0,
            failed,
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
        self.failed.resize(self.failed.len().max(other.failed.len()), 0);
        for (sum, failed) in self.failed.iter_mut().zip(&other.failed) {
            *sum += failed;
        }
    }

    /// Every check of the contract with its figure, zero included.
    #[must_use]
    pub fn counts(&self, contract: &Contract) -> Vec<CheckCount> {
        let figures = self.failed.iter().copied().chain(std::iter::repeat(0));
        let count = |(check, failed): (&crate::CheckInfo, u64)| CheckCount {
            check: check.id.clone(),
            severity: check.severity,
            failed,
        };
        contract.checks().iter().zip(figures).map(count).collect()
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
