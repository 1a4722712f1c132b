//! Views in the store: chunks of the lake's events, batches of a log's and pushed rows go into records, and what of them counts once is
//! decided record by record, so that a process may be killed at any moment and another goes on.

mod feed;
mod materialize;
mod push;

use millstream_features::view::{self, Edit, OnlineViewError};

use crate::{
    error::OnlineError,
    store::{Change, EntityKey},
};

pub use feed::feed;
pub use materialize::{Applied, apply_chunk, fill, remove_older, replace_entities, settle};
pub use push::{PushTarget, PushedRows, Pushes};

impl From<view::EntityKey> for EntityKey {
    fn from(key: view::EntityKey) -> Self {
        Self::new(key)
    }
}

/// The change of the store that a view's edit stands for.
fn change(edit: Result<Edit, OnlineViewError>) -> Result<Change, OnlineError> {
    edit.map_err(OnlineError::change).map(|edit| match edit {
        Edit::Keep => Change::Keep,
        Edit::Put(bytes) => Change::Put(bytes),
        Edit::Delete => Change::Delete,
    })
}

/// The events of a view by entity, and the entities' keys.
fn events_of(
    view: &view::OnlineView,
    events: &arrow::array::RecordBatch,
) -> Result<(view::EntityEvents, Vec<EntityKey>), OnlineError> {
    let events = view::EntityEvents::new(view, events).map_err(OnlineError::change)?;
    let entities = events.entities().iter().cloned().map(EntityKey::from).collect();
    Ok((events, entities))
}
