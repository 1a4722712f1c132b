//! Plans whose rows come by the values of some columns.

use std::sync::Arc;

use datafusion::{
    arrow::compute::SortOptions,
    common::{Result, internal_err},
    physical_expr::{LexOrdering, PhysicalExpr, PhysicalSortExpr, expressions::Column},
    physical_plan::{
        ExecutionPlan,
        sorts::{sort::SortExec, sort_preserving_merge::SortPreservingMergeExec},
    },
};

/// The plan with its rows by these columns, ascending, nulls first.
///
/// The sort stands on top of the finished physical plan: the engine's optimizer would push it below a union, where it loses
/// the order when a side holds constants.
pub(crate) fn sorted(plan: Arc<dyn ExecutionPlan>, columns: &[usize]) -> Result<Arc<dyn ExecutionPlan>> {
    let schema = plan.schema();
    if columns.iter().any(|at| *at >= schema.fields().len()) {
        return internal_err!("rows are to be ordered by a column that they do not have");
    }
    let by = columns.iter().map(|at| {
        let column: Arc<dyn PhysicalExpr> = Arc::new(Column::new(schema.field(*at).name(), *at));
        PhysicalSortExpr::new(column, SortOptions { descending: false, nulls_first: true })
    });
    let Some(by) = LexOrdering::new(by) else {
        return internal_err!("rows are to be ordered by no column");
    };
    let parts = SortExec::new(by.clone(), plan).with_preserve_partitioning(true);
    Ok(Arc::new(SortPreservingMergeExec::new(by, Arc::new(parts))))
}
