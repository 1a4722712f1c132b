//! Joins that outgrow the memory. A hash join gathers one of its sides, which the disk cannot help with. So a query that
//! runs out of memory before its first row is planned once more, with joins that sort both sides, as large as they are.

use std::sync::Arc;

use datafusion::{
    common::{
        DataFusionError,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    error::Result,
    execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder},
    logical_expr::LogicalPlan,
    physical_plan::{
        ExecutionPlan, execute_stream, execute_stream_partitioned, joins::HashJoinExec,
        stream::RecordBatchStreamAdapter,
    },
};
use futures::{StreamExt, future::join_all, stream};

/// Rows of a batch where memory is short.
const BATCH_ROWS: usize = 2_048;

/// How the rows of a plan are handed out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Handed {
    /// In one stream.
    Together,
    /// In the parts that run side by side.
    InParts,
}

/// Begins a plan.
#[allow(clippy::disallowed_methods, reason = "this is where plans are executed")]
pub(crate) async fn begin(
    state: SessionState,
    plan: &LogicalPlan,
    handed: Handed,
) -> Result<Vec<SendableRecordBatchStream>> {
    let physical = state.create_physical_plan(plan).await?;
    let may_outgrow = gathers(&physical)?;
    let streams = started(physical, &state, handed)?;
    if !may_outgrow {
        return Ok(streams);
    }
    match first_rows(streams).await {
        Ok(streams) => Ok(streams),
        Err(error) => {
            tracing::info!(%error, "the joins of a query do not fit into memory, and are sorted instead");
            let frugal = frugal(state);
            started(frugal.create_physical_plan(plan).await?, &frugal, handed)
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "this is where plans are executed")]
fn started(
    plan: Arc<dyn ExecutionPlan>,
    state: &SessionState,
    handed: Handed,
) -> Result<Vec<SendableRecordBatchStream>> {
    match handed {
        Handed::Together => Ok(vec![execute_stream(plan, state.task_ctx())?]),
        Handed::InParts => execute_stream_partitioned(plan, state.task_ctx()),
    }
}

/// Whether a part of the plan holds a side of a join in memory.
fn gathers(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut any = false;
    plan.apply(|node| {
        any |= node.is::<HashJoinExec>();
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(any)
}

/// The streams once each of them has its first rows: joins have gathered what they gather by then. The error is that of a
/// stream that ran out of memory.
async fn first_rows(streams: Vec<SendableRecordBatchStream>) -> Result<Vec<SendableRecordBatchStream>> {
    let first = streams.into_iter().map(|mut stream| async move { (stream.next().await, stream) });
    let mut begun: Vec<SendableRecordBatchStream> = Vec::new();
    for (first, rest) in join_all(first).await {
        match first {
            Some(Err(error)) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => {
                return Err(error);
            }
            first => {
                let (schema, rows) = (rest.schema(), stream::iter(first).chain(rest));
                begun.push(Box::pin(RecordBatchStreamAdapter::new(schema, rows)));
            }
        }
    }
    Ok(begun)
}

/// The same session with joins that sort, which the engine only plans for several parts. A join then has two sorts in each
/// part, so that each keeps less memory for its merging, and works in smaller batches.
fn frugal(state: SessionState) -> SessionState {
    let mut config = state.config().clone();
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    options.execution.sort_spill_reservation_bytes /= 4;
    let config =
        config.clone().with_batch_size(BATCH_ROWS).with_target_partitions(config.target_partitions().max(2));
    SessionStateBuilder::new_from_existing(state).with_config(config).build()
}
