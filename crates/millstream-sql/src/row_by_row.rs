//! Queries that make each of their rows of one row of one table, so that their rows can be counted against those of the table.

use datafusion::{common::tree_node::TreeNodeRecursion, logical_expr::LogicalPlan};

use crate::walk;

/// A query that reads one table and makes at most one row of each of its rows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowByRow {
    /// The table that is read, as the plan names it.
    pub table: String,
    /// Whether rows may be left out.
    pub filters: bool,
}

/// How the plan makes its rows of one table's; `None` for all others, such as aggregations and joins. Pure.
#[must_use]
pub fn row_by_row(plan: &LogicalPlan) -> Option<RowByRow> {
    let (mut table, mut filters, mut fits) = (None, false, true);
    let walked = walk::nodes(plan, &mut |node| {
        match node {
            LogicalPlan::Projection(_) | LogicalPlan::SubqueryAlias(_) => {}
            LogicalPlan::Sort(sort) if sort.fetch.is_none() => {}
            LogicalPlan::Filter(_) => filters = true,
            LogicalPlan::TableScan(scan) if scan.fetch.is_none() && table.is_none() => {
                table = Some(scan.table_name.to_string());
                filters |= !scan.filters.is_empty();
            }
            _ => fits = false,
        }
        Ok(if fits { TreeNodeRecursion::Continue } else { TreeNodeRecursion::Stop })
    });
    // The walk itself has no errors.
    table.filter(|_| fits && walked.is_ok()).map(|table| RowByRow { table, filters })
}
