//! The store: where it is kept, and how its calls reach the database.

use std::{
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::{BoxFuture, FutureExt};
use millstream_types::TimestampMicros;

use crate::{
    Moment, OfferNews, StateError, Watch,
    database::{Access, Database, Parameter, Row, Transaction},
    sqlite::Sqlite,
};

/// How often a change is repeated that got lost with a broken connection. Each repetition begins with a wait for the
/// server, which has a bound of its own.
const REPEATS_MAX: usize = 5;

/// The state store of one environment of a project. Any task may call it; the calls of one process and of others do not
/// disturb each other.
#[derive(Debug)]
pub struct State {
    pub(crate) database: Box<dyn Database>,
    /// The watcher that is asked at each call; `None` outside of tests.
    watch: Option<Arc<dyn Watch>>,
    /// Until when leases whose time is over keep others away in the eyes of this process.
    pub(crate) spared: Mutex<Option<Instant>>,
}

impl State {
    /// Opens the store in a file of SQLite, making the file and its folder where they are missing, and brings it to the
    /// present format. Where nothing can be written, the store is opened for reading, and a missing one is empty. Errors
    /// when the file is of a newer format or not a state store.
    pub fn open(path: &Path) -> BoxFuture<'static, Result<Self, StateError>> {
        let path = path.to_owned();
        async move {
            let opened = tokio::task::spawn_blocking(move || Sqlite::open(&path)).await;
            let database = opened.unwrap_or_else(|ended| std::panic::resume_unwind(ended.into_panic()))?;
            Ok(Self { database: Box::new(database), watch: None, spared: Mutex::default() })
        }
        .boxed()
    }

    /// Opens the store in a database of PostgreSQL, `postgres://…`, for one project: in the schema that the
    /// connection's search path names first, whose tables are made where they are missing and brought to the present
    /// format. Errors when the server cannot be reached, or the schema holds another project or other tables.
    #[cfg(feature = "postgres")]
    pub fn connect<'a>(url: &'a str, project: &'a str) -> BoxFuture<'a, Result<Self, StateError>> {
        async move {
            let database = crate::postgres::Postgres::open(url, project).await?;
            Ok(Self { database: Box::new(database), watch: None, spared: Mutex::default() })
        }
        .boxed()
    }

    /// Refuses, since this build has no client for PostgreSQL.
    #[cfg(not(feature = "postgres"))]
    pub fn connect<'a>(_: &'a str, _: &'a str) -> BoxFuture<'a, Result<Self, StateError>> {
        async { Err(StateError::Feature) }.boxed()
    }

    /// The store, asking `watch` at each call from now on.
    #[must_use]
    pub fn watched(self, watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    /// How long to wait before each repetition of a change.
    pub(crate) fn database_waits(&self) -> impl Iterator<Item = Duration> + use<> {
        ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(50))
            .with_max_delay(Duration::from_secs(1))
            .with_max_times(REPEATS_MAX)
            .build()
    }

    pub(crate) fn is_local(&self) -> bool {
        self.database.is_local()
    }

    /// The rows of one statement that changes nothing.
    pub(crate) async fn rows(
        &self,
        doing: &'static str,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StateError> {
        self.ask(doing, Moment::Before)?;
        self.database.query(sql, parameters).await.map_err(StateError::query(doing))
    }

    /// Begins to read what belongs together.
    pub(crate) async fn reading(&self, doing: &'static str) -> Result<Work<'_>, StateError> {
        self.work(doing, Access::Read).await
    }

    /// Begins a change.
    pub(crate) async fn change(&self, doing: &'static str) -> Result<Work<'_>, StateError> {
        self.work(doing, Access::Write).await
    }

    async fn work(&self, doing: &'static str, access: Access) -> Result<Work<'_>, StateError> {
        self.ask(doing, Moment::Before)?;
        let transaction = self.database.begin(access).await.map_err(StateError::query(doing))?;
        Ok(Work { state: self, doing, transaction })
    }

    fn ask(&self, doing: &'static str, moment: Moment) -> Result<(), StateError> {
        match &self.watch {
            Some(watch) if !watch.allows(doing, moment) => {
                let refused = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
                Err(StateError::query(doing)(rusqlite::Error::SqliteFailure(refused, None).into()))
            }
            _ => Ok(()),
        }
    }
}

/// Does a change, and repeats it while the database cannot answer. Only changes that may be done twice belong here, since
/// the answer to one that was done may have got lost.
macro_rules! changed {
    ($state:expr, $change:expr) => {{
        let mut waits = $state.database_waits();
        loop {
            let done = $change.await;
            match done.as_ref().err().filter(|error| error.is_lost()).and_then(|_| waits.next()) {
                Some(wait) => tokio::time::sleep(wait).await,
                None => break done,
            }
        }
    }};
}
pub(crate) use changed;

/// Statements of one call that are done together. If they are dropped before [`Work::commit`], they leave nothing.
pub(crate) struct Work<'a> {
    state: &'a State,
    doing: &'static str,
    transaction: Box<dyn Transaction + 'a>,
}

impl Work<'_> {
    /// Returns the number of rows that were changed.
    pub(crate) async fn execute(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<u64, StateError> {
        self.transaction.execute(sql, parameters).await.map_err(StateError::query(self.doing))
    }

    /// Does one statement for each of `rows`, in their order.
    pub(crate) async fn execute_each(
        &mut self,
        sql: &str,
        rows: &[Vec<Parameter<'_>>],
    ) -> Result<(), StateError> {
        self.transaction.execute_each(sql, rows).await.map_err(StateError::query(self.doing))
    }

    pub(crate) async fn rows(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, StateError> {
        self.transaction.query(sql, parameters).await.map_err(StateError::query(self.doing))
    }

    /// The first row.
    pub(crate) async fn row(
        &mut self,
        sql: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Option<Row>, StateError> {
        Ok(self.rows(sql, parameters).await?.into_iter().next())
    }

    /// Tells others of this change once it is committed, where the database passes news on.
    pub(crate) fn tell(&mut self, news: OfferNews) {
        self.transaction.tell(news);
    }

    /// The time that all who share the database compare; `local` is the caller's.
    pub(crate) async fn now(&mut self, local: TimestampMicros) -> Result<TimestampMicros, StateError> {
        self.transaction.now(local).await.map_err(StateError::query(self.doing))
    }

    /// Ends a transaction that only read.
    pub(crate) async fn end(self) -> Result<(), StateError> {
        self.transaction.commit().await.map_err(StateError::query(self.doing))
    }

    pub(crate) async fn commit(self) -> Result<(), StateError> {
        self.transaction.commit().await.map_err(StateError::query(self.doing))?;
        self.state.ask(self.doing, Moment::After)
    }
}
