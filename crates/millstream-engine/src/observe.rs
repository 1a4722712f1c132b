//! Gathers what a plan needs to know: versions in the lake, parts that wait at the sources.

use std::{collections::BTreeMap, sync::Arc};

use futures::{StreamExt, TryStreamExt, stream};
use millstream_plan::{Observed, Recorded, Request, RunPlan, Selection, plan};
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
    let mut recorded: BTreeMap<AssetId, Recorded> = world.state.assets()?.into_iter().collect();

    let stored: Vec<TableName> = stored_tables(world).collect();
    let versions = stream::iter(stored)
        .map(|table| async move {
            let known = world.state.known_version(&table.asset_id())?;
            let version = world.lake.probe(&table, known).await?;
            Ok::<_, EngineError>((table, known, version))
        })
        .buffered(LOOKS_AT_ONCE)
        .try_collect::<Vec<_>>()
        .await?;
    let mut observed = Observed::default();
    for (table, known, version) in versions {
        let id = table.asset_id();
        if version != known {
            match reconcile::asset(world, &table, version).await? {
                Some(found) => recorded.insert(id.clone(), found),
                None if version.is_none() => recorded.remove(&id),
                None => None,
            };
        }
        if let Some(version) = version {
            observed.versions.insert(id, version);
        }
    }
    let sources: Vec<&SourceSpec> = project
        .spec
        .sources
        .iter()
        .filter(|source| selected.contains(&source.table().asset_id()))
        .collect();
    observed.parts = stream::iter(sources)
        .map(|source| async move {
            let parts = landing::waiting_parts(world, source, request.full_refresh).await;
            (source.table().asset_id(), parts)
        })
        .buffered(LOOKS_AT_ONCE)
        .collect::<BTreeMap<_, _>>()
        .await;
    let request = Request {
        selection,
        full_refresh: request.full_refresh,
        force: request.force,
        now: world.options.clock.now(),
    };
    Ok(plan(&project.graph, &recorded, &observed, &request)?)
}

/// The tables that exist in the lake once they are built: all but views.
fn stored_tables(world: &World) -> impl Iterator<Item = TableName> {
    let spec = &world.project.spec;
    let sources = spec.sources.iter().map(SourceSpec::table);
    let tables = spec.tables.iter().filter(|table| !matches!(table.materialize, Materialize::View));
    sources.chain(tables.map(|table| table.name.clone()))
}
