//! What the server asks, answered by the engine of the project that is at work: one file for each area beside this one.

use std::{
    mem::ManuallyDrop,
    num::NonZeroUsize,
    sync::{Arc, Mutex},
};

use arc_swap::ArcSwap;
use millstream_engine::{
    Clock, Engine, EngineError, FeatureServer, Pipelines, Project, Queries, QueryThreads, Scheduling, StaleWatch,
    SystemClock,
};
use millstream_server::{HeldProject, JobBackend};
use millstream_state::FailedReload;
use millstream_types::{Percent, TimestampMicros};

use super::stale::{StaleMarks, Unmarked};
use crate::{
    CliError,
    project::{Loader, cores},
};

/// The engine as a server's backend. The stores stay open as long as it lives, whatever project is at work.
#[derive(Debug)]
pub(crate) struct Backend {
    live: ArcSwap<LoadedProject>,
    pub(super) loader: Loader,
    /// The share of the reads that are kept for comparison.
    sample: Percent,
    /// The threads of the queries end with the process: one that ends while it is let go may be touched once more.
    threads: ManuallyDrop<Arc<QueryThreads>>,
    /// Held while the project is loaded again, so that one load follows another.
    pub(super) reloading: tokio::sync::Mutex<()>,
    /// What is asked of the loop that runs the project by its triggers, once there is one.
    pub(super) scheduling: Mutex<Option<Scheduling>>,
    /// What is asked of the project's pipelines, once they are kept.
    pub(super) pipelines: Mutex<Option<Pipelines>>,
    /// The assets that are stale, as answers say it.
    pub(super) stale: ArcSwap<StaleMarks>,
    /// What was seen when the marks were made last.
    pub(super) watch: tokio::sync::Mutex<StaleWatch>,
    pub(super) unmarked: Unmarked,
    /// The last attempt to load the project again, if it failed.
    pub(super) failed: Mutex<Option<FailedReload>>,
}

/// The project at work. A request, and a job, is answered from its beginning to its end by the one that it found.
#[derive(Debug)]
pub(crate) struct LoadedProject {
    pub(crate) engine: Engine,
    pub(crate) features: FeatureServer,
    pub(super) queries: Queries,
    /// The bytes that the build of a dataset may hold in memory.
    pub(super) memory_bytes: usize,
    /// The time at which the reading of the project's files began.
    pub(super) loaded_at: TimestampMicros,
}

impl Backend {
    /// Loads every service that is served. The files of the engine's project were read from `read_at` on.
    pub(crate) async fn open(
        engine: Engine,
        read_at: TimestampMicros,
        loader: Loader,
        sample: Percent,
    ) -> Result<Self, CliError> {
        // One core is left to everything else that the server answers.
        let threads = NonZeroUsize::new(cores().get() - 1).unwrap_or(NonZeroUsize::MIN);
        let threads = ManuallyDrop::new(QueryThreads::start(threads)?);
        let live = LoadedProject::open(engine, read_at, &loader, sample, &threads).await?;
        let mut watch = StaleWatch::default();
        let stale = live.engine.stale_news(&mut watch).await?.unwrap_or_default();
        Ok(Self {
            live: ArcSwap::from_pointee(live),
            loader,
            sample,
            threads,
            reloading: tokio::sync::Mutex::default(),
            scheduling: Mutex::default(),
            pipelines: Mutex::default(),
            stale: ArcSwap::from_pointee(StaleMarks::of(&stale)),
            watch: tokio::sync::Mutex::new(watch),
            unmarked: Unmarked::default(),
            failed: Mutex::default(),
        })
    }

    /// The project that is at work now.
    pub(crate) fn live(&self) -> Arc<LoadedProject> {
        self.live.load_full()
    }

    /// The project that a schema came from, or else the one that is at work now.
    pub(super) fn held(&self, project: &HeldProject) -> Arc<LoadedProject> {
        project.get().unwrap_or_else(|| self.live())
    }

    /// Puts another state of the project to work. What is under way goes on with the one that it began with.
    pub(super) async fn replace(
        &self,
        project: Arc<Project>,
        read_at: TimestampMicros,
    ) -> Result<Arc<LoadedProject>, CliError> {
        let live = self.live();
        if self.loader.said_memory(live.engine.project()) != self.loader.said_memory(&project) {
            return Err(EngineError::Moved { what: "`memory`" }.into());
        }
        let engine = live.engine.reloaded(project)?;
        let live = LoadedProject::open(engine, read_at, &self.loader, self.sample, &self.threads).await?;
        let live = Arc::new(live);
        self.live.store(live.clone());
        self.mark_anew().await;
        if let Some(scheduling) = self.scheduling() {
            scheduling.replace(live.engine.clone());
        }
        if let Some(pipelines) = self.pipelines() {
            pipelines.replace(live.engine.clone());
        }
        Ok(live)
    }

    /// Writes what is still in memory.
    pub(crate) async fn close(&self) -> Result<(), CliError> {
        let live = self.live();
        let closed = live.features.close().await;
        live.engine.close_log().await?;
        Ok(closed?)
    }
}

impl LoadedProject {
    async fn open(
        engine: Engine,
        loaded_at: TimestampMicros,
        loader: &Loader,
        sample: Percent,
        threads: &Arc<QueryThreads>,
    ) -> Result<Self, CliError> {
        let features = FeatureServer::open(&engine, sample.fraction()).await?;
        let queries = Queries::new(&engine, threads.clone());
        let memory_bytes = loader.memory_bytes(engine.project());
        Ok(Self { engine, features, queries, memory_bytes, loaded_at })
    }
}

impl JobBackend for Backend {
    fn now(&self) -> i64 {
        SystemClock.now().0
    }
}
