//! An order of the assets in which each comes after all that set it off.

use std::collections::HashMap;

use millstream_types::AssetId;

use crate::{Limits, ScheduleError, ScheduledAsset, Trigger, ordered};

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
        let named = |place: usize| assets[place].id.clone();
        let order = ordered(&edges)
            .map_err(|circle| ScheduleError::Cycle { path: circle.into_iter().map(named).collect() })?;
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
