//! One shape for many spellings: subqueries become joins, DISTINCT becomes grouping, right joins become left
//! joins, unread columns go, and ties of row numbers are broken the same way on every run.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DFSchema, JoinType, Result, ScalarValue,
        alias::AliasGenerator,
        config::ConfigOptions,
        tree_node::{Transformed, TreeNodeRecursion},
    },
    execution::{FunctionRegistry, registry::MemoryFunctionRegistry},
    functions_aggregate::first_last::first_value_udaf,
    logical_expr::{
        Aggregate, Expr, Join, LogicalPlan, Projection, TableScanBuilder, Volatility, Window,
        WindowFrameBound, WindowFrameUnits, WindowFunctionDefinition, cast,
        expr::{WindowFunction, WindowFunctionParams},
        lit,
    },
    optimizer::{
        Optimizer, OptimizerConfig, OptimizerContext, OptimizerRule,
        decorrelate_lateral_join::DecorrelateLateralJoin,
        decorrelate_predicate_subquery::DecorrelatePredicateSubquery,
        eliminate_cross_join::EliminateCrossJoin, eliminate_outer_join::EliminateOuterJoin,
        extract_equijoin_predicate::ExtractEquijoinPredicate, optimize_projections::OptimizeProjections,
        replace_distinct_aggregate::ReplaceDistinctWithAggregate,
        rewrite_set_comparison::RewriteSetComparison, scalar_subquery_to_join::ScalarSubqueryToJoin,
    },
};

use super::columns;
use crate::{scalar_names::ScalarNames, walk};

#[derive(Debug)]
pub(super) struct Normalized {
    pub(super) plan: LogicalPlan,
    /// The reason why changes cannot be followed through the plan at all.
    pub(super) unsupported: Option<String>,
}

/// Brings `plan` into the shape that the other modules walk.
pub(super) fn normalize(plan: &LogicalPlan) -> Result<Normalized> {
    let plan = plain_strings(plan.clone())?;
    if let Some(why) = obstacle(&plan)? {
        return Ok(Normalized { plan, unsupported: Some(why) });
    }
    let rules: Vec<Arc<dyn OptimizerRule + Send + Sync>> = vec![
        Arc::new(RewriteSetComparison::new()),
        Arc::new(ReplaceDistinctWithAggregate::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(ScalarNames),
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(DecorrelateLateralJoin::new()),
        Arc::new(ExtractEquijoinPredicate::new()),
        Arc::new(EliminateCrossJoin::new()),
        Arc::new(EliminateOuterJoin::new()),
        Arc::new(OptimizeProjections::new()),
    ];
    let mut options = ConfigOptions::default();
    options.optimizer.enable_physical_uncorrelated_scalar_subquery = false;
    let context = Context::new(options)?;
    let joined = Optimizer::with_rules(rules).optimize(plan.clone(), &context, |_, _| {})?;
    if let Some(why) = remaining_subquery(&joined)? {
        return Ok(Normalized { plan, unsupported: Some(why) });
    }
    let plan = walk::change_nodes(with_a_column(joined)?, &mut |node| match node {
        LogicalPlan::Join(join) => left_handed(join),
        LogicalPlan::Window(window) => without_ties(window),
        LogicalPlan::Aggregate(aggregate) => group_values(aggregate),
        other => Ok(Transformed::no(other)),
    })?;
    Ok(Normalized { plan, unsupported: None })
}

/// The optimizer's settings, with the one function that a rule looks up.
#[derive(Debug)]
struct Context {
    inner: OptimizerContext,
    functions: MemoryFunctionRegistry,
}

impl Context {
    fn new(options: ConfigOptions) -> Result<Self> {
        let mut functions = MemoryFunctionRegistry::new();
        functions.register_udaf(first_value_udaf())?;
        Ok(Self { inner: OptimizerContext::new_with_config_options(Arc::new(options)), functions })
    }
}

impl OptimizerConfig for Context {
    fn query_execution_start_time(&self) -> Option<chrono::DateTime<chrono::Utc>> {
        None
    }

    fn alias_generator(&self) -> &Arc<AliasGenerator> {
        self.inner.alias_generator()
    }

    fn options(&self) -> Arc<ConfigOptions> {
        self.inner.options()
    }

    fn function_registry(&self) -> Option<&dyn FunctionRegistry> {
        Some(&self.functions)
    }
}

/// Gives nodes of which no column is read (`count(*)`) one, because a row that has none cannot be compared.
fn with_a_column(plan: LogicalPlan) -> Result<LogicalPlan> {
    let mut added = 0;
    let named = |input: LogicalPlan, number: usize| {
        let exprs = vec![lit(true).alias(format!("__row{number}"))];
        Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
    };
    walk::change_nodes(plan, &mut |node| {
        let bare = node.schema().fields().is_empty();
        match node {
            LogicalPlan::TableScan(mut scan) if bare && !scan.source.schema().fields().is_empty() => {
                added += 1;
                scan.projection = Some(vec![0]);
                let scan = TableScanBuilder::from(scan).build()?;
                named(LogicalPlan::TableScan(scan), added).map(Transformed::yes)
            }
            LogicalPlan::Projection(projection) if bare => {
                added += 1;
                named(Arc::unwrap_or_clone(projection.input), added).map(Transformed::yes)
            }
            other if added > 0 => other.recompute_schema().map(Transformed::yes),
            other => Ok(Transformed::no(other)),
        }
    })
}

/// Text leaves the engine as plain strings, however the engine keeps it inside.
fn plain_strings(plan: LogicalPlan) -> Result<LogicalPlan> {
    let plain = |data_type: &DataType| match data_type {
        DataType::Utf8View | DataType::LargeUtf8 => Some(DataType::Utf8),
        DataType::BinaryView | DataType::LargeBinary => Some(DataType::Binary),
        _ => None,
    };
    let schema = Arc::clone(plan.schema());
    if schema.fields().iter().all(|field| plain(field.data_type()).is_none()) {
        return Ok(plan);
    }
    let exprs = (0..schema.fields().len())
        .map(|at| {
            let column = columns::column(&schema, at);
            (at, plain(schema.field(at).data_type()).map_or(column.clone(), |to| cast(column, to)))
        })
        .collect();
    columns::project_as(plan, &schema, exprs)
}

/// The reason why an output row depends on more than the rows of the inputs, if it does.
fn obstacle(plan: &LogicalPlan) -> Result<Option<String>> {
    let mut why = None;
    walk::all_nodes(plan, &mut |node| {
        why = match node {
            LogicalPlan::Limit(_) => Some("it has a LIMIT, where one row more pushes another out".into()),
            LogicalPlan::Sort(sort) if sort.fetch.is_some() => Some("it has a LIMIT".into()),
            LogicalPlan::RecursiveQuery(_) => Some("it has a recursive CTE".into()),
            LogicalPlan::Extension(_) => {
                Some("it has an operator that the query engine does not know".into())
            }
            _ => None,
        };
        if why.is_none() {
            walk::expression_parts(node, &mut |part| {
                why = why.take().or_else(|| unsteady(part));
                Ok(if why.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
            })?;
        }
        Ok(if why.is_some() { TreeNodeRecursion::Stop } else { TreeNodeRecursion::Continue })
    })?;
    Ok(why)
}

fn unsteady(expr: &Expr) -> Option<String> {
    match expr {
        Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable => {
            Some(format!("{}() gives another value on each run", call.func.name()))
        }
        Expr::ScalarVariable(..) => Some("it reads a session variable".into()),
        // As a join, a subquery of several rows would repeat the outer row instead of failing.
        Expr::ScalarSubquery(query)
            if query.outer_ref_columns.is_empty() && query.subquery.max_rows() != Some(1) =>
        {
            Some("it has a scalar subquery that may find several rows".into())
        }
        _ => None,
    }
}

fn remaining_subquery(plan: &LogicalPlan) -> Result<Option<String>> {
    let mut found = false;
    walk::nodes(plan, &mut |node| {
        found |= matches!(node, LogicalPlan::Subquery(_));
        walk::expression_parts(node, &mut |part| {
            found |= matches!(
                part,
                Expr::ScalarSubquery(_) | Expr::Exists(_) | Expr::InSubquery(_) | Expr::SetComparison(_)
            );
            Ok(TreeNodeRecursion::Continue)
        })
    })?;
    Ok(found.then(|| "it has a subquery that cannot be written as a join".into()))
}

/// The same join with the kept side on the left, its columns in the old order.
fn left_handed(join: Join) -> Result<Transformed<LogicalPlan>> {
    let join_type = match join.join_type {
        JoinType::Right => JoinType::Left,
        JoinType::RightSemi => JoinType::LeftSemi,
        JoinType::RightAnti => JoinType::LeftAnti,
        JoinType::RightMark => JoinType::LeftMark,
        _ => return Ok(Transformed::no(LogicalPlan::Join(join))),
    };
    let schema = Arc::clone(&join.schema);
    let on = join.on.into_iter().map(|(left, right)| (right, left)).collect();
    let swapped = LogicalPlan::Join(Join::try_new(
        join.right,
        join.left,
        on,
        join.filter,
        join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware,
    )?);
    if join_type != JoinType::Left {
        return Ok(Transformed::yes(swapped));
    }
    let columns = (0..schema.fields().len()).map(|at| columns::column(&schema, at)).collect();
    Ok(Transformed::yes(LogicalPlan::Projection(Projection::try_new(columns, Arc::new(swapped))?)))
}

/// The first of equal values is the value: `first_value(g)` of a group by `g`, which DISTINCT ON becomes, is
/// the group's own column.
fn group_values(aggregate: Aggregate) -> Result<Transformed<LogicalPlan>> {
    let schema = Arc::clone(&aggregate.schema);
    let groups = schema.fields().len() - aggregate.aggr_expr.len();
    let own = |expr: &Expr| match columns::strip_alias(expr.clone()) {
        Expr::AggregateFunction(call)
            if matches!(call.func.name(), "first_value" | "last_value" | "min" | "max")
                && call.params.filter.is_none() =>
        {
            let value = call.params.args.first()?;
            aggregate.group_expr.iter().position(|group| group == value)
        }
        _ => None,
    };
    let source: Vec<usize> = (0..groups)
        .chain(aggregate.aggr_expr.iter().enumerate().map(|(at, expr)| own(expr).unwrap_or(groups + at)))
        .collect();
    if source.iter().enumerate().all(|(at, &from)| at == from) {
        return Ok(Transformed::no(LogicalPlan::Aggregate(aggregate)));
    }
    let exprs =
        source.into_iter().enumerate().map(|(at, from)| (at, columns::column(&schema, from))).collect();
    columns::project_as(LogicalPlan::Aggregate(aggregate), &schema, exprs).map(Transformed::yes)
}

/// Orders rows that the query leaves tied by all their other columns. SQL allows any order of them; without
/// a fixed one, rows that are computed anew could disagree with rows that are kept.
fn without_ties(window: Window) -> Result<Transformed<LogicalPlan>> {
    let input = Arc::clone(&window.input);
    let old_schema = Arc::clone(&window.schema);
    let exprs: Vec<Expr> = window
        .window_expr
        .iter()
        .map(|expr| match columns::strip_alias(expr.clone()) {
            Expr::WindowFunction(function) if depends_on_ties(&function) => {
                Expr::WindowFunction(Box::new(break_ties(*function, input.schema())))
            }
            _ => expr.clone(),
        })
        .collect();
    if exprs == window.window_expr {
        return Ok(Transformed::no(LogicalPlan::Window(window)));
    }
    let rebuilt = LogicalPlan::Window(Window::try_new(exprs, input)?);
    let columns =
        (0..old_schema.fields().len()).map(|at| (at, columns::column(rebuilt.schema(), at))).collect();
    columns::project_as(rebuilt, &old_schema, columns).map(Transformed::yes)
}

/// Whether the value can differ between orders of tied rows, and more ordering columns leave the meaning
/// alone (they would split the peers that a RANGE frame goes by).
fn depends_on_ties(function: &WindowFunction) -> bool {
    let frame = &function.params.window_frame;
    let by_row = frame.units == WindowFrameUnits::Rows;
    match &function.fun {
        WindowFunctionDefinition::WindowUDF(udwf) => match udwf.name() {
            "row_number" | "lead" | "lag" | "ntile" => true,
            "first_value" => by_row || (is_unbounded(&frame.start_bound) && !is_offset(&frame.end_bound)),
            "last_value" | "nth_value" => {
                by_row || (is_unbounded(&frame.start_bound) && is_unbounded(&frame.end_bound))
            }
            _ => false,
        },
        WindowFunctionDefinition::AggregateUDF(_) => by_row,
    }
}

fn is_unbounded(bound: &WindowFrameBound) -> bool {
    match bound {
        WindowFrameBound::Preceding(value) | WindowFrameBound::Following(value) => value.is_null(),
        WindowFrameBound::CurrentRow => false,
    }
}

fn is_offset(bound: &WindowFrameBound) -> bool {
    !matches!(bound, WindowFrameBound::CurrentRow) && !is_unbounded(bound)
}

fn break_ties(function: WindowFunction, input: &DFSchema) -> WindowFunction {
    let WindowFunctionParams { partition_by, mut order_by, .. } = function.params.clone();
    let known: BTreeSet<Column> = partition_by
        .iter()
        .chain(order_by.iter().map(|sort| &sort.expr))
        .filter_map(|expr| expr.try_as_col().cloned())
        .collect();
    for at in 0..input.fields().len() {
        let column = columns::column(input, at);
        let is_known = column.try_as_col().is_some_and(|column| known.contains(column));
        if !is_known && columns::comparable(input.field(at).data_type()) {
            order_by.push(column.sort(true, false));
        }
    }
    WindowFunction { params: WindowFunctionParams { order_by, ..function.params }, ..function }
}

/// Whether computing the function again from the same rows gives the same value, and not another of the
/// values that SQL allows. Sums of floats depend on the order of addition.
pub(super) fn is_repeatable(expr: &Expr, result: &DataType) -> bool {
    let aggregate = |name: &str| {
        matches!(name, "count" | "min" | "max" | "bool_and" | "bool_or" | "bit_and" | "bit_or" | "bit_xor")
            || (name == "sum" && !result.is_floating())
    };
    match columns::strip_alias(expr.clone()) {
        Expr::AggregateFunction(call) => aggregate(call.func.name()),
        Expr::WindowFunction(function) => {
            let settled = depends_on_ties(&function);
            match &function.fun {
                WindowFunctionDefinition::WindowUDF(udwf) => {
                    settled || matches!(udwf.name(), "rank" | "dense_rank" | "percent_rank" | "cume_dist")
                }
                WindowFunctionDefinition::AggregateUDF(udaf) => aggregate(udaf.name()),
            }
        }
        _ => false,
    }
}

/// A null of the type of the column `at`.
pub(super) fn null_of(schema: &DFSchema, at: usize) -> Result<Expr> {
    Ok(Expr::Literal(ScalarValue::try_new_null(schema.field(at).data_type())?, None))
}
