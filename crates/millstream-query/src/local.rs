//! Plans executed by the threads and in the memory of this process.

use std::{fmt, sync::Arc};

use async_trait::async_trait;
use datafusion::{
    common::Result,
    execution::{
        SendableRecordBatchStream, SessionState, SessionStateBuilder, memory_pool::UnboundedMemoryPool,
        runtime_env::RuntimeEnvBuilder,
    },
    logical_expr::LogicalPlan,
    optimizer::AnalyzerRule,
    prelude::SessionContext,
};

use crate::{
    Execution, Order, QueryRuntime, Room,
    frugal::{Handed, begin},
    in_order::in_order,
    runtime::only,
    sorted::sorted,
};

/// Executes plans in this process. Cheap to clone.
#[derive(Clone)]
pub struct LocalRuntime {
    context: SessionContext,
    /// The same for plans whose types are coerced.
    coerced: SessionContext,
}

impl LocalRuntime {
    /// Within the memory, the threads and the spill folder of `state`. Plans whose types are coerced go through the rules
    /// `after_coercion` instead of the state's analysis.
    #[must_use]
    #[allow(clippy::disallowed_methods, reason = "this is where plans are executed")]
    pub fn new(state: SessionState, after_coercion: Vec<Arc<dyn AnalyzerRule + Send + Sync>>) -> Self {
        let coerced = SessionStateBuilder::new_from_existing(state.clone());
        let coerced = coerced.with_analyzer_rules(after_coercion).build();
        Self {
            context: SessionContext::new_with_state(state),
            coerced: SessionContext::new_with_state(coerced),
        }
    }

    fn state(&self, how: &Execution) -> Result<SessionState> {
        let state = if how.coerced { self.coerced.state() } else { self.context.state() };
        match (how.room, &how.order) {
            (Room::Aside, _) => aside(state),
            (Room::Shared, Order::Stable) => Ok(with_one_part(state)),
            (Room::Shared, Order::Any | Order::By(_)) => Ok(state),
        }
    }

    #[allow(clippy::disallowed_methods, reason = "this is where plans are executed")]
    async fn begin(
        &self,
        plan: LogicalPlan,
        how: Execution,
        handed: Handed,
    ) -> Result<Vec<SendableRecordBatchStream>> {
        let state = self.state(&how)?;
        match how.order {
            Order::Any => begin(state, &plan, handed).await,
            Order::Stable => {
                let plan = in_order(state.create_physical_plan(&plan).await?)?;
                Ok(vec![plan.execute(0, state.task_ctx())?])
            }
            Order::By(columns) => {
                let plan = sorted(state.create_physical_plan(&plan).await?, &columns)?;
                Ok(vec![plan.execute(0, state.task_ctx())?])
            }
        }
    }
}

#[async_trait]
impl QueryRuntime for LocalRuntime {
    fn session(&self) -> SessionState {
        self.context.state()
    }

    async fn streams(&self, plan: LogicalPlan, how: Execution) -> Result<Vec<SendableRecordBatchStream>> {
        self.begin(plan, how, Handed::InParts).await
    }

    async fn stream(&self, plan: LogicalPlan, how: Execution) -> Result<SendableRecordBatchStream> {
        only(self.begin(plan, how, Handed::Together).await?)
    }
}

impl fmt::Debug for LocalRuntime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LocalRuntime")
    }
}

fn with_one_part(state: SessionState) -> SessionState {
    let config = state.config().clone().with_target_partitions(1);
    SessionStateBuilder::new_from_existing(state).with_config(config).build()
}

/// The same stores and folders, with memory that queries do not count.
fn aside(state: SessionState) -> Result<SessionState> {
    let runtime = RuntimeEnvBuilder::from_runtime_env(state.runtime_env());
    let runtime = runtime.with_memory_pool(Arc::new(UnboundedMemoryPool::default())).build_arc()?;
    let state = with_one_part(state);
    Ok(SessionStateBuilder::new_from_existing(state).with_runtime_env(runtime).build())
}
