//! The connection of scripted sources: `connections/shelf.yaml` with `type: scripted` and a password. The script counts how
//! often it is opened.

use std::{path::Path, sync::Arc};

use millstream_connector::{
    Connection, ConnectionConfig, ConnectionFactory, ConnectorError, OptionProblem, Secret, options_schema,
    read_options,
};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{Script, ScriptedFactory};

#[derive(Deserialize, JsonSchema)]
struct ConnectionOptions {
    /// The password of the place.
    password: Secret,
}

#[derive(Debug)]
struct Config {
    script: Script,
    password: Secret,
}

#[derive(Debug)]
pub(super) struct ScriptedConnection {
    pub(super) password: Secret,
}

impl Connection for ScriptedConnection {}

impl ConnectionFactory for ScriptedFactory {
    fn schema(&self) -> serde_json::Value {
        options_schema::<ConnectionOptions>()
    }

    fn validate(&self, options: &serde_json::Value) -> Result<Arc<dyn ConnectionConfig>, Vec<OptionProblem>> {
        let (options, problems) = read_options::<ConnectionOptions>(options);
        let ConnectionOptions { password } = problems.result(options)?;
        Ok(Arc::new(Config { script: self.0.clone(), password }))
    }
}

impl ConnectionConfig for Config {
    fn open(&self, _project_root: &Path) -> Result<Arc<dyn Connection>, ConnectorError> {
        let connection = ScriptedConnection { password: self.password.clone() };
        self.script.opened(&connection);
        Ok(Arc::new(connection))
    }
}
