//! The meaning of windows over whole tables, as a plan that any session computes.

use std::{collections::HashMap, sync::Arc};

use datafusion::{
    common::{
        Column, DFSchema, Result, ScalarValue,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    functions_aggregate::first_last::first_value_udaf,
    logical_expr::{
        Aggregate, Expr, ExprSchemable, Filter, LogicalPlan, LogicalPlanBuilder, Projection, SubqueryAlias,
        cast,
        expr::{NullTreatment, ScalarFunction},
    },
};
use millstream_project::StreamSpec;
use millstream_stream::{WINDOW_END, WINDOW_START, Window};
use millstream_types::TableName;

use super::{
    bounds::{Bound, Side, bound, fault, micros, starts, unaliased},
    sequence::{is_kept, session_bound},
};
use crate::{
    catalog::{ProjectTable, timestamp},
    walk,
};

/// The error of sessions whose groups nobody names.
fn no_group<T>() -> Result<T> {
    fault(
        "the rows of `session` are grouped, as a session is one of a group".into(),
        "add `GROUP BY window_start` and the columns whose sessions are meant".into(),
    )
}

/// Whether the plan names bounds of windows.
pub(crate) fn has_windows(plan: &LogicalPlan) -> Result<bool> {
    let mut found = false;
    walk::all_nodes(plan, &mut |node| {
        walk::expression_parts(node, &mut |part| {
            found |= is_bound(part)?;
            Ok(if found { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
        })
    })?;
    Ok(found)
}

/// The plan with each window in terms that are computed over whole tables. Rows without a time are in no window.
pub(crate) fn expanded(plan: LogicalPlan) -> Result<LogicalPlan> {
    if !has_windows(&plan)? {
        return Ok(plan);
    }
    let plan = walk::change_all_nodes(plan, &mut |node| match node {
        LogicalPlan::Projection(projection) => match bounds_of(&projection)? {
            Some(bounds) => match bounds.window {
                Window::Tumbling { .. } => tumbling(projection, &bounds).map(Transformed::yes),
                Window::Hopping { .. } => hopping(projection, &bounds).map(Transformed::yes),
                Window::Session { .. } => Ok(Transformed::no(LogicalPlan::Projection(projection))),
            },
            None => Ok(Transformed::no(LogicalPlan::Projection(projection))),
        },
        LogicalPlan::Aggregate(aggregate) => sessions(aggregate),
        other => Ok(Transformed::no(other)),
    })?;
    let mut left = false;
    walk::all_nodes(&plan, &mut |node| {
        walk::expression_parts(node, &mut |part| {
            left |= bound(part)?.is_some_and(|bound| !matches!(bound.window, Window::Tumbling { .. }));
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    if left { no_group() } else { Ok(plan) }
}

/// The plan of a continuous table over whole tables: rows of `streams` without a time take no part, and what its header calls duplicates is
/// left out.
pub(crate) fn over_streams(
    plan: LogicalPlan,
    streams: &HashMap<TableName, String>,
    spec: &StreamSpec,
) -> Result<LogicalPlan> {
    walk::change_all_nodes(plan, &mut |node| {
        if let LogicalPlan::Aggregate(aggregate) = node {
            return ordered(aggregate).map(Transformed::yes);
        }
        let LogicalPlan::TableScan(scan) = &node else { return Ok(Transformed::no(node)) };
        let table = scan.source.downcast_ref::<ProjectTable>();
        let Some(time) = table.and_then(|table| streams.get(&table.name)) else {
            return Ok(Transformed::no(node));
        };
        let schema = Arc::clone(node.schema());
        let column = |name: &str| {
            let at = schema.fields().iter().position(|field| field.name() == name);
            at.map(|at| Expr::Column(Column::from(schema.qualified_field(at))))
        };
        let Some(time) = column(time) else { return Ok(Transformed::no(node)) };
        let timed = Filter::try_new(time.clone().is_not_null(), Arc::new(node))?;
        let mut plan = LogicalPlan::Filter(timed);
        if let Some(deduplicate) = &spec.deduplicate {
            let keys: Option<Vec<Expr>> = deduplicate.by.iter().map(|name| column(&name.value)).collect();
            let Some(keys) = keys else { return Ok(Transformed::yes(plan)) };
            let others = schema.iter().filter(|(_, field)| !field.data_type().is_nested());
            let order = others.map(|column| Expr::Column(Column::from(column)).sort(true, true));
            let kept = is_kept(time, keys, micros(deduplicate.within), order.collect()).alias(KEPT);
            plan = LogicalPlanBuilder::from(plan).window([kept])?.build()?;
            let kept = Expr::Column(Column::from_name(KEPT));
            plan = LogicalPlan::Filter(Filter::try_new(kept, Arc::new(plan))?);
            plan = LogicalPlan::Projection(Projection::try_new(columns(&schema), Arc::new(plan))?);
        }
        Ok(Transformed::yes(plan))
    })
}

/// The aggregation with what does not depend on the order of rows: among rows of one time, the order of the values decides which one comes first or
/// last, and the least and the greatest float are those of the total order, NaN being the greatest. A pipeline has the same.
fn ordered(aggregate: Aggregate) -> Result<LogicalPlan> {
    let Aggregate { input, group_expr, aggr_expr, .. } = aggregate;
    let mut exprs = Vec::with_capacity(aggr_expr.len());
    for expr in aggr_expr {
        let name = expr.schema_name().to_string();
        let Expr::AggregateFunction(call) = unaliased(&expr) else {
            exprs.push(expr);
            continue;
        };
        let Some(value) = call.params.args.first().cloned() else {
            exprs.push(expr);
            continue;
        };
        let mut call = call.clone();
        match call.func.name() {
            "first_value" | "last_value" => {
                if let [sort] = call.params.order_by.as_slice() {
                    let tie = value.sort(sort.asc, sort.nulls_first);
                    call.params.order_by.push(tie);
                }
            }
            found @ ("min" | "max") if value.get_type(input.schema())?.is_floating() => {
                call.params.order_by = vec![value.sort(found == "min", false)];
                call.params.null_treatment = Some(NullTreatment::IgnoreNulls);
                call.params.distinct = false;
                call.func = first_value_udaf();
            }
            _ => {
                exprs.push(expr);
                continue;
            }
        }
        exprs.push(Expr::AggregateFunction(call).alias(name));
    }
    Aggregate::try_new(input, group_expr, exprs).map(LogicalPlan::Aggregate)
}

const KEPT: &str = "is kept";
const FOUND_START: &str = "session start";
const FOUND_END: &str = "session end";

fn is_bound(part: &Expr) -> Result<bool> {
    Ok(matches!(part, Expr::ScalarFunction(_)) && bound(part)?.is_some())
}

/// The bounds that a projection adds, with their places.
pub(super) struct Bounds {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) window: Window,
    pub(super) time: Expr,
}

/// The bounds that the projection of a window function adds.
pub(super) fn bounds_of(projection: &Projection) -> Result<Option<Bounds>> {
    let mut found: [Option<(usize, Bound)>; 2] = [None, None];
    for (at, expr) in projection.expr.iter().enumerate() {
        if let Some(bound) = bound(expr)? {
            let [start, end] = &mut found;
            let place = if bound.side == Side::Start { start } else { end };
            *place = Some((at, bound));
        }
    }
    Ok(match found {
        [Some((start, bound)), Some((end, _))] => {
            Some(Bounds { start, end, window: bound.window, time: bound.time })
        }
        _ => None,
    })
}

/// All columns of a schema, as expressions.
fn columns(schema: &DFSchema) -> Vec<Expr> {
    schema.iter().map(|column| Expr::Column(Column::from(column))).collect()
}

fn timed(input: Arc<LogicalPlan>, time: &Expr) -> Result<Arc<LogicalPlan>> {
    let filter = Filter::try_new(time.clone().is_not_null(), input)?;
    Ok(Arc::new(LogicalPlan::Filter(filter)))
}

fn tumbling(projection: Projection, bounds: &Bounds) -> Result<LogicalPlan> {
    let input = timed(projection.input, &bounds.time)?;
    Projection::try_new(projection.expr, input).map(LogicalPlan::Projection)
}

/// Each row once for each of its windows.
fn hopping(projection: Projection, bounds: &Bounds) -> Result<LogicalPlan> {
    let size = match bounds.window {
        Window::Hopping { size, .. } => size,
        _ => return no_group(),
    };
    let input = timed(projection.input, &bounds.time)?;
    let mut exprs = projection.expr;
    let mut listed = Vec::with_capacity(exprs.len());
    for (at, expr) in exprs.drain(..).enumerate() {
        if at == bounds.start {
            let Expr::ScalarFunction(call) = unaliased(&expr) else { return no_group() };
            let all = ScalarFunction::new_udf(starts(), call.args.clone());
            listed.push(Expr::ScalarFunction(all).alias(WINDOW_START));
        } else if at != bounds.end {
            listed.push(expr);
        }
    }
    let listed = LogicalPlan::Projection(Projection::try_new(listed, input)?);
    let each = LogicalPlanBuilder::from(listed).unnest_column(Column::from_name(WINDOW_START))?.build()?;
    let mut out = columns(each.schema());
    let start = Expr::Column(Column::from_name(WINDOW_START));
    let size = ScalarValue::new_interval_mdn(0, 0, micros(size).saturating_mul(1_000));
    let end = cast(start + Expr::Literal(size, None), timestamp()).alias(WINDOW_END);
    out.insert(bounds.end.min(out.len()), end);
    Projection::try_new(out, Arc::new(each)).map(LogicalPlan::Projection)
}

/// A plan below an aggregation in which the bounds of sessions are the rows' times, and where they are.
struct Opened {
    plan: LogicalPlan,
    start: usize,
    end: usize,
    gap: i64,
}

fn opened(plan: &LogicalPlan) -> Result<Option<Opened>> {
    match plan {
        LogicalPlan::Projection(projection) => {
            let Some(bounds) = bounds_of(projection)? else { return Ok(None) };
            let Window::Session { gap } = bounds.window else { return Ok(None) };
            let input = timed(Arc::clone(&projection.input), &bounds.time)?;
            let mut exprs = projection.expr.clone();
            for (at, name) in [(bounds.start, WINDOW_START), (bounds.end, WINDOW_END)] {
                if let Some(expr) = exprs.get_mut(at) {
                    *expr = cast(bounds.time.clone(), timestamp()).alias(name);
                }
            }
            let plan = LogicalPlan::Projection(Projection::try_new(exprs, input)?);
            Ok(Some(Opened { plan, start: bounds.start, end: bounds.end, gap: micros(gap) }))
        }
        LogicalPlan::SubqueryAlias(alias) => {
            let Some(below) = opened(&alias.input)? else { return Ok(None) };
            let plan = SubqueryAlias::try_new(Arc::new(below.plan), alias.alias.clone())?;
            Ok(Some(Opened { plan: LogicalPlan::SubqueryAlias(plan), ..below }))
        }
        LogicalPlan::Filter(filter) => {
            let Some(below) = opened(&filter.input)? else { return Ok(None) };
            let schema = filter.input.schema();
            for column in filter.predicate.column_refs() {
                let at = schema.index_of_column(column)?;
                if at == below.start || at == below.end {
                    return fault(
                        format!("`{}` of a session is known only when its rows are grouped", column.name),
                        "use HAVING instead of WHERE".into(),
                    );
                }
            }
            let plan = Filter::try_new(filter.predicate.clone(), Arc::new(below.plan))?;
            Ok(Some(Opened { plan: LogicalPlan::Filter(plan), ..below }))
        }
        _ => Ok(None),
    }
}

/// Gives the rows below an aggregation the bounds of their sessions: those of the rows that come to it and have equal other keys.
fn sessions(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let Some(below) = opened(&aggregate.input)? else {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    };
    let schema = Arc::clone(below.plan.schema());
    let bound_at = |expr: &Expr| -> Result<Option<usize>> {
        let Expr::Column(column) = unaliased(expr) else { return Ok(None) };
        Ok(Some(schema.index_of_column(column)?).filter(|at| *at == below.start || *at == below.end))
    };
    let mut keys = Vec::new();
    for expr in &aggregate.group_expr {
        if bound_at(expr)?.is_none() {
            keys.push(unaliased(expr).clone());
        }
    }
    if keys.len() == aggregate.group_expr.len() {
        return no_group();
    }
    let time = Expr::Column(Column::from(schema.qualified_field(below.start)));
    let found = [(Side::Start, FOUND_START), (Side::End, FOUND_END)];
    let found =
        found.map(|(side, name)| session_bound(time.clone(), keys.clone(), below.gap, side).alias(name));
    let windowed = LogicalPlanBuilder::from(below.plan).window(found)?.build()?;
    let exprs = schema.iter().enumerate().map(|(at, (qualifier, field))| {
        let found = match at {
            _ if at == below.start => FOUND_START,
            _ if at == below.end => FOUND_END,
            _ => return Expr::Column(Column::from((qualifier, field))),
        };
        Expr::Column(Column::from_name(found)).alias_qualified(qualifier.cloned(), field.name())
    });
    let bounded = Projection::try_new(exprs.collect(), Arc::new(windowed))?;
    let bounded = Arc::new(LogicalPlan::Projection(bounded));
    let grouped = Aggregate::try_new(bounded, aggregate.group_expr, aggregate.aggr_expr)?;
    Ok(Transformed::yes(LogicalPlan::Aggregate(grouped)))
}
