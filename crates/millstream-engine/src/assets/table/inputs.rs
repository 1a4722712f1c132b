//! The inputs of one build, each held at one version however long the build takes.

use std::{collections::BTreeMap, sync::Arc};

use arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use millstream_lake::{At, DataFile, Lake, LakeError, LakeTable, ScanCount, Snapshot};
use millstream_sql::incremental::{self, InputChange};
use millstream_types::{AssetId, AssetVersion, TableName};

use crate::{EngineError, assets::version_of, engine::World, resolver::provider};

/// The inputs of a build, as pinned snapshots by table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Inputs {
    pub snapshots: BTreeMap<TableName, Arc<Snapshot>>,
}

/// What changed in the inputs.
pub(crate) struct ChangedInputs {
    pub inputs: incremental::Inputs,
    /// The number of rows that were added; `None` where rows were removed too, or a file does not tell its rows.
    pub rows_added: Option<u64>,
}

/// Where scans of inputs that have changed tell their rows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counts<'a> {
    /// Of the rows that came.
    pub added: Option<&'a ScanCount>,
    /// Of all rows of the new version.
    pub whole: Option<&'a ScanCount>,
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

    /// The inputs as unchanged tables, for computing everything.
    pub(crate) fn whole(&self, world: &World) -> Result<incremental::Inputs, EngineError> {
        self.whole_counted(world, None)
    }

    /// The same, of which each scan tells its rows to `count`.
    pub(crate) fn whole_counted(
        &self,
        world: &World,
        count: Option<&ScanCount>,
    ) -> Result<incremental::Inputs, EngineError> {
        self.snapshots.iter().try_fold(incremental::Inputs::new(), |inputs, (table, snapshot)| {
            let (schema, files) = (snapshot.schema(), snapshot.files().to_vec());
            let change = InputChange::unchanged(rows_of(&world.lake, schema, files, count)?);
            Ok(inputs.with(&table.to_string(), change))
        })
    }

    /// The number of rows of all inputs; `None` where a file does not tell its rows.
    pub(crate) fn rows(&self) -> Option<u64> {
        self.snapshots.values().map(|snapshot| snapshot.rows()).sum()
    }

    /// What changed in the inputs since the recorded versions. `None` when the build reads other tables than before, or when
    /// the past of an input can no longer be read.
    pub(crate) async fn changes(
        &self,
        world: &World,
        since: &BTreeMap<AssetId, AssetVersion>,
    ) -> Result<Option<ChangedInputs>, EngineError> {
        self.changes_counted(world, since, Counts::default()).await
    }

    /// The same, whose scans are counted.
    pub(crate) async fn changes_counted(
        &self,
        world: &World,
        since: &BTreeMap<AssetId, AssetVersion>,
        counts: Counts<'_>,
    ) -> Result<Option<ChangedInputs>, EngineError> {
        if since.len() != self.snapshots.len() {
            return Ok(None);
        }
        let (mut inputs, mut rows_added) = (incremental::Inputs::new(), Some(0_u64));
        for (table, snapshot) in &self.snapshots {
            let Some(&from) = since.get(&table.asset_id()) else { return Ok(None) };
            let changed = input_change(world, table, snapshot, from.number(), counts).await?;
            let Some((change, added)) = changed else { return Ok(None) };
            rows_added = rows_added.zip(added).map(|(sum, added)| sum.saturating_add(added));
            inputs = inputs.with(&table.to_string(), change);
        }
        Ok(Some(ChangedInputs { inputs, rows_added }))
    }

    /// The versions to record.
    pub(crate) fn versions(&self) -> BTreeMap<AssetId, AssetVersion> {
        self.snapshots.iter().map(|(table, snapshot)| (table.asset_id(), version_of(snapshot))).collect()
    }
}

/// Whether a version, or what changed since, can be read no more.
pub(crate) fn is_gone(error: &LakeError) -> bool {
    matches!(error, LakeError::VersionUnavailable { .. } | LakeError::ChangesUnavailable { .. })
}

/// How an input changed, and the number of rows that were added, as in [`ChangedInputs`].
async fn input_change(
    world: &World,
    table: &TableName,
    snapshot: &Snapshot,
    from: i64,
    counts: Counts<'_>,
) -> Result<Option<(InputChange, Option<u64>)>, EngineError> {
    let new = rows_of(&world.lake, snapshot.schema(), snapshot.files().to_vec(), counts.whole)?;
    if from == snapshot.version() {
        return Ok(Some((InputChange::unchanged(new), Some(0))));
    }
    let old = match world.lake.snapshot(table, At::Version(from)).await {
        Ok(Some(old)) => old,
        Ok(None) => return Ok(None),
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let changes = match world.lake.changes(table, from, snapshot.version()).await {
        Ok(changes) => changes,
        Err(error) if is_gone(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let is_added = changes.removed.is_empty();
    let rows_added = if is_added { changes.added.iter().map(DataFile::rows).sum() } else { None };
    let rows = |files: Vec<DataFile>, count| {
        let some = (!files.is_empty()).then(|| rows_of(&world.lake, snapshot.schema(), files, count));
        some.transpose()
    };
    let change = InputChange {
        old: provider(&world.lake, &old)?,
        new,
        added: rows(changes.added, counts.added)?,
        removed: rows(changes.removed, None)?,
    };
    Ok(Some((change, rows_added)))
}

/// The rows of the files, which each scan tells to `count`.
fn rows_of(
    lake: &Lake,
    schema: SchemaRef,
    files: Vec<DataFile>,
    count: Option<&ScanCount>,
) -> Result<Arc<dyn TableProvider>, LakeError> {
    match count {
        Some(count) => LakeTable::counted(lake, schema, files, count),
        None => LakeTable::new(lake, schema, files),
    }
}
