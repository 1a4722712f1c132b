//! Whose turn it is: the table that was looked at longest ago comes first, and one housekeeping takes so long at most, so that what it
//! did not come to is the first of the next one.

use std::collections::BTreeMap;

use millstream_state::HousekeepingRecord;
use millstream_types::{Span, TableName, TimestampMicros};

/// The time for the whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turns {
    end: TimestampMicros,
    begin: TimestampMicros,
}

impl Turns {
    /// From `now` on, for `whole`. The table at which it is when that is over is still tidied, which has bounds of its own.
    pub(super) fn begin(now: TimestampMicros, whole: Span) -> Self {
        let whole = i64::try_from(whole.as_std().as_micros()).unwrap_or(i64::MAX);
        Self { begin: now, end: TimestampMicros(now.0.saturating_add(whole)) }
    }

    /// Whether no further table is begun. A clock that was set back says nothing of how long it took, and ends it too.
    pub(super) fn are_over(self, now: TimestampMicros) -> bool {
        !(self.begin..=self.end).contains(&now)
    }
}

/// The tables, first those that were never looked at, then the others as long as that is ago, by name where it is the same.
pub(super) fn in_order<'a>(tables: &'a [TableName], known: &[HousekeepingRecord]) -> Vec<&'a TableName> {
    let looked_at: BTreeMap<&str, TimestampMicros> =
        known.iter().filter_map(|record| Some((record.name.as_str(), record.begun?))).collect();
    let mut tables: Vec<&TableName> = tables.iter().collect();
    tables.sort_by_cached_key(|table| {
        let name = table.to_string();
        (looked_at.get(name.as_str()).copied(), name)
    });
    tables
}
