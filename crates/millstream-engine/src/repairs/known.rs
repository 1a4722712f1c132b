//! Repairs, for people who ask.

use futures::future::BoxFuture;
use millstream_state::{RepairRecord, RepairState};
use millstream_types::AssetId;

use super::damage::damage;
use crate::{Engine, EngineError};

impl Engine {
    /// At most `limit` repairs, the newest first.
    pub fn repairs(&self, limit: usize) -> BoxFuture<'_, Result<Vec<RepairRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.repairs(limit).await?) })
    }

    /// A person has seen to what was damaged of the asset. Whether something was on record.
    pub fn clear_repairs<'a>(&'a self, asset: &'a AssetId) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            let (from, now) = ([RepairState::Due, RepairState::GivenUp], world.options.clock.now());
            let ended = world.state.end_repairs(asset, &from, RepairState::Repaired, None, now).await?;
            Ok(ended > 0)
        })
    }

    /// A read has ended with this error. Where it tells of damage, that is recorded, so that it can be repaired.
    pub fn look_for_damage<'a>(&'a self, error: &'a EngineError) -> BoxFuture<'a, ()> {
        Box::pin(async move {
            if damage(error).is_some() {
                self.world().look_for_damage(error, &self.begin("repair")).await;
            }
        })
    }
}
