//! A project that runs by its triggers while it is served.

use std::{sync::PoisonError, time::Duration};

use async_trait::async_trait;
use millstream_api::{
    failures::{
        ConnectionState, ConnectionsAnswer, PromiseAnswer, RepairInfo, RepairsAnswer, ResumeAnswer, SlaAnswer,
    },
    schedule::{NextTick, ScheduleAnswer, ScheduleDecision, StepWorker, TriggerAnswer, WorkerStep},
};
use millstream_engine::{Engine, LoggedDecision, Scheduling, SharedSteps, TriggerError};
use millstream_schedule::Upcoming;
use millstream_server::{ApiError, ErrorKind, ScheduleBackend, WebhookSecret};
use millstream_types::AssetId;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Backend, errors::api_error};
use crate::wire::{Of, instant};

impl Backend {
    /// Runs the project by its triggers from now on until `cancel`, on a task that ends when the steps that ran have ended, or are
    /// cancelled because they took longer than `drain`.
    pub(crate) fn keep_scheduled(&self, cancel: CancellationToken, drain: Duration) -> JoinHandle<()> {
        let live = self.live();
        let engine = &live.engine;
        for apart in engine.kept_apart() {
            tracing::warn!("{apart}");
        }
        let (scheduling, kept) = engine.keep_scheduled(cancel, drain);
        *self.scheduling.lock().unwrap_or_else(PoisonError::into_inner) = Some(scheduling);
        tokio::spawn(kept)
    }

    pub(super) fn scheduling(&self) -> Option<Scheduling> {
        self.scheduling.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl ScheduleBackend for Backend {
    async fn schedule(&self, limit: usize) -> Result<ScheduleAnswer, ApiError> {
        let decisions = self.live().engine.schedule_decisions(limit).await.map_err(api_error)?;
        let outlook = match self.scheduling() {
            Some(scheduling) => scheduling.outlook(limit).await,
            None => millstream_engine::Outlook::default(),
        };
        let shared = self.live().engine.shared_steps().await.map_err(api_error)?;
        Ok(ScheduleAnswer {
            is_active: outlook.is_active,
            workers: workers(&shared),
            offered: offered(&shared),
            next: outlook.upcoming.into_iter().map(next).collect(),
            decisions: decisions.into_iter().map(decision).collect(),
        })
    }

    async fn trigger(&self, name: &str) -> Result<TriggerAnswer, ApiError> {
        let called = match self.scheduling() {
            Some(scheduling) => scheduling.triggered(name).await,
            None => Err(TriggerError::Idle),
        };
        let due = called.map_err(refused)?;
        let due = due.iter().map(ToString::to_string).collect();
        Ok(TriggerAnswer { trigger: name.to_owned(), due })
    }

    fn webhook_secret(&self, name: &str) -> Option<WebhookSecret> {
        let webhook = self.live().engine.project().spec.webhooks.get(name)?.secret.clone();
        Some(WebhookSecret::new(webhook.reveal()))
    }

    async fn connections(&self) -> Result<ConnectionsAnswer, ApiError> {
        let live = self.live();
        let connections = live.engine.connections().await.map_err(api_error)?;
        let retries = live.engine.retries().await.map_err(api_error)?;
        Ok(ConnectionsAnswer {
            connections: connections.iter().map(ConnectionState::of).collect(),
            retries: retries.used,
            retries_max: retries.most,
        })
    }

    async fn resume(&self, asset: &str) -> Result<ResumeAnswer, ApiError> {
        let live = self.live();
        let asset = known(&live.engine, asset)?;
        live.engine.resume(&asset).await.map_err(api_error)?;
        Ok(ResumeAnswer { asset: asset.to_string() })
    }

    async fn repairs(&self, limit: usize) -> Result<RepairsAnswer, ApiError> {
        let repairs = self.live().engine.repairs(limit).await.map_err(api_error)?;
        Ok(RepairsAnswer { repairs: repairs.iter().map(RepairInfo::of).collect() })
    }

    async fn promises(&self, asset: Option<&str>, days: u32) -> Result<SlaAnswer, ApiError> {
        let live = self.live();
        let asset = asset.map(|name| known(&live.engine, name)).transpose()?;
        let promises = live.engine.promises(asset.as_ref(), days).await.map_err(api_error)?;
        Ok(SlaAnswer { promises: promises.iter().map(PromiseAnswer::of).collect() })
    }
}

/// The asset of this name.
fn known(engine: &Engine, name: &str) -> Result<AssetId, ApiError> {
    let asset = AssetId::new(name);
    match engine.project().graph.get(&asset) {
        Some(_) => Ok(asset),
        None => Err(ApiError::new(ErrorKind::UnknownAsset, format!("no asset is named `{name}`"))),
    }
}

fn workers(shared: &SharedSteps) -> Vec<StepWorker> {
    let workers = shared.workers.iter().map(|worker| {
        let is_its = |offer: &&millstream_state::Offer| {
            offer.worker == Some(worker.lease.token) && offer.end.is_none()
        };
        let running = shared.offers.iter().filter(is_its).map(|found| WorkerStep {
            asset: found.offer.asset.to_string(),
            since: instant(found.claimed.unwrap_or(found.offer.at)),
            attempt: found.offer.attempt,
        });
        let holder = &worker.lease.holder;
        StepWorker {
            pid: holder.pid,
            host: holder.host.clone(),
            since: instant(holder.started),
            places: worker.places,
            running: running.collect(),
        }
    });
    workers.collect()
}

fn offered(shared: &SharedSteps) -> Vec<String> {
    let free = shared.offers.iter().filter(|offer| offer.worker.is_none() && offer.end.is_none());
    free.map(|offer| offer.offer.asset.to_string()).collect()
}

fn next((asset, Upcoming { at, trigger }): (AssetId, Upcoming)) -> NextTick {
    NextTick { at: instant(at), asset: asset.to_string(), trigger: trigger.to_string() }
}

fn decision(logged: LoggedDecision) -> ScheduleDecision {
    ScheduleDecision {
        at: instant(logged.at),
        asset: logged.asset.to_string(),
        decision: logged.kind.as_str(),
        because: logged.because,
    }
}

fn refused(error: TriggerError) -> ApiError {
    let message = error.to_string();
    match error {
        TriggerError::Unknown { known, .. } => {
            let error = ApiError::new(ErrorKind::UnknownTrigger, message);
            match known.is_empty() {
                true => error,
                false => error.with_hint(format!("the webhooks are `{}`", known.join("`, `"))),
            }
        }
        TriggerError::Unrecorded => ApiError::new(ErrorKind::Unavailable, message),
        TriggerError::Idle => ApiError::new(ErrorKind::Unavailable, message)
            .with_hint("call the server that does, or try again in a moment"),
    }
}
