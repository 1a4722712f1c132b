//! Tables whose values depend on the moment in which they are computed. A run computes a table anew when its inputs or its SQL
//! changed; that time has passed is no reason for it.

use std::collections::HashMap;

use datafusion::{
    common::tree_node::TreeNodeRecursion,
    logical_expr::{Expr, LogicalPlan, Volatility},
};
use millstream_project::{Diagnostic, Location, Materialize, TableSpec};
use millstream_types::TableName;

use super::Analysis;
use crate::{codes, explain::find_word, place::SqlText, walk};

/// The names (the own one, then aliases) of a function in the plan that gives another value each time.
pub(crate) fn changing_function(plan: &LogicalPlan) -> Option<Vec<String>> {
    let mut found = None;
    // The closures cannot fail, so neither can the walk.
    let _ = walk::all_nodes(plan, &mut |node| {
        walk::expression_parts(node, &mut |part| {
            if let Expr::ScalarFunction(call) = part
                && call.func.signature().volatility != Volatility::Immutable
            {
                let names =
                    std::iter::once(call.func.name()).chain(call.func.aliases().iter().map(String::as_str));
                found = Some(names.map(str::to_owned).collect());
            }
            Ok(TreeNodeRecursion::Continue)
        })
    });
    found
}

/// A warning when the table keeps what was true in the moment of its last run.
pub(super) fn warning(
    analysis: &Analysis,
    tables: &HashMap<TableName, &TableSpec>,
    table: &TableSpec,
) -> Option<Diagnostic> {
    // A continuous table is refused for it.
    if matches!(table.materialize, Materialize::View | Materialize::Stream(_)) {
        return None;
    }
    let text = SqlText::new(&table.sql.value);
    let (view, names) = changing(analysis, tables, &table.name)?;
    let (message, range) = match view {
        Some(view) => {
            let function = names.first().map_or("", String::as_str);
            let written = view.to_string();
            let message = format!(
                "`{view}` uses `{function}`, which gives another value each time; the table keeps that of its last run"
            );
            (message, find_word(text.text, &written))
        }
        None => {
            let written = names.iter().find_map(|name| find_word(text.text, name));
            let function =
                written.clone().and_then(|range| text.text.get(range)).or(names.first().map(String::as_str));
            let message = format!(
                "`{}` gives another value each time, and the table keeps that of its last run",
                function.unwrap_or_default()
            );
            (message, written)
        }
    };
    let range = range.unwrap_or_else(|| text.whole());
    let at = table.sql.at;
    let place = Location { file: at.file, start: at.start + range.start, end: at.start + range.end };
    let hint = format!(
        "a run computes a table when its inputs or its SQL changed, not because time passed: make it a view, compare with a \
         column such as `_ingested_at`, or run `millstream run --force {}` as often as the value has to be new",
        table.name
    );
    Some(Diagnostic::warning(codes::PRESENT_TIME, message, place).with_hint(hint))
}

/// The problem of a table with partitions whose query need not give the same rows twice: its partitions are computed one by one, so
/// that a row could be in none of them, or in two.
pub(super) fn unrepeatable(
    analysis: &Analysis,
    tables: &HashMap<TableName, &TableSpec>,
    table: &TableSpec,
) -> Option<Diagnostic> {
    let partition = table.partition.as_ref()?;
    let (why, hint) = if let Some((_, names)) = changing(analysis, tables, &table.name) {
        let function = names.first().map_or("", String::as_str);
        let why = format!("`{function}` gives another value each time");
        (why, "compare with a column such as `_ingested_at`, or remove `partition`")
    } else if is_limited(analysis, tables, &table.name) {
        let hint = "number the rows with `row_number() OVER (ORDER BY …)` and keep the first ones, or remove `partition`";
        ("a LIMIT may keep other rows each time".to_owned(), hint)
    } else {
        return None;
    };
    let message = format!("the table cannot have partitions, which are computed one by one: {why}");
    Some(Diagnostic::error(codes::PARTITION_COLUMN, message, partition.column.at).with_hint(hint))
}

/// Whether the query of the table, or of a view that it reads, has a LIMIT.
fn is_limited(analysis: &Analysis, tables: &HashMap<TableName, &TableSpec>, table: &TableName) -> bool {
    let Some(analysed) = analysis.tables.get(table) else { return false };
    let mut found = false;
    // The closure cannot fail, so neither can the walk.
    let _ = walk::all_nodes(&analysed.plan, &mut |node| {
        found |= match node {
            LogicalPlan::Limit(_) => true,
            LogicalPlan::Sort(sort) => sort.fetch.is_some(),
            _ => false,
        };
        Ok(TreeNodeRecursion::Continue)
    });
    let is_view = |name: &&TableName| {
        tables.get(*name).is_some_and(|table| matches!(table.materialize, Materialize::View))
    };
    found || analysed.dependencies.iter().filter(is_view).any(|view| is_limited(analysis, tables, view))
}

/// A function of the table that gives another value each time, and the view that the table reads it from, if any.
fn changing<'a>(
    analysis: &'a Analysis,
    tables: &HashMap<TableName, &TableSpec>,
    table: &TableName,
) -> Option<(Option<&'a TableName>, Vec<String>)> {
    let analysed = analysis.tables.get(table)?;
    if let Some(names) = changing_function(&analysed.plan) {
        return Some((None, names));
    }
    let is_view = |name: &&TableName| {
        tables.get(*name).is_some_and(|table| matches!(table.materialize, Materialize::View))
    };
    analysed.dependencies.iter().filter(is_view).find_map(|view| {
        let (_, names) = changing(analysis, tables, view)?;
        Some((Some(view), names))
    })
}
