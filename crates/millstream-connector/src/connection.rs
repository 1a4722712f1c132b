//! Connections: named ways into outside systems, each opened once and shared by every source that names it.

use std::{
    any::Any,
    collections::BTreeMap,
    fmt,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{ConnectorError, OptionProblem};

/// What a kind of connector makes of a connection of its type: `connections/<name>.yaml` with `type: <kind>`.
pub trait ConnectionFactory: Send + Sync + fmt::Debug {
    /// JSON Schema of the options (without `type` and `description`).
    fn schema(&self) -> serde_json::Value;

    /// Checks the options without touching the world; reports every problem.
    fn validate(&self, options: &serde_json::Value) -> Result<Arc<dyn ConnectionConfig>, Vec<OptionProblem>>;
}

/// Checked options of one connection.
pub trait ConnectionConfig: Any + Send + Sync + fmt::Debug {
    /// Makes what sources share: a pool, a client. Asks nothing of the other side, so that a connection that no source
    /// reads through costs nothing. Relative paths are relative to `project_root`.
    fn open(&self, project_root: &Path) -> Result<Arc<dyn Connection>, ConnectorError>;
}

/// What the sources of one connection share.
pub trait Connection: Any + Send + Sync + fmt::Debug {}

/// The connection that a source names, as far as it is known without the world.
#[derive(Clone, Copy, Debug)]
pub struct NamedConnection<'a> {
    pub name: &'a str,
    pub config: &'a dyn ConnectionConfig,
}

impl NamedConnection<'_> {
    /// The checked options as their own type; `None` when they are those of another kind of connector.
    #[must_use]
    pub fn config<T: ConnectionConfig>(&self) -> Option<&T> {
        (self.config as &dyn Any).downcast_ref()
    }
}

/// All connections of a project by name. Each is opened when the first source asks for it.
#[derive(Debug, Default)]
pub struct Connections {
    configs: BTreeMap<String, Arc<dyn ConnectionConfig>>,
    opened: Mutex<BTreeMap<String, Arc<dyn Connection>>>,
}

impl Connections {
    #[must_use]
    pub fn new(configs: BTreeMap<String, Arc<dyn ConnectionConfig>>) -> Self {
        Self { configs, opened: Mutex::default() }
    }

    /// The connection of this name, the same one for all who ask.
    pub fn open<T: Connection>(&self, name: &str, project_root: &Path) -> Result<Arc<T>, ConnectorError> {
        let unfit = |message: String| ConnectorError::Options { message, hint: None };
        // The lock is held while a connection is opened, so that two sources cannot open it twice.
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let connection = match opened.get(name) {
            Some(connection) => connection.clone(),
            None => {
                let config = self.configs.get(name);
                let config = config.ok_or_else(|| unfit(format!("there is no connection `{name}`")))?;
                let connection = config.open(project_root)?;
                opened.insert(name.to_owned(), connection.clone());
                connection
            }
        };
        let connection: Arc<dyn Any + Send + Sync> = connection;
        connection.downcast().map_err(|_| unfit(format!("the connection `{name}` is of another type")))
    }
}
