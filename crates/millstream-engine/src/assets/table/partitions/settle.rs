//! Rows that were kept out for rows elsewhere: another row had their key, or their counterpart in another table was missing. When
//! what is elsewhere has changed, they are judged again, and the partitions in which one would be a row now are built again.

use std::collections::BTreeMap;

use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use millstream_lake::{At, Snapshot};
use millstream_plan::{PartitionSet, PartitionStates, PartitionStatus};
use millstream_project::{CheckKind, CheckSpec, TableSpec};
use millstream_quality::{UniqueIndex, restore_apart};
use millstream_types::{AssetId, AssetVersion, Severity};

use super::table::PartitionedTable;
use crate::{
    EngineError,
    assets::{table::build::BuildAttempt, table_of, version_of},
    engine::World,
    publish::EPOCH,
    resolver::provider,
    stored,
    stored_keys::StoredKeys,
};

/// The column of a rejected row that names the check that kept it out.
const CHECK: &str = "_check";

impl PartitionedTable<'_> {
    /// Opens the partitions with rejected rows that would be rows of the table now, and records them. Unless there are some, every
    /// rejected row is rightly kept out, which is recorded too: nobody looks again before something has changed.
    pub(super) async fn settle(&mut self) -> Result<PartitionSet, EngineError> {
        let world = self.context.world.clone();
        if is_settled(&world, self.spec, &self.states).await? {
            return Ok(PartitionSet::new());
        }
        let Some(base) = self.snapshot().await? else { return Ok(PartitionSet::new()) };
        // The versions are read before the rows, so that what comes meanwhile is looked at the next time.
        let related = related(&world, self.spec).await?;
        let spec = self.spec.clone();
        let attempt = self.attempt(&spec, Some(&base)).await?;
        let found = self.kept_out(&attempt, &base).await?;
        let is_built = |status: &PartitionStatus| *status == PartitionStatus::Built;
        let opened = found.admitted.intersection(&self.states.which(|standing| is_built(&standing.status)));
        self.told_open = false;
        self.states.outdate(&opened);
        // Without the table's own version, somebody looks again.
        self.states.settled = if found.rows > 0 { related } else { BTreeMap::new() };
        match opened.is_empty() {
            true => self.settled().await?,
            false => self.record(None, &PartitionSet::new(), &[], None).await?,
        }
        Ok(opened)
    }

    /// Records that every rejected row is rightly kept out, once the partitions are built that [`Self::settle`] opened.
    pub(super) async fn settled(&mut self) -> Result<(), EngineError> {
        if let Some(version) = self.states.version {
            self.states.settled.insert(self.context.asset.clone(), version);
        }
        self.record(None, &PartitionSet::new(), &[], None).await
    }

    /// The rejected rows that rows elsewhere keep out, judged by the rows that are there now.
    async fn kept_out(&self, attempt: &BuildAttempt<'_>, base: &Snapshot) -> Result<KeptOut, EngineError> {
        let (world, table, contract) = (&self.context.world, &self.spec.name, &attempt.contract);
        let mut found = KeptOut::default();
        let Some(rejected) = &attempt.rejected else { return Ok(found) };
        let quality = |source| EngineError::Quality { table: table.clone(), source };
        let checks = dependent(self.spec).map(|check| lit(check.id.as_str())).collect();
        let condition = ident(CHECK).in_list(checks, false).and(ident(EPOCH).lt(lit(attempt.build)));
        let columns: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
        let rows = provider(&world.lake, rejected)?;
        let mut rows = stored::scan(world, rejected.table(), rows, &columns, Some(condition)).await?;
        let mut keys = StoredKeys::of_files(base, base.files().to_vec());
        let mut unique = UniqueIndex::new(contract, 0);
        while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
            self.context.check_cancelled()?;
            found.rows += batch.num_rows() as u64;
            for restored in restore_apart(&batch).map_err(quality)? {
                let mut evaluated = contract.evaluate(&restored.rows).map_err(quality)?;
                keys.load_near(world, &evaluated.rows, &mut unique).await?;
                unique.check(&mut evaluated);
                let admitted = self.grid.known_of(&evaluated.accepted().map_err(quality)?)?;
                found.admitted = found.admitted.union(&admitted.into_iter().flatten().collect());
            }
        }
        Ok(found)
    }
}

/// Rejected rows that rows elsewhere keep out.
#[derive(Default)]
struct KeptOut {
    rows: u64,
    /// The partitions of those that would be rows of the table now.
    admitted: PartitionSet,
}

/// Whether every rejected row of a table is known to be rightly kept out.
pub(super) async fn is_settled(
    world: &World,
    spec: &TableSpec,
    states: &PartitionStates,
) -> Result<bool, EngineError> {
    let own = spec.name.asset_id();
    if states.version.is_none() || dependent(spec).next().is_none() {
        return Ok(true);
    }
    if states.settled.get(&own) != states.version.as_ref() {
        return Ok(false);
    }
    for (asset, version) in states.settled.iter().filter(|(asset, _)| **asset != own) {
        let snapshot = world.lake.snapshot(&table_of(asset)?, At::Latest).await?;
        if snapshot.is_some_and(|snapshot| version_of(&snapshot) != *version) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// The versions of the tables into which checks of rejected rows look.
async fn related(world: &World, spec: &TableSpec) -> Result<BTreeMap<AssetId, AssetVersion>, EngineError> {
    let mut versions = BTreeMap::new();
    for check in dependent(spec) {
        let CheckKind::Relationship { to_table, .. } = &check.kind else { continue };
        if let Some(snapshot) = world.lake.snapshot(to_table, At::Latest).await? {
            versions.insert(to_table.asset_id(), version_of(&snapshot));
        }
    }
    Ok(versions)
}

/// The checks that keep rows out of the table for what rows there are elsewhere.
fn dependent(spec: &TableSpec) -> impl Iterator<Item = &CheckSpec> {
    let is_meant = |check: &&CheckSpec| {
        let depends = matches!(check.kind, CheckKind::Unique { .. } | CheckKind::Relationship { .. });
        depends && check.severity == Severity::Quarantine
    };
    spec.checks.iter().filter(is_meant)
}
