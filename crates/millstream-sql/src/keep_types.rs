//! The engine's optimizer rules, held to the types of the plans that they are given.
//!
//! A rule may rewrite an expression into one of another type: `sum(x)` beside `count(DISTINCT y)` is summed twice, and
//! each sum of decimals has ten digits more. What was planned above still expects the analysed type, and a table
//! is stored in it. While constants are computed, large ones are left alone.

use std::sync::Arc;

use datafusion::{
    common::{DFSchema, DataFusionError, Result, tree_node::Transformed},
    logical_expr::{Expr, LogicalPlan, Projection, cast},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use crate::growth;

type Rule = Arc<dyn OptimizerRule + Send + Sync>;

/// The rules in their order, each of which keeps types.
pub(crate) fn keeping_types(rules: Vec<Rule>) -> Vec<Rule> {
    rules.into_iter().map(|rule| Arc::new(KeepTypes(rule)) as Rule).collect()
}

#[derive(Debug)]
struct KeepTypes(Rule);

impl OptimizerRule for KeepTypes {
    fn name(&self) -> &str {
        self.0.name()
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        self.0.apply_order()
    }

    fn rewrite(
        &self,
        plan: LogicalPlan,
        config: &dyn OptimizerConfig,
    ) -> Result<Transformed<LogicalPlan>, DataFusionError> {
        let expected = Arc::clone(plan.schema());
        let rewritten = match self.name() {
            "simplify_expressions" => growth::while_folding(|| self.0.rewrite(plan, config)),
            _ => self.0.rewrite(plan, config),
        }?;
        if !rewritten.transformed || same_types(&expected, rewritten.data.schema()) {
            return Ok(rewritten);
        }
        rewritten.map_data(|plan| as_expected(plan, &expected))
    }
}

/// Whether the plans have the same types. A rule may drop columns that nobody reads; then they are not compared column by
/// column.
fn same_types(expected: &Arc<DFSchema>, found: &Arc<DFSchema>) -> bool {
    if Arc::ptr_eq(expected, found) || expected.fields().len() != found.fields().len() {
        return true;
    }
    expected.fields().iter().zip(found.fields()).all(|(one, other)| one.data_type() == other.data_type())
}

fn as_expected(plan: LogicalPlan, expected: &DFSchema) -> Result<LogicalPlan> {
    let exprs = plan
        .schema()
        .iter()
        .zip(expected.iter())
        .map(|(found, (qualifier, field))| {
            let column = Expr::from(found);
            if found.1.data_type() == field.data_type() {
                return column;
            }
            cast(column, field.data_type().clone()).alias_qualified(qualifier.cloned(), field.name())
        })
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(plan))?))
}
