//! Gathers what a plan needs to know: versions in the lake, and what each kind of asset sees, such as parts that wait
//! at sources.

use std::sync::Arc;

use millstream_plan::{Observed, Request, RunPlan, Selection, plan};

use crate::{
    EngineError, RunRequest, assets,
    engine::World,
    freshness,
    reconcile::{reconcile, reconciled},
};

/// Looks at the lake and at the selected assets, and plans. `is_alone`: the selected assets are leased, and what the state
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
    let names_assets = selection.names_assets();
    let recorded = &reconciled.recorded;
    assets::look(world, request, names_assets, &selected, recorded, is_alone, &mut observed).await?;
    observed.overdue = freshness::overdue(world, &selected).await;
    let request = Request { selection, full_refresh: request.full_refresh, force: request.force };
    Ok(plan(&project.graph, &reconciled.recorded, &observed, &request)?)
}
