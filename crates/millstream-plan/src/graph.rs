//! Which asset reads which, and an order in which they can run.

use std::collections::{BTreeSet, VecDeque};

use millstream_schedule::ordered;
use millstream_types::{AssetId, REJECTED_SUFFIX};

use crate::{AssetFacts, PlanError};

/// The project's assets without a cycle. Equal facts, in whatever order, give an equal graph.
#[derive(Clone, Debug)]
pub struct Graph {
    /// The assets sorted by id. The other fields name an asset by its place in this list.
    assets: Vec<AssetFacts>,
    /// What each asset reads, and what belongs to its definition.
    inputs: Vec<Vec<usize>>,
    users: Vec<Vec<usize>>,
    stored_inputs: Vec<Vec<StoredInput>>,
    /// `checked_against` without the edges that would close a cycle.
    checked_against: Vec<Vec<usize>>,
    order: Vec<usize>,
}

/// A stored table that an asset reads, directly or through views.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StoredInput {
    pub(crate) table: AssetId,
    /// The place in the graph's list of the asset whose step writes the table.
    pub(crate) producer: usize,
}

impl Graph {
    /// Errors on a name that occurs twice, an input that no asset writes, and a cycle.
    pub fn build(mut assets: Vec<AssetFacts>) -> Result<Self, PlanError> {
        assets.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = assets.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(PlanError::Duplicate { asset: pair[0].id.clone() });
        }
        let inputs = assets
            .iter()
            .map(|asset| {
                let edges = asset.inputs.iter().chain(&asset.defined_by);
                edges.map(|input| producer_or_error(&assets, asset, input)).collect()
            })
            .map(|places: Result<BTreeSet<usize>, PlanError>| {
                places.map(|places| places.into_iter().collect())
            })
            .collect::<Result<Vec<Vec<usize>>, PlanError>>()?;
        let users = reversed(&inputs);
        let cycle = |places: Vec<usize>| PlanError::Cycle {
            path: places.into_iter().map(|place| assets[place].id.clone()).collect(),
        };
        let order = ordered(&inputs).map_err(cycle)?;
        let stored_inputs = stored_inputs(&assets, &order);
        let checked_against = acyclic_checks(&assets, &users);
        let order = if checked_against.iter().all(Vec::is_empty) {
            order
        } else {
            let all: Vec<Vec<usize>> = inputs
                .iter()
                .zip(&checked_against)
                .map(|(a, b)| a.iter().chain(b).copied().collect())
                .collect();
            ordered(&all).map_err(cycle)?
        };
        Ok(Self { assets, inputs, users, stored_inputs, checked_against, order })
    }

    #[must_use]
    pub fn get(&self, id: &AssetId) -> Option<&AssetFacts> {
        self.place(id).map(|place| &self.assets[place])
    }

    /// All assets, sorted by id.
    #[must_use]
    pub fn assets(&self) -> &[AssetFacts] {
        &self.assets
    }

    /// Every asset after all that it reads; among equals by id.
    pub fn topological(&self) -> impl Iterator<Item = &AssetFacts> {
        self.order.iter().map(|place| &self.assets[*place])
    }

    /// Checks that look into a table which comes after the asset, or into the asset itself: the asset, and that table.
    pub fn circular_checks(&self) -> impl Iterator<Item = (&AssetId, &AssetId)> {
        self.assets.iter().enumerate().flat_map(move |(place, asset)| {
            let is_left_out = move |table: &&AssetId| {
                producer(&self.assets, table)
                    .is_some_and(|target| !self.checked_against[place].contains(&target))
            };
            asset.checked_against.iter().filter(is_left_out).map(move |table| (&asset.id, table))
        })
    }

    /// What `id` reads and what belongs to its definition, directly, by id.
    pub fn inputs(&self, id: &AssetId) -> impl Iterator<Item = &AssetFacts> {
        self.neighbours(id, &self.inputs)
    }

    /// What reads `id`, or is defined by it, directly, by id.
    pub fn users(&self, id: &AssetId) -> impl Iterator<Item = &AssetFacts> {
        self.neighbours(id, &self.users)
    }

    /// All that `id` needs, directly or not, without itself.
    #[must_use]
    pub fn upstream(&self, id: &AssetId) -> BTreeSet<AssetId> {
        self.reach(id, &self.inputs, usize::MAX)
    }

    /// All that `id` needs over at most `steps` edges, without itself.
    #[must_use]
    pub fn upstream_within(&self, id: &AssetId, steps: usize) -> BTreeSet<AssetId> {
        self.reach(id, &self.inputs, steps)
    }

    /// All that needs `id`, directly or not, without itself.
    #[must_use]
    pub fn downstream(&self, id: &AssetId) -> BTreeSet<AssetId> {
        self.reach(id, &self.users, usize::MAX)
    }

    /// All that needs `id` over at most `steps` edges, without itself.
    #[must_use]
    pub fn downstream_within(&self, id: &AssetId, steps: usize) -> BTreeSet<AssetId> {
        self.reach(id, &self.users, steps)
    }

    /// The stored tables that `id` reads, directly or through views, sorted: the keys of
    /// [`crate::Recorded::input_versions`].
    pub fn stored_inputs(&self, id: &AssetId) -> impl Iterator<Item = &AssetId> {
        self.place(id)
            .into_iter()
            .flat_map(|place| self.stored_inputs[place].iter().map(|input| &input.table))
    }

    /// All that a plan of the assets looks at: themselves, the stored tables that they read, and the assets whose steps write those.
    #[must_use]
    pub fn looked_at(&self, assets: &BTreeSet<AssetId>) -> BTreeSet<AssetId> {
        let mut looked_at = assets.clone();
        for input in
            assets.iter().filter_map(|id| self.place(id)).flat_map(|place| &self.stored_inputs[place])
        {
            looked_at.extend([input.table.clone(), self.assets[input.producer].id.clone()]);
        }
        looked_at
    }

    pub(crate) fn order(&self) -> &[usize] {
        &self.order
    }

    pub(crate) fn at(&self, place: usize) -> &AssetFacts {
        &self.assets[place]
    }

    pub(crate) fn stored_inputs_at(&self, place: usize) -> &[StoredInput] {
        &self.stored_inputs[place]
    }

    pub(crate) fn checked_against_at(&self, place: usize) -> &[usize] {
        &self.checked_against[place]
    }

    pub(crate) fn place(&self, id: &AssetId) -> Option<usize> {
        place(&self.assets, id)
    }

    fn neighbours<'a>(
        &'a self,
        id: &AssetId,
        edges: &'a [Vec<usize>],
    ) -> impl Iterator<Item = &'a AssetFacts> {
        let places = self.place(id).into_iter().flat_map(|place| &edges[place]);
        places.map(|place| &self.assets[*place])
    }

    fn reach(&self, id: &AssetId, edges: &[Vec<usize>], steps: usize) -> BTreeSet<AssetId> {
        let Some(start) = self.place(id) else { return BTreeSet::new() };
        reachable(start, edges, steps)
            .into_iter()
            .enumerate()
            .filter(|(place, reached)| *reached && *place != start)
            .map(|(place, _)| self.assets[place].id.clone())
            .collect()
    }
}

fn place(assets: &[AssetFacts], id: &AssetId) -> Option<usize> {
    assets.binary_search_by(|asset| asset.id.cmp(id)).ok()
}

/// The asset whose step writes `table`.
fn producer(assets: &[AssetFacts], table: &AssetId) -> Option<usize> {
    place(assets, table)
        .or_else(|| place(assets, &AssetId::new(table.as_str().strip_suffix(REJECTED_SUFFIX)?)))
}

fn producer_or_error(assets: &[AssetFacts], asset: &AssetFacts, input: &AssetId) -> Result<usize, PlanError> {
    producer(assets, input).ok_or_else(|| PlanError::UnknownInput {
        asset: asset.id.clone(),
        input: input.clone(),
        nearest: crate::selection::nearest(input.as_str(), assets.iter().map(|known| known.id.as_str()))
            .map(AssetId::new),
    })
}

fn reversed(edges: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut reversed = vec![Vec::new(); edges.len()];
    for (from, targets) in edges.iter().enumerate() {
        for to in targets {
            reversed[*to].push(from);
        }
    }
    reversed
}

fn stored_inputs(assets: &[AssetFacts], order: &[usize]) -> Vec<Vec<StoredInput>> {
    let mut stored: Vec<Vec<StoredInput>> = vec![Vec::new(); assets.len()];
    for place in order {
        let mut found = BTreeSet::new();
        for table in &assets[*place].inputs {
            let Some(producer) = producer(assets, table) else { continue };
            if assets[producer].passes_through {
                found.extend(stored[producer].iter().cloned());
            } else {
                found.insert(StoredInput { table: table.clone(), producer });
            }
        }
        stored[*place] = found.into_iter().collect();
    }
    stored
}

/// Two tables may check against each other, and a table against itself, so an edge that would close a
/// cycle is left out: such a check sees the version before.
fn acyclic_checks(assets: &[AssetFacts], users: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut users = users.to_vec();
    let mut kept = vec![Vec::new(); assets.len()];
    for (place, asset) in assets.iter().enumerate() {
        let targets: BTreeSet<usize> =
            asset.checked_against.iter().filter_map(|table| producer(assets, table)).collect();
        for target in targets {
            if !reachable(place, &users, usize::MAX)[target] {
                users[target].push(place);
                kept[place].push(target);
            }
        }
    }
    kept
}

/// Everything that can be reached from `start` over at most `steps` of the `edges`, itself included.
fn reachable(start: usize, edges: &[Vec<usize>], steps: usize) -> Vec<bool> {
    let mut reached = vec![false; edges.len()];
    let mut open = VecDeque::from([(start, steps)]);
    // The nearest places come first, so that each place is reached with the most steps left.
    while let Some((place, left)) = open.pop_front() {
        if !std::mem::replace(&mut reached[place], true) && left > 0 {
            let next = edges[place].iter().filter(|next| !reached[**next]);
            open.extend(next.map(|next| (*next, left - 1)));
        }
    }
    reached
}
