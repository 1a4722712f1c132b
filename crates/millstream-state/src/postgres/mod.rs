//! PostgreSQL: a server that several machines share, brought to the present format, with a few connections.

mod address;
mod connection;
mod fault;
mod format;

use std::{fmt, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder, Retryable};
use deadpool_postgres::{Object, Pool, Runtime, Timeouts};
use futures::future::BoxFuture;

use address::Address;
use connection::Begun;
pub use fault::PostgresFault;

use crate::{
    StateError,
    database::{Access, Database, DatabaseError, Parameter, Row, Transaction},
};

/// Writers take turns and readers are short, so more would wait for nothing else than each other.
const CONNECTIONS_MAX: usize = 8;

/// How long a call waits for a connection that others of this process have.
const CONNECTION_WAIT: Duration = Duration::from_secs(30);

/// How long a call waits for a server that starts anew.
const RESTART_MAX: Duration = Duration::from_secs(30);

pub(crate) struct Postgres {
    pool: Pool,
    place: String,
}

impl Postgres {
    /// Reaches the server and brings the schema that is named first on the search path to the present format, for
    /// `project` alone.
    pub(crate) async fn open(url: &str, project: &str) -> Result<Self, StateError> {
        // The address may hold a password, so it is not said back.
        let unreadable = |source: PostgresFault| StateError::Unreachable {
            place: "postgres://…".into(),
            source: source.into(),
        };
        let address = Address::parse(url).map_err(unreadable)?;
        let place = address.place();
        let unreachable =
            |source: PostgresFault| StateError::Unreachable { place: place.clone(), source: source.into() };
        let timeouts = Timeouts { wait: Some(CONNECTION_WAIT), create: Some(CONNECTION_WAIT), recycle: None };
        let pool = Pool::builder(address.manager().map_err(unreachable)?)
            .max_size(CONNECTIONS_MAX)
            .timeouts(timeouts)
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| unreachable(PostgresFault::refusal(error.to_string())))?;
        let reach = async || pool.get().await.map_err(PostgresFault::from);
        // One that starts answers, and says so; where nobody answers, the address is wrong more often than not.
        let reached = reach.retry(waits()).when(|fault| fault.is_said() && fault.is_transient()).await;
        let mut connection = reached.map_err(unreachable)?;
        format::migrate(&mut connection, &place, project).await?;
        drop(connection);
        Ok(Self { pool, place })
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
            let begin = async || Begun::new(&self.pool, self.connection().await?, access).await;
            // Nothing is done yet, so that a server that went away is asked again when it is back.
            let begun = begin.retry(waits()).when(PostgresFault::is_transient).await;
            Ok(Box::new(begun?) as Box<dyn Transaction + '_>)
        })
    }
}

fn waits() -> impl BackoffBuilder {
    ExponentialBuilder::default()
        .with_jitter()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(1))
        .with_total_delay(Some(RESTART_MAX))
        .without_max_times()
}
