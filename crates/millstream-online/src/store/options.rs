//! Which store an address names, and its settings.

use std::{path::PathBuf, sync::Arc, time::Duration};

use futures::future::BoxFuture;

use super::{OnlineStore, embedded::Reopening};
use crate::error::{OnlineError, Result};

/// Settings of either store; the address decides which count.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreOptions {
    pub embedded: EmbeddedOptions,
    pub redis: RedisOptions,
}

/// Settings of the embedded store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmbeddedOptions {
    /// Memory for blocks that were read, in bytes; taken as it is needed.
    pub cache_bytes: u64,
    /// Memory for the records of the entities that are read most, in bytes; taken as it is needed.
    pub record_cache_bytes: u64,
    /// Memory for one space's changes that are in the journal only, in bytes.
    pub memtable_bytes: u64,
    /// The journal's size beyond which spaces with old changes are written out, in bytes; at least 64 MiB.
    pub journal_bytes: u64,
}

impl Default for EmbeddedOptions {
    fn default() -> Self {
        Self {
            cache_bytes: 240 * 1024 * 1024,
            record_cache_bytes: 16 * 1024 * 1024,
            memtable_bytes: 16 * 1024 * 1024,
            journal_bytes: 256 * 1024 * 1024,
        }
    }
}

/// Settings of the Redis store.
///
/// Redis is as durable as its server is set up: with `appendonly yes` and `appendfsync always` an acknowledged update
/// is on the server's disk, with `everysec` (its default for the append-only file) a crash of the machine may take the
/// last second, without the file everything since the last snapshot. Nothing that a client sends changes that, so
/// [`Update::durable`](super::Update) adds only the replicas of [`RedisOptions::wait`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisOptions {
    /// Begins every key, so that several projects can share a server.
    pub prefix: String,
    /// How long to wait for a connection.
    pub connect_timeout: Duration,
    /// How long to wait for an answer.
    pub timeout: Duration,
    /// How often a read is repeated, and a connection tried again, after a fault of the network.
    pub retries: usize,
    /// Replicas that have to confirm durable updates.
    pub wait: Option<ReplicaWait>,
}

/// How many replicas have to confirm an update, and how long to wait for them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplicaWait {
    pub replicas: u32,
    pub timeout: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            prefix: "millstream".into(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(5),
            retries: 3,
            wait: None,
        }
    }
}

/// Opens the store at `embedded:<absolute folder>`, which is made when it is missing, or `redis://…`.
///
/// # Errors
///
/// The address is of another form, or the store cannot be opened: in use, damaged, of another format, not reachable.
pub fn open<'a>(location: &'a str, options: &'a StoreOptions) -> BoxFuture<'a, Result<Arc<dyn OnlineStore>>> {
    Box::pin(async move {
        if let Some(folder) = location.strip_prefix("embedded:") {
            let folder = PathBuf::from(folder);
            if !folder.is_absolute() {
                return Err(refused(location, "the folder has to be absolute"));
            }
            let store: Arc<dyn OnlineStore> = Arc::new(Reopening::open(folder, &options.embedded).await?);
            return Ok(store);
        }
        match location.split_once("://") {
            #[cfg(feature = "redis")]
            Some(("redis", _)) => {
                let store: Arc<dyn OnlineStore> =
                    Arc::new(super::redis::RedisStore::open(location, &options.redis).await?);
                Ok(store)
            }
            #[cfg(not(feature = "redis"))]
            Some(("redis", _)) => {
                Err(refused("redis://…", "this build has no Redis; build it with the feature `redis`"))
            }
            Some(("rediss", _)) => {
                Err(refused("rediss://…", "encrypted connections to Redis are not supported"))
            }
            // The message has only the scheme of the address: the rest may hold a password.
            Some((scheme, _)) => Err(refused(&format!("{scheme}://…"), "this kind of store is not known")),
            None => Err(refused(location, "this kind of store is not known")),
        }
    })
}

fn refused(location: &str, reason: &str) -> OnlineError {
    OnlineError::Location { location: location.into(), reason: reason.into() }
}
