//! What the scheduler is told of a project: its assets with what they read, and how much may run at once.

use std::{collections::BTreeMap, num::NonZeroUsize};

use millstream_project::{ProjectSpec, StepsSpec};
use millstream_schedule::{Limits, RecordedAsset, Schedule, ScheduledAsset, Scheduler, Trigger, Upcoming};
use millstream_types::{AssetId, TimestampMicros};

use crate::{AssetFacts, Graph, PlanError, Selection};

/// The assets of which steps are made, sorted by id. SQL views are none, and what reads them reads what they read.
///
/// `spec` says through which connection a source reads. Where a fault leaves an asset out of the graph, nothing waits for a
/// run of it; the check has reported the fault.
#[must_use]
pub fn scheduled(graph: &Graph, spec: &ProjectSpec) -> Vec<ScheduledAsset> {
    let connections: BTreeMap<AssetId, &String> = spec
        .sources
        .iter()
        .filter_map(|source| Some((source.table().asset_id(), &source.connector.connection.as_ref()?.value)))
        .collect();
    let steps: BTreeMap<AssetId, &StepsSpec> = spec.steps().collect();
    let circuits: BTreeMap<AssetId, String> = spec.circuits().collect();
    let of_place = |(place, asset): (usize, &AssetFacts)| ScheduledAsset {
        id: asset.id.clone(),
        definition: asset.fingerprint,
        inputs: producers(graph, place),
        needs: asset.needs.clone(),
        reads_outside: asset.reads_outside,
        triggers: asset
            .schedule
            .triggers
            .iter()
            .filter(|trigger| !asset.follows_events && can_happen(graph, trigger))
            .cloned()
            .collect(),
        catch_up: asset.schedule.catch_up,
        priority: asset.schedule.priority,
        connection: connections.get(&asset.id).map(|name| (*name).clone()),
        pools: asset.schedule.pools.clone(),
        circuit: circuits.get(&asset.id).cloned(),
        set_aside_after: steps.get(&asset.id).and_then(|steps| steps.set_aside_after),
        is_promised: steps.get(&asset.id).is_some_and(|steps| steps.sla.promises().next().is_some()),
    };
    let stored = graph.assets().iter().enumerate().filter(|(_, asset)| !asset.passes_through);
    stored.map(of_place).collect()
}

/// How much may run at once: `steps` of all, and what the project says of its connections and pools.
#[must_use]
pub fn limits(spec: &ProjectSpec, steps: NonZeroUsize) -> Limits {
    let connections = spec
        .connections
        .iter()
        .filter_map(|connection| Some((connection.name.clone(), connection.concurrency?)))
        .collect();
    Limits { steps, connections, pools: spec.pools.clone() }
}

/// When an asset runs by itself, as far as that is known beforehand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AssetTicks {
    pub asset: AssetId,
    pub schedule: Schedule,
    /// The coming instants in order.
    pub ticks: Vec<Upcoming>,
}

/// The next `count` ticks after `now` of each selected asset, sorted by id; SQL views have none.
///
/// Nothing of the past is asked: ticks of freshness are estimates, as if every asset had been brought up to date at `now` and a
/// run took no time.
///
/// Errors when the selection means nothing, or when the assets cannot be scheduled as they are defined.
pub fn upcoming(
    graph: &Graph,
    spec: &ProjectSpec,
    selection: &Selection,
    count: usize,
    now: TimestampMicros,
) -> Result<Vec<AssetTicks>, PlanError> {
    let selected = selection.resolve(graph)?;
    let assets = scheduled(graph, spec);
    let fresh = |asset: &ScheduledAsset| RecordedAsset {
        stale: false,
        fresh_as_of: Some(now),
        ..RecordedAsset::new(asset.id.clone())
    };
    let recorded: Vec<RecordedAsset> = assets.iter().map(fresh).collect();
    let names: Vec<AssetId> = assets.iter().map(|asset| asset.id.clone()).collect();
    let (mut scheduler, _) = Scheduler::restore(assets, &limits(spec, NonZeroUsize::MIN), &recorded, now)?;
    let selected = names.into_iter().filter(|asset| selected.contains(asset));
    let ticks = selected.filter_map(|asset| {
        let schedule = graph.get(&asset)?.schedule.clone();
        let ticks = scheduler.upcoming(&asset, count);
        Some(AssetTicks { asset, schedule, ticks })
    });
    Ok(ticks.collect())
}

/// Whether the asset that the trigger waits for, if it waits for one, is there and has steps.
fn can_happen(graph: &Graph, trigger: &Trigger) -> bool {
    match trigger {
        Trigger::After(asset) => graph.get(asset).is_some_and(|asset| !asset.passes_through),
        _ => true,
    }
}

/// The assets whose steps write what the asset reads, each once. An asset whose rows that were rejected are read writes both.
fn producers(graph: &Graph, place: usize) -> Vec<AssetId> {
    let mut producers: Vec<usize> =
        graph.stored_inputs_at(place).iter().map(|input| input.producer).collect();
    producers.sort_unstable();
    producers.dedup();
    producers.into_iter().map(|producer| graph.at(producer).id.clone()).collect()
}
