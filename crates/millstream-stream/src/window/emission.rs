//! Groups that are being told, batch by batch, so that a window of a million groups takes no more memory than one batch.

use std::collections::VecDeque;

use super::groups::Groups;
use crate::{Output, Refused, RefusedReason, StreamError};

/// The most rows that are told at once.
pub(super) const BATCH_ROWS: usize = 8_192;

/// Outputs that wait, and the groups whose rows follow them.
#[derive(Debug, Default)]
pub(super) struct Emission {
    ready: VecDeque<Output>,
    slots: Vec<u32>,
    at: usize,
    merge: bool,
    /// Slots that are given back when all is told.
    borrowed: Vec<u32>,
}

impl Emission {
    pub(super) fn ready(&mut self, output: Output) {
        self.ready.push_back(output);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.at >= self.slots.len()
    }

    /// Begins to tell groups; the former ones have been told.
    pub(super) fn begin(&mut self, groups: &Groups, mut slots: Vec<u32>, merge: bool, borrowed: Vec<u32>) {
        slots.sort_unstable_by(|left, right| groups.compare(*left, *right));
        self.slots = slots;
        self.at = 0;
        self.merge = merge;
        self.borrowed = borrowed;
    }

    pub(super) fn next(
        &mut self,
        stage: &str,
        watermark: i64,
        groups: &mut Groups,
    ) -> Result<Option<Output>, StreamError> {
        loop {
            if let Some(output) = self.ready.pop_front() {
                return Ok(Some(output));
            }
            let rest = self.slots.get(self.at..).unwrap_or(&[]);
            let chunk = rest.get(..rest.len().min(BATCH_ROWS)).unwrap_or(rest);
            if chunk.is_empty() {
                std::mem::take(&mut self.borrowed).into_iter().for_each(|slot| groups.remove(slot));
                return Ok(None);
            }
            let (rows, outgrown) = groups.rows(chunk)?;
            self.at += chunk.len();
            if let Some(rows) = outgrown {
                let (stage, reason) = (stage.into(), RefusedReason::Overflow);
                self.ready.push_back(Output::Refused(Refused { stage, reason, watermark, rows }));
            }
            if rows.num_rows() > 0 {
                self.ready.push_back(if self.merge { Output::Merge(rows) } else { Output::Rows(rows) });
            }
        }
    }
}
