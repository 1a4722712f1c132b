//! A view online: one record of bytes for each entity, which holds hops and the newest event rather than values, so that
//! a read at any time gives what training gives for that time.
//!
//! A record is changed by chunks of the lake's events, which count once however often they are applied, and by pushes,
//! which lie on top of it until the lake has them. It is read where it lies. Nothing here stores anything: every change
//! takes the bytes there are and gives those to be stored.

mod change;
mod columns;
mod draft;
mod error;
mod events;
mod order;
mod read;
mod record;
mod row;

use std::sync::Arc;

use arrow::{array::ArrayRef, datatypes::DataType};

use super::{
    definition::{FeatureValue, ViewDefinition},
    key::{EntityKey, entity_keys},
};
use crate::{
    FeatureError,
    window::{CompactState, Plan},
};

pub use change::{Chunk, Edit, MARK_LAG, PUSHED_MAX, RECENT_MAX};
pub use columns::Columns;
pub use error::OnlineViewError;
pub use events::EntityEvents;
pub use read::{ReadPlan, Reading};
pub use record::{Position, RECORD_VERSION};

use row::RowCodec;

/// A view ready to be kept and read online. Cloning shares it.
#[derive(Debug, Clone)]
pub struct OnlineView(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    definition: ViewDefinition,
    space: u64,
    plan: Plan,
    /// The states of an entity without events, one for each cell of the plan.
    empty: Vec<CompactState>,
    /// The source of each feature's value.
    sources: Vec<ValueSource>,
    /// The codec of all columns, for events that are kept one by one.
    event_row: RowCodec,
    /// The codec of the columns that features name of the newest event.
    newest_row: RowCodec,
    /// The time to live in microseconds.
    ttl: Option<i64>,
}

/// The source of a feature's value.
#[derive(Debug, Clone, Copy)]
enum ValueSource {
    /// The value is a column of the newest event, which has a place in each of the two kinds of rows.
    Newest { in_newest: usize, in_event: usize },
    /// The value is that of the windowed feature with this number.
    Window(usize),
}

impl OnlineView {
    /// # Errors
    ///
    /// An aggregation cannot take its column's type, or a column's type has no stored form.
    pub fn new(definition: ViewDefinition) -> Result<Self, OnlineViewError> {
        let state_error = |source| OnlineViewError::State { view: definition.name.clone(), source };
        let not_storable =
            |data_type| OnlineViewError::NotStorable { view: definition.name.clone(), data_type };
        let types: Vec<DataType> = definition.columns.iter().map(|column| column.data_type.clone()).collect();
        let layout = definition.layout().map_err(state_error)?;
        let plan = Plan::new(&layout, &types);
        let newest =
            |value: &FeatureValue| if let FeatureValue::Newest(at) = value { Some(*at) } else { None };
        let mut wanted: Vec<usize> =
            definition.features.iter().filter_map(|feature| newest(&feature.value)).collect();
        wanted.sort_unstable();
        wanted.dedup();
        let all: Vec<usize> = (0..types.len()).collect();
        let event_row = RowCodec::new(&types, &all).map_err(not_storable)?;
        let newest_row = RowCodec::new(&types, &wanted).map_err(not_storable)?;
        let mut windows = 0..;
        let source = |value: &FeatureValue| match newest(value) {
            Some(column) => ValueSource::Newest {
                in_newest: newest_row.field(column).unwrap_or(usize::MAX),
                in_event: event_row.field(column).unwrap_or(usize::MAX),
            },
            None => ValueSource::Window(windows.next().unwrap_or(usize::MAX)),
        };
        let sources = definition.features.iter().map(|feature| &feature.value).map(source).collect();
        let (empty, ttl, space) =
            (plan.empty(), definition.ttl.map(crate::aggregate::micros), definition.space());
        Ok(Self(Arc::new(Inner { definition, space, plan, empty, sources, event_row, newest_row, ttl })))
    }

    #[must_use]
    pub fn definition(&self) -> &ViewDefinition {
        &self.0.definition
    }

    /// The number under which the view's records are stored; see [`ViewDefinition::space`].
    #[must_use]
    pub fn space(&self) -> u64 {
        self.0.space
    }

    /// The keys of entities: one for each row, none where one of its columns is null.
    ///
    /// # Errors
    ///
    /// As [`entity_keys`].
    pub fn entity_keys(&self, columns: &[ArrayRef]) -> Result<Vec<Option<EntityKey>>, OnlineViewError> {
        entity_keys(&self.0.definition.entity, &self.0.definition.keys, columns)
    }

    fn has_newest(&self) -> bool {
        self.0.sources.iter().any(|source| matches!(source, ValueSource::Newest { .. }))
    }

    fn is_visible(&self, event: i64, at: i64) -> bool {
        event < at || (self.0.definition.include_same_instant && event == at)
    }

    fn state_error(&self, source: FeatureError) -> OnlineViewError {
        let view = self.0.definition.name.clone();
        match source {
            FeatureError::Bytes { reason } => OnlineViewError::Record { view, reason },
            source => OnlineViewError::State { view, source },
        }
    }
}
