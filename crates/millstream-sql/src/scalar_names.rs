//! Names of what scalar subqueries give. Once a subquery is a join, its column stands beside those of the query around it, and
//! may have the name of one: in `sum(x) / (SELECT sum(x) FROM t)` nobody could tell which sum is meant.

use std::sync::Arc;

use datafusion::{
    common::{
        Result,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    logical_expr::{Expr, LogicalPlan, Projection, Subquery, expr_rewriter::NamePreserver},
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
};

use crate::walk;

/// The text with which the names begin.
const PREFIX: &str = "__scalar_value";

/// Gives the column of each subquery that becomes a join a name of its own.
#[derive(Debug)]
pub(crate) struct ScalarNames;

impl OptimizerRule for ScalarNames {
    fn name(&self) -> &'static str {
        "scalar_names"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, config: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let without_join = config.options().optimizer.enable_physical_uncorrelated_scalar_subquery;
        let mut any = false;
        walk::expression_parts(&plan, &mut |part| {
            any |= matches!(part, Expr::ScalarSubquery(query) if is_nameless(query, without_join));
            Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })?;
        if !any {
            return Ok(Transformed::no(plan));
        }
        let names = NamePreserver::new(&plan);
        plan.map_expressions(|expr| {
            let before = names.save(&expr);
            let after = walk::change_parts(expr, &mut |part| match part {
                Expr::ScalarSubquery(query) if is_nameless(&query, without_join) => {
                    let name = config.alias_generator().next(PREFIX);
                    let plan = named(Arc::unwrap_or_clone(query.subquery), name)?;
                    let query = Subquery { subquery: Arc::new(plan), ..query };
                    Ok(Transformed::yes(Expr::ScalarSubquery(query)))
                }
                other => Ok(Transformed::no(other)),
            })?;
            Ok(Transformed::yes(before.restore(after)))
        })
    }
}

fn is_nameless(query: &Subquery, without_join: bool) -> bool {
    let stays = without_join && query.outer_ref_columns.is_empty();
    let columns = query.subquery.schema().fields();
    !stays && columns.first().is_some_and(|column| !column.name().starts_with(PREFIX))
}

/// The subquery, with its one column under the given name.
fn named(plan: LogicalPlan, name: String) -> Result<LogicalPlan> {
    let (value, input) = match plan {
        LogicalPlan::Projection(Projection { mut expr, input, .. }) if expr.len() == 1 => (expr.pop(), input),
        other => (other.schema().columns().pop().map(Expr::Column), Arc::new(other)),
    };
    let value = value.map(|value| value.unalias().alias(name));
    Ok(LogicalPlan::Projection(Projection::try_new(value.into_iter().collect(), input)?))
}
