//! What only the tables themselves tell: that one cannot be opened, or that its rows have grown too old by the clock.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, future, stream};
use millstream_plan::{AssetFacts, Recorded};
use millstream_types::{AssetId, CheckId};

use crate::{EngineError, assets::kind_of, engine::World, freshness, run::chain};

/// The number of tables that are looked at at the same time.
const LOOKS_AT_ONCE: usize = 8;

/// What was seen when tables were looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Looked {
    /// The assets whose rows are too old, each with the first check that says so.
    pub too_old: BTreeMap<AssetId, CheckId>,
    pub unreadable: BTreeMap<AssetId, Unreadable>,
}

/// Why a table that was built cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    pub code: &'static str,
    pub error: String,
    pub hint: Option<String>,
}

impl Unreadable {
    pub(crate) fn of(error: &EngineError) -> Self {
        Self { code: error.code(), error: chain(error), hint: error.hint() }
    }
}

impl World {
    /// Which of these assets cannot be read although they were built, and why; of all there are where none are named.
    pub(crate) async fn unreadable(
        &self,
        among: Option<&BTreeSet<AssetId>>,
    ) -> Result<BTreeMap<AssetId, Unreadable>, EngineError> {
        let recorded = self.state.recorded().await?;
        let is_looked_at = |facts: &&AssetFacts| {
            let was_built = || recorded.get(&facts.id).is_some_and(Recorded::was_built);
            let is_meant = among.is_none_or(|among| among.contains(&facts.id));
            !facts.passes_through && is_meant && was_built()
        };
        let mut looks = Vec::new();
        for facts in self.project.graph.topological().filter(is_looked_at) {
            let kind = kind_of(facts)?;
            looks.push(async move {
                let unreadable = kind.unreadable(self, &facts.id).await?;
                Some((facts.id.clone(), Unreadable::of(&unreadable)))
            });
        }
        Ok(stream::iter(looks).buffered(LOOKS_AT_ONCE).filter_map(future::ready).collect().await)
    }

    /// Which of these assets have rows that are older by now than a check allows. What cannot be read is none of them.
    pub(super) async fn too_old(&self, among: Option<&BTreeSet<AssetId>>) -> BTreeMap<AssetId, CheckId> {
        let assets = self.project.graph.topological().map(|facts| facts.id.clone());
        let assets: Vec<AssetId> = assets.filter(|id| among.is_none_or(|among| among.contains(id))).collect();
        let looks: Vec<_> = assets.iter().map(|id| freshness::first_overdue(self, id)).collect();
        let looked: Vec<Option<CheckId>> = stream::iter(looks).buffered(LOOKS_AT_ONCE).collect().await;
        assets.into_iter().zip(looked).filter_map(|(id, check)| Some((id, check?))).collect()
    }

    /// Looks at these assets, and at all that they are made of; at all there are where none are named.
    pub(super) async fn look(&self, assets: Option<&BTreeSet<AssetId>>) -> Result<Looked, EngineError> {
        let wanted = assets.map(|assets| self.with_inputs(assets));
        let among = wanted.as_ref();
        Ok(Looked { too_old: self.too_old(among).await, unreadable: self.unreadable(among).await? })
    }

    /// The assets, and all that they are made of, directly and through others.
    fn with_inputs(&self, assets: &BTreeSet<AssetId>) -> BTreeSet<AssetId> {
        let (mut found, mut open) = (BTreeSet::new(), assets.iter().cloned().collect::<Vec<_>>());
        while let Some(id) = open.pop() {
            if found.insert(id.clone()) {
                open.extend(self.project.graph.inputs(&id).map(|input| input.id.clone()));
            }
        }
        found
    }
}
