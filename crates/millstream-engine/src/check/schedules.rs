//! Finds schedules that nothing could meet: files that a connector does not list, and assets that set each other off.

use std::num::NonZeroUsize;

use millstream_connector::ConnectorFactory;
use millstream_plan::{Graph, PlanError, limits, scheduled};
use millstream_project::{Diagnostic, Located, ProjectSpec, ScheduleSpec, SourceSpec};
use millstream_schedule::{ScheduleError, ScheduledAsset, Scheduler, Trigger};
use millstream_types::{AssetId, TimestampMicros};

/// Reports `new_files` of sources whose connector lists no files. The tables of one source say it in one place.
pub(super) fn check_files(
    sources: &[SourceSpec],
    factories: &[Box<dyn ConnectorFactory>],
    diagnostics: &mut Vec<Diagnostic>,
) {
    for SourceSpec { connector, schedule, .. } in sources {
        let Some(at) = schedule.as_ref().and_then(|schedule| schedule.new_files) else { continue };
        let factory = factories.iter().find(|factory| factory.kind() == connector.kind.value);
        let lists_files = factory.is_none_or(|factory| factory.lists_files());
        if lists_files || diagnostics.iter().any(|said| said.at == Some(at)) {
            continue;
        }
        let message =
            format!("`new_files` needs a connector that lists files, and `{}` does not", connector.kind);
        diagnostics.push(Diagnostic::error(MALFORMED, message, at).with_hint("use `every` or `cron`"));
    }
}

/// The code of a malformed schedule, which the project's own rules give too.
const MALFORMED: &str = "MS-0160";

/// The most circles that are reported; each is looked for in all assets.
const CIRCLES_MAX: usize = 20;

/// Reports what keeps the assets from being scheduled as they are defined. Each circle is cut where it is reported, so that the
/// next one is found.
pub(super) fn check(spec: &ProjectSpec, graph: &Graph) -> Vec<Diagnostic> {
    let mut assets = scheduled(graph, spec);
    let limits = limits(spec, NonZeroUsize::MIN);
    let mut found = Vec::new();
    // What assets read makes no circle, and their pools are known; only `after` can close one.
    while found.len() < CIRCLES_MAX && assets.iter().any(|asset| asset.triggers.iter().any(is_after)) {
        let Err(error) = Scheduler::restore(assets.clone(), &limits, &[], TimestampMicros(0)) else { break };
        let closing = match &error {
            ScheduleError::Cycle { path } => closing(path, &assets, spec),
            _ => None,
        };
        let error = PlanError::from(error);
        let (code, message, hint) = (error.code(), error.to_string(), error.hint());
        let Some((asset, after)) = closing else {
            found.push(Diagnostic { hint, ..Diagnostic::error_without_place(code, message) });
            break;
        };
        found.push(Diagnostic { hint, ..Diagnostic::error(code, message, after.at) });
        let cut = Trigger::After(after.value.clone());
        for scheduled in assets.iter_mut().filter(|scheduled| scheduled.id == asset) {
            scheduled.triggers.retain(|trigger| *trigger != cut);
        }
    }
    found
}

fn is_after(trigger: &Trigger) -> bool {
    matches!(trigger, Trigger::After(_))
}

/// The first asset on the circle that runs after the one before it without reading it, so that the circle is cut there. A circle
/// has one, since assets that only read each other are refused before.
fn closing<'a>(
    path: &[AssetId],
    assets: &[ScheduledAsset],
    spec: &'a ProjectSpec,
) -> Option<(AssetId, &'a Located<AssetId>)> {
    path.windows(2).find_map(|pair| {
        let [before, asset] = pair else { return None };
        if assets.iter().any(|scheduled| scheduled.id == *asset && scheduled.inputs.contains(before)) {
            return None;
        }
        let after = &schedule_of(asset, spec)?.after;
        after.iter().find(|after| after.value == *before).map(|after| (asset.clone(), after))
    })
}

fn schedule_of<'a>(asset: &AssetId, spec: &'a ProjectSpec) -> Option<&'a ScheduleSpec> {
    match asset.kind() {
        None => {
            let source = spec.sources.iter().find(|source| source.table().asset_id() == *asset);
            let table = || spec.tables.iter().find(|table| table.name.asset_id() == *asset);
            match source {
                Some(source) => source.schedule.as_ref(),
                None => table()?.schedule.as_ref(),
            }
        }
        Some("view") => spec.features.view(asset.name())?.schedule.as_ref(),
        Some(_) => spec.datasets.iter().find(|dataset| dataset.name == asset.name())?.schedule.as_ref(),
    }
}
