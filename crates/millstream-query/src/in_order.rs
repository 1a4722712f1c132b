//! Plans whose rows come in one order: where partitions meet, as the sides of a `UNION` do, they follow each other.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNode},
    },
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::equivalence::EquivalenceProperties,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
        coalesce_partitions::CoalescePartitionsExec,
        limit::GlobalLimitExec,
        stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter},
    },
};
use futures::StreamExt;

use crate::node::{Node, Operator};

/// Batches of a partition that wait for their turn.
const WAITING_BATCHES: usize = 2;

/// The plan with one partition, and nothing in it that takes rows as they happen to arrive.
pub(crate) fn in_order(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let Some(meeting) = node.downcast_ref::<CoalescePartitionsExec>() else {
            return Ok(Transformed::no(node));
        };
        let chained = Node::over(meeting.input().clone(), Chained);
        Ok(Transformed::yes(match meeting.fetch() {
            Some(rows) => Arc::new(GlobalLimitExec::new(chained, 0, Some(rows))),
            None => chained,
        }))
    })?;
    let plan = plan.data;
    let is_one = plan.output_partitioning().partition_count() == 1;
    Ok(if is_one { plan } else { Node::over(plan, Chained) })
}

/// The input's partitions one after the other. All are begun at once, because operators such as a join may wait until each
/// of their partitions has been asked for rows.
#[derive(Debug)]
struct Chained;

impl Operator for Chained {
    const NAME: &'static str = "Chained";

    fn anew(&self) -> Self {
        Self
    }

    fn properties(input: &dyn ExecutionPlan) -> PlanProperties {
        PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        )
    }

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        _: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        let schema = input.schema();
        let begun = |partition: usize| {
            let mut rows = RecordBatchReceiverStreamBuilder::new(schema.clone(), WAITING_BATCHES);
            let (input, context, sender) = (input.clone(), context.clone(), rows.tx());
            rows.spawn(async move {
                let mut stream = input.execute(partition, context)?;
                while let Some(batch) = stream.next().await {
                    if sender.send(batch).await.is_err() {
                        break;
                    }
                }
                Ok(())
            });
            rows.build()
        };
        let partitions = input.output_partitioning().partition_count();
        let streams: Vec<_> = (0..partitions).map(begun).collect();
        let rows = futures::stream::iter(streams).flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema.clone(), rows)))
    }
}
