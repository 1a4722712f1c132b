//! Plans executed by the threads and in the memory of this process.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    common::Result,
    execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder},
    logical_expr::LogicalPlan,
    optimizer::AnalyzerRule,
    physical_plan::execute_stream,
};

use crate::{
    Execution, Order, QueryRuntime,
    account::follow_spawned,
    frugal::{first_rows, frugal, gathers},
    in_order::in_order,
    sorted::sorted,
};

/// Executes plans in this process.
pub struct LocalRuntime {
    session: SessionState,
    /// The session for plans whose types are coerced differs from the other one in its rules of analysis.
    coerced: SessionState,
}

impl LocalRuntime {
    /// Executes within the memory, the threads and the spill folder of `session`. Plans whose types are coerced go through
    /// the rules `after_coercion` instead of the session's analysis.
    #[must_use]
    pub fn new(session: SessionState, after_coercion: Vec<Arc<dyn AnalyzerRule + Send + Sync>>) -> Self {
        follow_spawned();
        let coerced = SessionStateBuilder::new_from_existing(session.clone());
        let coerced = coerced.with_analyzer_rules(after_coercion).build();
        Self { session, coerced }
    }
}

#[async_trait]
impl QueryRuntime for LocalRuntime {
    fn session(&self) -> &SessionState {
        &self.session
    }

    async fn stream(&self, plan: LogicalPlan, how: Execution) -> Result<SendableRecordBatchStream> {
        let mut state = if how.coerced { self.coerced.clone() } else { self.session.clone() };
        state.mark_start_execution();
        if how.order == Order::Stable {
            state = with_one_part(state);
        }
        let (rows, gathers) = begun(&state, &plan, &how.order).await?;
        // Joins that sort give their rows in another order, so there is no second way to a stable one.
        if !gathers || how.order == Order::Stable {
            return Ok(rows);
        }
        match first_rows(rows).await {
            Ok(rows) => Ok(rows),
            Err(error) => {
                tracing::info!(%error, "the joins of a query do not fit into memory, and are sorted instead");
                Ok(begun(&frugal(state), &plan, &how.order).await?.0)
            }
        }
    }
}

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalRuntime")
    }
}

/// The rows of a plan, and whether it gathers a side of a join before the first of them.
#[allow(clippy::disallowed_methods, reason = "this is the one place that executes plans")]
async fn begun(
    state: &SessionState,
    plan: &LogicalPlan,
    order: &Order,
) -> Result<(SendableRecordBatchStream, bool)> {
    let plan = state.create_physical_plan(plan).await?;
    let gathers = gathers(&plan)?;
    let plan = match order {
        Order::Any => plan,
        Order::Stable => in_order(plan)?,
        Order::By(columns) => sorted(plan, columns)?,
    };
    Ok((execute_stream(plan, state.task_ctx())?, gathers))
}

fn with_one_part(state: SessionState) -> SessionState {
    let config = state.config().clone().with_target_partitions(1);
    SessionStateBuilder::new_from_existing(state).with_config(config).build()
}
