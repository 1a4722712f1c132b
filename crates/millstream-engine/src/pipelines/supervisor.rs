//! Keeps a task for each continuous asset of the project that is at work.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use millstream_types::{AssetId, Fingerprint};
use tokio::{
    sync::{Notify, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use super::{Continuous, PipelineMeter, PipelineStatus, continuous, life::Life, record::record};
use crate::{Engine, engine::World, error::told};

/// How often other processes are let know how the pipelines are.
const TELL_EVERY: Duration = Duration::from_secs(5);

/// The pipelines that are kept, by asset.
pub(super) type Kept = BTreeMap<AssetId, KeptOne>;

/// A pipeline that is kept.
#[derive(Debug)]
pub(super) struct KeptOne {
    pipeline: Arc<dyn Continuous>,
    fingerprint: Fingerprint,
    pub meter: Arc<PipelineMeter>,
    /// Wakes it where it is set aside, or waits after an error.
    pub again: Arc<Notify>,
    /// The wish that it ends in good order.
    stop: CancellationToken,
    task: JoinHandle<()>,
}

/// The loop that follows the project.
pub(super) struct Supervisor {
    pub project: watch::Receiver<Engine>,
    pub kept: Arc<Mutex<Kept>>,
    pub cancel: CancellationToken,
    pub drain: Duration,
}

impl Supervisor {
    /// Keeps pipelines until the process is to end, and waits until they have ended.
    pub(super) async fn keep(mut self) {
        let cut_short = CancellationToken::new();
        let _cut_short = cut_short.clone().drop_guard();
        let mut tell = tokio::time::interval(TELL_EVERY);
        let mut is_followed = true;
        self.follow(&cut_short).await;
        while !self.cancel.is_cancelled() {
            tokio::select! {
                () = self.cancel.cancelled() => {}
                changed = self.project.changed(), if is_followed => match changed {
                    Ok(()) => self.follow(&cut_short).await,
                    // Nobody is left who could load the project again; the pipelines go on.
                    Err(_) => is_followed = false,
                },
                _ = tell.tick() => self.tell(&[]).await,
            }
        }
        let kept = std::mem::take(&mut *self.kept());
        let meters: Vec<_> = kept.values().map(|one| one.meter.clone()).collect();
        end(kept.into_values().collect(), self.drain, &cut_short).await;
        let status: Vec<_> = meters.iter().map(|meter| meter.status()).collect();
        self.tell_of(&status, &[]).await;
    }

    /// Lets other processes know how the pipelines are.
    async fn tell(&self, gone: &[AssetId]) {
        let status: Vec<_> = self.kept().values().map(|one| one.meter.status()).collect();
        self.tell_of(&status, gone).await;
    }

    async fn tell_of(&self, status: &[PipelineStatus], gone: &[AssetId]) {
        if status.is_empty() && gone.is_empty() {
            return;
        }
        let engine = self.project.borrow().clone();
        if let Err(error) = record(engine.world(), status, gone).await {
            tracing::debug!(error = told(&error), "how the pipelines are was not recorded");
        }
    }

    /// Ends the pipelines that the project has no more or means otherwise, and begins those that are not kept.
    async fn follow(&mut self, cut_short: &CancellationToken) {
        let engine = self.project.borrow_and_update().clone();
        let world = engine.world();
        let wanted = match continuous(world) {
            Ok(wanted) => wanted,
            Err(error) => {
                let (code, error) = (error.code(), told(&error));
                tracing::error!(
                    code,
                    error,
                    "the project's pipelines cannot be put to work; those at work go on"
                );
                return;
            }
        };
        let meant: BTreeMap<AssetId, Fingerprint> =
            wanted.iter().map(|one| (one.asset().clone(), one.fingerprint())).collect();
        let is_over = |asset: &AssetId, one: &mut KeptOne| meant.get(asset) != Some(&one.fingerprint);
        let over: BTreeMap<AssetId, KeptOne> = self.kept().extract_if(.., is_over).collect();
        let gone: Vec<AssetId> = over.keys().filter(|asset| !meant.contains_key(*asset)).cloned().collect();
        // The next one takes up what this one leaves, so that they follow each other.
        let retired: Vec<Arc<dyn Continuous>> = over
            .iter()
            .filter(|(asset, _)| gone.contains(asset))
            .map(|(_, one)| one.pipeline.clone())
            .collect();
        end(over.into_values().collect(), self.drain, cut_short).await;
        for one in retired {
            if let Err(error) = one.retire().await {
                let (asset, error) = (one.asset(), told(&error));
                tracing::warn!(%asset, error, "what the event log keeps for a pipeline that is gone stays");
            }
        }
        for one in wanted {
            self.kept().entry(one.asset().clone()).or_insert_with(|| begin(world, one, cut_short));
        }
        // Those that are set aside may be mended by what was loaded, also where their own definitions are the same.
        self.kept().values().for_each(|one| one.again.notify_waiters());
        self.tell(&gone).await;
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn begin(world: &Arc<World>, pipeline: Arc<dyn Continuous>, cut_short: &CancellationToken) -> KeptOne {
    let meter = Arc::new(PipelineMeter::new(pipeline.asset().clone(), world.options.clock.clone()));
    let (again, stop) = (Arc::new(Notify::new()), CancellationToken::new());
    let fingerprint = pipeline.fingerprint();
    let life = Life {
        world: world.clone(),
        pipeline: pipeline.clone(),
        meter: meter.clone(),
        again: again.clone(),
        stop: stop.clone(),
        // A pipeline that takes too long to end is cut short alone.
        cut_short: cut_short.child_token(),
    };
    KeptOne { pipeline, fingerprint, meter, again, stop, task: tokio::spawn(life.live()) }
}

/// Ends pipelines in good order, as far as they do that within `drain`.
async fn end(pipelines: Vec<KeptOne>, drain: Duration, cut_short: &CancellationToken) {
    if pipelines.is_empty() {
        return;
    }
    pipelines.iter().for_each(|one| one.stop.cancel());
    let ended = pipelines.into_iter().map(async |mut one| {
        if tokio::time::timeout(drain, &mut one.task).await.is_err() {
            one.task.abort();
            // The task is gone when this returns, whatever it was about.
            let _ = one.task.await;
        }
    });
    tokio::select! {
        _ = join_all(ended) => {}
        () = cut_short.cancelled() => {}
    }
}
