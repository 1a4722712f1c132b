//! Gathers what a plan needs to know: versions in the lake, parts that wait at the sources.

use std::sync::Arc;

use futures::{StreamExt, stream};
use millstream_plan::{Observed, Request, RunPlan, Selection, plan};
use millstream_project::SourceSpec;
use millstream_types::AssetId;

use crate::{
    EngineError, RunRequest,
    engine::World,
    error::told,
    freshness, landing,
    reconcile::{reconcile, reconciled},
};

/// Sources that are looked at at once.
const LOOKS_AT_ONCE: usize = 32;

/// Looks at the lake and at the selected sources, and plans. `is_alone`: the selected assets are leased, and what the state
/// store did not know is recorded.
pub(crate) async fn observe(
    world: &Arc<World>,
    request: &RunRequest,
    is_alone: bool,
) -> Result<RunPlan, EngineError> {
    let project = &world.project;
    let selection =
        Selection::parse(&request.selection, &request.exclude).map_err(millstream_plan::PlanError::from)?;
    let selected = selection.resolve(&project.graph).map_err(millstream_plan::PlanError::from)?;
    let reconciled = if is_alone { reconcile(world).await? } else { reconciled(world).await? };
    let mut observed = Observed {
        versions: reconciled.versions,
        vanished: reconciled.vanished,
        unreadable: reconciled.unreadable,
        ..Observed::default()
    };
    let sources: Vec<&SourceSpec> =
        project.spec.sources.iter().filter(|source| selected.contains(&source.table().asset_id())).collect();
    let full_refresh = request.full_refresh && selection.names_assets();
    let looks: Vec<_> =
        sources.into_iter().map(|source| waiting(world, source, full_refresh, is_alone)).collect();
    let looked: Vec<_> = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await;
    for (id, parts) in looked {
        match parts {
            Ok(parts) => {
                observed.parts.insert(id, parts);
            }
            // It is planned, so that its step retries and reports the error while the others go on.
            Err(error) => {
                observed.unreadable.insert(id, told(&error));
            }
        }
    }
    observed.overdue = freshness::overdue(world, &selected).await;
    let request = Request {
        selection,
        full_refresh: request.full_refresh,
        force: request.force,
        now: world.options.clock.now(),
    };
    Ok(plan(&project.graph, &reconciled.recorded, &observed, &request)?)
}

async fn waiting(
    world: &World,
    source: &SourceSpec,
    full: bool,
    is_alone: bool,
) -> (AssetId, Result<Vec<String>, EngineError>) {
    (source.table().asset_id(), landing::waiting_parts(world, source, full, is_alone).await)
}
