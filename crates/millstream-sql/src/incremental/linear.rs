//! Which queries can be kept by adding rows: those where each output row comes from one row of each input, so
//! that more input rows only ever mean more output rows.

use datafusion::{
    common::{JoinType, tree_node::TreeNodeRecursion},
    logical_expr::{Expr, LogicalPlan},
};

use crate::walk;

/// The first thing in `plan` that rules out adding rows, as words that follow "its query has"; none if the
/// query is linear.
pub(super) fn obstacle(plan: &LogicalPlan) -> Option<String> {
    let mut found = None;
    let walked = walk::nodes(plan, &mut |node| {
        found = operator(node).or_else(|| subquery(node)).map(str::to_owned);
        Ok(if found.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    });
    found.or_else(|| walked.err().map(|error| error.to_string()))
}

fn operator(node: &LogicalPlan) -> Option<&'static str> {
    match node {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Repartition(_) => None,
        LogicalPlan::Sort(sort) => sort.fetch.map(|_| "a LIMIT"),
        LogicalPlan::Join(join) => match join.join_type {
            JoinType::Inner => None,
            JoinType::Left => {
                Some("a left join, where a row that joins later changes rows that are already there")
            }
            JoinType::Right => {
                Some("a right join, where a row that joins later changes rows that are already there")
            }
            JoinType::Full => {
                Some("a full join, where a row that joins later changes rows that are already there")
            }
            _ => Some(
                "a semi or anti join, where a row of the other table changes rows that are already there",
            ),
        },
        LogicalPlan::Aggregate(_) => Some("an aggregate, whose value changes with each new row"),
        LogicalPlan::Distinct(_) => Some("a DISTINCT, which must know all earlier rows"),
        LogicalPlan::Window(_) => Some("a window function, whose value changes with each new row"),
        LogicalPlan::Limit(_) => Some("a LIMIT"),
        LogicalPlan::RecursiveQuery(_) => Some("a recursive CTE"),
        _ => Some("an operator that needs more than the new rows"),
    }
}

fn subquery(node: &LogicalPlan) -> Option<&'static str> {
    let mut found = false;
    let walked = walk::expression_parts(node, &mut |part| {
        found |= matches!(
            part,
            Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
        );
        Ok(TreeNodeRecursion::Continue)
    });
    (found || walked.is_err())
        .then_some("a subquery, whose result can change for rows that are already there")
}
