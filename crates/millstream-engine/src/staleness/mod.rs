//! Which assets are not what they should be, since when, and why: the last good version of each is served all the same, and whatever
//! shows it says so.
//!
//! [`Engine::stale`] reads the signs in one statement, and looks at neither the lake nor a source, so that a server can ask for it
//! every second. What only the rows tell, such as a check on how old they are, is added by [`crate::Status`].

mod cause;
mod judge;

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use millstream_types::{AssetId, TimestampMicros};

use crate::{Engine, EngineError, engine::World};
use judge::Rules;

pub use cause::StaleCause;

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
        Box::pin(self.world().stale())
    }
}

impl World {
    pub(crate) async fn stale(&self) -> Result<StaleAssets, EngineError> {
        let now = self.options.clock.now();
        let signs = self.state.stale_signs(now).await?;
        let (graph, circuits, steps) = (&self.project.graph, &self.source_circuits, &self.steps);
        let rules = Rules { graph, circuits, steps, now };
        Ok(judge::judge(&rules, &signs))
    }
}
