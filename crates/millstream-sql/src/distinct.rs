//! Exact distinct values in bounded memory: `count(DISTINCT x)` as a grouping by `x` below a plain `count(x)`.
//!
//! The engine keeps the values of a distinct aggregate in memory, all of them, unless it is the only one. A grouping is
//! written to disk when it is too large, so each distinct argument becomes a set of `GROUPING SETS` (one pass over the
//! input), and one more set computes what is not distinct:
//!
//! ```text
//! SELECT g, count(DISTINCT x), count(DISTINCT y), sum(z) FROM t GROUP BY g
//!
//! SELECT g, count(x) FILTER (WHERE id = 1), count(y) FILTER (WHERE id = 2), max(sum) FILTER (WHERE id = 3)
//! FROM (SELECT g, x, y, sum(z) AS sum, __grouping_id AS id FROM t GROUP BY GROUPING SETS ((g, x), (g, y), (g)))
//! GROUP BY g
//! ```

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::{
    common::{Column, Result, ScalarValue, tree_node::Transformed},
    functions_aggregate::{first_last::first_value_udaf, min_max::max_udaf},
    logical_expr::{
        Aggregate, Expr, ExprSchemable, GroupingSet, LogicalPlan, Projection,
        expr::{AggregateFunction, AggregateFunctionParams},
        lit, when,
    },
    optimizer::{ApplyOrder, OptimizerConfig, OptimizerRule},
    prelude::coalesce,
};

/// The largest number of grouping expressions that the engine can tell apart.
const GROUPED_MAX: usize = 64;
/// The aggregates that are computed beside distinct values. Each takes a fixed amount of memory for a group; one that
/// gathers its rows would gather them once for each distinct argument.
const BESIDE: [&str; 7] = ["count", "sum", "avg", "min", "max", "bool_and", "bool_or"];

/// Turns distinct aggregates into groupings.
#[derive(Debug, Default)]
pub(crate) struct DistinctToGrouping;

impl OptimizerRule for DistinctToGrouping {
    fn name(&self) -> &'static str {
        "distinct_to_grouping"
    }

    fn apply_order(&self) -> Option<ApplyOrder> {
        Some(ApplyOrder::TopDown)
    }

    fn supports_rewrite(&self) -> bool {
        true
    }

    fn rewrite(&self, plan: LogicalPlan, _: &dyn OptimizerConfig) -> Result<Transformed<LogicalPlan>> {
        let LogicalPlan::Aggregate(aggregate) = &plan else { return Ok(Transformed::no(plan)) };
        match Grouping::of(aggregate)? {
            Some(grouping) => grouping.plan(aggregate).map(Transformed::yes),
            None => Ok(Transformed::no(plan)),
        }
    }
}

/// A call of an aggregate in the query.
enum AggregateCall {
    /// The aggregate is over the distinct argument with this number.
    Distinct(AggregateFunction, usize),
    /// The aggregate is computed beside the distinct values, and given out under this name.
    Beside(AggregateFunction, String),
}

/// The aggregates of a query, taken apart.
struct Grouping {
    /// The distinct arguments, each once.
    arguments: Vec<Expr>,
    parts: Vec<AggregateCall>,
}

impl Grouping {
    /// The query's aggregates, taken apart; `None` for a query that stays as it is.
    fn of(aggregate: &Aggregate) -> Result<Option<Self>> {
        let mut grouping = Self { arguments: Vec::new(), parts: Vec::new() };
        let is_grouping_set = aggregate.group_expr.iter().any(|expr| matches!(expr, Expr::GroupingSet(_)));
        if is_grouping_set {
            return Ok(None);
        }
        for expr in &aggregate.aggr_expr {
            let Expr::AggregateFunction(call) = unaliased(expr) else { return Ok(None) };
            let AggregateFunctionParams { args, distinct, filter, order_by, .. } = &call.params;
            let part = match (args.as_slice(), *distinct) {
                _ if !order_by.is_empty() => return Ok(None),
                ([argument], true) => {
                    let argument = match filter {
                        None => argument.clone(),
                        // `count` leaves nulls out, so a value that the filter leaves out may become null.
                        Some(filter) if call.func.name() == "count" => {
                            when(filter.as_ref().clone(), argument.clone()).end()?
                        }
                        Some(_) => return Ok(None),
                    };
                    let known = grouping.arguments.iter().position(|known| *known == argument);
                    let number = known.unwrap_or(grouping.arguments.len());
                    if known.is_none() {
                        grouping.arguments.push(argument);
                    }
                    AggregateCall::Distinct(call.clone(), number)
                }
                (_, false) if BESIDE.contains(&call.func.name()) => {
                    AggregateCall::Beside(call.clone(), format!("__beside_{}", grouping.parts.len()))
                }
                _ => return Ok(None),
            };
            grouping.parts.push(part);
        }
        let grouped = aggregate.group_expr.len() + grouping.arguments.len();
        Ok((!grouping.arguments.is_empty() && grouped <= GROUPED_MAX).then_some(grouping))
    }

    fn plan(&self, aggregate: &Aggregate) -> Result<LogicalPlan> {
        let groups = names("__group", aggregate.group_expr.len());
        let arguments = names("__distinct", self.arguments.len());
        let inner = self.inner(aggregate, &groups, &arguments)?;
        let is_set = self.is_set();
        let mut calls = Vec::new();
        for part in &self.parts {
            calls.push(match part {
                AggregateCall::Distinct(call, number) => {
                    let filter = is_set.then(|| self.is_of(Some(*number), groups.len()));
                    self.call(call, arguments.get(*number).cloned(), filter)
                }
                AggregateCall::Beside(_, name) => {
                    let value = column(name);
                    let is_ordered = !value.get_type(inner.schema())?.is_nested();
                    let only = if is_ordered { max_udaf() } else { first_value_udaf() };
                    let filter = Some(Box::new(self.is_of(None, groups.len())));
                    let call = AggregateFunction::new_udf(only, vec![value], false, filter, Vec::new(), None);
                    Expr::AggregateFunction(call)
                }
            });
        }
        // Two arguments that are written differently may be the same.
        let mut different: Vec<Expr> = Vec::new();
        for call in &calls {
            if !different.contains(call) {
                different.push(call.clone());
            }
        }
        let outer = Aggregate::try_new(Arc::new(inner), groups.clone(), different)?;
        let mut outputs = groups;
        for (part, call) in self.parts.iter().zip(calls) {
            let value = column(&call.schema_name().to_string());
            outputs.push(match part {
                // Without rows there is no group, and a count of none is 0.
                AggregateCall::Beside(call, _) if call.func.name() == "count" => {
                    coalesce(vec![value, lit(0_i64)])
                }
                _ => value,
            });
        }
        let named = outputs.into_iter().zip(aggregate.schema.iter());
        let named =
            named.map(|(value, (qualifier, field))| value.alias_qualified(qualifier.cloned(), field.name()));
        let outer = Arc::new(LogicalPlan::Aggregate(outer));
        Ok(LogicalPlan::Projection(Projection::try_new(named.collect(), outer)?))
    }

    /// The inner query: the grouping by each distinct argument, with the aggregates beside them.
    fn inner(&self, aggregate: &Aggregate, groups: &[Expr], arguments: &[Expr]) -> Result<LogicalPlan> {
        let input = &aggregate.input;
        let kept = input.schema().iter().map(Expr::from);
        let groups_by_name = aggregate.group_expr.iter().zip(groups);
        let arguments_by_name = self.arguments.iter().zip(arguments);
        let added = groups_by_name
            .chain(arguments_by_name)
            .map(|(expr, name)| unaliased(expr).clone().alias(name.schema_name().to_string()));
        let rows = Projection::try_new(kept.chain(added).collect(), Arc::clone(input))?;
        let beside = self.parts.iter().filter_map(|part| match part {
            AggregateCall::Beside(call, name) => Some(Expr::AggregateFunction(call.clone()).alias(name)),
            AggregateCall::Distinct(..) => None,
        });
        let with = |argument: &Expr| groups.iter().cloned().chain([argument.clone()]).collect::<Vec<_>>();
        let mut sets: Vec<Vec<Expr>> = arguments.iter().map(with).collect();
        if self.has_beside() {
            sets.push(groups.to_vec());
        }
        let grouped_by = match sets.as_mut_slice() {
            [only] => std::mem::take(only),
            _ => vec![Expr::GroupingSet(GroupingSet::GroupingSets(sets))],
        };
        let rows = Arc::new(LogicalPlan::Projection(rows));
        Ok(LogicalPlan::Aggregate(Aggregate::try_new(rows, grouped_by, beside.collect())?))
    }

    fn has_beside(&self) -> bool {
        self.parts.iter().any(|part| matches!(part, AggregateCall::Beside(..)))
    }

    /// Tells whether there are several groupings, which the grouping's id tells apart.
    fn is_set(&self) -> bool {
        self.arguments.len() > 1 || self.has_beside()
    }

    /// The condition that a row is of the set with this distinct argument, or of the set without any. The grouping's id
    /// has one bit for each grouping expression, the last one lowest. The bit is 1 where the set does not have the
    /// expression.
    fn is_of(&self, argument: Option<usize>, groups: usize) -> Expr {
        let count = self.arguments.len();
        let all = u64::MAX >> (64 - count.clamp(1, 64));
        let id = argument.map_or(all, |number| all & !(1 << (count - 1 - number.min(count - 1))));
        let id = match Aggregate::grouping_id_type(groups + count, 0) {
            DataType::UInt8 => ScalarValue::UInt8(u8::try_from(id).ok()),
            DataType::UInt16 => ScalarValue::UInt16(u16::try_from(id).ok()),
            DataType::UInt32 => ScalarValue::UInt32(u32::try_from(id).ok()),
            _ => ScalarValue::UInt64(Some(id)),
        };
        column(Aggregate::INTERNAL_GROUPING_ID).eq(Expr::Literal(id, None))
    }

    /// The aggregate, no longer distinct, over values that are distinct already.
    fn call(&self, call: &AggregateFunction, argument: Option<Expr>, filter: Option<Expr>) -> Expr {
        let nulls = call.params.null_treatment;
        let arguments = argument.into_iter().collect();
        let filter = filter.map(Box::new);
        let call =
            AggregateFunction::new_udf(Arc::clone(&call.func), arguments, false, filter, Vec::new(), nulls);
        Expr::AggregateFunction(call)
    }
}

fn names(prefix: &str, count: usize) -> Vec<Expr> {
    (0..count).map(|number| column(&format!("{prefix}_{number}"))).collect()
}

/// A column of this rewriting, by its whole name.
fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn unaliased(expr: &Expr) -> &Expr {
    match expr {
        Expr::Alias(alias) => unaliased(&alias.expr),
        other => other,
    }
}
