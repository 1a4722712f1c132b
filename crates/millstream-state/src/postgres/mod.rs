//! PostgreSQL: a server that several machines share, brought to the present format, with a few connections.

mod address;
mod connection;
mod fault;
mod format;
mod news;

use std::{
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use deadpool_postgres::{Object, Pool, Runtime, Timeouts};
use futures::future::BoxFuture;

use address::Address;
use connection::Begun;
pub use fault::PostgresFault;

use crate::{
    NewsOfOffers, StateError,
    database::{Access, Database, DatabaseError, Parameter, Row, Transaction},
};

/// The most connections of one process. Writers take turns and readers are short, so that more connections would only wait
/// for each other.
const CONNECTIONS_MAX: usize = 8;

/// How long a call waits for a connection that others of this process have.
const CONNECTION_WAIT: Duration = Duration::from_secs(30);

/// How long a call waits for a server that restarts.
const RESTART_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Postgres {
    pool: Pool,
    place: String,
    address: Arc<Address>,
    /// The name of this process among those that tell each other news.
    own: String,
}

impl Postgres {
    /// Reaches the server and brings the schema that is named first on the search path to the present format, for
    /// `project` alone.
    pub(crate) async fn open(url: &str, project: &str) -> Result<Self, StateError> {
        // The address may hold a password, so that no error repeats it.
        let address = Address::parse(url).map_err(|source| unreachable("postgres://…", source))?;
        let place = address.place();
        let timeouts = Timeouts { wait: Some(CONNECTION_WAIT), create: Some(CONNECTION_WAIT), recycle: None };
        let pool = Pool::builder(address.manager().map_err(|source| unreachable(&place, source))?)
            .max_size(CONNECTIONS_MAX)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| unreachable(&place, PostgresFault::refusal(error.to_string())))?;
        let migrate = async || {
            let connection = pool.get().await;
            let mut connection = connection.map_err(|error| unreachable(&place, error.into()))?;
            format::migrate(&mut connection, &place, project).await
        };
        migrate.retry(waits()).when(is_restart).await?;
        // Processes in containers have the same numbers everywhere, so that chance tells them apart.
        let own = format!("{:x}", RandomState::new().hash_one(std::process::id()));
        Ok(Self { pool, place, address: Arc::new(address), own })
    }

    async fn connection(&self) -> Result<Object, PostgresFault> {
        Ok(self.pool.get().await?)
    }
}

impl fmt::Debug for Postgres {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Postgres").field("place", &self.place).finish_non_exhaustive()
    }
}

impl Database for Postgres {
    fn is_local(&self) -> bool {
        false
    }

    fn news_of_offers(&self) -> Option<NewsOfOffers> {
        Some(news::listen(self.address.clone(), self.own.clone()))
    }

    fn query<'a>(
        &'a self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, DatabaseError>> {
        Box::pin(async move {
            let ask = async || {
                let connection = self.connection().await?;
                connection::query(&connection, sql, parameters).await
            };
            let asked = ask.retry(waits()).when(PostgresFault::is_transient).await;
            Ok(asked?)
        })
    }

    fn begin(&self, access: Access) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, DatabaseError>> {
        Box::pin(async move {
            let begin = async || Begun::new(&self.pool, &self.own, self.connection().await?, access).await;
            // Nothing is done yet, so that a server that went away is asked again when it is back.
            let begun = begin.retry(waits()).when(PostgresFault::is_transient).await;
            Ok(Box::new(begun?) as Box<dyn Transaction + '_>)
        })
    }
}

fn unreachable(place: &str, source: PostgresFault) -> StateError {
    StateError::Unreachable { place: place.into(), source: source.into() }
}

/// Whether the server was reached, and is about to stop or to start. Where nobody answers, the address is probably wrong,
/// and waiting would not help.
fn is_restart(error: &StateError) -> bool {
    let StateError::Unreachable { source: DatabaseError::Postgres(fault), .. } = error else { return false };
    fault.was_reached() && fault.is_transient()
}

fn waits() -> impl BackoffBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .with_total_delay(Some(RESTART_MAX))
        .without_max_times()
}
