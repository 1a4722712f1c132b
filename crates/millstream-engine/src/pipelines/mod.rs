//! Pipelines: what is kept up to date from events as they arrive, for as long as a process serves the project.
//!
//! Each continuous asset of the project is a [`Continuous`] with a task of its own. The task holds the asset's lease, works until it is told to
//! stop, and begins again after an error, so that one that fails holds up no other. What is left behind by an error, a kill or another process is for
//! the asset to take up: its work begins with what is durable.

pub(crate) mod features;
mod follow;
mod life;
mod meter;
mod record;
mod supervisor;
pub(crate) mod table;
mod told;

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures::future::BoxFuture;
use millstream_types::{AssetId, Fingerprint};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::{Engine, EngineError, Publisher, engine::World, lease::Lease};

pub use follow::{FollowedRows, FollowedTable};
pub(crate) use life::COMMAND;
pub(crate) use meter::PipelineMeter;
pub use meter::{PipelineState, PipelineStatus};
pub use record::PipelineSeen;
pub use told::{PipelineChange, PipelineTold};

use supervisor::{Kept, Supervisor};

/// An asset that is kept up to date from events as they arrive.
pub(crate) trait Continuous: Send + Sync + fmt::Debug {
    fn asset(&self) -> &AssetId;

    /// What the asset's definition means. Where the project is loaded again and this stays the same, work goes on undisturbed.
    fn fingerprint(&self) -> Fingerprint;

    /// Works, beginning with what is durable, until [`Stint::stop`]: then it commits what is complete, keeps its state and returns. It may be dropped at
    /// any point at which it waits, and is begun again after an error.
    fn work<'a>(&'a self, stint: &'a Stint) -> BoxFuture<'a, Result<(), EngineError>>;

    /// The project no longer has the asset: nothing is kept for it any more. Called once its work has ended.
    fn retire(&self) -> BoxFuture<'_, Result<(), EngineError>> {
        Box::pin(async { Ok(()) })
    }
}

/// What an asset works under, from the moment at which it is leased.
#[derive(Clone, Debug)]
pub(crate) struct Stint {
    pub lease: Arc<Lease>,
    /// The wish that the work ends in good order.
    pub stop: CancellationToken,
    /// By which the work tells how it goes.
    pub meter: Arc<PipelineMeter>,
    pub events: Publisher,
}

/// The continuous assets of a project, those of each family in turn.
pub(crate) fn continuous(world: &Arc<World>) -> Result<Vec<Arc<dyn Continuous>>, EngineError> {
    let mut all = table::continuous(world)?;
    all.extend(features::continuous(world));
    Ok(all)
}

/// What a process asks of its pipelines. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Pipelines {
    /// The project that is at work, of which only the newest counts.
    projects: Arc<watch::Sender<Engine>>,
    kept: Arc<Mutex<Kept>>,
}

impl Pipelines {
    /// The project was loaded again. Pipelines whose definitions mean what they meant go on, others end in good order and begin as `engine` knows them.
    pub fn replace(&self, engine: Engine) {
        self.projects.send_replace(engine);
    }

    /// How the pipelines are, in the order of their assets.
    #[must_use]
    pub fn status(&self) -> Vec<PipelineStatus> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.values().map(|one| one.meter.status()).collect()
    }

    /// Lets a pipeline that is set aside, or waits after an error, work at once. Says whether there is such a pipeline.
    #[must_use]
    pub fn resume(&self, asset: &AssetId) -> bool {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.get(asset).is_some_and(|one| {
            one.again.notify_one();
            true
        })
    }
}

impl Engine {
    /// Keeps the project's pipelines at work until `cancel`, in the future that is returned. From then on each has `drain` to commit what is complete and
    /// keep its state; what takes longer is dropped, and the next process takes up what is durable.
    #[must_use]
    pub fn keep_pipelines(
        &self,
        cancel: CancellationToken,
        drain: Duration,
    ) -> (Pipelines, BoxFuture<'static, ()>) {
        let (projects, project) = watch::channel(self.clone());
        let kept = Arc::new(Mutex::default());
        let supervisor = Supervisor { project, kept: kept.clone(), cancel, drain };
        (Pipelines { projects: Arc::new(projects), kept }, Box::pin(supervisor.keep()))
    }
}
