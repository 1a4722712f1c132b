//! Comparisons of text with numbers, which the engine would settle silently by casting one side, and the
//! places of type errors that the engine reports without one.

use std::{cell::OnceCell, ops::Range};

use arrow::datatypes::DataType;
use datafusion::{
    common::{DFSchema, ScalarValue, tree_node::TreeNodeRecursion},
    logical_expr::{Expr, ExprSchemable, LogicalPlan, Operator, utils::merge_schema},
};

use crate::{
    codes,
    explain::{Problem, column_name},
    place::SqlText,
    type_name::type_name,
    walk,
};

/// The problems of comparisons between a text and a number.
pub(crate) fn mismatched(plan: &LogicalPlan, text: &SqlText<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    each_expression(plan, |expr, inputs| match expr {
        Expr::BinaryExpr(binary) if compares(binary.op) => {
            problems.extend(sides_mismatch(&binary.left, &binary.right, inputs.schema(), text));
        }
        Expr::InList(list) => {
            let sides = list.list.iter();
            problems.extend(
                sides.filter_map(|item| sides_mismatch(&list.expr, item, inputs.schema(), text)).next(),
            );
        }
        _ => {}
    });
    problems.sort_by_key(|problem| problem.range.start);
    problems.dedup_by(|a, b| a.range == b.range && a.message == b.message);
    problems
}

/// Gives each problem without a place of its own the place of the smallest expression that has no type.
pub(crate) fn locate(mut problems: Vec<Problem>, plan: &LogicalPlan, text: &SqlText<'_>) -> Vec<Problem> {
    let unplaced = text.whole();
    if problems.iter().all(|problem| problem.range != unplaced) {
        return problems;
    }
    let mut found: Option<Range<usize>> = None;
    each_expression(plan, |expr, inputs| {
        if expr.get_type(inputs.schema()).is_err()
            && let Some(place) = span(expr, text)
            && found.as_ref().is_none_or(|known| place.len() <= known.len())
        {
            found = Some(place);
        }
    });
    if let Some(found) = found {
        for problem in problems.iter_mut().filter(|problem| problem.range == unplaced) {
            problem.range = found.clone();
        }
    }
    problems
}

/// A node of a plan, in whose inputs its expressions look up their columns.
struct NodeInputs<'p> {
    node: &'p LogicalPlan,
    merged: OnceCell<DFSchema>,
}

impl NodeInputs<'_> {
    fn schema(&self) -> &DFSchema {
        match self.node.inputs().as_slice() {
            [] => self.node.schema(),
            [only] => only.schema(),
            inputs => self.merged.get_or_init(|| merge_schema(inputs)),
        }
    }
}

/// Visits every expression of the plan and its parts.
fn each_expression(plan: &LogicalPlan, mut visit: impl FnMut(&Expr, &NodeInputs<'_>)) {
    // The closures cannot fail, so neither can the walk.
    let _ = walk::all_nodes(plan, &mut |node| {
        let inputs = NodeInputs { node, merged: OnceCell::new() };
        walk::expression_parts(node, &mut |part| {
            visit(part, &inputs);
            Ok(TreeNodeRecursion::Continue)
        })
    });
}

/// Whether the operator compares its sides.
pub(crate) fn compares(operator: Operator) -> bool {
    matches!(
        operator,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

fn sides_mismatch(left: &Expr, right: &Expr, schema: &DFSchema, text: &SqlText<'_>) -> Option<Problem> {
    let (left_type, right_type) = (left.get_type(schema).ok()?, right.get_type(schema).ok()?);
    let (words, number_type) = match (is_text(&left_type), is_text(&right_type)) {
        (true, false) if right_type.is_numeric() => (left, &right_type),
        (false, true) if left_type.is_numeric() => (right, &left_type),
        _ => return None,
    };
    // In many databases, people write a number in quotes.
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

/// The place that spans all columns of the expression.
pub(crate) fn span(expr: &Expr, text: &SqlText<'_>) -> Option<Range<usize>> {
    let mut found: Option<Range<usize>> = None;
    let _ = walk::parts(expr, &mut |part| {
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
