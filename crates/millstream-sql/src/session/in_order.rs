//! Plans whose rows come in one order: where partitions meet, as the sides of a `UNION` do, they follow each other.

use std::{fmt, sync::Arc};

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::{PhysicalExpr, equivalence::EquivalenceProperties},
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties, Partitioning, PlanProperties,
        coalesce_partitions::CoalescePartitionsExec,
        limit::GlobalLimitExec,
        stream::{RecordBatchReceiverStreamBuilder, RecordBatchStreamAdapter},
    },
};
use futures::StreamExt;

/// Batches of a partition that wait for their turn.
const WAITING_BATCHES: usize = 2;

/// The plan with one partition, and nothing in it that takes rows as they happen to arrive.
pub(super) fn in_order(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let plan = plan.transform_up(|node| {
        let Some(meeting) = node.downcast_ref::<CoalescePartitionsExec>() else {
            return Ok(Transformed::no(node));
        };
        let chained: Arc<dyn ExecutionPlan> = Arc::new(Chained::new(meeting.input().clone()));
        Ok(Transformed::yes(match meeting.fetch() {
            Some(rows) => Arc::new(GlobalLimitExec::new(chained, 0, Some(rows))),
            None => chained,
        }))
    })?;
    let plan = plan.data;
    let is_one = plan.output_partitioning().partition_count() == 1;
    Ok(if is_one { plan } else { Arc::new(Chained::new(plan)) })
}

/// The input's partitions one after the other. All are begun at once, because operators such as a join may wait until each
/// of their partitions has been asked for rows.
#[derive(Debug)]
struct Chained {
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl Chained {
    fn new(input: Arc<dyn ExecutionPlan>) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(input.schema()),
            Partitioning::UnknownPartitioning(1),
            input.pipeline_behavior(),
            input.boundedness(),
        );
        Self { input, properties: Arc::new(properties) }
    }
}

impl DisplayAs for Chained {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())
    }
}

impl ExecutionPlan for Chained {
    fn name(&self) -> &'static str {
        "Chained"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn apply_expressions(
        &self,
        _: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        Ok(TreeNodeRecursion::Continue)
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(match children.pop() {
            Some(input) => Arc::new(Self::new(input)),
            None => self,
        })
    }

    fn execute(&self, _: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let begun = |partition: usize| {
            let mut rows = RecordBatchReceiverStreamBuilder::new(self.schema(), WAITING_BATCHES);
            let (input, context, sender) = (self.input.clone(), context.clone(), rows.tx());
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
        let partitions = self.input.output_partitioning().partition_count();
        let streams: Vec<_> = (0..partitions).map(begun).collect();
        let rows = futures::stream::iter(streams).flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(self.schema(), rows)))
    }
}
