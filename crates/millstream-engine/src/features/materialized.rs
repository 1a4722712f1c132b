//! Which views were materialised. Before that, an entity without a record may well have events.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

use millstream_features::view::{Columns, Status};
use millstream_online::OnlineStore;

use super::progress;
use crate::EngineError;

/// Remembers the views that were materialised: a view that was once stays so.
#[derive(Debug, Default)]
pub(super) struct MaterializedViews {
    /// The numbers of the views.
    known: RwLock<BTreeSet<u64>>,
}

impl MaterializedViews {
    /// Whether the view was ever materialised, asked of the store until it was.
    pub(super) async fn contains(&self, store: &dyn OnlineStore, space: u64) -> Result<bool, EngineError> {
        if self.known.read().unwrap_or_else(PoisonError::into_inner).contains(&space) {
            return Ok(true);
        }
        let is_materialized =
            progress::read(store, space).await?.is_some_and(|progress| progress.has_values());
        if is_materialized {
            self.known.write().unwrap_or_else(PoisonError::into_inner).insert(space);
        }
        Ok(is_materialized)
    }

    /// Whether all of the views were.
    pub(super) async fn contains_all(
        &self,
        store: &dyn OnlineStore,
        spaces: impl Iterator<Item = u64>,
    ) -> Result<bool, EngineError> {
        for space in spaces {
            if !self.contains(store, space).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The columns of a view that was never materialised: that an entity has no events cannot be said.
pub(super) fn before_materialization(mut columns: Columns) -> Columns {
    for status in columns.statuses.iter_mut().flatten().filter(|status| **status == Status::Missing) {
        *status = Status::Degraded;
    }
    columns
}
