//! Statements that users send, on threads of their own: whatever a statement computes, everything else in the process is
//! answered meanwhile, and who waits for the statement may leave at any time.
//!
//! A statement ends with the value that hands out its rows. Work that is under way then goes on to the next point at
//! which it gives way (`millstream-sql/src/session/pace.rs`), which is milliseconds off for what lasts long.

use std::{collections::BTreeSet, fmt, num::NonZeroUsize, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use futures::{StreamExt, future::BoxFuture};
use millstream_lake::At;
use millstream_sql::{SqlError, SqlSession};
use millstream_types::{AssetId, REJECTED_SUFFIX};
use tokio::{
    runtime::{Builder, Runtime},
    sync::{Semaphore, mpsc, oneshot},
};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Engine, EngineError, ReadSet,
    resolver::{LakeResolver, ReadTables},
    run::chain,
};

/// Statements that are worked on at once; further ones wait.
const RUNNING_MAX: usize = 32;
/// After so many turns of tasks a thread looks for new statements, for files that were read, and for clocks; a turn may take
/// a tenth of a second.
const LOOK_AROUND: u32 = 2;
/// The bytes of the stack of each thread. The longest statement that is taken nests expressions some thousand deep; a stack takes
/// memory only as far as it was used.
const STACK_BYTES: usize = 32 << 20;
/// Batches that wait until they are asked for.
const WAITING_BATCHES: usize = 2;

/// The threads on which statements run: one set for a process, whatever project they ask.
#[derive(Debug)]
pub struct QueryThreads {
    room: Arc<Semaphore>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// Answers statements over the project's tables.
pub struct Queries {
    engine: Engine,
    session: SqlSession,
    threads: Arc<QueryThreads>,
}

/// Which rows of streaming sources a statement reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueryFreshness {
    /// Those that have landed.
    #[default]
    Committed,
    /// Those too that are only in the event log yet.
    Live,
}

impl fmt::Debug for Queries {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Queries").field("session", &self.session).finish_non_exhaustive()
    }
}

/// The rows of a statement, as they are computed. Dropping it ends the statement.
#[derive(Debug)]
pub struct QueryRows {
    schema: SchemaRef,
    tables: ReadTables,
    batches: mpsc::Receiver<Result<RecordBatch, SqlError>>,
    work: Option<AbortOnDropHandle<()>>,
}

impl QueryThreads {
    /// Starts `threads` threads.
    pub fn start(threads: NonZeroUsize) -> Result<Arc<Self>, EngineError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.get())
            .thread_name("query")
            .thread_stack_size(STACK_BYTES)
            .global_queue_interval(LOOK_AROUND)
            .event_interval(LOOK_AROUND)
            .enable_all()
            .build()
            .map_err(|_| EngineError::Worker { doing: "starting the threads of queries" })?;
        let room = Arc::new(Semaphore::new(RUNNING_MAX));
        Ok(Arc::new(Self { room, runtime: Some(runtime) }))
    }
}

impl Queries {
    /// Answers over the tables of this engine's project.
    #[must_use]
    pub fn new(engine: &Engine, threads: Arc<QueryThreads>) -> Self {
        Self { engine: engine.clone(), session: engine.session().clone(), threads }
    }

    /// Runs one statement, as [`SqlSession::query`] does, over the set that is published now, or else over the tables as they
    /// were at a time. The answer is there once the statement is planned.
    pub fn query(&self, sql: String, as_of: Option<At>) -> BoxFuture<'_, Result<QueryRows, SqlError>> {
        Box::pin(async move {
            if as_of.is_some() {
                return self.run(sql, as_of, self.session.clone(), ReadTables::default()).await;
            }
            let told = |error: EngineError| SqlError::Execution { message: chain(&error) };
            let set = self.engine.published().await.map_err(told)?;
            self.query_set(sql, set).await
        })
    }

    /// Runs one statement over the set that is published now, with rows of streaming sources that are as fresh as asked for. The
    /// process has to have the event log open for those that have not landed.
    pub fn query_fresh(
        &self,
        sql: String,
        freshness: QueryFreshness,
    ) -> BoxFuture<'_, Result<QueryRows, SqlError>> {
        Box::pin(async move {
            let told = |error: EngineError| SqlError::Execution { message: chain(&error) };
            let set = self.engine.published().await.map_err(told)?;
            self.query_in(sql, set, freshness).await
        })
    }

    /// Runs one statement over the versions of a set.
    pub fn query_set(&self, sql: String, set: ReadSet) -> BoxFuture<'_, Result<QueryRows, SqlError>> {
        self.query_in(sql, set, QueryFreshness::Committed)
    }

    fn query_in(
        &self,
        sql: String,
        set: ReadSet,
        freshness: QueryFreshness,
    ) -> BoxFuture<'_, Result<QueryRows, SqlError>> {
        Box::pin(async move {
            let world = self.engine.world();
            let tables = ReadTables::default();
            let resolver = LakeResolver::new(world.lake.clone(), world.project.clone());
            let resolver = match freshness {
                QueryFreshness::Committed => resolver,
                QueryFreshness::Live => resolver.live(world),
            };
            let resolver = resolver.reading(set).noting(&tables);
            self.run(sql, None, self.session.with_resolver(Arc::new(resolver)), tables).await
        })
    }

    fn run(
        &self,
        sql: String,
        as_of: Option<At>,
        session: SqlSession,
        tables: ReadTables,
    ) -> BoxFuture<'_, Result<QueryRows, SqlError>> {
        Box::pin(async move {
            let Some(runtime) = &self.threads.runtime else { return Err(gave_up()) };
            let (schema_sender, schema) = oneshot::channel();
            let (sender, batches) = mpsc::channel(WAITING_BATCHES);
            let room = self.threads.room.clone();
            let work = runtime.spawn(async move {
                // The semaphore is never closed.
                let _room = room.acquire_owned().await;
                let mut rows = match session.query(&sql, as_of).await {
                    Ok(rows) => rows,
                    Err(error) => return drop(schema_sender.send(Err(error))),
                };
                // Who asked may have left, and then the next send fails too.
                let _ = schema_sender.send(Ok(rows.schema()));
                while let Some(batch) = rows.next().await {
                    if sender.send(batch.map_err(SqlError::from_datafusion)).await.is_err() {
                        break;
                    }
                }
            });
            let work = Some(AbortOnDropHandle::new(work));
            let schema = schema.await.map_err(|_| gave_up())??;
            Ok(QueryRows { schema, tables, batches, work })
        })
    }
}

impl Drop for QueryThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // A computation that does not give way is not waited for.
            runtime.shutdown_background();
        }
    }
}

impl QueryRows {
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The assets that the statement reads in the version that is served. What it reads as of a version or a time is not among them:
    /// that is what was asked for, however old.
    #[must_use]
    pub fn assets(&self) -> BTreeSet<AssetId> {
        let name = |table: &str| AssetId::new(table.strip_suffix(REJECTED_SUFFIX).unwrap_or(table));
        self.tables.get().iter().map(|table| name(&table.to_string())).collect()
    }

    /// The next rows; `None` after the last.
    pub fn next_rows(&mut self) -> BoxFuture<'_, Option<Result<RecordBatch, SqlError>>> {
        Box::pin(async move {
            if let Some(batch) = self.batches.recv().await {
                return Some(batch);
            }
            // The rows ended, or the work did.
            match self.work.take()?.await {
                Ok(()) => None,
                Err(_) => Some(Err(gave_up())),
            }
        })
    }
}

/// A bug of the query engine took its thread's work down, and nothing else.
fn gave_up() -> SqlError {
    SqlError::Execution { message: "the query engine gave up on this statement".into() }
}
