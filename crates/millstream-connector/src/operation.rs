//! What happened to rows at their source: the form in which change data capture reaches the engine.

use arrow::array::RecordBatch;

/// What the source did to a row. A row of a first copy of a table is an insert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// The row is new, or was there when the source's table was first copied.
    Insert,
    /// The row has taken the place of an earlier one.
    Update,
    /// The row is gone. Its columns hold what is known of it, its key at least; the others are null.
    Delete,
    /// Every row of the source's table is gone. The row that says so holds nulls.
    Truncate,
}

impl Operation {
    /// The word for people.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Insert => "insert",
            Self::Update => "update",
            Self::Delete => "delete",
            Self::Truncate => "truncate",
        }
    }
}

/// The operations of a batch's rows.
#[derive(Clone, Debug)]
pub struct Operations {
    /// The operation of each row; as many as the batch has rows.
    pub kinds: Vec<Operation>,
    /// The rows as they were before their updates, as many as the batch has rows, in columns of the same names; `None` where
    /// the source tells of none. A source that tells of the key alone, or only where the key changed, leaves the rest null.
    pub before: Option<RecordBatch>,
}
