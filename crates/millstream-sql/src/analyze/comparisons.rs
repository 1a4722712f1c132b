//! Comparisons of text with numbers, which the engine would settle silently by casting one side, and the
//! places of type errors that the engine reports without one.

use std::ops::Range;

use arrow::datatypes::DataType;
use datafusion::{
    common::{
        DFSchema, ScalarValue,
        tree_node::{TreeNode, TreeNodeRecursion},
    },
    logical_expr::{BinaryExpr, Expr, ExprSchemable, LogicalPlan, Operator, utils::merge_schema},
};

use crate::{
    codes,
    explain::{Problem, column_name},
    place::SqlText,
    type_name::type_name,
};

/// Comparisons whose sides are text and number.
pub(super) fn mismatched(plan: &LogicalPlan, text: &SqlText<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    each_expression(plan, |expr, schema| {
        if let Expr::BinaryExpr(binary) = expr
            && let Some(problem) = mismatch(binary, schema, text)
        {
            problems.push(problem);
        }
        if let Expr::InList(list) = expr {
            let sides = list.list.iter();
            let found = sides.filter_map(|item| sides_mismatch(&list.expr, item, schema, text)).next();
            problems.extend(found);
        }
    });
    problems.sort_by_key(|problem| problem.range.start);
    problems.dedup_by(|a, b| a.range == b.range && a.message == b.message);
    problems
}

/// Gives problems without a place of their own that of the innermost expression that has no type.
pub(super) fn locate(mut problems: Vec<Problem>, plan: &LogicalPlan, text: &SqlText<'_>) -> Vec<Problem> {
    let unplaced = text.whole();
    if problems.iter().all(|problem| problem.range != unplaced) {
        return problems;
    }
    let mut found = None;
    each_expression(plan, |expr, schema| {
        if found.is_none() && expr.get_type(schema).is_err() {
            found = span(expr, text);
        }
    });
    if let Some(found) = found {
        for problem in problems.iter_mut().filter(|problem| problem.range == unplaced) {
            problem.range = found.clone();
        }
    }
    problems
}

/// Visits every expression of the plan, inner ones first.
fn each_expression(plan: &LogicalPlan, mut visit: impl FnMut(&Expr, &DFSchema)) {
    // The closures cannot fail, so neither can the walk.
    let _ = plan.apply_with_subqueries(|node| {
        let schema = match node.inputs().as_slice() {
            [] => node.schema().as_ref().clone(),
            [only] => only.schema().as_ref().clone(),
            inputs => merge_schema(inputs),
        };
        let _ = node.apply_expressions(|expr| {
            let mut inner = Vec::new();
            let _ = expr.apply(|part| {
                inner.push(part.clone());
                Ok(TreeNodeRecursion::Continue)
            });
            inner.iter().rev().for_each(|part| visit(part, &schema));
            Ok(TreeNodeRecursion::Continue)
        });
        Ok(TreeNodeRecursion::Continue)
    });
}

fn mismatch(binary: &BinaryExpr, schema: &DFSchema, text: &SqlText<'_>) -> Option<Problem> {
    let compares = matches!(
        binary.op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    );
    compares.then(|| sides_mismatch(&binary.left, &binary.right, schema, text)).flatten()
}

fn sides_mismatch(left: &Expr, right: &Expr, schema: &DFSchema, text: &SqlText<'_>) -> Option<Problem> {
    let (left_type, right_type) = (left.get_type(schema).ok()?, right.get_type(schema).ok()?);
    let (words, number_type) = match (is_text(&left_type), is_text(&right_type)) {
        (true, false) if right_type.is_numeric() => (left, &right_type),
        (false, true) if left_type.is_numeric() => (right, &left_type),
        _ => return None,
    };
    // A number in quotes is what people write for a number in many databases.
    if literal_text(words).is_some_and(|written| written.trim().parse::<f64>().is_ok()) {
        return None;
    }
    let range = match (span(left, text), span(right, text)) {
        (Some(left), Some(right)) => left.start.min(right.start)..left.end.max(right.end),
        (Some(one), None) | (None, Some(one)) => one,
        (None, None) => text.whole(),
    };
    let message =
        format!("cannot compare {} with {}", describe(left, &left_type), describe(right, &right_type));
    let hint = match literal_text(words) {
        Some(written) => format!("`'{written}'` is no {}", type_name(number_type)),
        None => format!("cast one side: `cast({} as {})`", name(words), sql_type(number_type)),
    };
    Some(Problem::new(codes::TYPE_MISMATCH, message, range).with_hint(hint))
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn literal_text(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => Some(text),
        _ => None,
    }
}

fn describe(expr: &Expr, data_type: &DataType) -> String {
    format!("`{}` ({})", name(expr), type_name(data_type))
}

fn name(expr: &Expr) -> String {
    match expr {
        Expr::Column(column) => column_name(column),
        Expr::Literal(ScalarValue::Utf8(Some(text)), _) => format!("'{text}'"),
        Expr::Literal(value, _) => value.to_string(),
        other => other.human_display().to_string(),
    }
}

fn sql_type(data_type: &DataType) -> String {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 => "int".into(),
        DataType::Float32 | DataType::Float64 => "double".into(),
        DataType::Decimal128(..) | DataType::Decimal256(..) => type_name(data_type),
        _ => "bigint".into(),
    }
}

/// The place of all columns in the expression.
fn span(expr: &Expr, text: &SqlText<'_>) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    let _ = expr.apply(|part| {
        if let Some(span) = part.spans().and_then(|spans| spans.first()) {
            let range = text.plan_range(span);
            found = Some(match &found {
                Some(known) => known.start.min(range.start)..known.end.max(range.end),
                None => range,
            });
        }
        Ok(TreeNodeRecursion::Continue)
    });
    found
}
