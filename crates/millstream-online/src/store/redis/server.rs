//! Connections to the server: commands with bounded waiting and repeating, and what its errors mean.

use std::{fmt, time::Duration};

use redis::{
    Client, ErrorKind, FromRedisValue, Pipeline, RedisError,
    aio::{ConnectionManager, ConnectionManagerConfig},
};

use crate::{
    error::{Fault, OnlineError, Result},
    store::RedisOptions,
};

/// The number of commands that may wait for the connection at once; further callers wait until there is room.
const WAITING_MAX: usize = 4096;

/// The wait before a second attempt; it doubles with each further one.
const DELAY_MIN: Duration = Duration::from_millis(50);
const DELAY_MAX: Duration = Duration::from_secs(1);

/// A server with one connection for reads and one for changes, so that waiting for replicas holds up no read.
pub(super) struct Server {
    reads: ConnectionManager,
    changes: ConnectionManager,
    retries: usize,
    /// The server's address without its password, for messages.
    pub(super) location: String,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("location", &self.location).finish_non_exhaustive()
    }
}

impl Server {
    pub(super) async fn connect(url: &str, options: &RedisOptions) -> Result<Self> {
        // The message leaves the library's error out: it may repeat the password of the address.
        let refused = |_: RedisError| OnlineError::Location {
            location: "redis://…".into(),
            reason: "the address cannot be read".into(),
        };
        let client = Client::open(url).map_err(refused)?;
        let info = client.get_connection_info();
        let location = format!("redis://{}/{}", info.addr(), info.redis_settings().db());
        let waiting = options.wait.map_or(Duration::ZERO, |wait| wait.timeout);
        let config = ConnectionManagerConfig::new()
            .set_connection_timeout(Some(options.connect_timeout))
            .set_response_timeout(Some(options.timeout + waiting))
            .set_number_of_retries(options.retries)
            .set_min_delay(DELAY_MIN)
            .set_max_delay(DELAY_MAX)
            .set_pipeline_buffer_size(WAITING_MAX);
        let connect = async |config| {
            let connected = ConnectionManager::new_with_config(client.clone(), config).await;
            connected.map_err(|error| fault("be reached", error))
        };
        let (reads, changes) = (connect(config.clone()).await?, connect(config).await?);
        Ok(Self { reads, changes, retries: options.retries, location })
    }

    /// Answers of commands that change nothing, or nothing that matters when it happens twice; repeated after faults
    /// of the network.
    pub(super) async fn read<T: FromRedisValue>(
        &self,
        action: &'static str,
        commands: &Pipeline,
    ) -> Result<T> {
        self.repeat(action, commands, &self.reads).await
    }

    /// As [`Server::read`], on the connection of the changes.
    pub(super) async fn change<T: FromRedisValue>(
        &self,
        action: &'static str,
        commands: &Pipeline,
    ) -> Result<T> {
        self.repeat(action, commands, &self.changes).await
    }

    /// Answers of commands that must not be sent twice.
    pub(super) async fn change_once<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, RedisError> {
        commands.query_async(&mut self.changes.clone()).await
    }

    async fn repeat<T: FromRedisValue>(
        &self,
        action: &'static str,
        commands: &Pipeline,
        connection: &ConnectionManager,
    ) -> Result<T> {
        let mut delay = DELAY_MIN;
        for _ in 0..self.retries {
            match commands.query_async(&mut connection.clone()).await {
                Err(error) if passes(&error) => tokio::time::sleep(delay).await,
                outcome => return outcome.map_err(|error| fault(action, error)),
            }
            delay = (delay * 2).min(DELAY_MAX);
        }
        commands.query_async(&mut connection.clone()).await.map_err(|error| fault(action, error))
    }
}

/// Whether the same command may get an answer a little later.
pub(super) fn passes(error: &RedisError) -> bool {
    matches!(fault_kind(error), Fault::Unavailable)
}

/// Whether the server may have done what it was asked although it did not say so.
pub(super) fn leaves_doubt(error: &RedisError) -> bool {
    matches!(error.kind(), ErrorKind::Io | ErrorKind::Parse)
}

pub(super) fn fault(action: &'static str, error: RedisError) -> OnlineError {
    if error.is_timeout() {
        return OnlineError::Timeout { action };
    }
    OnlineError::Storage { action, fault: fault_kind(&error), source: Box::new(error) }
}

fn fault_kind(error: &RedisError) -> Fault {
    match error.kind() {
        ErrorKind::AuthenticationFailed => return Fault::Permission,
        ErrorKind::Io => return Fault::Unavailable,
        _ => {}
    }
    match server_code(error).as_deref() {
        Some("NOAUTH" | "WRONGPASS" | "NOPERM") => Fault::Permission,
        Some("LOADING" | "TRYAGAIN" | "CLUSTERDOWN" | "MASTERDOWN") => Fault::Unavailable,
        Some("OOM") => Fault::Full,
        _ => Fault::Other,
    }
}

/// Whether the server has lost the scripts, as it does when it starts again.
pub(super) fn lacks_scripts(error: &RedisError) -> bool {
    server_code(error).as_deref() == Some("NOSCRIPT")
}

/// The code of the first refusal among the answers to several commands, or of the only one.
fn server_code(error: &RedisError) -> Option<String> {
    let refusals = error.clone().into_server_errors()?;
    refusals.first().map(|(_, refusal)| refusal.code().to_owned())
}
