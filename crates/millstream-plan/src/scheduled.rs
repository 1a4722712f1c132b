//! What the scheduler is told of a project: its assets with what they read, and how much may run at once.

use std::{collections::BTreeMap, num::NonZeroUsize};

use millstream_project::ProjectSpec;
use millstream_schedule::{Limits, ScheduledAsset, Trigger};
use millstream_types::AssetId;

use crate::{AssetFacts, Graph};

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
    let of_place = |(place, asset): (usize, &AssetFacts)| ScheduledAsset {
        id: asset.id.clone(),
        definition: asset.fingerprint,
        inputs: producers(graph, place),
        reads_outside: asset.reads_outside,
        triggers: asset.schedule.triggers.iter().filter(|trigger| can_happen(graph, trigger)).cloned().collect(),
        catch_up: asset.schedule.catch_up,
        priority: asset.schedule.priority,
        connection: connections.get(&asset.id).map(|name| (*name).clone()),
        pools: asset.schedule.pools.clone(),
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
