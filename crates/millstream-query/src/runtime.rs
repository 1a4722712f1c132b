//! What a room asks of whoever executes its plans.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::TableProvider,
    common::{Result, internal_err},
    datasource::provider_as_source,
    execution::{SendableRecordBatchStream, SessionState},
    logical_expr::{LogicalPlan, LogicalPlanBuilder, UNNAMED_TABLE},
};

/// In which order rows come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// As they are ready.
    #[default]
    Any,
    /// In one order, the same every time: that of the plan, and where it has none, that of the tables' files, the sides of a
    /// `UNION` one after the other.
    Stable,
    /// By the values of these columns, ascending, nulls first.
    By(Vec<usize>),
}

/// What an execution may take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    /// The memory and the threads of all queries, of which it gets its share.
    #[default]
    Shared,
    /// One part at a time, and nothing of the memory of queries: for upkeep, which must neither wait for them nor make them
    /// spill. Only for plans that hold no more than a few batches.
    Aside,
}

/// How the rows of a plan are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    pub order: Order,
    pub room: Room,
    /// The types of the plan are coerced already: that takes most of the time in which a long expression is planned.
    pub coerced: bool,
}

/// The only place that executes plans.
#[async_trait]
pub trait QueryRuntime: fmt::Debug + Send + Sync {
    /// The state in which plans are made and optimised. Its functions and settings are those of the execution; its spill
    /// folder is one of this process.
    fn session(&self) -> SessionState;

    /// The rows of a plan, as the parts that run side by side; with an order there is one part. An error that shows before
    /// the first row may be returned here or come as the first of a stream.
    async fn streams(&self, plan: LogicalPlan, how: Execution) -> Result<Vec<SendableRecordBatchStream>>;

    /// The rows of a plan as one stream.
    async fn stream(&self, plan: LogicalPlan, how: Execution) -> Result<SendableRecordBatchStream>;
}

/// A plan that reads all columns of a table, to be built upon.
pub fn scan(table: Arc<dyn TableProvider>) -> Result<LogicalPlanBuilder> {
    LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(table), None)
}

/// The only stream of a plan that has one part.
pub(crate) fn only(mut streams: Vec<SendableRecordBatchStream>) -> Result<SendableRecordBatchStream> {
    match streams.pop() {
        Some(stream) => Ok(stream),
        None => internal_err!("the plan gives no rows"),
    }
}
