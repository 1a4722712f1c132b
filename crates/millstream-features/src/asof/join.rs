//! Labels against the index of a view.

use std::thread;

use arrow::array::{Array, ArrayRef};

use super::{
    AsofOptions, LabelRows,
    column::{ColumnBatch, check_length},
    error::{AsofError, Side},
    key::KeyIndex,
    known::KnownTimes,
    matches::{LabelMatch, MatchStatus, Matches},
};
use crate::timeline::{Entry, ROWS_PER_THREAD_MIN, Timelines};

/// The rows of a view by key and time. Labels may be joined with it batch by batch, from several threads.
#[derive(Debug)]
pub struct AsofIndex {
    pub(super) options: AsofOptions,
    pub(super) keys: KeyIndex,
    pub(super) lines: Timelines,
    /// The known times in the order of the lines' entries; present when labels may have a cut-off.
    pub(super) known: Option<KnownTimes>,
    /// The number of rows of the input, those without key or time included.
    pub(super) rows: usize,
}

/// The columns of a batch of labels, checked.
struct Labels<'a> {
    keys: &'a [ArrayRef],
    time: ColumnBatch,
    cut: Option<ColumnBatch>,
}

impl AsofIndex {
    /// The number of rows of the view, those without key or time included.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of distinct keys of the view.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// The rows of each run of events that are equal in the whole order.
    pub(crate) fn tied_rows(&self) -> Vec<Vec<u32>> {
        self.lines.tied_rows()
    }

    /// Puts the rows of [`AsofIndex::tied_rows`] in another order: the last of each run is its match. Known times are the
    /// same within a run.
    pub(crate) fn set_tied_rows(&mut self, rows: &[Vec<u32>]) {
        self.lines.set_tied_rows(rows);
    }

    pub(crate) fn lines(&self) -> &Timelines {
        &self.lines
    }

    pub(crate) fn known(&self) -> Option<&KnownTimes> {
        self.known.as_ref()
    }

    /// The match of each label, in the labels' order. Fails when a column has another type than the view's, when
    /// lengths differ, and when labels have a cut-off that the index was not built for. That each label has one
    /// answer, and none from its future, is checked before it is given.
    pub fn join(&self, labels: &LabelRows<'_>) -> Result<Matches, AsofError> {
        self.join_ordinals(labels).map(|(matches, _)| matches)
    }

    /// The match of each label, and the ordinal of its key.
    pub(crate) fn join_ordinals(&self, labels: &LabelRows<'_>) -> Result<(Matches, Vec<u32>), AsofError> {
        let rows = labels.time.len();
        let instants = |array, what| ColumnBatch::instants(array, rows, what, Side::Labels);
        let time = instants(labels.time, "label time")?;
        let cut = labels.as_known.map(|array| instants(array, "known-time cut-off")).transpose()?;
        if cut.is_some() && self.known.is_none() {
            return Err(AsofError::NoKnownTime);
        }
        labels.keys.iter().try_for_each(|key| check_length(key, rows, "key", Side::Labels))?;
        let labels = Labels { keys: labels.keys, time, cut };
        let mut found = vec![LabelMatch::default(); rows];
        let mut ordinals = Vec::with_capacity(rows);
        let threads = self.options.threads.get().min(rows / ROWS_PER_THREAD_MIN).max(1);
        let share = rows.div_ceil(threads).max(1);
        thread::scope(|scope| {
            let (mine, others) = found.split_at_mut(share.min(rows));
            let labels = &labels;
            let spawned: Vec<_> = others
                .chunks_mut(share)
                .enumerate()
                .map(|(index, chunk)| {
                    scope.spawn(move || self.join_range(labels, share * (index + 1), chunk))
                })
                .collect();
            ordinals.extend(self.join_range(labels, 0, mine)?);
            for thread in spawned {
                ordinals.extend(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?);
            }
            Ok(())
        })?;
        self.verify(&labels, &found)?;
        Ok((Matches::new(found, self.rows), ordinals))
    }

    /// Answers the labels from `first` on, one per slot, and gives the ordinals of their keys.
    fn join_range(
        &self,
        labels: &Labels<'_>,
        first: usize,
        slots: &mut [LabelMatch],
    ) -> Result<Vec<u32>, AsofError> {
        let mut ordinals = Vec::with_capacity(slots.len());
        let keys: Vec<_> = labels.keys.iter().map(|key| key.slice(first, slots.len())).collect();
        self.keys.find(&keys, slots.len(), &mut ordinals)?;
        for ((slot, ordinal), label) in slots.iter_mut().zip(&ordinals).zip(first..) {
            *slot = self.newest(labels, label, *ordinal).unwrap_or_default();
        }
        Ok(ordinals)
    }

    /// The newest row that the label may see; `None` when there is none.
    fn newest(&self, labels: &Labels<'_>, label: usize, key: u32) -> Option<LabelMatch> {
        let range = self.lines.of(key)?;
        let time = labels.time.get(label)?;
        let start = range.start;
        let group = self.lines.entries().get(range)?;
        let visible = group.partition_point(|entry| self.is_visible(entry.time, time));
        let at = match (&labels.cut, &self.known) {
            (Some(cut), Some(known)) => known.last_known(start, start + visible, cut.get(label)?)?,
            _ => start + visible.checked_sub(1)?,
        };
        let Entry { time: event, row } = *self.lines.entries().get(at)?;
        let status = match self.ttl() {
            Some(ttl) if time.saturating_sub(event) > ttl => MatchStatus::Expired,
            _ => MatchStatus::Present,
        };
        Some(LabelMatch { row, event, status })
    }

    fn is_visible(&self, event: i64, label: i64) -> bool {
        event < label || (self.options.include_same_instant && event == label)
    }

    /// The time to live in microseconds.
    fn ttl(&self) -> Option<i64> {
        let micros = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX).saturating_mul(1_000);
        self.options.ttl.map(|ttl| micros(ttl.ms()))
    }

    /// Looks once more, from the outside, at what the join promises.
    fn verify(&self, labels: &Labels<'_>, found: &[LabelMatch]) -> Result<(), AsofError> {
        let rows = labels.time.values.len();
        let broken = |label, promise| Err(AsofError::Broken { label, promise });
        if found.len() != rows {
            return broken(found.len().min(rows), "one answer for each label");
        }
        for (label, found) in found.iter().enumerate().filter(|(_, found)| found.is_match()) {
            match labels.time.get(label) {
                Some(time) if self.is_visible(found.event, time) => {}
                _ => return broken(label, "no feature from the label's future"),
            }
            if found.row as usize >= self.rows {
                return broken(label, "a row of the view");
            }
        }
        Ok(())
    }
}
