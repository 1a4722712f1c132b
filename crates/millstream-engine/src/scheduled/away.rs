//! Assets that others work on: steps that wait for them, and what is found out when others end without a word.

use std::collections::{BTreeMap, BTreeSet};

use millstream_state::{HeldLease, LeaseToken};
use millstream_types::AssetId;
use tokio::task::JoinError;

use super::tenure::Tenure;
use crate::{
    EngineError,
    error::told,
    reconcile::{Scope, reconcile},
    turn,
};

/// The leases of others, as they were seen last.
#[derive(Debug, Default)]
pub(super) struct OthersLeases(BTreeMap<LeaseToken, BTreeSet<AssetId>>);

impl OthersLeases {
    /// Takes over what is held now, and gives the assets of the leases that have ended.
    fn see(&mut self, held: Vec<HeldLease>) -> BTreeSet<AssetId> {
        let now: BTreeMap<_, _> = held.into_iter().map(|lease| (lease.token, lease.assets)).collect();
        let before = std::mem::replace(&mut self.0, now);
        let ended = before.into_iter().filter(|(token, _)| !self.0.contains_key(token));
        ended.flat_map(|(_, assets)| assets).collect()
    }
}

impl Tenure {
    /// A step that was started found somebody else at work on its asset.
    pub(super) fn take_kept_away(&mut self, asset: &AssetId, because: &str) {
        tracing::info!(%asset, because, "a step waits until others are done with its asset");
        self.started.remove(asset);
        self.waiting.insert(asset.clone());
        let now = self.now();
        let decisions = self.scheduler.kept_away(asset, now);
        self.take(decisions, &[]);
    }

    /// Lets the steps start whose assets nobody holds any more. When the state store is away, that is found out later.
    pub(super) async fn look_for_freed(&mut self) -> Result<(), EngineError> {
        let held: BTreeSet<AssetId> = match self.engine.world().state.leases(self.now()).await {
            Ok(leases) => {
                // What somebody waits for is left to them, as if they had it.
                leases.into_iter().flat_map(|lease| lease.assets).map(turn::asset_of).collect()
            }
            Err(error) => {
                tracing::warn!(error = told(&error), "it is not known what others hold; trying again");
                return Ok(());
            }
        };
        let freed: Vec<AssetId> = self.waiting.difference(&held).cloned().collect();
        for asset in freed {
            self.waiting.remove(&asset);
            let now = self.now();
            let decisions = self.scheduler.freed(&asset, now);
            self.take(decisions, &[]);
        }
        self.carry_out_taken().await
    }

    /// Takes note of what others hold now. A lease that has ended may be that of a process which was killed after it had committed
    /// something, and before it had recorded that.
    pub(super) fn see_leases(&mut self, mut held: Vec<HeldLease>) {
        held.retain(|lease| {
            lease.token != self.lease.token
                && !lease.assets.iter().any(turn::is_turn)
                && !lease.assets.iter().all(|asset| self.runs(asset))
        });
        self.doubtful.append(&mut self.others.see(held));
        self.reconcile_doubtful();
    }

    /// What is still in doubt is looked at again later. The versions that were found are in the state store now.
    pub(super) async fn reconciled(
        &mut self,
        doubtful: Result<BTreeSet<AssetId>, JoinError>,
    ) -> Result<(), EngineError> {
        let doubtful = doubtful.map_err(|_| EngineError::Worker { doing: "comparing with the lake" })?;
        if doubtful.is_empty() {
            return self.look_around().await;
        }
        self.doubtful.extend(doubtful);
        Ok(())
    }

    /// Begins to compare with the lake what is recorded of assets in doubt, unless that is being done.
    fn reconcile_doubtful(&mut self) {
        if self.doubtful.is_empty() || !self.reconciling.is_empty() {
            return;
        }
        let (engine, assets) = (self.engine.clone(), std::mem::take(&mut self.doubtful));
        self.reconciling.spawn(async move {
            match reconcile(engine.world(), Scope::Of(&assets)).await {
                Ok(_) => BTreeSet::new(),
                Err(error) => {
                    let (code, error) = (error.code(), told(&error));
                    tracing::warn!(
                        code,
                        error,
                        "it is not known whether all versions are recorded; looking again"
                    );
                    assets
                }
            }
        });
    }
}
