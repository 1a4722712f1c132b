//! How many rows each entity has, and how entities are spread over threads.

use std::{num::NonZeroUsize, ops::Range};

use arrow::array::Array;

use super::evaluate::{Events, Labels};

/// Row counts by entity, and the times that matter.
pub(super) struct Grouping<'a> {
    pub(super) labels: Labels<'a>,
    pub(super) events: Events<'a>,
    pub(super) label_counts: Vec<u32>,
    /// Events that some label can see.
    pub(super) event_counts: Vec<u32>,
    start: i64,
    end: i64,
}

impl<'a> Grouping<'a> {
    pub(super) fn new(labels: Labels<'a>, events: Events<'a>, (start, end): (i64, i64)) -> Self {
        let entities = labels.entities as usize;
        let mut grouping =
            Self { labels, events, label_counts: vec![0; entities], event_counts: Vec::new(), start, end };
        let mut counts = vec![0_u32; entities];
        grouping.each_label(|_, entity| add_one(&mut counts, entity));
        grouping.label_counts = counts;
        let mut counts = vec![0_u32; entities];
        grouping.each_event(|_, entity| add_one(&mut counts, entity));
        // An entity without labels needs no events.
        for (count, labels) in counts.iter_mut().zip(&grouping.label_counts) {
            *count = if *labels == 0 { 0 } else { *count };
        }
        grouping.event_counts = counts;
        grouping
    }

    /// Calls `visit` with row and entity of each label that has both entity and time.
    pub(super) fn each_label(&self, mut visit: impl FnMut(usize, usize)) {
        let Labels { entity, time, .. } = self.labels;
        let whole = entity.null_count() == 0 && time.null_count() == 0;
        for (row, value) in entity.values().iter().enumerate() {
            if whole || (entity.is_valid(row) && time.is_valid(row)) {
                visit(row, *value as usize);
            }
        }
    }

    /// Calls `visit` with row and entity of each event that some label may see.
    pub(super) fn each_event(&self, mut visit: impl FnMut(usize, usize)) {
        let Events { entity, event_time, .. } = self.events;
        let whole = entity.null_count() == 0 && event_time.null_count() == 0;
        for (row, (value, time)) in entity.values().iter().zip(event_time.values()).enumerate() {
            if *time >= self.start
                && *time < self.end
                && (whole || (entity.is_valid(row) && event_time.is_valid(row)))
            {
                visit(row, *value as usize);
            }
        }
    }
}

fn add_one(counts: &mut [u32], entity: usize) {
    if let Some(count) = counts.get_mut(entity) {
        *count += 1;
    }
}

/// Ranges of entities with about equal work, at most one for each thread.
pub(super) fn split(grouping: &Grouping<'_>, threads: NonZeroUsize) -> Vec<Range<usize>> {
    let weight = |entity: usize| {
        let count = |counts: &[u32]| u64::from(counts.get(entity).copied().unwrap_or(0));
        count(&grouping.event_counts) + 16 * count(&grouping.label_counts)
    };
    let entities = grouping.label_counts.len();
    let total: u64 = (0..entities).map(weight).sum();
    let share = total / threads.get() as u64 + 1;
    let (mut ranges, mut start, mut filled) = (Vec::new(), 0, 0);
    for entity in 0..entities {
        filled += weight(entity);
        if filled >= share {
            ranges.push(start..entity + 1);
            (start, filled) = (entity + 1, 0);
        }
    }
    if start < entities {
        ranges.push(start..entities);
    }
    ranges
}
