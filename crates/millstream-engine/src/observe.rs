//! Gathers what a plan needs to know: versions in the lake, and what each kind of asset sees, such as parts that wait
//! at sources.

use std::{collections::BTreeSet, sync::Arc};

use millstream_plan::{Observed, PlanError, Request, RunPlan, Selection, plan};
use millstream_types::AssetId;

use crate::{
    EngineError, Publisher, RunRequest, assets,
    engine::World,
    freshness,
    reconcile::{Reconciled, Scope, reconcile, reconciled},
};

/// Looks at the selected assets and at what they read, and plans. `alone`, by which what is found out is told: the selected
/// assets are leased, and what the state store did not know is recorded.
pub(crate) async fn observe(
    world: &Arc<World>,
    request: &RunRequest,
    alone: Option<&Publisher>,
) -> Result<RunPlan, EngineError> {
    let graph = &world.project.graph;
    let selection = Selection::parse(&request.selection, &request.exclude).map_err(PlanError::from)?;
    let selected = selection.resolve(graph).map_err(PlanError::from)?;
    let looked_at;
    let scope = match selection.is_all() {
        true => Scope::All,
        false => {
            looked_at = graph.looked_at(&selected);
            Scope::Of(&looked_at)
        }
    };
    let found =
        if alone.is_some() { reconcile(world, scope).await? } else { reconciled(world, scope).await? };
    plan_on(world, request, selection, &selected, &found, alone).await
}

/// Plans everything on what lake and state store have agreed on.
pub(crate) async fn observe_all(world: &Arc<World>, found: &Reconciled) -> Result<RunPlan, EngineError> {
    let selection = Selection::all();
    let selected = selection.resolve(&world.project.graph).map_err(PlanError::from)?;
    plan_on(world, &RunRequest::default(), selection, &selected, found, None).await
}

async fn plan_on(
    world: &Arc<World>,
    request: &RunRequest,
    selection: Selection,
    selected: &BTreeSet<AssetId>,
    found: &Reconciled,
    alone: Option<&Publisher>,
) -> Result<RunPlan, EngineError> {
    let mut observed = Observed {
        versions: found.versions.clone(),
        vanished: found.vanished.clone(),
        unreadable: found.unreadable.clone(),
        ..Observed::default()
    };
    let names_assets = selection.names_assets();
    assets::look(world, request, names_assets, selected, &found.recorded, alone, &mut observed).await?;
    observed.overdue = freshness::overdue(world, selected).await;
    let request = Request { selection, full_refresh: request.full_refresh, force: request.force };
    Ok(plan(&world.project.graph, &found.recorded, &observed, &request)?)
}
