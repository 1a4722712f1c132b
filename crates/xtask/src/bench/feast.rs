//! Feast's own server on Redis with the data of our server, for the record: `--feast`, since its packages take minutes.

use std::{fs, process::Command};

use super::{Context, serving::Server};
use crate::{
    Result, process,
    python::{FEAST, Python},
};

/// The server, and the Redis that has to outlive it.
#[derive(Debug)]
pub(super) struct Peer {
    server: Server,
    _redis: Server,
}

impl Peer {
    /// Applies the definitions, materialises and serves.
    pub(super) fn start(context: &Context<'_>) -> Result<Self> {
        let python = Python::with(context.workspace, "feast", &FEAST)?;
        let folder = context.folder.join("feast");
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        let redis = Server::other(|port| {
            let mut command = Command::new("redis-server");
            command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--port"]);
            command.arg(port.to_string());
            command
        })?;
        let data = context.folder.join("serve/data/rows.parquet");
        fs::hard_link(data, folder.join("data.parquet"))?;
        fs::copy(context.workspace.root.join("crates/xtask/bench/feast_defs.py"), folder.join("defs.py"))?;
        fs::write(
            folder.join("feature_store.yaml"),
            format!(
                "project: bench\nregistry: registry.db\nprovider: local\noffline_store: {{type: duckdb}}\n\
                 online_store: {{type: redis, connection_string: \"{}\"}}\nentity_key_serialization_version: 3\n",
                redis.address
            ),
        )?;
        let feast = || {
            let mut command = Command::new(python.interpreter().with_file_name("feast"));
            command.current_dir(&folder).env("DO_NOT_TRACK", "1").env("FEAST_USAGE", "False");
            command
        };
        process::output(feast().arg("apply"))?;
        process::output(feast().args(["materialize", "2026-01-01T00:00:00", "2026-02-01T00:00:00"]))?;
        let server = Server::other(|port| {
            let mut command = feast();
            command.args(["serve", "-h", "127.0.0.1", "--workers", "1", "--no-access-log"]);
            command.args(["--registry_ttl_sec", "300", "--max-requests", "100000000", "-p"]);
            command.arg(port.to_string());
            command
        })?;
        Ok(Self { server, _redis: redis })
    }

    pub(super) fn server(&self) -> &Server {
        &self.server
    }
}
