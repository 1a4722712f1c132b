//! What no continuous table can have, wherever it stands.

use std::ops::Range;

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    logical_expr::{Expr, LogicalPlan, Volatility},
};

use crate::{
    analyze::comparisons::span,
    codes,
    explain::{Problem, find_word},
    place::SqlText,
    walk,
};

/// All parts of a plan that need more than the rows that have come, or give another value each time.
pub(super) fn refused(plan: &LogicalPlan, text: &SqlText<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    // The closures cannot fail, so neither can the walk.
    let _ = walk::all_nodes(plan, &mut |node| {
        problems.extend(operator(node, text));
        walk::expression_parts(node, &mut |part| {
            problems.extend(expression(part, text));
            Ok(TreeNodeRecursion::Continue)
        })
    });
    problems
}

fn operator(node: &LogicalPlan, text: &SqlText<'_>) -> Option<Problem> {
    let (word, message, hint) = match node {
        LogicalPlan::Sort(_) => (
            "order",
            "ORDER BY needs all rows, and events keep coming",
            "remove it, and sort where the table is read",
        ),
        LogicalPlan::Limit(_) => (
            "limit",
            "LIMIT would keep the first events that come, for ever",
            "remove it; `max`, `min` and `last_value` over a window keep one value of each group",
        ),
        LogicalPlan::Distinct(_) => (
            "distinct",
            "DISTINCT needs all rows that ever came",
            "write `stream: {deduplicate: {by: …, within: 1h}}` in the header, or group by a window",
        ),
        LogicalPlan::Union(_) => (
            "union",
            "UNION puts streams of different speed together, and no time says how far both are",
            "write a continuous table for each, and a view that reads both; or send both to one source",
        ),
        LogicalPlan::Window(_) => (
            "over",
            "a window function looks at rows that have not come",
            "use `tumble`, `hop` or `session` in FROM, and GROUP BY `window_start`",
        ),
        LogicalPlan::Unnest(_) => (
            "unnest",
            "`unnest` makes several rows of one event",
            "unnest in a view or table that reads this one",
        ),
        LogicalPlan::RecursiveQuery(_) => {
            ("recursive", "a recursive query needs all rows", "write it as a table that reads this one")
        }
        LogicalPlan::Values(_) => {
            ("values", "VALUES are no events", "keep them in a source or a table, and look them up by a JOIN")
        }
        LogicalPlan::EmptyRelation(_) => {
            ("select", "a continuous table reads events", "name a source in FROM")
        }
        _ => return None,
    };
    Some(Problem::new(codes::STREAM_SHAPE, message, word_at(word, text)).with_hint(hint))
}

fn expression(part: &Expr, text: &SqlText<'_>) -> Option<Problem> {
    match part {
        Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_) => {
            let message =
                "a subquery in an expression changes when its table does, also for events that were told";
            let place = span(part, text).unwrap_or_else(|| text.whole());
            let hint =
                "join the table by its key: `JOIN silver.customers c ON c.customer_id = o.customer_id`";
            Some(Problem::new(codes::STREAM_SHAPE, message, place).with_hint(hint))
        }
        Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
            let names =
                std::iter::once(call.func.name()).chain(call.func.aliases().iter().map(String::as_str));
            let place = names.clone().find_map(|name| find_word(text.text, name));
            let written = place.clone().and_then(|range| text.text.get(range)).unwrap_or(call.func.name());
            let message = format!(
                "`{written}` gives another value each time, so that events could not be computed again"
            );
            let place = place.unwrap_or_else(|| text.whole());
            let hint = "use the event's own time, or `_ingested_at`, when it was taken in";
            Some(Problem::new(codes::STREAM_CHANGES, message, place).with_hint(hint))
        }
        _ => None,
    }
}

fn word_at(word: &str, text: &SqlText<'_>) -> Range<usize> {
    find_word(text.text, word).unwrap_or_else(|| text.whole())
}
