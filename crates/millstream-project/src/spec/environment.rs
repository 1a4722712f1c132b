//! Where an environment keeps things.

use std::{collections::BTreeMap, path::PathBuf};

use millstream_types::ByteSize;

/// One environment of `millstream.yaml`, with `${VAR}` substituted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnvironmentSpec {
    pub name: String,
    /// An absolute folder, or a URL that object_store understands (`s3://bucket/prefix`).
    pub lake: String,
    pub state: StateLocation,
    /// The absolute folder of the event log.
    pub log: PathBuf,
    pub online: OnlineLocation,
    /// Credentials and endpoints for object stores (`aws_endpoint`, `aws_access_key_id`, …), from
    /// `storage:` of the environment. The process environment fills what is absent.
    pub storage: BTreeMap<String, String>,
    /// How many steps run at once when the command does not say.
    pub concurrency: Option<usize>,
    /// What queries and tables hold in memory before they use the disk, when the command does not say.
    pub memory: Option<ByteSize>,
}

/// Where runs, positions and fingerprints are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StateLocation {
    /// A SQLite file, absolute.
    Sqlite(PathBuf),
    /// A `postgres://` URL; it may hold a password.
    Postgres(String),
}

/// Where feature values are kept for serving.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OnlineLocation {
    /// An absolute folder.
    Embedded(PathBuf),
    /// A `redis://` or `rediss://` URL; it may hold a password.
    Redis(String),
}
