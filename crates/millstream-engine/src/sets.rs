//! The versions that readers take: all of a run or none, whatever is committed meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use millstream_lake::{At, Lake, LakeError, Snapshot};
use millstream_types::{AssetId, RunId, TableName};

use crate::{Engine, EngineError, assets::table_of, engine::World};

/// Tables with the versions that belong together. A table that is not among them is read at its newest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet(pub(crate) Arc<BTreeMap<TableName, i64>>);

impl ReadSet {
    fn of(versions: BTreeMap<AssetId, i64>) -> Self {
        let tables = versions.into_iter().filter_map(|(id, version)| Some((table_of(&id).ok()?, version)));
        Self(Arc::new(tables.collect()))
    }
}

impl Engine {
    /// What readers take now.
    pub fn published(&self) -> BoxFuture<'_, Result<ReadSet, EngineError>> {
        Box::pin(self.world().published())
    }

    /// What readers took once a run was over; `None` where it published nothing.
    pub fn published_by<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Option<ReadSet>, EngineError>> {
        Box::pin(async move { Ok(self.versions_of(run).await?.map(ReadSet::of)) })
    }

    /// The same with the versions of assets that are no tables.
    pub fn versions_of<'a>(
        &'a self,
        run: &'a RunId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<AssetId, i64>>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.set_of(run).await?) })
    }
}

impl World {
    pub(crate) async fn published(&self) -> Result<ReadSet, EngineError> {
        Ok(ReadSet::of(self.state.published().await?))
    }
}

/// A table as `set` has it. One whose newest version is an earlier one is another table than was published, as after it was
/// taken away and made anew, and is read as it is.
pub(crate) async fn snapshot_in(
    lake: &Lake,
    set: &ReadSet,
    table: &TableName,
) -> Result<Option<Arc<Snapshot>>, LakeError> {
    let Some(version) = set.0.get(table) else { return lake.snapshot(table, At::Latest).await };
    match lake.snapshot(table, At::Version(*version)).await {
        Err(error @ LakeError::VersionUnavailable { .. }) => {
            let newest = lake.snapshot(table, At::Latest).await?;
            match newest {
                Some(newest) if newest.version() >= *version => Err(error),
                newest => Ok(newest),
            }
        }
        found => found,
    }
}
