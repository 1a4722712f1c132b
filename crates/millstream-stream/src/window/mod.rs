//! Aggregates over windows of event time, by key.
//!
//! A window is told when the watermark has passed its end, in the order of (end, start, key). With an allowed lateness it stays a while
//! longer, and rows that come meanwhile correct it.

mod emission;
mod groups;
mod panes;
mod sessions;

use std::sync::Arc;

use arrow::datatypes::{Field, Schema, SchemaRef};
use millstream_types::Span;

use crate::{
    Aggregate, StreamError,
    aggregate::bind,
    key::{KeyEncoder, KeyTable, key_columns},
    operator::Operator,
    time::{micros, micros_positive, time_type},
};
use groups::Groups;
use panes::{Grid, PaneWindows};
use sessions::SessionWindows;

/// The column with the start of a window, which is the event time of its row.
pub const WINDOW_START: &str = "window_start";
/// The column with the end of a window, which is no part of it.
pub const WINDOW_END: &str = "window_end";
/// The most pieces of which a hopping window is put together.
pub const PANES_MAX: i64 = 10_000;

/// Aggregates of windows. The result has the key columns, [`WINDOW_START`], [`WINDOW_END`] and one column for each aggregate; its merge
/// key is all but the aggregates.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowDefinition {
    pub name: String,
    pub window: Window,
    /// The columns whose values make a group; none make one group of all rows.
    pub keys: Vec<String>,
    pub aggregates: Vec<Aggregate>,
    /// How long after its end a window still takes in rows. Its corrected row is told as [`crate::Output::Merge`]; rows beyond it are
    /// refused as late.
    pub lateness: Span,
}

/// Which windows a row belongs to. All are half open: a row at the end of a window is not in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Window {
    /// Windows of one length side by side; `offset` moves their starts away from 1970-01-01T00:00:00Z.
    Tumbling { size: Span, offset: Span },
    /// A window of length `size` starts at every `hop`, which is at most `size`.
    Hopping { size: Span, hop: Span, offset: Span },
    /// Rows of a key of which each is less than `gap` away from the next. The window ends `gap` after its last row.
    Session { gap: Span },
}

/// The operator of a definition, and the schema of its rows.
pub(crate) fn windows(
    definition: &WindowDefinition,
    input: &Schema,
    time: usize,
) -> Result<(Box<dyn Operator>, SchemaRef), StreamError> {
    let name = definition.name.as_str();
    let (keys, types) = key_columns(name, input, &definition.keys)?;
    let lateness = micros(name, "a lateness", definition.lateness)?;
    let length = match definition.window {
        Window::Tumbling { size, .. } | Window::Hopping { size, .. } => {
            Some(micros_positive(name, "a window", size)?)
        }
        Window::Session { .. } => None,
    };
    let mut fields: Vec<Field> = keys
        .iter()
        .filter_map(|column| input.fields().get(*column))
        .map(|field| field.as_ref().clone())
        .collect();
    fields.extend([WINDOW_START, WINDOW_END].map(|name| Field::new(name, time_type(), false)));
    let merge_key = fields.len();
    let mut accumulators = Vec::new();
    for aggregate in &definition.aggregates {
        let (states, field) = bind(name, aggregate, input, length.map(i64::unsigned_abs))?;
        accumulators.push(states);
        fields.push(field);
    }
    check_names(name, &fields)?;
    let key_schema = Schema::new(fields.iter().take(merge_key).cloned().collect::<Vec<_>>());
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let table = KeyTable::new(KeyEncoder::new(types)?);
    let groups = Groups::new(table, accumulators, Arc::clone(&schema), Arc::new(key_schema));
    let operator: Box<dyn Operator> = match definition.window {
        Window::Tumbling { size, offset } => Box::new(PaneWindows::new(
            name,
            Grid::new(name, size, size, offset)?,
            lateness,
            keys,
            time,
            groups,
        )),
        Window::Hopping { size, hop, offset } => Box::new(PaneWindows::new(
            name,
            Grid::new(name, size, hop, offset)?,
            lateness,
            keys,
            time,
            groups,
        )),
        Window::Session { gap } => {
            let gap = micros_positive(name, "a gap", gap)?;
            Box::new(SessionWindows::new(name, gap, lateness, keys, time, groups))
        }
    };
    Ok((operator, schema))
}

/// Two columns of one name could not be told apart.
pub(crate) fn check_names(stage: &str, fields: &[Field]) -> Result<(), StreamError> {
    for (at, field) in fields.iter().enumerate() {
        if fields.iter().take(at).any(|other| other.name() == field.name()) {
            return Err(StreamError::DuplicateColumn { stage: stage.into(), column: field.name().clone() });
        }
    }
    Ok(())
}
