//! Lineage of one expression.

use std::sync::Arc;

use datafusion::{
    common::tree_node::{TreeNode, TreeNodeRecursion},
    logical_expr::{Expr, Subquery, WindowFunctionDefinition},
};

use super::{
    ColumnInputs, Direct, Indirect,
    node::{Scope, Walk},
};

/// The inputs of an expression's value.
#[recursive::recursive]
pub(super) fn inputs(expr: &Expr, scope: &Scope<'_>, walk: &mut Walk) -> ColumnInputs {
    match expr {
        Expr::Column(column) => scope.find(column).cloned().unwrap_or_default(),
        Expr::OuterReferenceColumn(_, column) => {
            let outer = walk.outer.iter().rev();
            let found =
                outer.filter_map(|(schema, columns)| Scope { schema, columns }.find(column).cloned()).next();
            found.unwrap_or_default()
        }
        Expr::Alias(alias) => inputs(&alias.expr, scope, walk),
        Expr::Case(case) => {
            let mut merged = ColumnInputs::default();
            for condition in case.expr.iter().chain(case.when_then_expr.iter().map(|(when, _)| when)) {
                let condition = inputs(condition, scope, walk);
                merged.indirect.extend(condition.as_indirect(Indirect::Conditional));
            }
            for value in case.when_then_expr.iter().map(|(_, then)| then).chain(&case.else_expr) {
                merged.merge(&inputs(value, scope, walk));
            }
            merged.at_least(Direct::Transformation)
        }
        Expr::AggregateFunction(function) => {
            let params = &function.params;
            let mut merged = all(&params.args, scope, walk).at_least(Direct::Aggregation);
            add_indirect(&mut merged, params.filter.as_deref(), Indirect::Conditional, scope, walk);
            add_indirect(
                &mut merged,
                params.order_by.iter().map(|sort| &sort.expr),
                Indirect::Sort,
                scope,
                walk,
            );
            merged
        }
        Expr::WindowFunction(function) => {
            let params = &function.params;
            let kind = match function.fun {
                WindowFunctionDefinition::AggregateUDF(_) => Direct::Aggregation,
                WindowFunctionDefinition::WindowUDF(_) => Direct::Transformation,
            };
            let mut merged = all(&params.args, scope, walk).at_least(kind);
            let window = params.partition_by.iter().chain(params.order_by.iter().map(|sort| &sort.expr));
            add_indirect(&mut merged, window, Indirect::Window, scope, walk);
            add_indirect(&mut merged, params.filter.as_deref(), Indirect::Conditional, scope, walk);
            merged
        }
        Expr::ScalarSubquery(query) => subquery(query, scope, walk).at_least(Direct::Transformation),
        Expr::InSubquery(test) => {
            let mut merged = inputs(&test.expr, scope, walk);
            merged.merge(&subquery(&test.subquery, scope, walk));
            merged.at_least(Direct::Transformation)
        }
        Expr::SetComparison(test) => {
            let mut merged = inputs(&test.expr, scope, walk);
            merged.merge(&subquery(&test.subquery, scope, walk));
            merged.at_least(Direct::Transformation)
        }
        // Whether a row exists says nothing of the values that the subquery selects.
        Expr::Exists(test) => {
            let found = subquery(&test.subquery, scope, walk);
            ColumnInputs { indirect: found.indirect, ..ColumnInputs::default() }
        }
        other => children(other, scope, walk).at_least(Direct::Transformation),
    }
}

fn children(expr: &Expr, scope: &Scope<'_>, walk: &mut Walk) -> ColumnInputs {
    let mut merged = ColumnInputs::default();
    // The closure cannot fail, so neither can the walk.
    let _ = expr.apply_children(|child| {
        merged.merge(&inputs(child, scope, walk));
        Ok(TreeNodeRecursion::Continue)
    });
    merged
}

fn all(exprs: &[Expr], scope: &Scope<'_>, walk: &mut Walk) -> ColumnInputs {
    let mut merged = ColumnInputs::default();
    for expr in exprs {
        merged.merge(&inputs(expr, scope, walk));
    }
    merged
}

fn add_indirect<'e>(
    merged: &mut ColumnInputs,
    exprs: impl IntoIterator<Item = &'e Expr>,
    kind: Indirect,
    scope: &Scope<'_>,
    walk: &mut Walk,
) {
    for expr in exprs {
        merged.indirect.extend(inputs(expr, scope, walk).as_indirect(kind));
    }
}

/// The inputs of a subquery's columns; what decides on its rows comes along as indirect.
fn subquery(query: &Subquery, scope: &Scope<'_>, walk: &mut Walk) -> ColumnInputs {
    walk.outer.push((Arc::new(scope.schema.clone()), scope.columns.to_vec()));
    let lineage = walk.node(&query.subquery);
    walk.outer.pop();
    let mut merged = ColumnInputs::default();
    lineage.columns.iter().for_each(|column| merged.merge(column));
    merged.indirect.extend(lineage.rows);
    merged
}
