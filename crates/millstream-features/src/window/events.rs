//! What windows are evaluated on: events that are grouped and in order, labels by entity, and how entities are spread
//! over threads.

use std::{num::NonZeroUsize, ops::Range, sync::Arc};

use crate::{
    aggregate::Column,
    asof::KnownTimes,
    timeline::{Timelines, starts_of},
};

/// Events by entity, in the total order.
#[derive(Clone, Copy)]
pub(crate) struct Sorted<'a> {
    pub(crate) lines: &'a Timelines,
    /// The time at which each entry of the lines was known, which is needed when labels have cut-offs.
    pub(crate) known: Option<&'a KnownTimes>,
    /// The columns by the number that features name, with rows in the order of the input; none for one that no feature names.
    pub(crate) columns: &'a [Option<Arc<Column>>],
}

/// The entity and the time for which each row of values is wanted: columns of one length.
#[derive(Clone, Copy)]
pub(crate) struct Reads<'a> {
    /// The entities as ordinals of the lines; any other number stands for an entity without events.
    pub(crate) entities: &'a [u32],
    /// The times of the reads in microseconds.
    pub(crate) times: &'a [i64],
    /// The cut-off of each read in microseconds: events that were known later are not seen.
    pub(crate) cuts: Option<&'a [i64]>,
}

/// Rows of labels by entity.
pub(super) struct Grouped {
    starts: Vec<u32>,
    rows: Vec<u32>,
}

impl Grouped {
    pub(super) fn new(entities: &[u32], count: usize) -> Self {
        let mut counts = vec![0_u32; count];
        for entity in entities {
            if let Some(count) = counts.get_mut(*entity as usize) {
                *count += 1;
            }
        }
        let starts = starts_of(&counts);
        let mut rows = vec![0; starts.last().copied().unwrap_or(0) as usize];
        let mut free = starts.clone();
        for (entity, row) in entities.iter().zip(0..) {
            if (*entity as usize) < count
                && let Some(free) = free.get_mut(*entity as usize)
                && let Some(slot) = rows.get_mut(*free as usize)
            {
                *slot = row;
                *free += 1;
            }
        }
        Self { starts, rows }
    }

    /// The rows of one entity, in the order of the input.
    pub(super) fn of(&self, entity: usize) -> &[u32] {
        match (self.starts.get(entity), self.starts.get(entity + 1)) {
            (Some(start), Some(end)) => self.rows.get(*start as usize..*end as usize).unwrap_or(&[]),
            _ => &[],
        }
    }
}

/// Work at which a range ends, in events: what is computed of them stays in the processor's cache, and its memory is used
/// again for the next range.
const RANGE_WEIGHT: u64 = 1 << 16;

/// Ranges of entities with about equal work: one for each thread, more where that would be much.
pub(super) fn split(lines: &Timelines, labels: &Grouped, threads: NonZeroUsize) -> Vec<Range<usize>> {
    let weight = |entity: usize| match labels.of(entity).len() as u64 {
        0 => 0,
        labels => 16 * labels + events_of(lines, entity).len() as u64,
    };
    let entities = lines.len();
    let total: u64 = (0..entities).map(weight).sum();
    let share = (total / threads.get() as u64 + 1).min(RANGE_WEIGHT);
    let (mut ranges, mut start, mut filled) = (Vec::new(), 0, 0);
    for entity in 0..entities {
        filled += weight(entity);
        if filled >= share {
            ranges.push(start..entity + 1);
            (start, filled) = (entity + 1, 0);
        }
    }
    if filled > 0 {
        ranges.push(start..entities);
    }
    ranges
}

/// Where an entity's entries are.
pub(super) fn events_of(lines: &Timelines, entity: usize) -> Range<usize> {
    u32::try_from(entity).ok().and_then(|entity| lines.of(entity)).unwrap_or(0..0)
}
