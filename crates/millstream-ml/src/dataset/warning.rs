//! What a build does not refuse and its user should know.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::split::Side;

/// Something odd in the rows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Warning {
    /// There is no label row.
    NoLabels,
    /// Label rows without a key: the view's features are those of an entity without events.
    WithoutKey { view: String, rows: u64 },
    /// Label rows without a time: all features are those of entities without events.
    WithoutTime { rows: u64 },
    /// Label rows whose time has not come. This warning is not in the manifest, since it passes with time.
    InFuture { rows: u64 },
    /// No label can see an event of the view.
    EmptyView { view: String },
    /// The column has no value at all.
    AllNull { column: String },
    /// No row is on this side.
    EmptySide { side: Side },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLabels => write!(f, "there are no label rows"),
            Self::WithoutKey { view, rows } => {
                write!(f, "label rows without a key of the view `{view}`: {rows}; its features see no events")
            }
            Self::WithoutTime { rows } => {
                write!(f, "label rows without a time: {rows}; their features see no events")
            }
            Self::InFuture { rows } => {
                write!(f, "label rows with a time in the future: {rows}; their features may still change")
            }
            Self::EmptyView { view } => write!(f, "the view `{view}` has no event up to the last label"),
            Self::AllNull { column } => write!(f, "`{column}` is null in every row"),
            Self::EmptySide { side } => write!(f, "no row is on the side `{}`", side.name()),
        }
    }
}
