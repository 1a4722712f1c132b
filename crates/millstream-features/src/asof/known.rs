//! The newest row that was known at a time: a tree of minima over known times.

/// How many values one value of the next level stands for.
const FAN_OUT: usize = 32;
/// A known time that no cut-off reaches: nobody knows when the row was known.
const NEVER: i64 = i64::MAX;

/// Known times in the order of the index, and the minima of each 32, 1024, … of them: 8.26 bytes per row.
#[derive(Debug)]
pub(super) struct KnownTimes {
    levels: Vec<Vec<i64>>,
}

impl KnownTimes {
    pub(super) fn new(times: impl Iterator<Item = Option<i64>>) -> Self {
        let mut levels = vec![times.map(|time| time.unwrap_or(NEVER)).collect::<Vec<_>>()];
        while let Some(below) = levels.last().filter(|level| level.len() > FAN_OUT) {
            let minima = below.chunks(FAN_OUT).map(|chunk| chunk.iter().copied().min().unwrap_or(NEVER));
            levels.push(minima.collect());
        }
        Self { levels }
    }

    /// The last position in `start..end` that was known at `cut`.
    pub(super) fn last_known(&self, start: usize, end: usize, cut: i64) -> Option<usize> {
        let is_known = |time: &i64| *time <= cut && *time != NEVER;
        let (mut end, mut width) = (end, 1);
        for (height, level) in self.levels.iter().enumerate() {
            // Up to here nothing at or after `end * width` was known.
            let block = end / FAN_OUT * FAN_OUT;
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
