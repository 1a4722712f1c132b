//! Rows of events by entity, each entity's in the total order: what the point-in-time join searches and what windows
//! slide over.

use std::{cmp::Ordering, num::NonZeroUsize, ops::Range, thread};

use arrow::{array::BooleanBufferBuilder, buffer::BooleanBuffer};

/// The ordinal of a row without entity or event time.
pub(crate) const NO_ENTITY: u32 = u32::MAX;
/// Below this many rows another thread costs more than it saves.
pub(crate) const ROWS_PER_THREAD_MIN: usize = 16_384;

/// One event of an entity.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Entry {
    /// The event time in microseconds.
    pub(crate) time: i64,
    /// The number of the event's row in the input.
    pub(crate) row: u32,
}

/// What orders events of one time: known time, then sequence. A null counts as 0.
pub(crate) type Rank = (i64, i64);

/// Events grouped by entity, in the total order (event time, known time, sequence).
#[derive(Debug)]
pub(crate) struct Timelines {
    /// Where each entity's entries begin, and the end of the last.
    starts: Vec<u32>,
    entries: Vec<Entry>,
    /// The entries that equal the one before in the whole order are set; none when there are no such entries.
    ties: Option<BooleanBuffer>,
}

impl Timelines {
    /// `ordinals` and `times` have one item for each row, `counts` one for each entity: the rows with its ordinal.
    pub(crate) fn new<'t>(
        ordinals: &[u32],
        times: impl Iterator<Item = &'t i64>,
        counts: &[u32],
        rank: &(impl Fn(u32) -> Rank + Sync),
        threads: NonZeroUsize,
    ) -> Self {
        let starts = starts_of(counts);
        let mut entries = scatter(ordinals, times, &starts);
        sort_groups(&mut entries, &starts, threads, rank);
        let ties = ties(&entries, &starts, rank);
        Self { starts, entries, ties }
    }

    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// How many entities there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// Where the entity's entries are; none for an entity that is not there.
    pub(crate) fn of(&self, entity: u32) -> Option<Range<usize>> {
        let entity = entity as usize;
        Some(*self.starts.get(entity)? as usize..*self.starts.get(entity + 1)? as usize)
    }

    /// Whether any two entries of an entity are equal in the whole order.
    pub(crate) fn has_ties(&self) -> bool {
        self.ties.is_some()
    }

    /// Whether an entry equals the one before in the whole order.
    pub(crate) fn is_tie(&self, at: usize) -> bool {
        self.ties.as_ref().is_some_and(|ties| at < ties.len() && ties.value(at))
    }

    /// The rows of each run of entries that are equal in the whole order.
    pub(crate) fn tied_rows(&self) -> Vec<Vec<u32>> {
        let row = |at: usize| self.entries.get(at).map_or(0, |entry| entry.row);
        self.tied_runs().into_iter().map(|run| run.map(row).collect()).collect()
    }

    /// Puts other rows, or the same in another order, in the place of [`Timelines::tied_rows`].
    pub(crate) fn set_tied_rows(&mut self, rows: &[Vec<u32>]) {
        for (run, rows) in self.tied_runs().into_iter().zip(rows) {
            for (entry, row) in self.entries.get_mut(run).unwrap_or_default().iter_mut().zip(rows) {
                entry.row = *row;
            }
        }
    }

    fn tied_runs(&self) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for at in self.ties.iter().flat_map(BooleanBuffer::set_indices) {
            match runs.last_mut().filter(|run| run.end == at) {
                Some(run) => run.end = at + 1,
                None => runs.push(at.saturating_sub(1)..at + 1),
            }
        }
        runs
    }
}

/// Where each group begins, and the end of the last.
pub(crate) fn starts_of(counts: &[u32]) -> Vec<u32> {
    let mut starts = Vec::with_capacity(counts.len() + 1);
    let mut start = 0;
    for count in counts {
        starts.push(start);
        start += count;
    }
    starts.push(start);
    starts
}

/// The rows that have an entity, grouped by it, in the order of the input within a group.
fn scatter<'t>(ordinals: &[u32], times: impl Iterator<Item = &'t i64>, starts: &[u32]) -> Vec<Entry> {
    let mut entries = vec![Entry::default(); starts.last().copied().unwrap_or_default() as usize];
    let mut free = starts.to_vec();
    for ((ordinal, time), row) in ordinals.iter().zip(times).zip(0..) {
        if let Some(free) = free.get_mut(*ordinal as usize) {
            if let Some(entry) = entries.get_mut(*free as usize) {
                *entry = Entry { time: *time, row };
            }
            *free += 1;
        }
    }
    entries
}

/// Sorts each entity's rows, the entities spread over threads by their rows.
fn sort_groups(
    entries: &mut [Entry],
    starts: &[u32],
    threads: NonZeroUsize,
    rank: &(impl Fn(u32) -> Rank + Sync),
) {
    let threads = threads.get().min(entries.len() / ROWS_PER_THREAD_MIN).max(1);
    let share = entries.len().div_ceil(threads);
    thread::scope(|scope| {
        let (mut rest, mut starts, mut offset) = (entries, starts, 0);
        for thread in 1..=threads {
            // The first group that begins at or after this thread's share ends it.
            let end = starts.partition_point(|start| (*start as usize) < share * thread);
            let end =
                if thread == threads { starts.len().saturating_sub(1) } else { end.min(starts.len() - 1) };
            let rows = starts.get(end).map_or(0, |start| *start as usize - offset);
            let (mine, others) = std::mem::take(&mut rest).split_at_mut(rows);
            let groups = starts.get(..=end).unwrap_or_default();
            let mut sort = move || sort_range(mine, groups, rank);
            if thread == threads {
                sort();
            } else {
                scope.spawn(sort);
            }
            (rest, starts, offset) = (others, starts.get(end..).unwrap_or_default(), offset + rows);
        }
    });
}

/// Sorts the groups between these starts; `entries` begins at the first of them.
fn sort_range(entries: &mut [Entry], starts: &[u32], rank: &impl Fn(u32) -> Rank) {
    let mut rest = entries;
    for bounds in starts.windows(2) {
        let [start, end] = bounds else { continue };
        let (group, others) = std::mem::take(&mut rest).split_at_mut((end - start) as usize);
        // Rows that are in order already, as in a table that is appended to, cost one pass.
        group.sort_unstable_by(|one, other| compare(one, other, rank));
        rest = others;
    }
}

/// The total order; the rank is looked up only where event times are equal, the place in the input decides last.
fn compare(one: &Entry, other: &Entry, rank: &impl Fn(u32) -> Rank) -> Ordering {
    one.time
        .cmp(&other.time)
        .then_with(|| rank(one.row).cmp(&rank(other.row)))
        .then_with(|| one.row.cmp(&other.row))
}

fn ties(entries: &[Entry], starts: &[u32], rank: &impl Fn(u32) -> Rank) -> Option<BooleanBuffer> {
    let mut tied = Vec::new();
    for bounds in starts.windows(2) {
        let [start, end] = bounds else { continue };
        let group = entries.get(*start as usize..*end as usize).unwrap_or_default();
        for (at, pair) in (*start as usize + 1..).zip(group.windows(2)) {
            if let [one, other] = pair
                && one.time == other.time
                && rank(one.row) == rank(other.row)
            {
                tied.push(at);
            }
        }
    }
    if tied.is_empty() {
        return None;
    }
    let mut bits = BooleanBufferBuilder::new(entries.len());
    bits.append_n(entries.len(), false);
    tied.into_iter().for_each(|at| bits.set_bit(at, true));
    Some(bits.finish())
}
