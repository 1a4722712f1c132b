//! The inputs of one build, each held at one version however long the build takes.

use std::{collections::BTreeMap, sync::Arc};

use millstream_lake::{At, Snapshot};
use millstream_types::{AssetId, TableName};

use crate::{EngineError, engine::World};

/// Pinned snapshots by table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    pub snapshots: BTreeMap<TableName, Arc<Snapshot>>,
}

impl Inputs {
    /// Pins the stored tables that `asset` reads, directly or through views. A table of rejected rows that does
    /// not exist yet is left out: it counts as empty.
    pub(crate) async fn pin(world: &World, asset: &AssetId) -> Result<Self, EngineError> {
        let mut snapshots = BTreeMap::new();
        for id in world.project.graph.stored_inputs(asset) {
            let table = super::table_of(id)?;
            match world.lake.snapshot(&table, At::Latest).await? {
                Some(snapshot) => {
                    snapshots.insert(table, snapshot);
                }
                None if table.is_rejected() => {}
                None => return Err(EngineError::NeverBuilt { table }),
            }
        }
        Ok(Self { snapshots })
    }

    /// The versions to record.
    pub(crate) fn versions(&self) -> BTreeMap<AssetId, i64> {
        self.snapshots.iter().map(|(table, snapshot)| (table.asset_id(), snapshot.version())).collect()
    }
}
