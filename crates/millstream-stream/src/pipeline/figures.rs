//! What a pipeline tells of itself.

use std::collections::BTreeMap;

use crate::{Output, RefusedReason};

/// The figures of all stages, in the order in which they were added. Counts begin with the pipeline, also where its state was restored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PipelineFigures {
    pub stages: Vec<StageFigures>,
}

/// How far a stage has come.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StageFigures {
    pub name: String,
    pub rows_in: u64,
    pub rows_out: u64,
    /// The rows that corrected earlier ones.
    pub rows_merged: u64,
    pub rows_deleted: u64,
    /// The rows that took no part, by reason.
    pub refused: BTreeMap<RefusedReason, u64>,
    /// The rows that took part and gave none: filtered, or duplicates.
    pub left_out: u64,
    /// The watermark of what the stage gives, in microseconds since 1970 UTC: `i64::MIN` before the first, `i64::MAX` at the end.
    pub watermark: i64,
    /// The bytes that its state takes in memory.
    pub state_bytes: usize,
}

impl PipelineFigures {
    /// The rows that took no part for a reason, in all stages.
    #[must_use]
    pub fn refused(&self, reason: RefusedReason) -> u64 {
        self.stages.iter().filter_map(|stage| stage.refused.get(&reason)).sum()
    }

    /// The bytes of the states of all stages.
    #[must_use]
    pub fn state_bytes(&self) -> usize {
        self.stages.iter().map(|stage| stage.state_bytes).sum()
    }
}

impl StageFigures {
    /// Counts an output, and says whether it tells anything: a watermark that did not go forward does not.
    pub(super) fn count(&mut self, output: &Output) -> bool {
        match output {
            Output::Rows(rows) => self.rows_out += rows.num_rows() as u64,
            Output::Merge(rows) => self.rows_merged += rows.num_rows() as u64,
            Output::Delete(rows) => self.rows_deleted += rows.num_rows() as u64,
            Output::Refused(refused) => {
                *self.refused.entry(refused.reason).or_default() += refused.rows.num_rows() as u64;
            }
            Output::Watermark(watermark) => {
                if *watermark <= self.watermark {
                    return false;
                }
                self.watermark = *watermark;
            }
        }
        true
    }
}
