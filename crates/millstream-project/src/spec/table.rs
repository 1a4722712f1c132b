//! SQL tables.

use std::num::NonZeroU64;

use millstream_types::{Percent, Severity, Span, TableName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{CheckSpec, NeedSpec, ParameterSpec, PartitionSpec, ScheduleSpec, StepsSpec};
use crate::{Located, Location};

/// One file of `tables/<schema>/`.
#[derive(Clone, Debug)]
pub struct TableSpec {
    pub name: TableName,
    pub at: Location,
    pub description: Option<String>,
    pub owner: Option<String>,
    pub tags: Vec<String>,
    /// When the table runs by itself; a view has none.
    pub schedule: Option<ScheduleSpec>,
    pub steps: StepsSpec,
    pub materialize: Materialize,
    /// The partitions in which the table is built; `None` where it is built as a whole.
    pub partition: Option<PartitionSpec>,
    /// The values that the SQL names as `$name`.
    pub parameters: Vec<ParameterSpec>,
    /// Which checks of what the table reads keep it from being built; all that halt, of tables that are not named.
    pub needs: Vec<NeedSpec>,
    pub checks: Vec<CheckSpec>,
    pub on_violation: Severity,
    pub halt_above: Option<Percent>,
    /// The file's text from the end of the header on; `sql.at` is its place in the file.
    pub sql: Located<String>,
}

/// How the table is kept.
#[derive(Clone, Debug)]
pub enum Materialize {
    /// The table is a logical plan and never stored.
    View,
    /// The table is rebuilt as a whole and swapped in one commit.
    Table,
    Incremental(IncrementalSpec),
    /// Every state of a key, with `valid_from` and `valid_to` (slowly changing dimension, type 2).
    /// `time` is the column that says when a state began; the run's time without one.
    History {
        key: Vec<Located<String>>,
        time: Option<Located<String>>,
    },
    /// Computed from events as they arrive.
    Stream(StreamSpec),
}

impl Materialize {
    /// Whether nothing is stored.
    #[must_use]
    pub fn is_view(&self) -> bool {
        matches!(self, Self::View)
    }

    /// How the table comes about from events; `None` for one that is not continuous.
    #[must_use]
    pub fn stream(&self) -> Option<&StreamSpec> {
        match self {
            Self::Stream(stream) => Some(stream),
            _ => None,
        }
    }

    /// Whether former states of rows are kept, which nothing could compute a second time.
    #[must_use]
    pub fn is_history(&self) -> bool {
        matches!(self, Self::History { .. })
    }

    /// Whether changes of the inputs are applied to what is stored, where that is possible.
    #[must_use]
    pub fn applies_changes(&self) -> bool {
        matches!(self, Self::Incremental(_) | Self::History { .. })
    }

    /// Whether the table has states that its inputs may no longer tell, and that a rebuild would lose.
    #[must_use]
    pub fn keeps_states(&self) -> bool {
        matches!(self, Self::History { .. })
    }
}

/// How a continuous table comes about from events.
#[derive(Clone, Debug)]
pub struct StreamSpec {
    /// The columns by which a later row takes the place of an earlier one; empty where rows are only added.
    pub key: Vec<Located<String>>,
    /// How far behind the newest event time rows of one partition may come without being behind the watermark.
    pub disorder: Span,
    /// For how long after its end a window still takes rows in, which then replace what was told of it.
    pub lateness: Span,
    /// A partition without rows for so long holds up nobody; `None` where it holds up the others for ever.
    pub idle_after: Option<Span>,
    /// Rows that say the same are taken once.
    pub deduplicate: Option<DeduplicateSpec>,
    /// Results are committed at least so often while there are any.
    pub commit_every: Span,
    /// Results are committed as soon as there are so many rows of them.
    pub commit_rows: NonZeroU64,
}

/// Which rows say the same.
#[derive(Clone, Debug)]
pub struct DeduplicateSpec {
    /// The columns of the input by which rows are the same.
    pub by: Vec<Located<String>>,
    /// Rows whose event times are further apart are never the same.
    pub within: Span,
}

/// The ways to compute only what the inputs' changes touch.
#[derive(Clone, Debug)]
pub enum IncrementalSpec {
    /// Rows are only ever added.
    Append,
    /// Rows with the same key replace each other; keys that vanish are deleted.
    Merge { key: Vec<Located<String>> },
    /// Whole time partitions are recomputed: `time: ordered_at`, `partition: day`.
    Partition { time: Located<String>, grain: Grain },
}

/// Length of a time partition, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Grain {
    Hour,
    Day,
    Month,
    Year,
}
