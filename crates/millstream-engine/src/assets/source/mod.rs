//! Sources: what a connector finds outside, landed in `bronze.<source>`.

pub(crate) mod landing;

use async_trait::async_trait;
use futures::{StreamExt, stream};
use millstream_plan::{AssetFacts, AssetKind, Observed, PlannedStep, source_fingerprint};
use millstream_project::{ScheduleSpec, SourceSpec};
use millstream_schedule::Trigger;
use millstream_types::AssetId;

use super::{Defined, Kind, Look, StepRunner, table, table_of, unknown, unreadable_table};
use crate::{
    EngineError,
    engine::{StepContext, World},
    error::told,
    run::StepResult,
};

/// The number of sources that are looked at at the same time.
const LOOKS_AT_ONCE: usize = 32;

const SOURCE: AssetKind = AssetKind::new("source");

/// The family of what connectors read.
pub(super) struct Sources;

#[async_trait]
impl Kind for Sources {
    fn words(&self) -> &'static [AssetKind] {
        &[SOURCE]
    }

    fn facts(&self, defined: &Defined<'_>) -> Vec<AssetFacts> {
        let facts = |source: &SourceSpec| AssetFacts {
            id: source.table().asset_id(),
            kind: SOURCE,
            path: defined.path(source.at.file),
            tags: source.tags.clone(),
            fingerprint: source_fingerprint(source, defined.spec.connection_of(source)),
            inputs: Vec::new(),
            defined_by: Vec::new(),
            checked_against: table::checked_against(&source.contract.checks),
            needs: Default::default(),
            passes_through: false,
            reads_outside: true,
            follows_events: false,
            schedule: ScheduleSpec::beside(Trigger::OnChange, source.schedule.as_ref()),
        };
        defined.spec.sources.iter().map(facts).collect()
    }

    async fn look(&self, look: &Look<'_>, observed: &mut Observed) -> Result<(), EngineError> {
        let full = look.request.full_refresh && look.names_assets;
        let looks: Vec<_> = look
            .assets
            .iter()
            .map(|facts| in_time(look.world, &facts.id, full, look.alone.is_some()))
            .collect();
        let looked: Vec<_> = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await;
        // Only a look before a run asks on behalf of a step; a plan that is only shown leaves no trace.
        for (facts, parts) in look.assets.iter().zip(looked) {
            if let Some(events) = look.alone {
                look.world.looked_before_step(&facts.id, parts.as_deref(), events).await;
            }
            match parts {
                Ok(parts) => {
                    observed.parts.insert(facts.id.clone(), parts);
                }
                // A source that cannot be read is planned, so that its step retries and reports the error while the
                // others go on.
                Err(error) => {
                    observed.unreadable.insert(facts.id.clone(), told(&error));
                }
            }
        }
        Ok(())
    }

    async fn attempt(&self, runner: &StepRunner, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let table = table_of(&step.asset)?;
        let project = &runner.world.project;
        let source = project.source(&table).ok_or_else(|| unknown(&step.asset))?;
        let context = StepContext { full_refresh: runner.relands, ..runner.context(step) };
        landing::land(&context, source).await.map_err(|error| project.told_of(&table, error))
    }

    async fn abandon(&self, world: &World, asset: &AssetId) {
        table::abandon(world, asset).await;
    }

    async fn unreadable(&self, world: &World, asset: &AssetId) -> Option<EngineError> {
        unreadable_table(world, asset).await
    }
}

/// What a landing of the source would take in now, unless finding that out takes longer than an attempt at its step may.
async fn in_time(
    world: &World,
    asset: &AssetId,
    full: bool,
    is_alone: bool,
) -> Result<Vec<String>, EngineError> {
    let looking = waiting(world, asset, full, is_alone);
    match world.step_rules(asset).timeout {
        None => looking.await,
        Some(after) => {
            let late = |_| Err(EngineError::TimedOut { asset: asset.clone(), after });
            tokio::time::timeout(after, looking).await.unwrap_or_else(late)
        }
    }
}

/// What a landing of the source would take in now; see [`landing::waiting_parts`].
pub(crate) async fn waiting(
    world: &World,
    asset: &AssetId,
    full: bool,
    is_alone: bool,
) -> Result<Vec<String>, EngineError> {
    let source = world.project.source(&table_of(asset)?).ok_or_else(|| unknown(asset))?;
    landing::waiting_parts(world, source, full, is_alone).await
}
