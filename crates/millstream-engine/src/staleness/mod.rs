//! Which assets are not what they should be, since when, and why: the last good version of each is served all the same, and whatever
//! shows it says so.
//!
//! What is recorded is read in one statement. What only the tables tell, such as how old their rows are by now, is looked at beside it;
//! a server, which asks all the time, does that now and then ([`StaleWatch`]).

mod cause;
mod judge;
mod looked;
mod watch;

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;
use millstream_state::RunOutcome;
use millstream_types::{AssetId, TimestampMicros};

use crate::{Engine, EngineError, engine::World, housekeeping};
use judge::Rules;

pub use cause::StaleCause;
pub(crate) use looked::Looked;
pub use looked::Unreadable;
pub use watch::StaleWatch;

/// Why an asset is not what it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stale {
    /// Since when; `None` where that is not on record.
    pub since: Option<TimestampMicros>,
    pub cause: StaleCause,
}

/// The assets that are stale; all others are fresh, or were never built and show nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaleAssets(pub(crate) BTreeMap<AssetId, Stale>);

impl StaleAssets {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    #[must_use]
    pub fn get(&self, asset: &AssetId) -> Option<&Stale> {
        self.0.get(asset)
    }

    /// The stale assets, by id.
    pub fn iter(&self) -> impl Iterator<Item = (&AssetId, &Stale)> {
        self.0.iter()
    }
}

impl Engine {
    /// The assets that are stale now.
    pub fn stale(&self) -> BoxFuture<'_, Result<StaleAssets, EngineError>> {
        Box::pin(self.world().stale(None))
    }

    /// The same, where only these assets count: of the others, what they tell of these ones is looked at.
    pub fn stale_among<'a>(
        &'a self,
        assets: &'a BTreeSet<AssetId>,
    ) -> BoxFuture<'a, Result<StaleAssets, EngineError>> {
        Box::pin(self.world().stale(Some(assets)))
    }
}

impl World {
    /// The assets that are stale. Tables are looked at as far as these assets are made of them, all tables where none are named.
    pub(crate) async fn stale(&self, assets: Option<&BTreeSet<AssetId>>) -> Result<StaleAssets, EngineError> {
        self.judge(&self.look(assets).await?).await
    }

    /// The assets that are stale by what is recorded, and by what was seen of the tables.
    pub(crate) async fn judge(&self, looked: &Looked) -> Result<StaleAssets, EngineError> {
        let now = self.options.clock.now();
        let mut signs = self.state.stale_signs(now).await?;
        if !signs.left_out.is_empty() {
            // A run that succeeded has read everything.
            let last = self.state.last_run_but(housekeeping::COMMAND).await?;
            if last.is_none_or(|run| run.outcome == Some(RunOutcome::Succeeded)) {
                signs.left_out.clear();
            }
        }
        let (graph, circuits, steps) = (&self.project.graph, &self.source_circuits, &self.steps);
        let rules = Rules { graph, circuits, steps, looked, now };
        Ok(judge::judge(&rules, &signs))
    }
}
