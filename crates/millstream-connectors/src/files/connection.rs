//! A connection of files: the place at which the paths of its sources start, and the one client that reads from there.

use std::{fmt, path::Path, sync::Arc};

use millstream_connector::{
    Connection, ConnectionConfig, ConnectionFactory, ConnectorError, OptionProblem, OptionProblems,
    options_schema, read_options,
};
use object_store::ObjectStore;
use serde_json::Value;

use super::{
    config::{Target, check_storage, read_target},
    options::{FilesConnectionOptions, Storage, storage},
    pattern::Pattern,
    store::open_store,
};

#[derive(Clone, Copy, Debug)]
pub(super) struct FilesConnectionFactory;

/// Checked options of one connection.
#[derive(Debug)]
pub(super) struct FilesConnectionConfig {
    pub(super) target: Target,
    /// What stands before the paths of sources: a folder, or the beginning of keys; empty where they start at the root.
    folder: String,
    storage: Storage,
}

/// What the sources of one connection share.
pub(super) struct FilesConnection {
    /// The client with its open sockets and its credentials; `None` for a local folder.
    pub(super) store: Option<Arc<dyn ObjectStore>>,
}

impl Connection for FilesConnection {}

impl fmt::Debug for FilesConnection {
    /// Leaves out the store, which holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FilesConnection").finish_non_exhaustive()
    }
}

impl ConnectionFactory for FilesConnectionFactory {
    fn schema(&self) -> Value {
        options_schema::<FilesConnectionOptions>()
    }

    fn validate(&self, options: &Value) -> Result<Arc<dyn ConnectionConfig>, Vec<OptionProblem>> {
        let (options, mut problems) = read_options::<FilesConnectionOptions>(options);
        let config = options.and_then(|options| FilesConnectionConfig::new(options, &mut problems));
        problems.result(config).map(|config| Arc::new(config) as Arc<dyn ConnectionConfig>)
    }
}

impl FilesConnectionConfig {
    /// The checked options; `None` only together with a problem.
    fn new(options: FilesConnectionOptions, problems: &mut OptionProblems) -> Option<Self> {
        let (target, folder) = read_target(&options.path.0, true, problems)?;
        let storage = storage(options.storage);
        check_storage(&target, &storage, problems);
        if !Pattern::new(&folder).is_ok_and(|folder| folder.is_literal()) {
            let hint = "name the folder; the sources write the rest, as in `path: orders/*.csv`";
            problems.add(&["path"], "the path of a connection has no wildcards", Some(hint.to_owned()));
        }
        Some(Self { target, folder, storage })
    }

    /// The path of a source, from where the connection starts.
    pub(super) fn join(&self, path: &str) -> String {
        let path = path.trim_start_matches("./");
        match self.folder.trim_end_matches('/') {
            "" if self.folder.starts_with('/') => format!("/{path}"),
            "" => path.to_owned(),
            folder => format!("{folder}/{path}"),
        }
    }
}

impl ConnectionConfig for FilesConnectionConfig {
    fn open(&self, _project_root: &Path) -> Result<Arc<dyn Connection>, ConnectorError> {
        let store = match &self.target {
            Target::Local => None,
            Target::Remote { kind, base } => Some(open_store(*kind, base, &self.storage)?),
        };
        Ok(Arc::new(FilesConnection { store }))
    }
}
