//! Walks over plans, expressions and parsed queries.
//!
//! The libraries' own walks are generic over what is done at each node, so that each use of one is compiled as a walk of
//! its own: thousands of functions, most of this crate. Here what is done is a trait object, and each kind of walk is
//! compiled once.

use std::ops::ControlFlow;

use datafusion::{
    common::tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    error::Result,
    logical_expr::{Expr, LogicalPlan},
    sql::sqlparser::ast::{self, Query, Select, TableFactor, Visit, VisitMut, Visitor, VisitorMut},
};

/// A function that looks at one node and says how to go on.
pub(crate) type Look<'a, N> = &'a mut dyn FnMut(&N) -> Result<TreeNodeRecursion>;

/// A function that gives what stands in the place of one node.
pub(crate) type Change<'a, N> = &'a mut dyn FnMut(N) -> Result<Transformed<N>>;

/// Every node, from the top, without those of subqueries.
pub(crate) fn nodes(plan: &LogicalPlan, look: Look<'_, LogicalPlan>) -> Result<TreeNodeRecursion> {
    plan.apply(look)
}

/// Every node, from the top, with those of subqueries.
pub(crate) fn all_nodes(plan: &LogicalPlan, look: Look<'_, LogicalPlan>) -> Result<TreeNodeRecursion> {
    plan.apply_with_subqueries(look)
}

/// The expressions that the node itself holds, as wholes.
pub(crate) fn expressions(node: &LogicalPlan, look: Look<'_, Expr>) -> Result<TreeNodeRecursion> {
    node.apply_expressions(look)
}

/// The expressions that the node itself holds, each with all its parts.
pub(crate) fn expression_parts(node: &LogicalPlan, look: Look<'_, Expr>) -> Result<TreeNodeRecursion> {
    expressions(node, &mut |expr| parts(expr, look))
}

/// The expression and all its parts, from the top.
pub(crate) fn parts(expr: &Expr, look: Look<'_, Expr>) -> Result<TreeNodeRecursion> {
    expr.apply(look)
}

/// Whether `is_it` holds for the expression or one of its parts.
pub(crate) fn any_part(expr: &Expr, is_it: &mut dyn FnMut(&Expr) -> bool) -> Result<bool> {
    let mut any = false;
    parts(expr, &mut |part| {
        any = is_it(part);
        Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(any)
}

/// The plan with its nodes changed from the bottom, without those of subqueries.
pub(crate) fn change_nodes(plan: LogicalPlan, change: Change<'_, LogicalPlan>) -> Result<LogicalPlan> {
    plan.transform_up(change).map(|done| done.data)
}

/// The plan with its nodes changed from the bottom, with those of subqueries.
pub(crate) fn change_all_nodes(plan: LogicalPlan, change: Change<'_, LogicalPlan>) -> Result<LogicalPlan> {
    plan.transform_up_with_subqueries(change).map(|done| done.data)
}

/// The expression with its parts changed from the bottom.
pub(crate) fn change_parts(expr: Expr, change: Change<'_, Expr>) -> Result<Expr> {
    expr.transform_up(change).map(|done| done.data)
}

/// The expression with what stands directly in it changed.
pub(crate) fn change_children(expr: Expr, change: Change<'_, Expr>) -> Result<Expr> {
    expr.map_children(change).map(|done| done.data)
}

/// Looks at the places of a parsed query. Breaking ends the walk.
pub(crate) trait QueryVisitor {
    fn query(&mut self, _query: &Query) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn query_end(&mut self, _query: &Query) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn select(&mut self, _select: &Select) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn table_factor(&mut self, _factor: &TableFactor) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn expr(&mut self, _expr: &ast::Expr) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Changes the places of a parsed query. Breaking ends the walk.
pub(crate) trait QueryEditor {
    fn select(&mut self, _select: &mut Select) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()>;

    fn expr(&mut self, _expr: &mut ast::Expr) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Shows a parsed query, or a part of one, to `visitor`, the outer before the inner.
pub(crate) fn visit<N: Visit>(node: &N, visitor: &mut dyn QueryVisitor) -> ControlFlow<()> {
    node.visit(&mut Shown(visitor))
}

/// Lets `editor` change a parsed query, or a part of one, the outer before the inner.
pub(crate) fn edit<N: VisitMut>(node: &mut N, editor: &mut dyn QueryEditor) -> ControlFlow<()> {
    node.visit(&mut Edited(editor))
}

struct Shown<'a>(&'a mut dyn QueryVisitor);

impl Visitor for Shown<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.query(query)
    }

    fn post_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        self.0.query_end(query)
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        self.0.select(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        self.0.table_factor(factor)
    }

    fn pre_visit_expr(&mut self, expr: &ast::Expr) -> ControlFlow<()> {
        self.0.expr(expr)
    }
}

struct Edited<'a>(&'a mut dyn QueryEditor);

impl VisitorMut for Edited<'_> {
    type Break = ();

    fn pre_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        self.0.select(select)
    }

    fn pre_visit_table_factor(&mut self, factor: &mut TableFactor) -> ControlFlow<()> {
        self.0.table_factor(factor)
    }

    fn pre_visit_expr(&mut self, expr: &mut ast::Expr) -> ControlFlow<()> {
        self.0.expr(expr)
    }
}
