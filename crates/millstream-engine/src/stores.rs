//! The stores that an engine works on. They stay open as long as the process lives, while the project may be loaded again.

mod log;
mod pipelines;

pub use log::Log;
pub(crate) use log::SharedLog;
pub(crate) use pipelines::SharedEntries;

use std::{
    fs::File,
    path::{Path, PathBuf},
    sync::{Arc, Weak},
};

use futures::future::BoxFuture;
use millstream_lake::Lake;
use millstream_online::{OnlineError, OnlineStore, StoreOptions};
use millstream_project::{OnlineLocation, ProjectSpec, StateLocation};
use millstream_state::State;
use millstream_types::TimestampMicros;

use crate::EngineError;

/// The stores of data, of state, of online values and of events.
#[derive(Clone, Debug)]
pub struct Stores {
    pub lake: Lake,
    pub state: Arc<State>,
    pub online: Online,
    pub log: Log,
    /// The folder for lock files, for rows that do not fit into memory, and for datasets that name no place of their own.
    pub folder: PathBuf,
}

/// The online store. It is opened only when it is needed, because only one process can have an embedded store open.
#[derive(Clone, Debug)]
pub enum Online {
    At { location: String, options: StoreOptions },
    Opened(Arc<dyn OnlineStore>),
}

/// The online store of a process: it is opened once, however many use it, and closed when nobody uses it any more.
#[derive(Debug)]
pub(crate) struct SharedOnline {
    online: Online,
    opened: tokio::sync::Mutex<Option<Weak<dyn OnlineStore>>>,
}

const EMBEDDED: &str = "embedded:";

impl Stores {
    /// The stores that the project's environment names. Opens the state store; reads no data.
    pub fn of(project: &ProjectSpec) -> BoxFuture<'_, Result<Self, EngineError>> {
        Box::pin(async move {
            let environment = &project.environment;
            let lake = Lake::open(&environment.lake, &environment.storage)?;
            let (state, folder) = match &environment.state {
                StateLocation::Sqlite(path) => {
                    (State::open(path).await?, path.parent().unwrap_or(Path::new(".")).to_owned())
                }
                StateLocation::Postgres(url) => {
                    // Two environments of one project on one machine spill to folders of their own.
                    let owner = format!("{}/{}", project.name, environment.name);
                    let folder = project.root.join(".millstream/environments").join(&environment.name);
                    (State::connect(url, &owner).await?, folder)
                }
            };
            Ok(Self {
                lake,
                state: Arc::new(state),
                online: Online::of(project),
                log: Log::of(project),
                folder,
            })
        })
    }
}

impl Online {
    fn of(project: &ProjectSpec) -> Self {
        let location = match &project.environment.online {
            OnlineLocation::Embedded(folder) => format!("embedded:{}", folder.display()),
            OnlineLocation::Redis(url) => url.clone(),
        };
        let mut options = StoreOptions::default();
        // Several projects, and several environments of one, may share a server.
        options.redis.prefix = format!("millstream:{}:{}", project.name, project.environment.name);
        Self::At { location, options }
    }

    fn location(&self) -> &str {
        match self {
            Self::At { location, .. } => location,
            Self::Opened(store) => store.location(),
        }
    }
}

impl SharedOnline {
    pub(crate) fn new(online: Online) -> Self {
        Self { online, opened: tokio::sync::Mutex::default() }
    }

    /// Whether the store is embedded, so that no other process can push to it while it is open here.
    pub(crate) fn is_embedded(&self) -> bool {
        self.online.location().starts_with(EMBEDDED)
    }

    /// Whether the store is embedded and its folder is missing.
    pub(crate) fn is_gone(&self) -> bool {
        self.online.location().strip_prefix(EMBEDDED).is_some_and(|folder| !Path::new(folder).exists())
    }

    /// Opens the store, unless the process has it open already.
    pub(crate) async fn open(&self) -> Result<Arc<dyn OnlineStore>, EngineError> {
        let (location, options) = match &self.online {
            Online::At { location, options } => (location, options),
            Online::Opened(store) => return Ok(store.clone()),
        };
        let mut opened = self.opened.lock().await;
        if let Some(store) = opened.as_ref().and_then(Weak::upgrade) {
            return Ok(store);
        }
        let store = millstream_online::open(location, options).await?;
        *opened = Some(Arc::downgrade(&store));
        Ok(store)
    }

    /// Puts the folder of an embedded store that is damaged aside, and opens a new one in its place: the store, and where the damaged
    /// one lies. `None` where it is damaged no more, because another process has done this, or none that is embedded.
    pub(crate) async fn replace(
        &self,
        now: TimestampMicros,
    ) -> Result<Option<(Arc<dyn OnlineStore>, PathBuf)>, EngineError> {
        let Online::At { location, options } = &self.online else { return Ok(None) };
        let Some(folder) = location.strip_prefix(EMBEDDED).map(Path::new) else { return Ok(None) };
        let mut opened = self.opened.lock().await;
        let beside = |ending: &str| {
            let mut name = folder.as_os_str().to_owned();
            name.push(ending);
            PathBuf::from(name)
        };
        // Of several processes that find the damage, one at a time looks again and replaces.
        let turn = beside(".turn");
        let fault =
            |verb| move |source, path: &Path| EngineError::File { verb, path: path.to_owned(), source };
        let lock = File::create(&turn).map_err(|source| fault("create")(source, &turn))?;
        let lock = tokio::task::spawn_blocking(move || lock.lock().map(|()| lock)).await;
        let lock = lock.map_err(|_| EngineError::Worker { doing: "replacing the online store" })?;
        let _turn = lock.map_err(|source| fault("lock")(source, &turn))?;
        match millstream_online::open(location, options).await {
            Err(OnlineError::Damaged { .. }) => {}
            Ok(_) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
        let put_away = beside(&format!(".damaged-{}", now.0));
        std::fs::rename(folder, &put_away).map_err(|source| fault("move")(source, folder))?;
        let store = millstream_online::open(location, options).await?;
        *opened = Some(Arc::downgrade(&store));
        Ok(Some((store, put_away)))
    }

    /// The store, unless it is embedded and not open here: another process may have it.
    pub(crate) async fn peek(&self) -> Result<Option<Arc<dyn OnlineStore>>, EngineError> {
        match (&self.online, self.is_embedded()) {
            (Online::At { .. }, true) => Ok(self.opened.lock().await.as_ref().and_then(Weak::upgrade)),
            _ => self.open().await.map(Some),
        }
    }
}
