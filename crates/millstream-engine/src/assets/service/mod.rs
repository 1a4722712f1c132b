//! Feature services: each definition is a version, which is served until it is removed.

pub(crate) mod versions;

use async_trait::async_trait;
use millstream_plan::{AssetFacts, AssetKind, AssetStatus, Observed, PlannedStep, Recorded, fingerprint};
use millstream_schedule::{Schedule, Trigger};
use millstream_types::{AssetId, AssetVersion};
use serde_json::json;

use super::{Defined, Kind, Look, StepRunner, feature_view, unknown};
use crate::{EngineError, StepOutcome, engine::World, run::StepResult};

/// The word before the name of a service.
const WORD: &str = "service";

const SERVICE: AssetKind = AssetKind::new("service");

/// The family of feature services.
pub(super) struct Services;

#[async_trait]
impl Kind for Services {
    fn words(&self) -> &'static [AssetKind] {
        &[SERVICE]
    }

    fn facts(&self, defined: &Defined<'_>) -> Vec<AssetFacts> {
        let facts = |(name, service): (&String, &millstream_sql::features::AnalyzedService)| {
            let views = service.definition.views.iter().map(|view| &view.name);
            let views = views.filter(|name| defined.features.views.contains_key(*name));
            AssetFacts {
                id: id(name),
                kind: SERVICE,
                path: defined.path(service.at.file),
                tags: Vec::new(),
                fingerprint: fingerprint(WORD, &json!(service.definition.version())),
                inputs: Vec::new(),
                defined_by: views.map(|name| feature_view::id(name)).collect(),
                checked_against: Vec::new(),
                needs: Default::default(),
                passes_through: false,
                reads_outside: false,
                follows_events: false,
                schedule: Schedule::of(Trigger::OnChange),
            }
        };
        defined.features.services.iter().map(facts).collect()
    }

    async fn look(&self, look: &Look<'_>, observed: &mut Observed) -> Result<(), EngineError> {
        let known = look.world.state.artifacts(SERVICE).await?;
        let mut served: Vec<_> = known.iter().filter(|known| known.removed_at.is_none()).collect();
        served.sort_by_key(|known| known.version);
        observed
            .versions
            .extend(served.into_iter().map(|known| (id(&known.name), AssetVersion::numbered(known.version))));
        Ok(())
    }

    async fn attempt(&self, runner: &StepRunner, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let (world, name) = (&runner.world, step.asset.name());
        let before = world.state.recorded_of(&step.asset).await?.and_then(|known| known.version);
        let served = versions::record_own(world).await?;
        let current = served.iter().find(|version| version.name == name && version.is_current);
        let version = current
            .map(|current| AssetVersion::numbered(current.version))
            .ok_or_else(|| unknown(&step.asset))?;
        let outcome = if before == Some(version) { StepOutcome::Unchanged } else { StepOutcome::Built };
        let recorded = Recorded {
            fingerprint: runner.context(step).facts()?.fingerprint,
            input_versions: Default::default(),
            version: Some(version),
            rows: None,
            built_at: world.options.clock.now(),
            status: AssetStatus::Built,
        };
        Ok(StepResult { recorded: Some(recorded), ..StepResult::without_rows(outcome, Some(version)) })
    }

    fn is_local(&self, world: &World, _: &AssetId) -> bool {
        world.online.is_embedded()
    }

    async fn abandon(&self, _: &World, _: &AssetId) {}

    async fn unreadable(&self, _: &World, _: &AssetId) -> Option<EngineError> {
        None
    }
}

/// The asset of a service.
pub(crate) fn id(service: &str) -> AssetId {
    AssetId::of_kind(WORD, service)
}
