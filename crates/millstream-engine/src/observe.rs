//! Gathers what a plan needs to know: versions in the lake, parts that wait at the sources.

use std::{collections::BTreeSet, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use millstream_plan::{Observed, Request, RunPlan, Selection, plan};
use millstream_project::{Materialize, SourceSpec};
use millstream_types::{AssetId, TableName};

use crate::{EngineError, RunRequest, engine::World, landing, reconcile};

/// Probes and discoveries under way at once; each is a listing or a look at one file.
const LOOKS_AT_ONCE: usize = 32;

/// Looks at the lake and at the selected sources, and plans.
pub(crate) async fn observe(world: &Arc<World>, request: &RunRequest) -> Result<RunPlan, EngineError> {
    let project = &world.project;
    let selection = Selection::parse(&request.selection).map_err(millstream_plan::PlanError::from)?;
    let selected = selection.resolve(&project.graph).map_err(millstream_plan::PlanError::from)?;
    let mut recorded = world.state.recorded()?;

    let probes: Vec<_> = stored_tables(world)
        .map(|table| {
            let known = recorded.get(&table.asset_id()).and_then(|recorded| recorded.version);
            probe(world, table, known)
        })
        .collect();
    let versions: Vec<_> = stream::iter(probes).buffered(LOOKS_AT_ONCE).try_collect().await?;
    let mut observed = Observed::default();
    for (table, known, version) in versions {
        let id = table.asset_id();
        if version != known {
            match reconcile::asset(world, &table, recorded.get(&id), version).await? {
                Some(found) => recorded.insert(id.clone(), found),
                None => recorded.remove(&id),
            };
        }
        if let Some(version) = version {
            observed.versions.insert(id, version);
        }
    }
    let sources: Vec<&SourceSpec> =
        project.spec.sources.iter().filter(|source| selected.contains(&source.table().asset_id())).collect();
    let full_refresh = request.full_refresh && !selection.is_all();
    let looks: Vec<_> = sources.into_iter().map(|source| waiting(world, source, full_refresh)).collect();
    observed.parts = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await;
    let request = Request {
        selection,
        full_refresh: request.full_refresh,
        force: request.force,
        now: world.options.clock.now(),
    };
    Ok(plan(&project.graph, &recorded, &observed, &request)?)
}

async fn probe(
    world: &World,
    table: TableName,
    known: Option<i64>,
) -> Result<(TableName, Option<i64>, Option<i64>), EngineError> {
    let version = world.lake.probe(&table, known).await?;
    Ok((table, known, version))
}

/// A source that cannot be looked at is planned, so that its step retries and reports the error while the
/// others go on.
async fn waiting(world: &World, source: &SourceSpec, full: bool) -> (AssetId, Vec<String>) {
    let parts = landing::waiting_parts(world, source, full).await;
    (source.table().asset_id(), parts.unwrap_or_else(|_| vec![source.name.to_string()]))
}

/// The tables that exist in the lake once they are built: all but views, and the tables of rejected rows that
/// some SQL reads.
fn stored_tables(world: &World) -> impl Iterator<Item = TableName> {
    let spec = &world.project.spec;
    let sources = spec.sources.iter().map(SourceSpec::table);
    let tables = spec.tables.iter().filter(|table| !matches!(table.materialize, Materialize::View));
    let read = world.project.analysis.tables.values().flat_map(|table| &table.dependencies);
    let rejected: BTreeSet<_> = read.filter(|table| table.is_rejected()).cloned().collect();
    sources.chain(tables.map(|table| table.name.clone())).chain(rejected)
}
