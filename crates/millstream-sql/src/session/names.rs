//! Names for the columns of a result: `count(*)`, as it stands in the query, and not as the engine would say it.

use std::{collections::HashSet, ops::ControlFlow};

use datafusion::sql::sqlparser::ast::{
    Expr, Ident, ObjectName, OrderBy, OrderByKind, Query, SelectItem, SetExpr,
};

use crate::{
    parse::name_parts,
    walk::{self, QueryVisitor},
};

/// Gives each nameless expression of the SELECT that names the result's columns its own text as an alias. Names stay
/// distinct: where two would be the same, the later one gets a number.
pub(super) fn name_outputs(query: &mut Query) {
    let Some((items, by_name)) = outputs(&mut query.body) else { return };
    let named = named(items);
    if by_name && !sort_by_name(query.order_by.as_mut(), items, &named) {
        return;
    }
    items.clone_from(&named);
}

/// The items that name the columns, and whether ORDER BY sees only these names, and no longer the expressions that they
/// stand for.
fn outputs(mut body: &mut SetExpr) -> Option<(&mut Vec<SelectItem>, bool)> {
    let mut by_name = false;
    loop {
        match body {
            SetExpr::Select(select) => {
                by_name |= select.distinct.is_some();
                return Some((&mut select.projection, by_name));
            }
            SetExpr::Query(inner) => body = inner.body.as_mut(),
            SetExpr::SetOperation { left, .. } => {
                by_name = true;
                body = left.as_mut();
            }
            _ => return None,
        }
    }
}

fn named(items: &[SelectItem]) -> Vec<SelectItem> {
    let mut taken: HashSet<String> = items.iter().filter_map(written_name).collect();
    let name = |item: &SelectItem| {
        let SelectItem::UnnamedExpr(expr) = item else { return item.clone() };
        if is_column(expr) || unfolds(expr) {
            return item.clone();
        }
        let text = expr.to_string();
        let numbered = (1..).map(|number| format!("{text}_{number}"));
        let free = std::iter::once(text.clone()).chain(numbered).find(|name| !taken.contains(name));
        let alias = Ident::with_quote('"', free.unwrap_or(text));
        taken.insert(alias.value.clone());
        SelectItem::ExprWithAlias { expr: expr.clone(), alias }
    };
    items.iter().map(name).collect()
}

/// Replaces expressions in ORDER BY that are those of columns by the columns' names. The result is false, with nothing
/// changed, when ORDER BY holds an expression that is none of these, which only the engine's own names may lead to.
fn sort_by_name(order: Option<&mut OrderBy>, items: &[SelectItem], named: &[SelectItem]) -> bool {
    let Some(OrderBy { kind: OrderByKind::Expressions(keys), .. }) = order else { return true };
    let by_name = |key: &Expr| -> Option<Expr> {
        if is_column(key) || matches!(key, Expr::Value(_)) {
            return Some(key.clone());
        }
        let same = |item: &&SelectItem| matches!(item, SelectItem::UnnamedExpr(expr) if expr == key);
        match named.get(items.iter().position(|item| same(&item))?)? {
            SelectItem::ExprWithAlias { alias, .. } => Some(Expr::Identifier(alias.clone())),
            _ => None,
        }
    };
    let renamed: Option<Vec<Expr>> = keys.iter().map(|key| by_name(&key.expr)).collect();
    let Some(renamed) = renamed else { return false };
    for (key, expr) in keys.iter_mut().zip(renamed) {
        key.expr = expr;
    }
    true
}

/// The name that the query itself gives to a column.
fn written_name(item: &SelectItem) -> Option<String> {
    let name = match item {
        SelectItem::ExprWithAlias { alias, .. } => alias,
        SelectItem::UnnamedExpr(Expr::Identifier(name)) => name,
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(names)) => names.last()?,
        _ => return None,
    };
    name_parts(&ObjectName::from(vec![name.clone()])).pop()
}

fn is_column(expr: &Expr) -> bool {
    matches!(expr, Expr::Identifier(_) | Expr::CompoundIdentifier(_))
}

/// Whether the expression may become several columns, which one name would not fit.
fn unfolds(expr: &Expr) -> bool {
    struct Unnest;
    impl QueryVisitor for Unnest {
        fn expr(&mut self, expr: &Expr) -> ControlFlow<()> {
            match expr {
                Expr::Function(call) if name_parts(&call.name) == ["unnest"] => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }
    }
    walk::visit(expr, &mut Unnest).is_break()
}
