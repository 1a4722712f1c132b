//! Operators of ours in the engine's plans. Each has one input and hands out rows with its columns; what else a plan asks of
//! an operator is answered here, once for all of them.

use std::{fmt, sync::Arc};

use datafusion::{
    common::{Result, tree_node::TreeNodeRecursion},
    config::ConfigOptions,
    execution::{SendableRecordBatchStream, TaskContext},
    physical_expr::PhysicalExpr,
    physical_plan::{
        DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties,
        filter_pushdown::{FilterDescription, FilterPushdownPhase},
    },
};

/// What an operator does with the rows of its input.
pub trait Operator: fmt::Debug + Send + Sync + Sized + 'static {
    /// What the operator is called where a plan is shown.
    const NAME: &'static str;

    /// Whether rows that a filter on what it hands out would leave out may be left out by its input.
    const PASSES_FILTERS: bool = false;

    /// The operator as it was before it ran.
    fn anew(&self) -> Self;

    /// What is known of the rows that it hands out.
    fn properties(input: &dyn ExecutionPlan) -> PlanProperties;

    /// Begins one partition of what it hands out.
    fn execute(
        &self,
        input: &Arc<dyn ExecutionPlan>,
        partition: usize,
        context: Arc<TaskContext>,
    ) -> Result<SendableRecordBatchStream>;
}

/// An operator in its place in a plan.
#[derive(Debug)]
pub struct Node<O> {
    operator: O,
    input: Arc<dyn ExecutionPlan>,
    properties: Arc<PlanProperties>,
}

impl<O: Operator> Node<O> {
    /// The operator over its input, as a part of a plan.
    pub fn over(input: Arc<dyn ExecutionPlan>, operator: O) -> Arc<dyn ExecutionPlan> {
        let properties = Arc::new(O::properties(input.as_ref()));
        Arc::new(Self { operator, input, properties })
    }
}

impl<O: Operator> DisplayAs for Node<O> {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(O::NAME)
    }
}

impl<O: Operator> ExecutionPlan for Node<O> {
    fn name(&self) -> &'static str {
        O::NAME
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    /// Rows stay in order, unless several partitions of them become one.
    fn maintains_input_order(&self) -> Vec<bool> {
        let partitions = |plan: &PlanProperties| plan.output_partitioning().partition_count();
        vec![partitions(&self.properties) == partitions(self.input.properties())]
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
            Some(input) => Self::over(input, self.operator.anew()),
            None => self,
        })
    }

    fn gather_filters_for_pushdown(
        &self,
        _: FilterPushdownPhase,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        _: &ConfigOptions,
    ) -> Result<FilterDescription> {
        match O::PASSES_FILTERS {
            true => FilterDescription::from_children(filters, &self.children()),
            false => Ok(FilterDescription::all_unsupported(&filters, &self.children())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        self.operator.execute(&self.input, partition, context)
    }
}
