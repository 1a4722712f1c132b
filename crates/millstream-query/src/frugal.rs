//! Joins that outgrow the memory. A hash join gathers one of its sides, which the disk cannot help with. So a query that
//! runs out of memory before its first row is planned once more, with joins that sort both sides, as large as they are.

use std::sync::Arc;

use datafusion::{
    common::{
        DataFusionError, Result,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    execution::{SendableRecordBatchStream, SessionState, SessionStateBuilder},
    physical_plan::{ExecutionPlan, joins::HashJoinExec, stream::RecordBatchStreamAdapter},
};
use futures::{StreamExt, stream};

/// Rows of a batch where memory is short.
const BATCH_ROWS: usize = 2_048;

/// Whether a part of the plan holds a side of a join in memory.
pub(crate) fn gathers(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut any = false;
    plan.apply(|node| {
        any |= node.is::<HashJoinExec>();
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(any)
}

/// The stream once it has its first rows: joins have gathered what they gather by then. The error is that of a stream that
/// ran out of memory.
pub(crate) async fn first_rows(mut rows: SendableRecordBatchStream) -> Result<SendableRecordBatchStream> {
    match rows.next().await {
        Some(Err(error)) if matches!(error.find_root(), DataFusionError::ResourcesExhausted(_)) => Err(error),
        first => {
            let (schema, rows) = (rows.schema(), stream::iter(first).chain(rows));
            Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
        }
    }
}

/// The same session with joins that sort, which the engine only plans for several parts. A join then has two sorts in each
/// part, so that each keeps less memory for its merging, and works in smaller batches.
pub(crate) fn frugal(state: SessionState) -> SessionState {
    let mut config = state.config().clone();
    let options = config.options_mut();
    options.optimizer.prefer_hash_join = false;
    options.execution.sort_spill_reservation_bytes /= 4;
    let config =
        config.clone().with_batch_size(BATCH_ROWS).with_target_partitions(config.target_partitions().max(2));
    SessionStateBuilder::new_from_existing(state).with_config(config).build()
}
