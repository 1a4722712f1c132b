//! The point-in-time join: for each label row, the newest row of a feature view that was visible at the label's time.
//!
//! A row is visible to a label when its key is equal, its event time is strictly earlier than the label's time (or
//! equal, with [`AsofOptions::include_same_instant`]), and, where the label names a known-time cut-off, its known time
//! is not later than the cut-off. Of the visible rows the last one in the total order (event time, known time,
//! sequence) is the match; a null counts as 0 in that order, and only rows that are equal in all three fall back to the
//! order of the input. A match older than the time to live is reported as expired; a row that is exactly as old as the
//! time to live still counts.
//!
//! What has a defined outcome:
//! - A label with a null in its key, its time or its cut-off matches nothing. A feature row with a null in its key or its
//!   event time matches no label. A feature row whose known time is null is invisible to every cut-off.
//! - Keys are compared by value, column by column: (1, 12) and (11, 2) differ. `-0.0` equals `0.0` and NaN equals NaN.
//!   The encoding of a column (dictionary, view, large offsets, time zone) does not matter; any other difference of
//!   types is an error that names both.
//! - The answer has one row per label, in the labels' order, whatever the order or the batches of the feature rows.
//!
//! Time: one hash look-up per feature row and label, a counting sort by key, a sort by time within a key (linear where
//! the rows come in order), a binary search per label. With a cut-off a tree of minima finds the newest row that was
//! known, so that late corrections of a key with millions of rows cost a few steps each.
//!
//! Memory: 16 bytes per feature row, 8.5 more with cut-offs, and 4 more while the index is built; per distinct key 23 to
//! 46 bytes, and its own bytes unless it is one column of at most 64 bits; 24 bytes per label of the batch that is joined. The columns that are passed in
//! are referred to, not copied. Rows beyond memory: split both sides by [`partitions`] and join part by part.

mod build;
mod column;
mod error;
mod join;
mod key;
mod known;
mod matches;

use std::num::NonZeroUsize;

use arrow::array::ArrayRef;
use millstream_types::Span;

pub use build::AsofBuilder;
pub use error::{AsofError, Side};
pub use join::AsofIndex;
pub use key::{KeyColumn, partitions};
pub use matches::{MatchStatus, Matches};

pub(crate) use known::KnownTimes;

/// How one view is joined.
#[derive(Clone, Copy, Debug)]
pub struct AsofOptions {
    /// Whether a row at exactly the label's time is visible.
    pub include_same_instant: bool,
    /// The time to live: a match older than this is expired, one that is exactly this old is not.
    pub ttl: Option<Span>,
    /// Whether labels may bring a known-time cut-off, for which the feature rows then need a known time.
    pub as_known: bool,
    /// At most this many threads sort, search and take.
    pub threads: NonZeroUsize,
}

impl Default for AsofOptions {
    fn default() -> Self {
        Self { include_same_instant: false, ttl: None, as_known: false, threads: NonZeroUsize::MIN }
    }
}

/// One batch of a view's rows, without its features: columns of one length.
#[derive(Clone, Copy, Debug)]
pub struct FeatureRows<'a> {
    /// In the order of the key columns that the builder was made with.
    pub keys: &'a [ArrayRef],
    /// `Timestamp(Microsecond)`; a column without a zone is read as UTC.
    pub time: &'a ArrayRef,
    /// The known times, `Timestamp(Microsecond)`.
    pub known: Option<&'a ArrayRef>,
    /// The sequence numbers of ingestion, `Int64`.
    pub sequence: Option<&'a ArrayRef>,
}

/// One batch of label rows: columns of one length.
#[derive(Clone, Copy, Debug)]
pub struct LabelRows<'a> {
    /// In the order of the key columns that the builder was made with.
    pub keys: &'a [ArrayRef],
    /// `Timestamp(Microsecond)`; a column without a zone is read as UTC.
    pub time: &'a ArrayRef,
    /// The known-time cut-off of each label, `Timestamp(Microsecond)`; rows known at exactly this time count.
    pub as_known: Option<&'a ArrayRef>,
}
