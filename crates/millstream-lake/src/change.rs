//! One change of one table: what a commit adds, removes and says.

use std::collections::HashMap;

use arrow::datatypes::SchemaRef;
use millstream_types::TimestampMicros;
use serde_json::Value;

use crate::file::{DataFile, StagedFile};

/// The kind of work that made a change; the history shows it as a word such as `MERGE`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Operation {
    /// New rows only, which are right whatever the table holds: they may follow rows that others append meanwhile.
    #[default]
    Append,
    /// All rows were replaced.
    Overwrite,
    /// Rows were added, changed and removed by key.
    Merge,
    /// Parts of the table were computed again.
    Recompute,
    /// States of keys were opened and closed (slowly changing dimension).
    History,
    /// Rows were removed.
    Delete,
    /// Only the schema changed.
    Evolve,
    /// Small files became larger ones; the rows are the same.
    Compact,
}

impl Operation {
    /// The name of the operation in the log, as other Delta tools write it.
    pub(crate) fn delta_name(self) -> &'static str {
        match self {
            Self::Append | Self::Overwrite | Self::Recompute => "WRITE",
            Self::Merge | Self::History => "MERGE",
            Self::Delete => "DELETE",
            Self::Evolve => "CHANGE COLUMNS",
            Self::Compact => "OPTIMIZE",
        }
    }

    pub(crate) fn delta_parameters(self) -> HashMap<String, Value> {
        let mode = match self {
            Self::Append => "Append",
            Self::Overwrite | Self::Recompute => "Overwrite",
            _ => return HashMap::new(),
        };
        HashMap::from([("mode".to_owned(), Value::from(mode))])
    }
}

/// Everything that one commit does. Fill in what is needed, leave the rest at its default.
#[derive(Clone, Debug)]
pub struct TableChange {
    pub add: Vec<StagedFile>,
    /// The files of the base snapshot that the commit takes out of the table.
    pub remove: Vec<DataFile>,
    /// The table's whole new schema. Without the removal of all files it may add columns and nothing
    /// else; Delta has no in-place widening, so a widened column needs its files rewritten.
    pub schema: Option<SchemaRef>,
    pub operation: Operation,
    /// How far each application has come with this commit, by the application's name. A commit whose txn is in the log
    /// already is not made again.
    pub txns: Vec<(String, i64)>,
    /// Facts that the caller wants kept in the commit, for people and for recovery; the history gives them back in
    /// [`crate::CommitRecord`].
    pub info: Value,
    /// Whether the rows of the table change. It is false only where they stay the same (compaction).
    pub data_change: bool,
    /// The time of the commit; `None` takes the system's clock. A time that is not after the base's is moved past it.
    pub at: Option<TimestampMicros>,
}

impl Default for TableChange {
    fn default() -> Self {
        Self {
            add: Vec::new(),
            remove: Vec::new(),
            schema: None,
            operation: Operation::default(),
            txns: Vec::new(),
            info: Value::Null,
            data_change: true,
            at: None,
        }
    }
}
