//! Which views were materialised. Before that, an entity without a record may well have events.

use std::{
    collections::BTreeSet,
    sync::{PoisonError, RwLock},
};

use millstream_features::view::{Columns, Status};
use millstream_online::OnlineStore;

use super::progress;
use crate::EngineError;

/// Remembers the views that are known to have been materialised: a view that was once stays so.
#[derive(Debug)]
pub(super) struct MaterializedViews {
    /// The numbers of the views of which that is not known.
    open: RwLock<BTreeSet<u64>>,
}

impl MaterializedViews {
    /// Knows nothing of the views with these numbers.
    pub(super) fn new(spaces: impl Iterator<Item = u64>) -> Self {
        Self { open: RwLock::new(spaces.collect()) }
    }

    /// Whether the view was ever materialised, asked of the store until it was.
    pub(super) async fn contains(&self, store: &dyn OnlineStore, space: u64) -> Result<bool, EngineError> {
        if !self.open.read().unwrap_or_else(PoisonError::into_inner).contains(&space) {
            return Ok(true);
        }
        let is_materialized = progress::read(store, space).await?.is_some_and(|progress| progress.epoch > 0);
        if is_materialized {
            self.open.write().unwrap_or_else(PoisonError::into_inner).remove(&space);
        }
        Ok(is_materialized)
    }
}

/// The columns of a view that was never materialised: that an entity has no events cannot be said.
pub(super) fn before_materialization(mut columns: Columns) -> Columns {
    for status in columns.statuses.iter_mut().flatten().filter(|status| **status == Status::Missing) {
        *status = Status::Degraded;
    }
    columns
}
