//! What lives as long as the process, whatever project is at work in it: stores, bounds, and the bus of events. A project
//! that is loaded again is another [`World`] over the same process.
//!
//! [`World`]: crate::engine::World

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, Weak},
};

use async_trait::async_trait;
use millstream_connector::LogAccess;
use millstream_lake::Lake;
use millstream_log::{EventLog, LogError};
use millstream_project::ProjectSpec;
use millstream_state::State;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    EngineError, EngineOptions, EventBus, Stores,
    failure::Circuits,
    features::OnlineAccess,
    pipelines::{features::KeptViews, table::LiveTables},
    reload::FailedReloadLease,
    spill::{self, Spill},
    stores::{SharedEntries, SharedLog, SharedOnline},
};

/// The stores and bounds of a process.
pub(crate) struct Process {
    pub lake: Lake,
    pub state: Arc<State>,
    pub online: SharedOnline,
    pub log: SharedLog,
    /// The state of the pipelines.
    pub pipelines: SharedEntries,
    /// The continuous tables that are at work.
    pub live: LiveTables,
    /// What all who read and take features share, while somebody does.
    pub access: Mutex<Weak<OnlineAccess>>,
    pub events: EventBus,
    pub options: EngineOptions,
    /// What is known of the places that steps ask.
    pub circuits: Circuits,
    pub failed_reload: FailedReloadLease,
    /// The views that pipelines of this process keep up to date.
    pub kept_views: KeptViews,
    pub state_dir: PathBuf,
    /// Held by work on many rows whose memory the query engine does not count, so that one is at it at a time.
    beside_queries: Arc<Semaphore>,
    /// Held by whoever changes the table of served values, which is under no lease.
    pub served: tokio::sync::Mutex<()>,
    /// Where rows go that do not fit into memory.
    spill: Spill,
}

impl fmt::Debug for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Process").field("state_dir", &self.state_dir).finish_non_exhaustive()
    }
}

impl Process {
    pub(crate) fn new(stores: Stores, options: EngineOptions) -> Self {
        let Stores { lake, state, online, log, folder: state_dir } = stores;
        Self {
            lake,
            state,
            online: SharedOnline::new(online),
            log: SharedLog::new(log, options.clock.clone()),
            pipelines: SharedEntries::new(state_dir.join("pipelines")),
            live: LiveTables::default(),
            access: Mutex::default(),
            events: EventBus::default(),
            options,
            circuits: Circuits::default(),
            failed_reload: FailedReloadLease::default(),
            kept_views: KeptViews::default(),
            beside_queries: Arc::new(Semaphore::new(1)),
            served: tokio::sync::Mutex::default(),
            spill: Spill::open(&state_dir),
            state_dir,
        }
    }

    /// The right to hold many rows beside those of queries.
    pub(crate) async fn beside_queries(&self) -> Result<OwnedSemaphorePermit, EngineError> {
        let closed = |_| EngineError::Worker { doing: "waiting for memory" };
        self.beside_queries.clone().acquire_owned().await.map_err(closed)
    }

    /// The folder of spilled rows, made if it was not there.
    pub(crate) fn made_spill_dir(&self) -> Result<PathBuf, EngineError> {
        let path = self.spill.folder().to_owned();
        match std::fs::create_dir_all(&path) {
            Ok(()) => Ok(path),
            Err(source) => Err(EngineError::File { verb: "create", path, source }),
        }
    }

    /// Removes what processes that were killed have spilled.
    pub(crate) fn clean_spill(&self) {
        spill::clean(&self.state_dir, self.options.clock.now());
    }

    /// The folder of spilled rows, which may not be there yet.
    pub(crate) fn spill_dir(&self) -> PathBuf {
        self.spill.folder().to_owned()
    }
}

#[async_trait]
impl LogAccess for Process {
    async fn log(&self) -> Result<Arc<dyn EventLog>, LogError> {
        self.log.open().await
    }

    fn is_absent(&self) -> bool {
        self.log.is_absent()
    }
}

/// Whether the stores that were opened for `before` are those of `after`; the error says what is elsewhere.
pub(crate) fn same_stores(before: &ProjectSpec, after: &ProjectSpec) -> Result<(), EngineError> {
    let (old, new) = (&before.environment, &after.environment);
    let facts = [
        ("the project's folder", before.root != after.root),
        ("the project's `name`", before.name != after.name),
        ("the environment", old.name != new.name),
        ("`lake`", old.lake != new.lake),
        ("`storage`", old.storage != new.storage),
        ("`state`", old.state != new.state),
        ("`online`", old.online != new.online),
        ("`log`", old.log != new.log),
    ];
    match facts.into_iter().find(|(_, is_another)| *is_another) {
        Some((what, _)) => Err(EngineError::Moved { what }),
        None => Ok(()),
    }
}
