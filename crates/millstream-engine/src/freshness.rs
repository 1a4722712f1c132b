//! Freshness by the clock: whether the rows that a table has are still young enough, although nothing changed in it.

use std::collections::BTreeSet;

use futures::{StreamExt, stream};
use millstream_lake::At;
use millstream_project::{CheckKind, CheckSpec};
use millstream_quality::{TableCheckOutcome, VersionBefore};
use millstream_types::{AssetId, CheckId, TableName};

use crate::{
    EngineError,
    assets::table_of,
    audit::{report, table_checks},
    engine::World,
    resolver::provider,
};

/// The number of tables that are looked at at the same time.
const LOOKS_AT_ONCE: usize = 8;

/// The assets of which a freshness check does not hold by the clock. A table that cannot be read is none of them: its own
/// step says what is wrong with it.
pub(crate) async fn overdue(world: &World, assets: &BTreeSet<AssetId>) -> BTreeSet<AssetId> {
    let looks: Vec<_> = assets.iter().map(|id| is_overdue(world, id)).collect();
    let looked: Vec<bool> = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await;
    assets.iter().zip(looked).filter(|(_, overdue)| *overdue).map(|(id, _)| id.clone()).collect()
}

async fn is_overdue(world: &World, id: &AssetId) -> bool {
    first_overdue(world, id).await.is_some()
}

/// The first freshness check of the asset that does not hold by the clock.
pub(crate) async fn first_overdue(world: &World, id: &AssetId) -> Option<CheckId> {
    let table = table_of(id).ok()?;
    let outcomes = outcomes(world, &table).await.unwrap_or_default();
    outcomes.into_iter().find(|outcome| !outcome.passed).map(|outcome| report(outcome).check)
}

/// What the freshness checks of a table find now; nothing without such checks, or before the table is there.
pub(crate) async fn outcomes(
    world: &World,
    table: &TableName,
) -> Result<Vec<TableCheckOutcome>, EngineError> {
    let is_clocked = |check: &&CheckSpec| matches!(check.kind, CheckKind::Freshness { .. });
    let checks: Vec<_> = world.project.checks(table).iter().filter(is_clocked).cloned().collect();
    if checks.is_empty() || world.project.is_view(table) {
        return Ok(Vec::new());
    }
    let Some(snapshot) = world.lake.snapshot(table, At::Latest).await? else { return Ok(Vec::new()) };
    let rows = provider(&world.lake, &snapshot)?;
    let now = world.options.clock.now();
    table_checks(world, table, rows, &checks, VersionBefore::default(), now).await
}
