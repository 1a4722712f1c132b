//! The first rows of an order, `ORDER BY … LIMIT n`.
//!
//! The engine keeps them in memory, with the blocks that they came in, and has no way to the disk when they outgrow it.
//! Beyond a block's worth of rows everything is sorted, which has one, and the first rows are taken of that.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNode},
    },
    physical_optimizer::PhysicalOptimizerRule,
    physical_plan::{
        ExecutionPlan, ExecutionPlanProperties,
        limit::{GlobalLimitExec, LocalLimitExec},
        sorts::sort::SortExec,
    },
};

/// So many first rows are few, and kept in memory.
const FEW: usize = 8_192;

/// Lets a finished plan sort where it would keep many first rows in memory.
#[derive(Debug)]
pub(super) struct FirstRows;

impl PhysicalOptimizerRule for FirstRows {
    fn optimize(&self, plan: Arc<dyn ExecutionPlan>, _: &ConfigOptions) -> Result<Arc<dyn ExecutionPlan>> {
        let changed = plan.transform_up(|node| {
            let many = |sort: &&SortExec| sort.fetch().is_some_and(|rows| rows > FEW);
            let Some(sort) = node.downcast_ref::<SortExec>().filter(many) else {
                return Ok(Transformed::no(node));
            };
            let rows = sort.fetch().unwrap_or(FEW);
            let sorted: Arc<dyn ExecutionPlan> = Arc::new(sort.with_fetch(None));
            Ok(Transformed::yes(match sorted.output_partitioning().partition_count() {
                1 => Arc::new(GlobalLimitExec::new(sorted, 0, Some(rows))) as Arc<dyn ExecutionPlan>,
                _ => Arc::new(LocalLimitExec::new(sorted, rows)),
            }))
        });
        changed.map(|done| done.data)
    }

    fn name(&self) -> &'static str {
        "FirstRows"
    }

    fn schema_check(&self) -> bool {
        true
    }
}
