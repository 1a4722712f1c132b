//! What several processes that serve one project share, and what they do not.

use std::{collections::BTreeMap, time::Duration};

use futures::future::BoxFuture;
use millstream_project::OnlineLocation;
use millstream_state::{Offer, OfferChanges, OfferId, ScheduleRecord, StateError, StepWorker};
use millstream_types::AssetId;
use tokio_util::sync::CancellationToken;

use super::{COMMAND, LEASED};
use crate::{Engine, EngineError};

/// What several processes share.
#[derive(Clone, Debug, Default)]
pub struct SharedSteps {
    pub workers: Vec<StepWorker>,
    /// The steps whose ends were not taken in yet.
    pub offers: Vec<Offer>,
}

impl Engine {
    /// Which processes run the steps that one of them starts. Where each process runs its own, there is nothing to tell.
    pub fn shared_steps(&self) -> BoxFuture<'_, Result<SharedSteps, EngineError>> {
        Box::pin(async move {
            let (state, now) = (&self.world().state, self.world().options.clock.now());
            if !state.is_shared() {
                return Ok(SharedSteps::default());
            }
            let workers = state.workers(now).await?;
            Ok(SharedSteps { workers, offers: state.offers().await? })
        })
    }

    /// Forgets what is offered where nothing runs by triggers any more and no other process schedules. What somebody runs goes on.
    pub(super) async fn forget_offers(&self, cancel: &CancellationToken) -> Result<(), EngineError> {
        let (world, now) = (self.world(), self.world().options.clock.now());
        if world.state.offers().await?.is_empty() {
            return Ok(());
        }
        let (leased, events) = ([AssetId::new(LEASED)], self.begin(COMMAND));
        let lease = match world.lease(COMMAND, &leased, Duration::ZERO, &events, cancel).await {
            Err(EngineError::State(StateError::Locked { .. })) => return Ok(()),
            lease => lease?,
        };
        let forgotten = async {
            let workers = world.state.workers(now).await?;
            let left = world.state.adopt_offers(lease.token, &BTreeMap::new()).await?;
            let runs = |found: &&Offer| {
                found.end.is_none() && workers.iter().any(|worker| Some(worker.lease.token) == found.worker)
            };
            let idle: Vec<OfferId> =
                left.iter().filter(|found| !runs(found)).map(|found| found.offer.id).collect();
            let record = ScheduleRecord { lease: lease.token, assets: &[], decisions: &[] };
            let offers = OfferChanges { taken_in: &idle, ..OfferChanges::default() };
            world.state.record_schedule_with(&record, offers).await
        };
        let forgotten = forgotten.await;
        lease.end().await;
        Ok(forgotten?)
    }

    /// What lies on this machine although servers on other machines may share the project's work, in sentences with what to do about it.
    /// Nothing where each process runs its own steps.
    #[must_use]
    pub fn kept_apart(&self) -> Vec<&'static str> {
        let spec = &self.project().spec;
        if !self.world().state.is_shared() {
            return Vec::new();
        }
        let has_views = !spec.features.views.is_empty();
        let is_embedded = matches!(spec.environment.online, OnlineLocation::Embedded(_));
        let is_folder = !spec.environment.lake.contains("://") || spec.environment.lake.starts_with("file:");
        let found = [
            (
                is_embedded && has_views,
                "the online store is embedded: only the server that schedules brings it up to date, and another one serves what its own holds; \
                 `online: redis://…` in the environment is one for all servers",
            ),
            (
                is_folder,
                "the lake is a folder: each server of the project has to find the same one there, as on a network file system",
            ),
            (
                !spec.datasets.is_empty(),
                "datasets are written to a folder of the server that schedules, and other servers do not find them",
            ),
        ];
        found.into_iter().filter(|(is_so, _)| *is_so).map(|(_, words)| words).collect()
    }
}
