//! Which assets are not up to date when the scheduler begins.

use std::collections::BTreeSet;

use millstream_plan::Reason;
use millstream_types::AssetId;

use crate::{Engine, EngineError, observe::observe_all, reconcile::Reconciled};

/// The assets that the plan has a reason to run. That an input is only about to change is none: the scheduler finds out for
/// itself when the input has changed.
pub(super) async fn stale(engine: &Engine, found: &Reconciled) -> Result<BTreeSet<AssetId>, EngineError> {
    let plan = observe_all(engine.world(), found).await?;
    let recorded = &found.recorded;
    let graph = &engine.project().graph;
    let version = |table: &AssetId| recorded.get(table).and_then(|recorded| recorded.version);
    let is_only_about_to_change = |asset: &AssetId, from: &[String]| {
        let Some(known) = recorded.get(asset) else { return false };
        let inputs: Vec<&AssetId> = graph.stored_inputs(asset).collect();
        let has_changed = |table: &&AssetId| known.input_versions.get(*table).copied() != version(table);
        from.iter().all(|name| inputs.iter().any(|input| input.as_str() == name))
            && !inputs.iter().any(has_changed)
    };
    let steps = plan.steps.into_iter().filter(|step| match &step.reason {
        Reason::NewInput { from } => !is_only_about_to_change(&step.asset, from),
        _ => true,
    });
    Ok(steps.map(|step| step.asset).collect())
}
