//! An order of the assets in which each comes after all that set it off.

use std::{cmp::Reverse, collections::BinaryHeap, collections::HashMap};

use millstream_types::AssetId;

use crate::{Limits, ScheduleError, ScheduledAsset, Trigger};

/// Assets in an order in which each one comes after what it reads and what it runs after. The fields name an asset by its place.
#[derive(Debug)]
pub(crate) struct Graph {
    pub(crate) assets: Vec<ScheduledAsset>,
    pub(crate) places: HashMap<AssetId, usize>,
    /// What each asset reads, sorted.
    pub(crate) inputs: Vec<Vec<usize>>,
    /// What reads each asset, sorted.
    pub(crate) users: Vec<Vec<usize>>,
    /// What runs after each asset: the asset's place, and that of its trigger.
    pub(crate) followers: Vec<Vec<(usize, usize)>>,
}

impl Graph {
    pub(crate) fn build(mut assets: Vec<ScheduledAsset>, limits: &Limits) -> Result<Self, ScheduleError> {
        assets.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = assets.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(ScheduleError::Duplicate { asset: pair[0].id.clone() });
        }
        for asset in &mut assets {
            asset.triggers.sort();
            asset.triggers.dedup();
            asset.pools.sort();
            asset.pools.dedup();
            if let Some(pool) = asset.pools.iter().find(|pool| !limits.pools.contains_key(*pool)) {
                return Err(ScheduleError::UnknownPool { asset: asset.id.clone(), pool: pool.clone() });
            }
        }
        let places = places_of(&assets);
        let edges = edges(&assets, &places)?;
        let order = topological(&edges);
        if order.len() < assets.len() {
            return Err(ScheduleError::Cycle { path: find_cycle(&assets, &edges, &order) });
        }
        let mut taken: Vec<Option<ScheduledAsset>> = assets.into_iter().map(Some).collect();
        let assets: Vec<ScheduledAsset> = order.into_iter().filter_map(|place| taken[place].take()).collect();
        Ok(Self::of_ordered(assets))
    }

    fn of_ordered(assets: Vec<ScheduledAsset>) -> Self {
        let places = places_of(&assets);
        let (mut inputs, mut users, mut followers) =
            (vec![Vec::new(); assets.len()], vec![Vec::new(); assets.len()], vec![Vec::new(); assets.len()]);
        for (place, asset) in assets.iter().enumerate() {
            let mut read: Vec<usize> = asset.inputs.iter().filter_map(|id| places.get(id).copied()).collect();
            read.sort_unstable();
            read.dedup();
            read.iter().for_each(|input| users[*input].push(place));
            inputs[place] = read;
            for (at, trigger) in asset.triggers.iter().enumerate() {
                if let Trigger::After(first) = trigger
                    && let Some(first) = places.get(first)
                {
                    followers[*first].push((place, at));
                }
            }
        }
        Self { assets, places, inputs, users, followers }
    }
}

fn places_of(assets: &[ScheduledAsset]) -> HashMap<AssetId, usize> {
    assets.iter().enumerate().map(|(place, asset)| (asset.id.clone(), place)).collect()
}

/// What sets each asset off: what it reads, and what it runs after.
fn edges(
    assets: &[ScheduledAsset],
    places: &HashMap<AssetId, usize>,
) -> Result<Vec<Vec<usize>>, ScheduleError> {
    let of_asset = |asset: &ScheduledAsset| {
        let inputs = asset.inputs.iter().map(|input| {
            let unknown = || ScheduleError::UnknownInput { asset: asset.id.clone(), input: input.clone() };
            places.get(input).copied().ok_or_else(unknown)
        });
        let after = asset.triggers.iter().filter_map(|trigger| match trigger {
            Trigger::After(after) => Some(places.get(after).copied().ok_or_else(|| {
                ScheduleError::UnknownAfter { asset: asset.id.clone(), after: after.clone() }
            })),
            _ => None,
        });
        let mut edges = inputs.chain(after).collect::<Result<Vec<usize>, _>>()?;
        edges.sort_unstable();
        edges.dedup();
        Ok(edges)
    };
    assets.iter().map(of_asset).collect()
}

/// Kahn's algorithm, smallest place first. Members of a circle and what depends on them are left out.
fn topological(edges: &[Vec<usize>]) -> Vec<usize> {
    let mut users = vec![Vec::new(); edges.len()];
    for (place, inputs) in edges.iter().enumerate() {
        inputs.iter().for_each(|input| users[*input].push(place));
    }
    let mut missing: Vec<usize> = edges.iter().map(Vec::len).collect();
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..edges.len()).filter(|place| missing[*place] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(edges.len());
    while let Some(Reverse(place)) = ready.pop() {
        order.push(place);
        for user in &users[place] {
            missing[*user] -= 1;
            if missing[*user] == 0 {
                ready.push(Reverse(*user));
            }
        }
    }
    order
}

/// Walks back inside what could not be ordered until a place comes again.
fn find_cycle(assets: &[ScheduledAsset], edges: &[Vec<usize>], ordered: &[usize]) -> Vec<AssetId> {
    let mut left = vec![true; assets.len()];
    ordered.iter().for_each(|place| left[*place] = false);
    let mut path: Vec<usize> = left.iter().position(|left| *left).into_iter().collect();
    while let Some(next) =
        path.last().and_then(|last| edges[*last].iter().find(|input| left[**input]).copied())
    {
        if let Some(start) = path.iter().position(|place| *place == next) {
            path.drain(..start);
            break;
        }
        path.push(next);
    }
    path.reverse();
    // The path begins with the smallest name, whichever member the walk met first.
    let smallest = path.iter().enumerate().min_by_key(|(_, place)| **place).map_or(0, |(index, _)| index);
    path.rotate_left(smallest);
    path.extend(path.first().copied());
    path.into_iter().map(|place| assets[place].id.clone()).collect()
}
