//! Running SQL: queries with time travel, and plans of tables over the tables that a resolver hands out.

mod bind;
mod error;
mod first_rows;
mod left_side;
mod names;
mod pace;
mod predicate;
mod show;
mod statement;
mod travel;
mod values;
mod windows;

use std::{fmt, num::NonZeroUsize, path::PathBuf, sync::Arc};

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::{
    catalog::TableProvider,
    common::DataFusionError,
    execution::{
        SendableRecordBatchStream, SessionState,
        disk_manager::{DiskManagerBuilder, DiskManagerMode},
        memory_pool::{FairSpillPool, TrackConsumersPool},
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::LogicalPlan,
};
use futures::future::BoxFuture;
use millstream_query::{AccountedPool, Execution, LocalRuntime, Order, QueryRuntime};
use millstream_types::TableName;

pub(crate) use error::LOSES_DIGITS;
pub use error::{QueryPlace, SqlError};
pub use millstream_lake::At;
pub(crate) use predicate::plain;
pub(crate) use values::MASKED;
pub use values::{arrow_without_values, without_values};

use crate::{
    analyze::TableAnalysis,
    overflow,
    planner::{session_config, state_builder},
    schema::conform_stream,
};

/// How many consumers of memory an out-of-memory message names.
const CONSUMERS_NAMED: NonZeroUsize = NonZeroUsize::MIN.saturating_add(4);

/// How a plan of a statement or a table is executed: its analysis has coerced its types.
const COERCED: Execution = Execution { order: Order::Any, coerced: true };

/// What a session may use.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The bytes that all queries of the session together may hold in memory before they spill.
    pub memory_bytes: usize,
    /// The folder to which queries spill. It is created when it is absent.
    pub spill_dir: PathBuf,
    /// The number of parts of a query that run at once.
    pub target_partitions: usize,
}

/// Gives the tables for names in SQL.
#[async_trait]
pub trait TableResolver: Send + Sync + fmt::Debug {
    /// The table as it was at `at`; `None` when there is none. A view is asked for with the time or version
    /// that the query names, its inputs with the same.
    async fn resolve(&self, table: &TableName, at: At) -> Result<Option<Resolved>, SqlError>;

    /// Every table that could be named, for hints and SHOW TABLES.
    fn known_tables(&self) -> Vec<TableName>;
}

/// What a name stands for.
#[derive(Clone, Debug)]
pub enum Resolved {
    Table(Arc<dyn TableProvider>),
    /// A query over other tables.
    View {
        sql: String,
    },
}

/// A query engine with bounded memory over the tables of a resolver. Cheap to clone.
#[derive(Clone)]
pub struct SqlSession {
    runtime: Arc<dyn QueryRuntime>,
    resolver: Arc<dyn TableResolver>,
}

impl fmt::Debug for SqlSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqlSession").field("resolver", &self.resolver).finish_non_exhaustive()
    }
}

impl SqlSession {
    /// Opens a session. Where the spill folder cannot be written (a user who may only read a project), queries that outgrow
    /// the memory go to the system's folder for temporary files.
    pub fn open(options: SessionOptions, resolver: Arc<dyn TableResolver>) -> Result<Self, SqlError> {
        let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory_bytes), CONSUMERS_NAMED);
        let pool = Arc::new(AccountedPool::new(pool));
        let build = |disk: DiskManagerMode| {
            RuntimeEnvBuilder::new()
                .with_memory_pool(pool.clone())
                .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(disk))
                .build_arc()
        };
        let own = std::fs::create_dir_all(&options.spill_dir).map_err(DataFusionError::from);
        let own = own.and_then(|()| build(DiskManagerMode::Directories(vec![options.spill_dir.clone()])));
        let runtime = own.or_else(|error| {
            let folder = options.spill_dir.display();
            tracing::info!(%folder, %error, "queries spill to the system's folder for temporary files");
            build(DiskManagerMode::OsTmpDirectory)
        });
        let runtime = runtime.map_err(SqlError::from_datafusion)?;
        let mut config = session_config().with_target_partitions(options.target_partitions.max(1));
        // What a sort keeps free for merging what it spilled; the default alone may exceed a small memory.
        let reservation = options.memory_bytes / (4 * options.target_partitions.max(1));
        let execution = &mut config.options_mut().execution;
        execution.sort_spill_reservation_bytes = execution.sort_spill_reservation_bytes.min(reservation);
        let state = state_builder(config)
            .with_runtime_env(runtime)
            .with_physical_optimizer_rule(Arc::new(first_rows::FirstRows))
            .with_physical_optimizer_rule(Arc::new(windows::WindowsInPieces))
            .with_physical_optimizer_rule(Arc::new(left_side::LeftSides))
            .with_physical_optimizer_rule(Arc::new(pace::Pacing))
            .build();
        Ok(Self::over(state, resolver))
    }

    fn over(state: SessionState, resolver: Arc<dyn TableResolver>) -> Self {
        let runtime = LocalRuntime::new(state, vec![Arc::new(overflow::Checked)]);
        Self { runtime: Arc::new(runtime), resolver }
    }

    /// The same engine and bounds over the tables of another resolver.
    #[must_use]
    pub fn with_resolver(&self, resolver: Arc<dyn TableResolver>) -> Self {
        Self { resolver, ..self.clone() }
    }

    /// A session without bounds for small rows in memory.
    pub(crate) fn in_memory(resolver: Arc<dyn TableResolver>) -> Self {
        let config = session_config().with_target_partitions(1);
        Self::over(state_builder(config).build(), resolver)
    }

    /// Where the session's plans are executed, for plans that are built by hand. It knows functions but no tables.
    #[must_use]
    pub fn runtime(&self) -> &Arc<dyn QueryRuntime> {
        &self.runtime
    }

    #[must_use]
    pub fn resolver(&self) -> &Arc<dyn TableResolver> {
        &self.resolver
    }

    /// Runs one statement that reads: SELECT, WITH, VALUES, EXPLAIN, DESCRIBE or SHOW TABLES. Tables may be asked
    /// for at a version (`silver.orders VERSION AS OF 3`) or a time (`TIMESTAMP AS OF '2026-01-01'`, `FOR SYSTEM_TIME
    /// AS OF …`); `as_of` holds for all tables without one.
    pub fn query<'a>(
        &'a self,
        sql: &'a str,
        as_of: Option<At>,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream, SqlError>> {
        Box::pin(async move {
            match self.statement(sql, as_of.unwrap_or(At::Latest)).await? {
                statement::Ready::Plan(plan) => {
                    let stream = self.started(*plan, COERCED).await?;
                    let schema = plain_schema(&stream.schema());
                    Ok(conform_stream(stream, &schema))
                }
                statement::Ready::Answer(batch) => Ok(show::stream(batch)),
            }
        })
    }

    /// Like [`Self::query`], with the rows in one order, the same every time: that of the query, and where it has none, that
    /// of the tables' files, the sides of a `UNION` one after the other.
    pub fn query_in_order<'a>(
        &'a self,
        sql: &'a str,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream, SqlError>> {
        Box::pin(async move {
            let plan = match self.statement(sql, At::Latest).await? {
                statement::Ready::Plan(plan) => *plan,
                statement::Ready::Answer(batch) => return Ok(show::stream(batch)),
            };
            let rows = self.started(plan, Execution { order: Order::Stable, ..COERCED }).await?;
            let schema = plain_schema(&rows.schema());
            Ok(conform_stream(rows, &schema))
        })
    }

    /// The rows of a table, computed from its inputs' newest versions, in the schema in which they are stored.
    pub fn table_stream<'a>(
        &'a self,
        table: &'a TableAnalysis,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream, SqlError>> {
        Box::pin(async move {
            let plan = self.bind(&table.plan).await?;
            let stream = self.started(plan, COERCED).await?;
            Ok(conform_stream(stream, &table.schema))
        })
    }

    async fn started(
        &self,
        plan: LogicalPlan,
        how: Execution,
    ) -> Result<SendableRecordBatchStream, SqlError> {
        self.runtime.stream(plan, how).await.map_err(SqlError::from_datafusion)
    }
}

/// The schema with views of text and bytes as plain text and bytes.
fn plain_schema(schema: &SchemaRef) -> SchemaRef {
    let plain = |field: &Field| match field.data_type() {
        DataType::Utf8View => field.clone().with_data_type(DataType::Utf8),
        DataType::BinaryView => field.clone().with_data_type(DataType::Binary),
        _ => field.clone(),
    };
    Arc::new(Schema::new(schema.fields().iter().map(|field| plain(field)).collect::<Vec<_>>()))
}
