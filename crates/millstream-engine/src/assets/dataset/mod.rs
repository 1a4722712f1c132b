//! Datasets: labels joined point-in-time with features, written, recorded, and their inputs pinned.

mod build;
mod compare;
pub(crate) mod encodings;
mod estimate;
mod inputs;
mod kept;
mod labels;
mod output;
mod plan;
mod record;

use std::{fs, time::UNIX_EPOCH};

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use millstream_plan::{
    AssetFacts, AssetKind, AssetStatus, Observed, PlannedStep, Recorded, dataset_fingerprint,
};
use millstream_project::{DatasetFeatures, DatasetSpec, LabelOrigin, RefreshSpec, ScheduleSpec};
use millstream_schedule::Trigger;
use millstream_types::{AssetId, AssetVersion, TableName};

use super::{Defined, Kind, Look, StepRunner, feature_view, service, table::view_plans};
use crate::{EngineError, ReadSet, StepOutcome, engine::World, event::StepMeter, run::StepResult};

pub use build::{DatasetReport, DatasetRequest};
pub(crate) use kept::forget;
pub use output::DeltaVersion;
pub(crate) use record::manifest;
pub use record::{BuiltDataset, FileState};

/// The word before the name of a dataset.
const WORD: &str = "dataset";

/// The word before the path of a file of labels, among what a dataset was built from.
const FILE_WORD: &str = "file";

const DATASET: AssetKind = AssetKind::new("dataset");

/// A dataset that is built in a run may take the memory of all queries divided by this.
const MEMORY_SHARE: usize = 4;

/// The number of datasets that are looked at at the same time.
const LOOKS_AT_ONCE: usize = 32;

/// The family of datasets.
pub(super) struct Datasets;

#[async_trait]
impl Kind for Datasets {
    fn words(&self) -> &'static [AssetKind] {
        &[DATASET]
    }

    fn facts(&self, defined: &Defined<'_>) -> Vec<AssetFacts> {
        let facts = |spec: &DatasetSpec| {
            let analyzed = defined.features.datasets.get(&spec.name)?;
            let views = view_plans(defined.analysis, defined.spec, &analyzed.dependencies);
            let query = analyzed.query.as_deref();
            Some(AssetFacts {
                id: id(&spec.name),
                kind: DATASET,
                path: defined.path(spec.at.file),
                tags: spec.tags.clone(),
                fingerprint: dataset_fingerprint(spec, &analyzed.service.version(), query, &views),
                inputs: analyzed.dependencies.iter().map(TableName::asset_id).collect(),
                defined_by: match &spec.features {
                    DatasetFeatures::Service(name) => vec![service::id(&name.value)],
                    DatasetFeatures::List(_) => {
                        analyzed.service.views.iter().map(|view| feature_view::id(&view.name)).collect()
                    }
                },
                checked_against: Vec::new(),
                needs: Default::default(),
                passes_through: false,
                reads_outside: false,
                follows_events: false,
                schedule: ScheduleSpec::beside(
                    match spec.refresh {
                        RefreshSpec::Manual => Trigger::Manual,
                        RefreshSpec::OnChange => Trigger::OnChange,
                    },
                    spec.schedule.as_ref(),
                ),
            })
        };
        defined.spec.datasets.iter().filter_map(facts).collect()
    }

    async fn look(&self, look: &Look<'_>, observed: &mut Observed) -> Result<(), EngineError> {
        let looks: Vec<_> = look.assets.iter().map(|facts| look_at(look, facts)).collect();
        let looked: Vec<_> = stream::iter(looks).buffered(LOOKS_AT_ONCE).try_collect().await?;
        for (facts, (version, news)) in look.assets.iter().zip(looked) {
            let known = look.recorded.get(&facts.id).and_then(|known| known.version);
            match (known, version) {
                (_, Some(version)) => observed.versions.insert(facts.id.clone(), version),
                (Some(known), None) => observed.vanished.insert(facts.id.clone(), known),
                (None, None) => None,
            };
            observed.parts.insert(facts.id.clone(), news);
        }
        Ok(())
    }

    async fn attempt(&self, runner: &StepRunner, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let context = runner.context(step);
        let request = DatasetRequest {
            name: step.asset.name().to_owned(),
            output: None,
            // Tables of the same run are built beside it.
            memory_bytes: runner.world.options.memory_bytes / MEMORY_SHARE,
            command: String::new(),
            principal: None,
        };
        // Whoever gives the attempt up drops it here, and its thread ends too. Until it has, it keeps the next one from beginning.
        let stop = context.cancel.child_token();
        let _stops = stop.clone().drop_guard();
        let alone = runner.world.beside_queries().await?;
        // An empty read set reads the newest versions: what the run has committed so far is published together with this dataset.
        let meter = StepMeter::new(&step.asset, &context.events);
        let bounds = build::Bounds { cancel: stop, alone: Some(alone) };
        let report = build::build_dataset(&runner.world, &request, ReadSet::default(), meter, bounds).await?;
        for warning in &report.warnings {
            context.note(warning.to_string());
        }
        Ok(result_of(context.facts()?, &report, &runner.world))
    }

    fn is_local(&self, _: &World, _: &AssetId) -> bool {
        true
    }

    async fn abandon(&self, _: &World, _: &AssetId) {}

    async fn unreadable(&self, _: &World, _: &AssetId) -> Option<EngineError> {
        None
    }
}

/// The asset of a dataset.
pub(crate) fn id(dataset: &str) -> AssetId {
    AssetId::of_kind(WORD, dataset)
}

/// The dataset's recorded version, unless the version's file is gone, and the names of the inputs that are new for it.
async fn look_at(
    look: &Look<'_>,
    facts: &AssetFacts,
) -> Result<(Option<AssetVersion>, Vec<String>), EngineError> {
    let known = look.recorded.get(&facts.id).and_then(|known| known.version);
    let version = match known {
        Some(version) if !look.world.has_dataset_file(facts.id.name(), version.number()).await? => None,
        known => known,
    };
    Ok((version, news(look, facts).await?))
}

/// The inputs of a dataset that are new, beside its stored inputs: pushed rows that came to the lake, and its file of labels.
async fn news(look: &Look<'_>, facts: &AssetFacts) -> Result<Vec<String>, EngineError> {
    let project = &look.world.project;
    let known = look.recorded.get(&facts.id);
    let analyzed = project.features.datasets.get(facts.id.name());
    let views = analyzed.into_iter().flat_map(|analyzed| &analyzed.service.views);
    let mut news = feature_view::pushed_news(look.world, views.map(|view| view.name.as_str()), known).await?;
    let spec = project.spec.datasets.iter().find(|spec| spec.name == facts.id.name());
    if let Some((id, version)) = spec.and_then(|spec| label_file(look.world, spec))
        && known.is_some_and(|known| known.input_versions.get(&id) != Some(&version))
    {
        news.push(id.name().to_owned());
    }
    Ok(news)
}

/// The file of labels as an input, with the time of its last change in microseconds as its version. `None` for a file that
/// is not there, which the build reports.
fn label_file(world: &World, spec: &DatasetSpec) -> Option<(AssetId, AssetVersion)> {
    let LabelOrigin::File(path) = &spec.labels.origin else { return None };
    let file = fs::metadata(world.project.spec.root.join(&path.value)).ok()?;
    let changed = file.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some((
        AssetId::of_kind(FILE_WORD, &path.value),
        AssetVersion::numbered(i64::try_from(changed.as_micros()).ok()?),
    ))
}

/// What a step of a dataset leaves behind.
fn result_of(facts: &AssetFacts, report: &DatasetReport, world: &World) -> StepResult {
    let outcome = if report.is_unchanged { StepOutcome::Unchanged } else { StepOutcome::Built };
    let rows = report.manifest.data.rows;
    let recorded = Recorded {
        fingerprint: facts.fingerprint,
        input_versions: report.read.clone(),
        version: Some(AssetVersion::numbered(report.version)),
        rows: Some(rows),
        built_at: world.options.clock.now(),
        status: AssetStatus::Built,
    };
    StepResult {
        rows_written: if report.is_unchanged { 0 } else { rows },
        recorded: Some(recorded),
        receipt: Some(report.receipt),
        ..StepResult::without_rows(outcome, Some(AssetVersion::numbered(report.version)))
    }
}
