//! Feature rows, batch by batch, into an index by key and time.

use std::{cmp::Ordering, num::NonZeroUsize, thread};

use super::{
    AsofOptions, FeatureRows,
    column::{Part, Places},
    error::{AsofError, Side},
    join::{AsofIndex, Entry},
    key::{KeyColumn, KeyIndex, NO_KEY},
    known::KnownTimes,
};

/// Below this many rows another thread costs more than it saves.
pub(super) const ROWS_PER_THREAD_MIN: usize = 16_384;

/// Takes the rows of a view; rows are counted across batches in the order in which they are pushed.
#[derive(Debug)]
pub struct AsofBuilder {
    options: AsofOptions,
    keys: KeyIndex,
    /// The key of each row.
    ordinals: Vec<u32>,
    /// How many rows each key has.
    counts: Vec<u32>,
    places: Places,
    parts: Vec<Times>,
}

/// The times of one batch.
#[derive(Debug)]
struct Times {
    event: Part,
    known: Option<Part>,
    sequence: Option<Part>,
}

impl AsofBuilder {
    /// An index over rows with these key columns. Fails without key columns and for nested types.
    pub fn new(keys: &[KeyColumn], options: AsofOptions) -> Result<Self, AsofError> {
        Ok(Self {
            options,
            keys: KeyIndex::new(keys)?,
            ordinals: Vec::new(),
            counts: Vec::new(),
            places: Places::default(),
            parts: Vec::new(),
        })
    }

    /// Adds a batch. Fails, without adding it, when a column has another type or length than it should, when cut-offs
    /// are wanted and there is no known time, and beyond 2^32 - 2 rows.
    pub fn push(&mut self, batch: &FeatureRows<'_>) -> Result<(), AsofError> {
        let rows = batch.time.len();
        if self.places.rows().saturating_add(rows) >= NO_KEY as usize {
            return Err(AsofError::TooManyRows);
        }
        if self.options.as_known && batch.known.is_none() {
            return Err(AsofError::NoKnownTime);
        }
        let event = Part::instants(batch.time, rows, "event time", Side::View)?;
        let instants = |known| Part::instants(known, rows, "known time", Side::View);
        let known = batch.known.map(instants).transpose()?;
        let sequence = batch.sequence.map(|array| Part::numbers(array, rows, "sequence")).transpose()?;
        let first = self.ordinals.len();
        if let Err(error) = self.keys.intern(batch.keys, rows, &mut self.ordinals) {
            self.ordinals.truncate(first);
            return Err(error);
        }
        self.counts.resize(self.keys.len(), 0);
        let added = self.ordinals.get_mut(first..).unwrap_or_default();
        if let Some(nulls) = &event.nulls {
            let is_timeless = added.iter_mut().zip(nulls).filter(|(_, has_time)| !has_time);
            is_timeless.for_each(|(ordinal, _)| *ordinal = NO_KEY);
        }
        for ordinal in added {
            if let Some(count) = self.counts.get_mut(*ordinal as usize) {
                *count += 1;
            }
        }
        self.places.push(rows);
        self.parts.push(Times { event, known, sequence });
        Ok(())
    }

    /// Sorts the rows.
    #[must_use]
    pub fn build(self) -> AsofIndex {
        let Self { options, keys, ordinals, counts, places, parts } = self;
        let mut starts = Vec::with_capacity(counts.len() + 1);
        let mut start = 0;
        for count in &counts {
            starts.push(start);
            start += count;
        }
        starts.push(start);
        drop(counts);
        let mut entries = scatter(&ordinals, &parts, &starts);
        drop(ordinals);
        let order = Order { places: &places, parts: &parts };
        sort_groups(&mut entries, &starts, options.threads, &order);
        let known = options.as_known.then(|| {
            KnownTimes::new(entries.iter().map(|entry| order.at(entry.row, |times| times.known.as_ref())))
        });
        AsofIndex { options, keys, starts, entries, known, rows: places.rows() }
    }
}

/// The rows that have a key and a time, grouped by key, in the order of the input within a group.
fn scatter(ordinals: &[u32], parts: &[Times], starts: &[u32]) -> Vec<Entry> {
    let mut entries = vec![Entry::default(); starts.last().copied().unwrap_or_default() as usize];
    let mut free = starts.to_vec();
    let times = parts.iter().flat_map(|part| part.event.values.iter());
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

/// The total order of a key's rows.
struct Order<'a> {
    places: &'a Places,
    parts: &'a [Times],
}

impl Order<'_> {
    fn compare(&self, one: &Entry, other: &Entry) -> Ordering {
        one.time.cmp(&other.time).then_with(|| self.rank(one.row).cmp(&self.rank(other.row)))
    }

    /// The rest of the order, needed only where event times are equal.
    fn rank(&self, row: u32) -> (Option<i64>, Option<i64>, u32) {
        let known = self.at(row, |times| times.known.as_ref());
        (known, self.at(row, |times| times.sequence.as_ref()), row)
    }

    fn at(&self, row: u32, column: impl Fn(&Times) -> Option<&Part>) -> Option<i64> {
        let (part, at) = self.places.locate(row as usize);
        self.parts.get(part).and_then(column)?.get(at)
    }
}

/// Sorts each key's rows, the keys spread over threads by their rows.
fn sort_groups(entries: &mut [Entry], starts: &[u32], threads: NonZeroUsize, order: &Order<'_>) {
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
            let mut sort = move || sort_range(mine, groups, order);
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
fn sort_range(entries: &mut [Entry], starts: &[u32], order: &Order<'_>) {
    let mut rest = entries;
    for bounds in starts.windows(2) {
        let [start, end] = bounds else { continue };
        let (group, others) = std::mem::take(&mut rest).split_at_mut((end - start) as usize);
        // Rows that are in order already, as in a table that is appended to, cost one pass.
        group.sort_unstable_by(|one, other| order.compare(one, other));
        rest = others;
    }
}
