//! The versions that readers take: all versions of a run or none of them, whatever is committed meanwhile.

use std::{collections::BTreeMap, sync::Arc};

use futures::future::BoxFuture;
use millstream_lake::{At, Lake, LakeError, Snapshot};
use millstream_types::{AssetId, AssetVersion, RunId, TableName};

use crate::{Engine, EngineError, assets::table_of, engine::World};

/// Tables with the versions that belong together. A table that is not in the set is read at its newest version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReadSet(pub(crate) Arc<BTreeMap<TableName, AssetVersion>>);

impl ReadSet {
    fn of(versions: BTreeMap<AssetId, AssetVersion>) -> Self {
        let tables = versions.into_iter().filter_map(|(id, version)| Some((table_of(&id).ok()?, version)));
        Self(Arc::new(tables.collect()))
    }
}

impl Engine {
    /// The versions that readers take now.
    pub fn published(&self) -> BoxFuture<'_, Result<ReadSet, EngineError>> {
        Box::pin(self.world().published())
    }

    /// The versions that readers took once a run was over; `None` if the run published nothing.
    pub fn published_by<'a>(&'a self, run: &'a RunId) -> BoxFuture<'a, Result<Option<ReadSet>, EngineError>> {
        Box::pin(async move { Ok(self.versions_of(run).await?.map(ReadSet::of)) })
    }

    /// The versions that readers took once a run was over, with those of assets that are no tables.
    pub fn versions_of<'a>(
        &'a self,
        run: &'a RunId,
    ) -> BoxFuture<'a, Result<Option<BTreeMap<AssetId, AssetVersion>>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.set_of(run).await?) })
    }
}

impl World {
    pub(crate) async fn published(&self) -> Result<ReadSet, EngineError> {
        let mut versions = self.state.published().await?;
        // A pipeline publishes each of its commits by itself.
        versions.retain(|asset, _| !self.project.graph.get(asset).is_some_and(|facts| facts.follows_events));
        Ok(ReadSet::of(versions))
    }
}

/// A table at the version that `set` has; `None` when the lake has no such table.
///
/// # Errors
///
/// The table was deleted or put back since that version was published. What the lake has of it now does not belong to the set.
pub(crate) async fn snapshot_in(
    lake: &Lake,
    set: &ReadSet,
    table: &TableName,
) -> Result<Option<Arc<Snapshot>>, LakeError> {
    let Some(version) = set.0.get(table) else { return lake.snapshot(table, At::Latest).await };
    if !version.is_lost() {
        match lake.snapshot(table, At::Version(version.number())).await {
            Err(LakeError::VersionUnavailable { latest, .. }) if latest < version.number() => {}
            found => return found,
        }
    }
    let newest = lake.snapshot(table, At::Latest).await?;
    newest.map_or(Ok(None), |_| Err(LakeError::VersionLost { table: table.clone() }))
}
