//! What a room asks of whoever executes its plans.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    catalog::TableProvider,
    common::Result,
    datasource::provider_as_source,
    execution::{SendableRecordBatchStream, SessionState},
    logical_expr::{LogicalPlan, LogicalPlanBuilder, UNNAMED_TABLE},
};

/// In which order rows come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Rows come as they are ready.
    #[default]
    Any,
    /// Rows come in one order, the same every time: that of the plan, and where it has none, that of the tables' files, the
    /// sides of a `UNION` one after the other.
    Stable,
    /// Rows come by the values of these columns, ascending, nulls first.
    By(Vec<usize>),
}

/// How the rows of a plan are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Execution {
    /// The order in which the rows come, which need not be the plan's own.
    pub order: Order,
    /// Whether the types of the plan are coerced already: doing it again would take most of the time in which a long
    /// expression is planned.
    pub coerced: bool,
}

/// The only place that executes plans.
#[async_trait]
pub trait QueryRuntime: fmt::Debug + Send + Sync {
    /// The session in which plans are made. Its functions and settings are those of the execution, and it knows the stores
    /// that tables are read from; rows that do not fit into the memory of this process go to its folder for temporary files.
    fn session(&self) -> &SessionState;

    /// The rows of a plan. An error that shows before the first row is returned here or comes as the first of the stream.
    async fn stream(&self, plan: LogicalPlan, how: Execution) -> Result<SendableRecordBatchStream>;
}

/// A plan that reads all columns of a table, to be built upon.
pub fn scan(table: Arc<dyn TableProvider>) -> Result<LogicalPlanBuilder> {
    LogicalPlanBuilder::scan(UNNAMED_TABLE, provider_as_source(table), None)
}
