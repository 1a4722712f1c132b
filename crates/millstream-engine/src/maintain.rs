//! `millstream maintain`: compaction, checkpoints, clean-up. Explicit, never on the path of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::future::BoxFuture;
use millstream_lake::{LakeError, MaintainOptions};
use millstream_plan::{PlanError, Selection};
use millstream_state::FoundAsset;
use millstream_types::TableName;
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError, event::MaintenanceReport, reconcile::reconcile, reprocess};

/// What a maintenance run may do.
#[derive(Clone, Debug)]
pub struct MaintainRequest {
    pub selection: Vec<String>,
    /// Versions younger than this stay readable.
    pub retention: Duration,
    /// The command as typed, for whoever waits for the lock.
    pub command: String,
}

impl Engine {
    /// Maintains the selected tables and their tables of rejected rows, one after the other; `told` hears of
    /// each as it is done. Runs are kept out meanwhile.
    pub fn maintain<'a>(
        &'a self,
        request: &'a MaintainRequest,
        wait: Duration,
        told: Arc<dyn Fn(&MaintenanceReport) + Send + Sync>,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Vec<MaintenanceReport>, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let _lock = world.lock(&request.command, wait)?;
            // A maintenance that died may have left readers behind, and they would keep versions that nobody needs.
            reconcile(world).await?;
            let selection = Selection::parse(&request.selection, &[]).map_err(PlanError::from)?;
            let selected = selection.resolve(&world.project.graph).map_err(PlanError::from)?;
            let mut pinned = self.pinned()?;
            let mut reports = Vec::new();
            for id in selected {
                let table = crate::table::table_of(&id)?;
                let interrupted = reprocess::is_interrupted(world, &table).await?;
                for table in [table.rejected(), table] {
                    // A reprocessing that was killed recognises its rejected table by the version.
                    if interrupted && table.is_rejected() {
                        continue;
                    }
                    if cancel.is_cancelled() {
                        return Err(EngineError::Cancelled);
                    }
                    let pinned = pinned.remove(&table).unwrap_or_default();
                    if let Some(report) = self.maintain_table(&table, pinned, request.retention).await? {
                        told(&report);
                        reports.push(report);
                    }
                }
            }
            Ok(reports)
        })
    }

    async fn maintain_table(
        &self,
        table: &TableName,
        pinned: BTreeSet<i64>,
        retention: Duration,
    ) -> Result<Option<MaintenanceReport>, EngineError> {
        let world = self.world();
        let notes =
            pinned.first().map(|version| format!("kept from version {version} on, which is still needed"));
        let options = MaintainOptions { retention, pinned, ..MaintainOptions::at(world.options.clock.now()) };
        let done = match world.lake.maintain(table, &options).await {
            Ok(Some(done)) => done,
            Ok(None) => return Ok(None),
            // Another tool has made it a table that only that tool may tidy; the others go on.
            Err(error @ LakeError::Unsupported { .. }) => {
                return Ok(Some(MaintenanceReport::left_alone(table, error.to_string())));
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(version) = done.compacted {
            self.rows_stayed(table, version)?;
        }
        Ok(Some(MaintenanceReport {
            table: table.clone(),
            files_compacted: done.files_compacted as u64,
            files_written: done.files_written as u64,
            files_deleted: (done.data_files_deleted + done.log_files_deleted) as u64,
            bytes_freed: done.bytes_deleted,
            checkpoint: done.checkpoint,
            notes: notes.into_iter().collect(),
        }))
    }

    /// Compaction makes a version with the same rows: who has seen the version before has seen this one too,
    /// and need not run for it.
    fn rows_stayed(&self, table: &TableName, version: i64) -> Result<(), EngineError> {
        let world = self.world();
        let id = table.asset_id();
        let mut recorded = world.state.recorded()?;
        recorded.retain(|asset, recorded| {
            let own = *asset == id && recorded.version == Some(version - 1);
            if own {
                recorded.version = Some(version);
            }
            let seen = recorded.input_versions.get_mut(&id).filter(|seen| **seen == version - 1);
            seen.map(|seen| *seen = version).is_some() || own
        });
        let found = recorded.iter().map(|(asset, recorded)| FoundAsset {
            asset,
            recorded: Some(recorded),
            metrics: &[],
        });
        Ok(world.state.record_found(&found.collect::<Vec<_>>())?)
    }

    /// Versions that must stay readable: those that somebody pinned, and those from which an incremental
    /// table will ask for the changes since its last build.
    fn pinned(&self) -> Result<BTreeMap<TableName, BTreeSet<i64>>, EngineError> {
        let world = self.world();
        let mut pinned: BTreeMap<TableName, BTreeSet<i64>> = BTreeMap::new();
        for pin in world.state.pins()? {
            pinned.entry(pin.table).or_default().insert(pin.version);
        }
        let recorded = world.state.recorded()?;
        // What the project no longer has asks for nothing.
        let recorded = recorded.into_iter().filter(|(id, _)| world.project.graph.get(id).is_some());
        for (_, recorded) in recorded {
            // A version below 0 is one that is lost already.
            for (input, version) in recorded.input_versions.into_iter().filter(|(_, version)| *version >= 0) {
                pinned.entry(crate::table::table_of(&input)?).or_default().insert(version);
            }
        }
        Ok(pinned)
    }
}
