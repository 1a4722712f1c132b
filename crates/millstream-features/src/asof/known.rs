//! Which rows were known at a time: trees of minima and maxima over known times.

use std::ops::Range;

/// How many values one value of the next level stands for.
const FAN_OUT: usize = 32;
/// A known time that no cut-off reaches: nobody knows when the row was known.
const NEVER: i64 = i64::MAX;

/// Known times in the order of the index, and the minima and maxima of each 32, 1024, … of them: 8.5 bytes per row.
#[derive(Debug)]
pub(crate) struct KnownTimes {
    /// The times themselves, then the minima, level by level.
    levels: Vec<Vec<i64>>,
    /// The maxima; the first level is that of 32 times.
    maxima: Vec<Vec<i64>>,
}

impl KnownTimes {
    pub(super) fn new(times: impl Iterator<Item = Option<i64>>) -> Self {
        let times = times.map(|time| time.unwrap_or(NEVER)).collect::<Vec<_>>();
        let above = |level: &[i64], best: fn(i64, i64) -> i64| -> Vec<i64> {
            level.chunks(FAN_OUT).map(|chunk| chunk.iter().copied().reduce(best).unwrap_or(NEVER)).collect()
        };
        let mut maxima: Vec<Vec<i64>> = Vec::new();
        while let Some(level) = Some(maxima.last().unwrap_or(&times)).filter(|level| level.len() > FAN_OUT) {
            maxima.push(above(level, i64::max));
        }
        let mut levels = vec![times];
        while let Some(level) = levels.last().filter(|level| level.len() > FAN_OUT) {
            levels.push(above(level, i64::min));
        }
        Self { levels, maxima }
    }

    /// The times in the order of the index; a row that is never known has the greatest number.
    pub(crate) fn times(&self) -> &[i64] {
        self.levels.first().map_or(&[], Vec::as_slice)
    }

    /// Calls `visit` with each run of rows in `start..end` that were known at `cut`, first to last. Takes a few steps for
    /// each change between known and unknown, however long the runs are.
    pub(crate) fn runs(&self, start: usize, end: usize, cut: i64, mut visit: impl FnMut(Range<usize>)) {
        let cut = cut.min(NEVER - 1);
        let (mut at, mut run) = (start, None);
        while at < end {
            let (is_known, width) = self.uniform(at, end, cut);
            match (is_known, run) {
                (true, None) => run = Some(at),
                (false, Some(first)) => {
                    visit(first..at);
                    run = None;
                }
                _ => {}
            }
            at += width;
        }
        if let Some(first) = run {
            visit(first..end);
        }
    }

    /// Whether the row was known at `cut`, and how many rows from it on, in one block, are alike.
    fn uniform(&self, at: usize, end: usize, cut: i64) -> (bool, usize) {
        let is_known = self.times().get(at).is_some_and(|time| *time <= cut);
        let mut width = 1;
        for (minima, maxima) in self.levels.iter().skip(1).zip(&self.maxima) {
            let wider = width * FAN_OUT;
            let bound = if is_known { maxima } else { minima }.get(at / wider);
            let is_alike = bound.is_some_and(|bound| (*bound <= cut) == is_known);
            if !at.is_multiple_of(wider) || at + wider > end || !is_alike {
                break;
            }
            width = wider;
        }
        (is_known, width)
    }

    /// The last position in `start..end` that was known at `cut`.
    pub(super) fn last_known(&self, start: usize, end: usize, cut: i64) -> Option<usize> {
        let is_known = |time: &i64| *time <= cut && *time != NEVER;
        let (mut end, mut width) = (end, 1);
        for (height, level) in self.levels.iter().enumerate() {
            // Up to here nothing at or after `end * width` was known.
            // Nothing above the top level answers for its first nodes, also when it has exactly as many as a block.
            let is_top = height + 1 == self.levels.len();
            let block = if is_top { 0 } else { end / FAN_OUT * FAN_OUT };
            let last = level.get(block..end).unwrap_or_default().iter().rposition(is_known);
            if let Some(last) = last {
                return self.descend(height, block + last, is_known).filter(|found| *found >= start);
            }
            if block * width <= start {
                return None;
            }
            end = block / FAN_OUT;
            width *= FAN_OUT;
        }
        None
    }

    /// The last known position below a node that has one.
    fn descend(&self, height: usize, node: usize, is_known: impl Fn(&i64) -> bool) -> Option<usize> {
        let mut node = node;
        for level in self.levels.get(..height)?.iter().rev() {
            let first = node * FAN_OUT;
            let children = level.get(first..level.len().min(first + FAN_OUT))?;
            node = first + children.iter().rposition(&is_known)?;
        }
        Some(node)
    }
}
