//! `millstream maintain`: compaction, checkpoints, clean-up. Explicit, never on the path of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use futures::future::BoxFuture;
use millstream_lake::{At, LakeError, MaintainOptions, Maintained};
use millstream_plan::{PlanError, Selection};
use millstream_state::{Forgotten, FoundAsset};
use millstream_types::{AssetId, AssetVersion, TableName};
use tokio_util::sync::CancellationToken;

use crate::{
    Engine, EngineError, Event, MaintenanceReport, Publisher,
    assets::{feature_view, table_of},
    engine::World,
    features::rows,
    housekeeping,
    lease::Lease,
    publish::is_outdated,
    reconcile::{Scope, reconcile},
    reprocess,
};

/// What a maintenance run may do.
#[derive(Clone, Debug)]
pub struct MaintainRequest {
    pub selection: Vec<String>,
    /// Versions younger than this stay readable.
    pub retention: Duration,
    /// The command as typed, for whoever waits for the lock.
    pub command: String,
}

/// What maintenance did.
#[derive(Clone, Debug, Default)]
pub struct Maintenance {
    /// The tables in the order in which they were maintained.
    pub tables: Vec<MaintenanceReport>,
    /// What was forgotten of the history of runs, where everything was maintained.
    pub forgotten: Forgotten,
}

/// Whether a table may be tidied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    Free,
    /// Something else has to be done first, which is said in words.
    Held(String),
    /// There is no such table.
    Gone,
}

impl Engine {
    /// Maintains the selected tables and their tables of rejected rows, one after the other, and tells of
    /// each as it is done; everything being selected, the history of runs too. A table that cannot be maintained is left alone, and
    /// its error is given when the others are done. Runs are kept out meanwhile.
    pub fn maintain<'a>(
        &'a self,
        request: &'a MaintainRequest,
        wait: Duration,
        events: Publisher,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<Maintenance, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            // Also those who only read: what they read would go while they are at it.
            let assets = world.project.graph.assets().iter().map(|asset| asset.id.clone());
            // Rows may be pushed to views that stored versions of services alone still have.
            let tables = world.lake.tables().await?;
            let views = tables.iter().filter_map(rows::view_of_pushed).map(feature_view::id);
            let assets: BTreeSet<AssetId> =
                assets.chain(views).chain([AssetId::new(housekeeping::LEASED)]).collect();
            let assets: Vec<AssetId> = assets.into_iter().collect();
            let lease = world.lease(&request.command, &assets, wait, &events, &cancel).await?;
            let done = self.maintain_leased(request, &lease, events).await;
            lease.end().await;
            done
        })
    }

    async fn maintain_leased(
        &self,
        request: &MaintainRequest,
        lease: &Lease,
        events: Publisher,
    ) -> Result<Maintenance, EngineError> {
        let world = self.world();
        // A maintenance that died may have left readers behind, and they would keep versions that nobody needs.
        reconcile(world, Scope::All).await?;
        let selection = Selection::parse(&request.selection, &[]).map_err(PlanError::from)?;
        let selected = selection.resolve(&world.project.graph).map_err(PlanError::from)?;
        world.clean_spill();
        let mut pinned = self.pinned().await?;
        let (mut maintenance, mut failed) = (Maintenance::default(), None);
        for table in self.tables(&selected, selection.is_all()).await? {
            lease.hold().await?;
            if lease.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let pinned = pinned.remove(&table).unwrap_or_default();
            let report = match self.maintain_unless_interrupted(&table, pinned, request.retention).await {
                Ok(Some(report)) => report,
                Ok(None) => continue,
                // The other tables need not wait until this one is mended.
                Err(error) => {
                    world.lake.abandon(&table).await;
                    let report = MaintenanceReport::left_alone(&table, left_because(&error));
                    failed.get_or_insert(error);
                    report
                }
            };
            events.publish(Event::TableMaintained(report.clone()));
            maintenance.tables.push(report);
        }
        if selection.is_all() {
            maintenance.forgotten = housekeeping::forget(world).await?;
        }
        match failed {
            Some(error) => Err(error),
            None if selection.is_all() => {
                housekeeping::record_all_well(world, lease).await?;
                Ok(maintenance)
            }
            None => Ok(maintenance),
        }
    }

    /// The selected tables, each with its table of rejected rows; of everything, what the features keep in the lake too.
    pub(crate) async fn tables(
        &self,
        selected: &BTreeSet<AssetId>,
        everything: bool,
    ) -> Result<Vec<TableName>, EngineError> {
        let mut tables = Vec::new();
        for id in selected {
            // What others keep is no table, or the features'.
            if let Ok(table) = table_of(id) {
                tables.extend([table.rejected(), table]);
            }
        }
        if everything {
            let of_features = |table: &TableName| table.schema() == rows::SCHEMA;
            tables.extend(self.world().lake.tables().await?.into_iter().filter(of_features));
        }
        Ok(tables)
    }

    /// Whether a table may be tidied at all at this moment. A reprocessing that was killed recognises its rejected table by the
    /// version, and obsolete rejected rows are named by a commit that the table's log has to keep.
    pub(crate) async fn standing(&self, table: &TableName) -> Result<Standing, EngineError> {
        let world = self.world();
        let Some(snapshot) = world.lake.snapshot(table, At::Latest).await? else {
            return Ok(Standing::Gone);
        };
        if let Some(owner) = table.rejected_of()
            && reprocess::is_interrupted(world, &owner).await?
        {
            return Ok(Standing::Held(format!(
                "a reprocessing was interrupted and has to go on first: `millstream reprocess {owner}`"
            )));
        }
        match is_outdated(world, &snapshot).await? {
            true => {
                Ok(Standing::Held("its rows are obsolete, and the next run takes them away first".to_owned()))
            }
            false => Ok(Standing::Free),
        }
    }

    async fn maintain_unless_interrupted(
        &self,
        table: &TableName,
        pinned: BTreeSet<i64>,
        retention: Duration,
    ) -> Result<Option<MaintenanceReport>, EngineError> {
        if self.standing(table).await? != Standing::Free {
            return Ok(None);
        }
        let now = self.world().options.clock.now();
        let options = MaintainOptions { retention, pinned, ..MaintainOptions::at(now) };
        let done = match self.compact_table(table, &options).await {
            Ok(Some(compacted)) => {
                self.world().lake.clean(table, &options).await?.map(|cleaned| compacted.and(cleaned))
            }
            Ok(None) => None,
            // Another tool has made it a table that only that tool may tidy; the others go on.
            Err(EngineError::Lake(error @ LakeError::Unsupported { .. })) => {
                return Ok(Some(MaintenanceReport::left_alone(table, error.to_string())));
            }
            Err(error) => return Err(error),
        };
        Ok(done.map(|done| report(table, &done, &options)))
    }

    /// As [`World::compact_table`].
    pub(crate) async fn compact_table(
        &self,
        table: &TableName,
        options: &MaintainOptions,
    ) -> Result<Option<Maintained>, EngineError> {
        let done = self.world().compact_table(table, options).await;
        if let Err(error) = &done {
            self.look_for_damage(error).await;
        }
        done
    }

    /// Versions that must stay readable: those that somebody pinned, those that readers take, and those from which an
    /// incremental table will ask for the changes since its last build.
    pub(crate) async fn pinned(&self) -> Result<BTreeMap<TableName, BTreeSet<i64>>, EngineError> {
        let world = self.world();
        let mut pinned: BTreeMap<TableName, BTreeSet<i64>> = BTreeMap::new();
        for pin in world.state.pins().await? {
            pinned.entry(pin.table).or_default().insert(pin.version);
        }
        let recorded = world.state.recorded().await?;
        for (table, version) in world.published().await?.0.iter() {
            // The newest version is kept by itself.
            let newest = recorded.get(&table.asset_id()).and_then(|recorded| recorded.version);
            if newest != Some(*version) && !version.is_lost() {
                pinned.entry(table.clone()).or_default().insert(version.number());
            }
        }
        // What the project no longer has asks for nothing.
        let recorded = recorded.into_iter().filter(|(id, _)| world.project.graph.get(id).is_some());
        for (_, recorded) in recorded {
            for (input, version) in
                recorded.input_versions.into_iter().filter(|(_, version)| !version.is_lost())
            {
                // A file of labels is no table.
                if let Ok(table) = table_of(&input) {
                    pinned.entry(table).or_default().insert(version.number());
                }
            }
        }
        Ok(pinned)
    }
}

/// What was done to a table, for people.
pub(crate) fn report(table: &TableName, done: &Maintained, options: &MaintainOptions) -> MaintenanceReport {
    let pin = options.pinned.first();
    let pin = pin.map(|version| format!("kept from version {version} on, which is still needed"));
    let is_short = options.retention < options.staged_grace;
    let left =
        (done.files_left > 0).then(|| format!("{} small files are left for the next time", done.files_left));
    MaintenanceReport {
        table: table.clone(),
        files_compacted: done.files_compacted as u64,
        files_written: done.files_written as u64,
        files_deleted: (done.data_files_deleted + done.log_files_deleted) as u64,
        bytes_freed: done.bytes_deleted,
        checkpoint: done.checkpoint,
        notes: pin.into_iter().chain(left).chain(young(done).filter(|_| is_short)).collect(),
    }
}

/// Why files stay although no version needs them.
fn young(done: &Maintained) -> Option<String> {
    let (files, stay) = match done.data_files_young {
        0 => return None,
        1 => ("1 file".to_owned(), "stays until it is"),
        files => (format!("{files} files"), "stay until they are"),
    };
    Some(format!("{files} that no version needs {stay} a day old: a run may be about to commit such files"))
}

/// What is wrong with a table that was left alone, for people.
pub(crate) fn left_because(error: &EngineError) -> String {
    match error {
        EngineError::Lake(error) => format!("left alone: {error}"),
        other => format!("left alone: {other}"),
    }
}

impl World {
    /// Puts small files together, as far as the options let one call do, and records that no row has changed. The caller has the
    /// lease of the table's asset.
    pub(crate) async fn compact_table(
        &self,
        table: &TableName,
        options: &MaintainOptions,
    ) -> Result<Option<Maintained>, EngineError> {
        let done = self.lake.compact(self.sql.runtime().as_ref(), table, options).await?;
        if let Some(version) = done.as_ref().and_then(|done| done.compacted) {
            self.rows_stayed(table, version).await?;
        }
        Ok(done)
    }

    /// Compaction makes a version with the same rows: who has seen the version before has seen this one too,
    /// and need not run for it.
    async fn rows_stayed(&self, table: &TableName, version: i64) -> Result<(), EngineError> {
        let id = table.asset_id();
        let (before, version) = (AssetVersion::numbered(version - 1), AssetVersion::numbered(version));
        let known = self.state.recorded().await?;
        let mut recorded = known.clone();
        recorded.retain(|asset, recorded| {
            let own = *asset == id && recorded.version == Some(before);
            if own {
                recorded.version = Some(version);
            }
            let seen = recorded.input_versions.get_mut(&id).filter(|seen| **seen == before);
            seen.map(|seen| *seen = version).is_some() || own
        });
        let found = recorded.iter().map(|(asset, recorded)| FoundAsset {
            asset,
            seen: known.get(asset),
            recorded: Some(recorded),
            metrics: &[],
        });
        self.state.record_found(&found.collect::<Vec<_>>()).await?;
        Ok(self.state.move_published(&id, before, version).await?)
    }
}
