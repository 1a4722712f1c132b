//! Which rows a change of the inputs can reach.
//!
//! `cover(node, need)` is a plan for the columns `need` of *at least* every row whose number of occurrences in
//! `node` differs between the old and the new inputs. Each operator states why nothing is missed. Operators
//! that are linear (a row in, rows out) carry the changed rows through; the others are entered through the
//! keys of their groups. Where no bound can be shown, the walk stops with a reason and everything is computed.

use std::collections::BTreeSet;

use datafusion::{
    common::{Column, JoinType, Result},
    logical_expr::{
        Aggregate, Expr, Filter, Limit, LogicalPlan, Union, Unnest, Window, utils::split_conjunction_owned,
    },
};
use futures::{FutureExt, future::BoxFuture};

use super::{
    columns::{self, column},
    error::Stop,
    evaluation::{Evaluation, Keys, changed_rows},
    inputs::Version,
    normalize,
};

pub(super) type Need = BTreeSet<usize>;

impl Evaluation<'_> {
    /// The values of `key` (over the plan's output) of which a row can have changed; none for no change.
    pub(super) async fn affected_keys(&self, plan: &LogicalPlan, key: &[Expr]) -> Result<Option<Keys>, Stop> {
        let need = columns::used(key, plan.schema())?;
        match self.cover(plan, need).await? {
            Some(cover) => self.keys(cover, key.to_vec()).await,
            None => Ok(None),
        }
    }

    /// Covers `node`, as the module describes. The result has exactly the columns `need`, qualified as in `node`.
    pub(super) fn cover<'b>(
        &'b self,
        node: &'b LogicalPlan,
        need: Need,
    ) -> BoxFuture<'b, Result<Option<LogicalPlan>, Stop>> {
        async move {
            let need = if need.is_empty() { one_column(node) } else { need };
            let found = match node {
                LogicalPlan::TableScan(scan) => self.scan_change(scan).await?,
                // Rows that are written in the query never change.
                LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => None,
                // An output row changes only if an input row that computes to it does.
                LogicalPlan::Projection(projection) => {
                    let exprs: Vec<(usize, Expr)> =
                        need.iter().map(|&at| (at, projection.expr[at].clone())).collect();
                    let below = columns::used(exprs.iter().map(|(_, expr)| expr), projection.input.schema())?;
                    match self.cover(&projection.input, below).await? {
                        Some(input) => Some(columns::project_as(input, &projection.schema, exprs)?),
                        None => None,
                    }
                }
                LogicalPlan::Filter(filter) => self.filter_cover(filter, &need).await?,
                // The order of rows is no part of a table.
                LogicalPlan::Sort(sort) if sort.fetch.is_none() => {
                    self.cover(&sort.input, need.clone()).await?
                }
                LogicalPlan::Repartition(repartition) => self.cover(&repartition.input, need.clone()).await?,
                LogicalPlan::SubqueryAlias(alias) => match self.cover(&alias.input, need.clone()).await? {
                    Some(input) => {
                        let inner = alias.input.schema();
                        let exprs = need.iter().map(|&at| (at, column(inner, at))).collect();
                        Some(columns::project_as(input, &alias.schema, exprs)?)
                    }
                    None => None,
                },
                LogicalPlan::Union(union) => self.union_cover(union, &need).await?,
                LogicalPlan::Unnest(unnest) => self.unnest_cover(node, unnest).await?,
                LogicalPlan::Join(join) => self.join_cover(join, &need).await?,
                LogicalPlan::Aggregate(aggregate) => self.aggregate_cover(node, aggregate, &need).await?,
                LogicalPlan::Window(window) => self.window_cover(node, window, &need).await?,
                other => return Err(Stop::Unsupported(format!("it has {}", name_of(other)))),
            };
            Ok(found.map(|plan| columns::keep(plan, node.schema(), &need)).transpose()?)
        }
        .boxed()
    }

    /// A row that passes the filter changed only if it did in the input. Conditions on computed groups would
    /// have to compute them; leaving such a condition out only adds rows.
    async fn filter_cover(&self, filter: &Filter, need: &Need) -> Result<Option<LogicalPlan>, Stop> {
        let schema = filter.input.schema();
        let cheap = cheap(&filter.input);
        let mut kept = Vec::new();
        for condition in split_conjunction_owned(filter.predicate.clone()) {
            if columns::used([&condition], schema)?.iter().all(|&at| cheap[at]) {
                kept.push(condition);
            }
        }
        let mut below = columns::used(&kept, schema)?;
        below.extend(need);
        match self.cover(&filter.input, below).await? {
            Some(input) => Ok(Some(columns::filter(input, kept)?)),
            None => Ok(None),
        }
    }

    /// A union changes where one of its inputs does.
    async fn union_cover(&self, union: &Union, need: &Need) -> Result<Option<LogicalPlan>, Stop> {
        let mut covers = Vec::new();
        for input in &union.inputs {
            covers.extend(self.cover(input, need.clone()).await?);
        }
        // One plan alone keeps the names of its input; the union has its own.
        let renamed = covers
            .into_iter()
            .map(|plan| {
                let exprs =
                    need.iter().enumerate().map(|(at, &index)| (index, column(plan.schema(), at))).collect();
                columns::project_as(plan, &union.schema, exprs)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(columns::union_as(renamed, &union.schema, need)?)
    }

    /// Each input row unnests on its own.
    async fn unnest_cover(&self, node: &LogicalPlan, unnest: &Unnest) -> Result<Option<LogicalPlan>, Stop> {
        let all = (0..unnest.input.schema().fields().len()).collect();
        match self.cover(&unnest.input, all).await? {
            Some(input) => Ok(Some(node.with_new_exprs(node.expressions(), vec![input])?)),
            None => Ok(None),
        }
    }

    /// A group's row changes only if a row of the group does. So the groups of the changed input rows cover it,
    /// as long as only the group's columns are asked for; the aggregates are computed for these groups alone.
    async fn aggregate_cover(
        &self,
        node: &LogicalPlan,
        aggregate: &Aggregate,
        need: &Need,
    ) -> Result<Option<LogicalPlan>, Stop> {
        let below = columns::used(&aggregate.group_expr, aggregate.input.schema())?;
        let Some(input) = self.cover(&aggregate.input, below).await? else { return Ok(None) };
        let groups = node.schema().fields().len() - aggregate.aggr_expr.len();
        if groups == 0 {
            // Without groups there is one output row for the whole input.
            let limited = first_row(input)?;
            if self.computed(limited).await?.is_none() {
                return Ok(None);
            }
            return self.both_versions(node, &[], None, need, groups, &aggregate.aggr_expr).await;
        }
        let grouped = LogicalPlan::Aggregate(Aggregate::try_new(
            std::sync::Arc::new(input),
            aggregate.group_expr.clone(),
            Vec::new(),
        )?);
        if need.iter().all(|&at| at < groups) {
            return Ok(Some(columns::keep(grouped, node.schema(), need)?));
        }
        let named: Vec<Expr> = (0..groups).map(|at| column(node.schema(), at)).collect();
        match self.keys(grouped, named.clone()).await? {
            Some(keys) => {
                self.both_versions(node, &named, Some(&keys), need, groups, &aggregate.aggr_expr).await
            }
            None => Ok(None),
        }
    }

    /// A window function's value changes only if a row of its partition does, so all rows, old and new, of the
    /// partitions of the changed rows cover it, for any function, frame and order.
    async fn window_cover(
        &self,
        node: &LogicalPlan,
        window: &Window,
        need: &Need,
    ) -> Result<Option<LogicalPlan>, Stop> {
        let partition = common_partition(window);
        let below = columns::used(&partition, window.input.schema())?;
        let Some(input) = self.cover(&window.input, below).await? else { return Ok(None) };
        if partition.is_empty() {
            return Err(Stop::Unsupported("it has a window function over all rows (no PARTITION BY)".into()));
        }
        let Some(keys) = self.keys(input, partition.clone()).await? else { return Ok(None) };
        let width = window.input.schema().fields().len();
        if need.iter().any(|&at| at >= width) {
            return self.both_versions(node, &partition, Some(&keys), need, width, &window.window_expr).await;
        }
        let mut both = Vec::new();
        for version in [Version::New, Version::Old] {
            let all = self.inputs.at(&window.input, version)?;
            let rows = self.restricted(&all, &partition, &keys).await?;
            both.push(columns::keep(rows, window.input.schema(), need)?);
        }
        Ok(columns::union_as(both, node.schema(), need)?)
    }

    /// The rows of the groups `keys` in the old and in the new version; rows that are in both are left out.
    ///
    /// A function that may give another value on each computation (`first_value` without an order) could hide
    /// a change, so rows are compared only if all are repeatable, and such a value is never followed.
    async fn both_versions(
        &self,
        node: &LogicalPlan,
        groups: &[Expr],
        keys: Option<&Keys>,
        need: &Need,
        plain: usize,
        computed: &[Expr],
    ) -> Result<Option<LogicalPlan>, Stop> {
        let schema = node.schema();
        let repeatable: Vec<bool> = computed
            .iter()
            .enumerate()
            .map(|(at, expr)| normalize::is_repeatable(expr, schema.field(plain + at).data_type()))
            .collect();
        if let Some(&at) = need.iter().find(|&&at| at >= plain && !repeatable[at - plain]) {
            let what = schema.field(at).name();
            return Err(Stop::Unsupported(format!(
                "`{what}` decides which rows are reached and need not be the same when computed twice"
            )));
        }
        let mut both = Vec::new();
        for version in [Version::New, Version::Old] {
            let all = self.inputs.at(node, version)?;
            both.push(match keys {
                Some(keys) => self.restricted(&all, groups, keys).await?,
                None => all,
            });
        }
        if repeatable.contains(&false) {
            let all = (0..schema.fields().len()).collect();
            return Ok(columns::union_as(both, schema, &all)?);
        }
        let (Some(old), Some(new)) = (both.pop(), both.pop()) else { return Ok(None) };
        let changed = changed_rows(new, old)?;
        let exprs = (0..schema.fields().len()).map(|at| (at, column(changed.schema(), at))).collect();
        Ok(Some(columns::project_as(changed, schema, exprs)?))
    }
}

/// The PARTITION BY expressions that all functions of `window` have in common: rows that differ in them never
/// meet in a partition.
pub(super) fn common_partition(window: &Window) -> Vec<Expr> {
    let mut sets = window.window_expr.iter().map(|expr| match columns::strip_alias(expr.clone()) {
        Expr::WindowFunction(function) => function.params.partition_by,
        _ => Vec::new(),
    });
    let mut common = sets.next().unwrap_or_default();
    for set in sets {
        common.retain(|expr| set.contains(expr));
    }
    common.retain(|expr| !expr.column_refs().is_empty());
    common
}

/// For each column of `node`, whether covering it needs no groups to be computed again.
fn cheap(node: &LogicalPlan) -> Vec<bool> {
    let computed = |exprs: &[Expr], input: &LogicalPlan| -> Vec<bool> {
        let below = cheap(input);
        exprs
            .iter()
            .map(|expr| {
                columns::used([expr], input.schema()).is_ok_and(|used| used.iter().all(|&at| below[at]))
            })
            .collect()
    };
    let width = node.schema().fields().len();
    let mut flags = match node {
        LogicalPlan::Projection(projection) => computed(&projection.expr, &projection.input),
        LogicalPlan::Aggregate(aggregate) => match aggregate.group_expr.as_slice() {
            [Expr::GroupingSet(_)] => vec![true; width - aggregate.aggr_expr.len()],
            group => computed(group, &aggregate.input),
        },
        LogicalPlan::Window(window) => cheap(&window.input),
        LogicalPlan::Union(union) => {
            let mut all = vec![true; width];
            for input in &union.inputs {
                all.iter_mut().zip(cheap(input)).for_each(|(one, other)| *one &= other);
            }
            all
        }
        LogicalPlan::Unnest(unnest) => {
            let below = cheap(&unnest.input);
            unnest.dependency_indices.iter().map(|&at| below[at]).collect()
        }
        LogicalPlan::Join(join) => {
            let mut sides = cheap(&join.left);
            match join.join_type {
                JoinType::LeftSemi | JoinType::LeftAnti => {}
                JoinType::LeftMark => sides.push(true),
                _ => sides.extend(cheap(&join.right)),
            }
            sides
        }
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => {
            vec![true; width]
        }
        LogicalPlan::Filter(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Repartition(_) => node.inputs().first().map(|input| cheap(input)).unwrap_or_default(),
        _ => Vec::new(),
    };
    flags.resize(width, false);
    flags
}

/// A column to read when only the existence of a row counts, if possible one that is cheap to cover.
fn one_column(node: &LogicalPlan) -> Need {
    let flags = cheap(node);
    let at = flags.iter().position(|&cheap| cheap).unwrap_or(0);
    if flags.is_empty() { Need::new() } else { Need::from([at]) }
}

pub(super) fn first_row(input: LogicalPlan) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Limit(Limit {
        skip: None,
        fetch: Some(Box::new(datafusion::logical_expr::lit(1_i64))),
        input: std::sync::Arc::new(input),
    }))
}

fn name_of(node: &LogicalPlan) -> String {
    match node {
        LogicalPlan::Limit(_) | LogicalPlan::Sort(_) => "a LIMIT".into(),
        LogicalPlan::RecursiveQuery(_) => "a recursive CTE".into(),
        LogicalPlan::Subquery(_) => "a subquery that cannot be written as a join".into(),
        other => format!("an operator whose changes cannot be followed ({})", other.display()),
    }
}

/// The column called `name` of the right side's table `alias`.
pub(super) fn qualified(alias: &str, name: &str) -> Expr {
    Expr::Column(Column::new(Some(alias), name))
}
