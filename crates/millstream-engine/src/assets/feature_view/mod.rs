//! Feature views: the values of the online store, brought up to date with the tables that they are computed from.

mod apply;
mod chunks;
mod events;
mod following;
mod keeper;
mod materialize;
pub(crate) mod progress;
mod report;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_online::{OnlineError, OnlineStore};
use millstream_plan::{
    AssetFacts, AssetKind, AssetStatus, Observed, PlannedStep, Reason, Recorded, fingerprint,
};
use millstream_project::ScheduleSpec;
use millstream_schedule::Trigger;
use millstream_state::StateError;
use millstream_types::{AssetId, AssetVersion, TableName};
use serde_json::json;

use super::{Defined, Kind, Look, StepRunner, table::view_plans};
use crate::{
    EngineError, FeatureServer, StepOutcome,
    engine::World,
    features::rows::pushed_table,
    pipelines::{
        COMMAND,
        features::{followed, followed_as_defined},
    },
    run::StepResult,
};

pub(crate) use chunks::newest_of;
pub use keeper::Keeper;
pub(crate) use progress::LogSpan;
pub use progress::{LogProgress, Offsets, Progress};
pub use report::{MaterializeFailure, MaterializeMode, MaterializeReport, MaterializeRequest, Materialized};

/// The word before the name of a feature view.
const WORD: &str = "view";

const FEATURE_VIEW: AssetKind = AssetKind::new("feature_view");

/// Views that are looked at at once.
const LOOKS_AT_ONCE: usize = 32;

/// The family of what features are computed from.
pub(super) struct FeatureViews;

#[async_trait]
impl Kind for FeatureViews {
    fn words(&self) -> &'static [AssetKind] {
        &[FEATURE_VIEW]
    }

    fn facts(&self, defined: &Defined<'_>) -> Vec<AssetFacts> {
        let facts = |(name, view): (&String, &millstream_sql::features::AnalyzedView)| {
            let spec = defined.spec.features.view(name);
            let stored = json!({
                "space": format!("{:016x}", view.definition.space()),
                "views": view_plans(defined.analysis, defined.spec, &view.dependencies),
            });
            AssetFacts {
                id: id(name),
                kind: FEATURE_VIEW,
                path: defined.path(view.at.file),
                tags: spec.map(|spec| spec.tags.clone()).unwrap_or_default(),
                fingerprint: fingerprint(WORD, &stored),
                inputs: view.dependencies.iter().map(TableName::asset_id).collect(),
                defined_by: Vec::new(),
                checked_against: Vec::new(),
                needs: Default::default(),
                passes_through: false,
                reads_outside: false,
                follows_events: followed_as_defined(defined, name).is_some(),
                schedule: ScheduleSpec::beside(
                    Trigger::OnChange,
                    spec.and_then(|spec| spec.schedule.as_ref()),
                ),
            }
        };
        defined.features.views.iter().map(facts).collect()
    }

    async fn look(&self, look: &Look<'_>, observed: &mut Observed) -> Result<(), EngineError> {
        let store = match look.world.online.peek().await {
            Ok(store) => store,
            Err(error) => {
                let because = crate::error::told(&error);
                let all = look.assets.iter().map(|facts| (facts.id.clone(), because.clone()));
                observed.unreadable.extend(all);
                return Ok(());
            }
        };
        let looks = look.assets.iter().map(|facts| look_at(look, facts, store.as_ref()));
        let looked: Vec<_> =
            stream::iter(looks.collect::<Vec<_>>()).buffered(LOOKS_AT_ONCE).try_collect().await?;
        for (facts, (version, news)) in look.assets.iter().zip(looked) {
            observed.versions.extend(version.map(|version| (facts.id.clone(), version)));
            observed.parts.insert(facts.id.clone(), news);
        }
        Ok(())
    }

    async fn attempt(&self, runner: &StepRunner, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let context = runner.context(step);
        let open = runner.features.get_or_try_init(|| FeatureServer::of(&runner.world));
        let features = match open.await {
            Ok(features) => features,
            Err(EngineError::Online(OnlineError::Locked { .. }))
                if Keeper::is_there(&runner.world.state_dir) =>
            {
                context.note(
                    "the online store is with a running `millstream serve`, which brings it up to date",
                );
                return Ok(StepResult::without_rows(StepOutcome::Unchanged, None));
            }
            Err(error) => return Err(error),
        };
        let request = MaterializeRequest {
            views: vec![step.asset.name().to_owned()],
            full: context.full_refresh || step.reason == Reason::DefinitionChanged,
            alone: features.is_alone(),
            ..MaterializeRequest::default()
        };
        let name = step.asset.name();
        let definitions = features.wanted_views(&request).await?.remove(name).unwrap_or_default();
        let (events, cancel) = (&context.events, &context.cancel);
        // What a pipeline may keep up to date is not leased with the other assets of the run.
        let own = match context.facts()?.follows_events {
            true => {
                let assets = std::slice::from_ref(&step.asset);
                match runner.world.lease(COMMAND, assets, Duration::ZERO, events, cancel).await {
                    Ok(lease) => Some(lease),
                    Err(EngineError::State(StateError::Locked { .. })) => {
                        context.note("somebody else keeps the view up to date, as `millstream serve` does");
                        return Ok(StepResult::without_rows(StepOutcome::Unchanged, None));
                    }
                    Err(error) => return Err(error),
                }
            }
            false => None,
        };
        let _alone = runner.world.beside_queries().await?;
        let done = features.bring_to_the_present(&request, name, definitions, events, cancel).await;
        if let Some(lease) = own {
            lease.end().await;
        }
        let done = done?;
        let report = done.complete()?.into_iter().next();
        let report = report.ok_or_else(|| super::unknown(&step.asset))?;
        Ok(result_of(context.facts()?, &report, &runner.world))
    }

    fn is_local(&self, world: &World, _: &AssetId) -> bool {
        world.online.is_embedded()
    }

    async fn abandon(&self, _: &World, _: &AssetId) {}

    async fn unreadable(&self, _: &World, _: &AssetId) -> Option<EngineError> {
        None
    }
}

/// The asset of a feature view.
pub(crate) fn id(view: &str) -> AssetId {
    AssetId::of_kind(WORD, view)
}

/// The versions of the views' tables of pushed rows that are not the ones that were read: pushes come to the lake without a
/// step.
pub(super) async fn pushed_news(
    world: &World,
    views: impl Iterator<Item = &str>,
    known: Option<&Recorded>,
) -> Result<Vec<String>, EngineError> {
    let mut news = Vec::new();
    for view in views {
        let table = pushed_table(view)?;
        let id = table.asset_id();
        let read = known.and_then(|known| known.input_versions.get(&id).map(|read| read.number()));
        if world.lake.probe(&table, read).await? != read {
            news.push(id.to_string());
        }
    }
    Ok(news)
}

/// The version that the online store has of a view, and what is new for it beside its stored inputs. Only an open store can be
/// asked; an embedded one that is not open has what was recorded, as long as its folder is there.
async fn look_at(
    look: &Look<'_>,
    facts: &AssetFacts,
    store: Option<&Arc<dyn OnlineStore>>,
) -> Result<(Option<AssetVersion>, Vec<String>), EngineError> {
    let known = look.recorded.get(&facts.id);
    let name = facts.id.name();
    let mut news = pushed_news(look.world, std::iter::once(name), known).await?;
    if let Some(source) = followed(&look.world.project, name) {
        // What is new in the table is new in the log, which the view follows.
        let (table, id) = (source.table(), source.table().asset_id());
        let read = known.and_then(|known| known.input_versions.get(&id).map(|read| read.number()));
        if look.world.lake.probe(&table, read).await? != read {
            news.push(id.to_string());
        }
    }
    let recorded = known.and_then(|known| known.version);
    let is_same = known.is_some_and(|known| known.fingerprint == facts.fingerprint);
    let version = match (store, look.world.project.features.views.get(name)) {
        (Some(store), Some(view)) if is_same => {
            let progress = progress::read(store.as_ref(), view.definition.space()).await?;
            progress.filter(|progress| progress.epoch > 0).map(|progress| version(&progress.epoch))
        }
        _ if look.world.online.is_gone() => None,
        _ => recorded,
    };
    Ok((version, news))
}

/// What a step of a view leaves behind.
pub(crate) fn result_of(facts: &AssetFacts, report: &MaterializeReport, world: &World) -> StepResult {
    let outcome = match report.mode {
        MaterializeMode::UpToDate => StepOutcome::Unchanged,
        MaterializeMode::Incremental | MaterializeMode::Full => StepOutcome::Built,
    };
    let version = Some(version(&report.epoch));
    let recorded = Recorded {
        fingerprint: facts.fingerprint,
        input_versions: asset_versions(&report.versions),
        version,
        rows: Some(report.rows_total),
        built_at: world.options.clock.now(),
        status: AssetStatus::Built,
    };
    StepResult {
        rows_written: report.rows,
        recorded: Some(recorded),
        receipt: report.receipt,
        ..StepResult::without_rows(outcome, version)
    }
}

/// A view's version counts its materialisations.
fn version(epoch: &u64) -> AssetVersion {
    AssetVersion::numbered(i64::try_from(*epoch).unwrap_or(i64::MAX))
}

pub(crate) fn asset_versions(versions: &BTreeMap<TableName, i64>) -> BTreeMap<AssetId, AssetVersion> {
    versions.iter().map(|(table, version)| (table.asset_id(), AssetVersion::numbered(*version))).collect()
}
