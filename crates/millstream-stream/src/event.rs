//! What stages tell each other, and what a pipeline tells its caller.

use arrow::array::RecordBatch;

/// What a pipeline tells, in the order in which it has to be applied.
#[derive(Debug, Clone)]
pub enum Output {
    /// New rows of the result, none of which was told before.
    Rows(RecordBatch),
    /// Rows of the result that take the place of those with equal merge key, or are new. Only windows with an allowed lateness
    /// give them; their merge key is the window and the group.
    Merge(RecordBatch),
    /// Merge keys of rows that are part of the result no more: sessions that late rows joined to others, and corrected rows that a filter behind the
    /// window may not let through; these may come again at once, or never have been told. The batch holds the columns of the merge key alone.
    Delete(RecordBatch),
    /// Rows that took no part.
    Refused(Refused),
    /// No row with an event time before this instant (microseconds since 1970 UTC) follows in the result, but for those that
    /// [`Output::Merge`] corrects. `i64::MAX` is the end of the stream.
    Watermark(i64),
}

/// Rows that took no part, as the stage received them.
#[derive(Debug, Clone)]
pub struct Refused {
    /// The name of the stage.
    pub stage: String,
    pub reason: RefusedReason,
    /// The watermark of the stage when the rows came.
    pub watermark: i64,
    pub rows: RecordBatch,
}

/// Why rows took no part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RefusedReason {
    /// Everything that the rows belong to was complete.
    Late,
    /// The event time is null.
    NoTime,
    /// The event time is outside of [`crate::TIME_MIN`] to [`crate::TIME_MAX`].
    TimeOutOfRange,
    /// The event time is further ahead of the instant at which the row was learned of than the source allows.
    Future,
    /// An aggregate of the row is beyond what its type can hold. The row is one of the result, with a null in its place.
    Overflow,
}

impl RefusedReason {
    /// The word for tables of rejected rows and for figures.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Late => "late",
            Self::NoTime => "no_time",
            Self::TimeOutOfRange => "time_out_of_range",
            Self::Future => "future",
            Self::Overflow => "overflow",
        }
    }
}
