//! Timestamps are microseconds. The engine's `timestamp` counts nanoseconds, which end in the year 2262: a comparison with
//! `timestamp '9999-12-31'` would fail, though a table holds that instant.

use datafusion::{
    arrow::datatypes::{DataType, TimeUnit},
    common::{
        DFSchema, Result,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    logical_expr::{
        Between, BinaryExpr, Cast, Expr, ExprSchemable, LogicalPlan, Union, cast, expr::InList,
        expr_rewriter::NamePreserver, utils::merge_schema,
    },
    optimizer::AnalyzerRule,
};

use crate::{analyze::comparisons::compares, walk};

/// The plan as written, with casts to `timestamp` in microseconds. Casts of numbers stay: the engine says what a number
/// counts. Plans also stay whose parts were given types that no change of an expression reaches.
pub(crate) fn written(plan: LogicalPlan) -> Result<LogicalPlan> {
    let (mut casts, mut is_fixed) = (false, false);
    walk::all_nodes(&plan, &mut |node| {
        is_fixed |= matches!(node, LogicalPlan::RecursiveQuery(_));
        walk::expression_parts(node, &mut |part| {
            casts |= nanoseconds_of(part).is_some();
            is_fixed |=
                matches!(part, Expr::OuterReferenceColumn(field, _) if is_nanoseconds(field.data_type()));
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if is_fixed || !casts {
        return Ok(plan);
    }
    let mut any = false;
    walk::change_all_nodes(plan, &mut |node| {
        let mut casts = false;
        if !matches!(node, LogicalPlan::Values(_)) {
            walk::expression_parts(&node, &mut |part| {
                casts |= nanoseconds_of(part).is_some();
                Ok(if casts { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
        }
        any |= casts;
        if !any {
            return Ok(Transformed::no(node));
        }
        let schema = merge_schema(&node.inputs());
        let node = if casts { changed(node, &mut |part| Ok(as_written(part, &schema)))? } else { node };
        let node = match node {
            // `recompute_schema` would keep the schema that the union computed from the old types of its columns.
            LogicalPlan::Union(union) => LogicalPlan::Union(Union::try_new_with_loose_types(union.inputs)?),
            other => other.recompute_schema()?,
        };
        Ok(Transformed::yes(node))
    })
}

/// The node with the parts of its expressions changed, and their names kept.
fn changed(node: LogicalPlan, change: walk::Change<'_, Expr>) -> Result<LogicalPlan> {
    let names = NamePreserver::new(&node);
    let changed = node.map_expressions(|expr| {
        let name = names.save(&expr);
        Ok(Transformed::yes(name.restore(walk::change_parts(expr, change)?)))
    })?;
    Ok(changed.data)
}

fn as_written(part: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let counts = |inner: &Expr| inner.get_type(schema).map_or(true, |found| found.is_numeric());
    match part {
        Expr::Cast(Cast { expr, field }) if is_nanoseconds(field.data_type()) && !counts(&expr) => {
            let to = microseconds(field.data_type());
            Transformed::yes(cast(*expr, to))
        }
        other => Transformed::no(other),
    }
}

/// The operand of a cast to nanoseconds, if the part is one.
fn nanoseconds_of(part: &Expr) -> Option<&Expr> {
    match part {
        Expr::Cast(cast) if is_nanoseconds(cast.field.data_type()) => Some(&cast.expr),
        _ => None,
    }
}

fn is_nanoseconds(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Timestamp(TimeUnit::Nanosecond, _))
}

fn microseconds(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Microsecond, zone.clone()),
        other => other.clone(),
    }
}

/// Compares instants in microseconds where the engine brought one of them to nanoseconds, to be compared with a text, a date or
/// the present.
#[derive(Debug)]
pub(crate) struct ComparedInMicroseconds;

impl AnalyzerRule for ComparedInMicroseconds {
    fn name(&self) -> &'static str {
        "compared_in_microseconds"
    }

    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        walk::change_all_nodes(plan, &mut |node| {
            let mut any = false;
            walk::expression_parts(&node, &mut |part| {
                any |= sides(part).into_iter().any(|side| nanoseconds_of(side).is_some());
                Ok(if any { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
            if !any {
                return Ok(Transformed::no(node));
            }
            let schema = merge_schema(&node.inputs());
            changed(node, &mut |part| Ok(compared(part, &schema))).map(Transformed::yes)
        })
    }
}

/// The operands of a comparison, if the part is one.
fn sides(part: &Expr) -> Vec<&Expr> {
    match part {
        Expr::BinaryExpr(binary) if compares(binary.op) => {
            vec![&binary.left, &binary.right]
        }
        Expr::Between(between) => vec![&between.expr, &between.low, &between.high],
        Expr::InList(list) => std::iter::once(list.expr.as_ref()).chain(&list.list).collect(),
        _ => Vec::new(),
    }
}

fn compared(part: Expr, schema: &DFSchema) -> Transformed<Expr> {
    let was_brought = |side: &&Expr| {
        let Some(inner) = nanoseconds_of(side) else { return false };
        let found = inner.get_type(schema);
        found.is_ok_and(|found| match found {
            DataType::Date32 | DataType::Date64 => true,
            DataType::Timestamp(..) => !is_nanoseconds(&found),
            _ => false,
        })
    };
    let is_instant = |side: &&Expr| side.get_type(schema).is_ok_and(|found| is_nanoseconds(&found));
    let sides = sides(&part);
    if !sides.iter().any(was_brought) || !sides.iter().all(is_instant) {
        return Transformed::no(part);
    }
    let shorter = |side: Expr| shorter(side, schema);
    let boxed = |side: Box<Expr>| Box::new(shorter(*side));
    Transformed::yes(match part {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) => {
            Expr::BinaryExpr(BinaryExpr { left: boxed(left), op, right: boxed(right) })
        }
        Expr::Between(Between { expr, negated, low, high }) => {
            Expr::Between(Between { expr: boxed(expr), negated, low: boxed(low), high: boxed(high) })
        }
        Expr::InList(InList { expr, list, negated }) => {
            let list = list.into_iter().map(shorter).collect();
            Expr::InList(InList { expr: boxed(expr), list, negated })
        }
        other => other,
    })
}

/// The instant of one side, in microseconds.
fn shorter(side: Expr, schema: &DFSchema) -> Expr {
    let Ok(found) = side.get_type(schema) else { return side };
    let to = microseconds(&found);
    let inner = match side {
        Expr::Cast(Cast { expr, .. }) => *expr,
        other => other,
    };
    if inner.get_type(schema).is_ok_and(|found| found == to) { inner } else { cast(inner, to) }
}
