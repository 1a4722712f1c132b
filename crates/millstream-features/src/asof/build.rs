//! Feature rows, batch by batch, into an index by key and time.

use super::{
    AsofOptions, FeatureRows,
    column::{ColumnBatch, Places},
    error::{AsofError, Side},
    join::AsofIndex,
    key::{KeyColumn, KeyIndex, NO_KEY},
    known::KnownTimes,
};
use crate::timeline::Timelines;

/// Takes the rows of a view; rows are counted across batches in the order in which they are pushed.
#[derive(Debug)]
pub struct AsofBuilder {
    options: AsofOptions,
    keys: KeyIndex,
    /// The key of each row.
    ordinals: Vec<u32>,
    /// The number of rows of each key.
    counts: Vec<u32>,
    places: Places,
    parts: Vec<Times>,
}

/// The times of one batch.
#[derive(Debug)]
struct Times {
    event: ColumnBatch,
    known: Option<ColumnBatch>,
    sequence: Option<ColumnBatch>,
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
        let event = ColumnBatch::instants(batch.time, rows, "event time", Side::View)?;
        let instants = |known| ColumnBatch::instants(known, rows, "known time", Side::View);
        let known = batch.known.map(instants).transpose()?;
        let sequence =
            batch.sequence.map(|array| ColumnBatch::numbers(array, rows, "sequence")).transpose()?;
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
        let at = |row: u32, column: fn(&Times) -> Option<&ColumnBatch>| {
            let (part, at) = places.locate(row as usize);
            parts.get(part).and_then(column)?.get(at)
        };
        let known = |row: u32| at(row, |times| times.known.as_ref());
        let sequence = |row: u32| at(row, |times| times.sequence.as_ref());
        let rank = |row: u32| (known(row).unwrap_or(0), sequence(row).unwrap_or(0));
        let times = parts.iter().flat_map(|part| part.event.values.iter());
        let lines = Timelines::new(&ordinals, times, &counts, &rank, options.threads);
        drop(ordinals);
        let known = options.as_known.then(|| {
            // In the order of the input first: looking each row up in its batch would cost more.
            let rows = parts.iter().zip(places.lengths());
            let of_part = |(times, rows): (&Times, usize)| {
                let known = times.known.clone();
                (0..rows).map(move |at| known.as_ref().and_then(|known| known.get(at)))
            };
            let by_row: Vec<Option<i64>> = rows.flat_map(of_part).collect();
            let of = |row: u32| by_row.get(row as usize).copied().flatten();
            KnownTimes::new(lines.entries().iter().map(|entry| of(entry.row)))
        });
        AsofIndex { options, keys, lines, known, rows: places.rows() }
    }
}
