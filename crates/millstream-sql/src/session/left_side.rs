//! The left side of a nested-loop join, which the engine computes once more when it has outgrown the memory, to write it to
//! the disk this time.
//!
//! The engine executes the same operators a second time for that, though some of them hand their rows out once only, and
//! others go on where the first time ended. So here the second time runs operators that are as they were before the first.
//! Where the disk is no way out, the query ends for want of memory.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use datafusion::{
    common::{
        JoinType, Result,
        config::ConfigOptions,
        resources_err,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    execution::{SendableRecordBatchStream, TaskContext},
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties, PlanProperties,
        execution_plan::{replace_children_if_necessary, reset_plan_states},
        joins::{CrossJoinExec, HashJoinExec, NestedLoopJoinExec},
    },
};
use millstream_query::node::{Node, Operator};

/// Lets the left sides of a finished plan be computed twice, or refuse to be.
#[derive(Debug)]
pub(super) struct LeftSides;

impl PhysicalOptimizerRule for LeftSides {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|node| {
            let Some(join) = node.downcast_ref::<NestedLoopJoinExec>() else {
                return Ok(Transformed::no(node));
            };
            let side = LeftSide { fits_disk: fits_disk(join)?, has_begun: AtomicBool::new(false) };
            let inputs = vec![Node::over(join.left().clone(), side), join.right().clone()];
            replace_children_if_necessary(node, inputs).map(Transformed::yes)
        });
        changed.map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        "LeftSides"
    }

    fn schema_check(&self) -> bool {
        true
    }
}

/// Whether a left side may go to the disk. Not if each part of the right would give out anew what it has no partner for; not
/// if it is all pairs of two tables, which fill any disk; and not if it skips rows because of those that it has seen, as the
/// first rows of an order are found: a second time would skip them from its beginning.
fn fits_disk(join: &NestedLoopJoinExec) -> Result<bool> {
    use JoinType::{Full, Left, LeftAnti, LeftMark, LeftSemi};
    let looks_back = matches!(join.join_type(), Full | Left | LeftAnti | LeftMark | LeftSemi);
    let is_shared = join.right().output_partitioning().partition_count() > 1;
    let mut fits = !(looks_back && is_shared);
    join.left().apply(|node| {
        // What a hash join lets its other side skip is the same each time.
        let skips = !node.is::<HashJoinExec>() && !node.dynamic_expressions_produced().is_empty();
        fits &= !node.is::<CrossJoinExec>() && !skips;
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(fits)
}

/// Its input's rows, each time from the first one on.
#[derive(Debug)]
struct LeftSide {
    fits_disk: bool,
    has_begun: AtomicBool,
}

impl Operator for LeftSide {
    const NAME: &'static str = "LeftSide";

    fn anew(&self) -> Self {
        Self { fits_disk: self.fits_disk, has_begun: AtomicBool::new(false) }
    }

    fn properties(input: &dyn ExecutionPlan) -> PlanProperties {
        PlanProperties::clone(input.properties())
    }

    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream> {
        if !self.has_begun.swap(true, Ordering::Relaxed) {
            return input.execute(partition, context);
        }
        if !self.fits_disk {
            return resources_err!("`NestedLoopJoin` gets no more");
        }
        reset_plan_states(input.clone())?.execute(partition, context)
    }
}
