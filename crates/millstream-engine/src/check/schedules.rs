//! Finds schedules that nothing could meet: files that a connector does not list, and assets that set each other off.

use std::num::NonZeroUsize;

use millstream_connector::ConnectorFactory;
use millstream_plan::{Graph, PlanError, limits, scheduled};
use millstream_project::{Diagnostic, Location, ProjectSpec, ScheduleSpec, SourceSpec};
use millstream_schedule::{ScheduleError, Scheduler};
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

/// Reports what keeps the assets from being scheduled as they are defined.
pub(super) fn check(spec: &ProjectSpec, graph: &Graph) -> Option<Diagnostic> {
    let assets = scheduled(graph, spec);
    // No asset has a trigger that can be wrong together with others.
    if !assets.iter().any(|asset| !asset.pools.is_empty() || asset.triggers.len() > 1) {
        return None;
    }
    let limits = limits(spec, NonZeroUsize::MIN);
    let error = Scheduler::restore(assets, &limits, &[], TimestampMicros(0)).err()?;
    let at = match &error {
        ScheduleError::Cycle { path } => place_on(path, spec),
        ScheduleError::UnknownAfter { asset, .. } | ScheduleError::UnknownPool { asset, .. } => {
            schedule_of(asset, spec).map(|schedule| schedule.at)
        }
        ScheduleError::Duplicate { .. } | ScheduleError::UnknownInput { .. } => None,
    };
    let error = PlanError::from(error);
    let (code, message) = (error.code(), error.to_string());
    let diagnostic = match at {
        Some(at) => Diagnostic::error(code, message, at),
        None => Diagnostic::error_without_place(code, message),
    };
    Some(Diagnostic { hint: error.hint(), ..diagnostic })
}

/// The first place on the circle where an asset says that it runs after the one before it. A circle has one, since assets that
/// only read each other are refused before.
fn place_on(path: &[AssetId], spec: &ProjectSpec) -> Option<Location> {
    path.windows(2).find_map(|pair| {
        let [before, asset] = pair else { return None };
        let after = &schedule_of(asset, spec)?.after;
        after.iter().find(|after| after.value == *before).map(|after| after.at)
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
