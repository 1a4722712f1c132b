//! A plan's rows whose key is in a given set: a semi-join, pushed down as far as every row that it keeps is
//! still computed from all the rows it needs. The result has exactly the rows with these keys, no more.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    common::{Column, JoinType, NullEquality, Result},
    logical_expr::{
        Aggregate, BinaryExpr, Distinct, Expr, Join, JoinConstraint, LogicalPlan, Operator, Projection,
        Union, Unnest, Window,
    },
};
use futures::{FutureExt, future::BoxFuture};

use super::{
    columns::{self, belongs_to, column, is_function_of, substitute, translate},
    cover::{common_partition, first_row, qualified},
    cover_join::is_dear,
    error::Stop,
    evaluation::{Evaluation, Keys, aliased},
};

/// An expression of the key: its column in the set, and what computes it from the node's columns.
#[derive(Clone, Debug)]
struct KeyExpr {
    key: usize,
    expr: Expr,
}

impl Evaluation<'_> {
    /// The rows of `plan`, which is pinned to a version, whose values of `exprs` are in `keys`. Nulls are equal.
    pub(super) async fn restricted(
        &self,
        plan: &LogicalPlan,
        exprs: &[Expr],
        keys: &Keys,
    ) -> Result<LogicalPlan, Stop> {
        let parts = exprs.iter().cloned().enumerate().map(|(key, expr)| KeyExpr { key, expr }).collect();
        self.restrict(plan, parts, keys).await
    }

    fn restrict<'b>(
        &'b self,
        node: &'b LogicalPlan,
        parts: Vec<KeyExpr>,
        keys: &'b Keys,
    ) -> BoxFuture<'b, Result<LogicalPlan, Stop>> {
        async move {
            if parts.is_empty() {
                return Ok(node.clone());
            }
            match node {
                // The key of an output row is an expression over its input row.
                LogicalPlan::Projection(projection) => {
                    let schema = &projection.schema;
                    let below = through(&parts, |column| {
                        Ok(Some(projection.expr[schema.index_of_column(column)?].clone()))
                    })?;
                    let input = self.restrict(&projection.input, below, keys).await?;
                    Ok(LogicalPlan::Projection(Projection::try_new(
                        projection.expr.clone(),
                        Arc::new(input),
                    )?))
                }
                // Operators that work row by row leave a row's key alone.
                LogicalPlan::Filter(_) | LogicalPlan::Sort(_) | LogicalPlan::Repartition(_) => {
                    let mut inputs = Vec::new();
                    for input in node.inputs() {
                        inputs.push(self.restrict(input, parts.clone(), keys).await?);
                    }
                    Ok(node.with_new_exprs(node.expressions(), inputs)?)
                }
                LogicalPlan::SubqueryAlias(alias) => {
                    let inner = alias.input.schema();
                    let below =
                        through(&parts, |name| Ok(Some(column(inner, alias.schema.index_of_column(name)?))))?;
                    let input = self.restrict(&alias.input, below, keys).await?;
                    Ok(node.with_new_exprs(Vec::new(), vec![input])?)
                }
                LogicalPlan::Union(union) => self.restrict_union(node, union, &parts, keys).await,
                LogicalPlan::Aggregate(aggregate) => {
                    self.restrict_aggregate(node, aggregate, parts, keys).await
                }
                LogicalPlan::Window(window) => self.restrict_window(window, parts, keys).await,
                LogicalPlan::Unnest(unnest) => self.restrict_unnest(node, unnest, parts, keys).await,
                LogicalPlan::Join(join) => self.restrict_join(join, parts, keys).await,
                _ => self.semi_join(node.clone(), &parts, keys),
            }
        }
        .boxed()
    }

    async fn restrict_union(
        &self,
        node: &LogicalPlan,
        union: &Union,
        parts: &[KeyExpr],
        keys: &Keys,
    ) -> Result<LogicalPlan, Stop> {
        let mut inputs = Vec::new();
        for input in &union.inputs {
            let below =
                through(parts, |name| Ok(Some(column(input.schema(), union.schema.index_of_column(name)?))))?;
            inputs.push(self.restrict(input, below, keys).await?);
        }
        Ok(node.with_new_exprs(Vec::new(), inputs)?)
    }

    /// Parts that the group's columns determine keep or drop whole groups, so they go below.
    async fn restrict_aggregate(
        &self,
        node: &LogicalPlan,
        aggregate: &Aggregate,
        parts: Vec<KeyExpr>,
        keys: &Keys,
    ) -> Result<LogicalPlan, Stop> {
        let groups = &aggregate.group_expr;
        if groups.is_empty() || matches!(groups.as_slice(), [Expr::GroupingSet(_)]) {
            return self.semi_join(node.clone(), &parts, keys);
        }
        let schema = node.schema();
        let (mut below, mut rest) = (Vec::new(), false);
        for part in &parts {
            let used = columns::used([&part.expr], schema)?;
            if !used.is_empty() && used.iter().all(|&at| at < groups.len()) {
                below.extend(through(std::slice::from_ref(part), |column| {
                    Ok(Some(groups[schema.index_of_column(column)?].clone()))
                })?);
            } else {
                rest = true;
            }
        }
        let input = self.restrict(&aggregate.input, below, keys).await?;
        let reduced = LogicalPlan::Aggregate(Aggregate::try_new(
            Arc::new(input),
            groups.clone(),
            aggregate.aggr_expr.clone(),
        )?);
        if rest { self.semi_join(reduced, &parts, keys) } else { Ok(reduced) }
    }

    /// Parts that the PARTITION BY determines keep or drop whole partitions.
    async fn restrict_window(
        &self,
        window: &Window,
        parts: Vec<KeyExpr>,
        keys: &Keys,
    ) -> Result<LogicalPlan, Stop> {
        let partition = common_partition(window);
        let below: Vec<KeyExpr> = parts
            .iter()
            .filter(|part| !part.expr.column_refs().is_empty() && is_function_of(&part.expr, &partition))
            .cloned()
            .collect();
        let rest = below.len() < parts.len();
        let input = self.restrict(&window.input, below, keys).await?;
        let reduced = LogicalPlan::Window(Window::try_new(window.window_expr.clone(), Arc::new(input))?);
        if rest { self.semi_join(reduced, &parts, keys) } else { Ok(reduced) }
    }

    async fn restrict_unnest(
        &self,
        node: &LogicalPlan,
        unnest: &Unnest,
        parts: Vec<KeyExpr>,
        keys: &Keys,
    ) -> Result<LogicalPlan, Stop> {
        let kept = |column: &&Column| {
            unnest.input.schema().has_column(column) && !unnest.exec_columns.contains(column)
        };
        let below: Vec<KeyExpr> = parts
            .iter()
            .filter(|part| {
                let columns = part.expr.column_refs();
                !columns.is_empty() && columns.iter().all(kept)
            })
            .cloned()
            .collect();
        let rest = below.len() < parts.len();
        let input = self.restrict(&unnest.input, below, keys).await?;
        let reduced = node.with_new_exprs(node.expressions(), vec![input])?;
        if rest { self.semi_join(reduced, &parts, keys) } else { Ok(reduced) }
    }

    async fn restrict_join(
        &self,
        join: &Join,
        parts: Vec<KeyExpr>,
        keys: &Keys,
    ) -> Result<LogicalPlan, Stop> {
        let to_right: Vec<(Expr, Expr)> = join.on.clone();
        let to_left: Vec<(Expr, Expr)> =
            join.on.iter().map(|(left, right)| (right.clone(), left.clone())).collect();
        let mut of_left: Vec<KeyExpr> =
            parts.iter().filter(|part| on_side(part, &join.left)).cloned().collect();
        let mut of_right: Vec<KeyExpr> = Vec::new();
        match join.join_type {
            // A joined row has the keys of both its rows, and equal values on both sides of an equality.
            JoinType::Inner => {
                of_right = parts.iter().filter(|part| on_side(part, &join.right)).cloned().collect();
                let mirrored = mirror(&of_left, &to_right);
                of_left.extend(mirror(&of_right, &to_left));
                of_right.extend(mirrored);
            }
            // All rows that a kept left row meets have the same values in the equalities.
            JoinType::Left | JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => {
                if !join.null_aware {
                    of_right = mirror(&of_left, &to_right);
                }
            }
            // Rows of both sides may stand alone, so only a key counts that is the same on both, whichever side is there.
            JoinType::Full => match coalesced(&parts, &join.on) {
                Some((left, right)) => (of_left, of_right) = (left, right),
                None => of_left.clear(),
            },
            _ => of_left.clear(),
        }
        let whole =
            |side: &[KeyExpr]| side.iter().map(|part| part.key).collect::<BTreeSet<_>>().len() == parts.len();
        let exact = match join.join_type {
            JoinType::Inner => whole(&of_left) || whole(&of_right),
            _ => whole(&of_left),
        };
        let left = self.restrict(&join.left, of_left.clone(), keys).await?;
        let right = self.restrict(&join.right, of_right.clone(), keys).await?;
        let (left, right) = self.narrowed(join, left, right, &of_left, &of_right).await?;
        let reduced = super::cover_join::rejoin(join, left, right, join.join_type)?;
        if exact { Ok(reduced) } else { self.semi_join(reduced, &parts, keys) }
    }

    /// Reduces the side of a join about which the key says nothing, when that side is dear to compute: the join keys of
    /// the side that the key did reduce then reduce it.
    async fn narrowed(
        &self,
        join: &Join,
        left: LogicalPlan,
        right: LogicalPlan,
        of_left: &[KeyExpr],
        of_right: &[KeyExpr],
    ) -> Result<(LogicalPlan, LogicalPlan), Stop> {
        if join.on.is_empty() || join.null_aware || join.join_type == JoinType::Full {
            return Ok((left, right));
        }
        if !of_left.is_empty() && of_right.is_empty() && is_dear(&join.right) {
            let on: Vec<_> = join.on.iter().map(|(left, right)| (right.clone(), left.clone())).collect();
            return match self.computed(left.clone()).await? {
                Some(left) => {
                    let right = self.meeting(&right, &on, &left).await?;
                    Ok((left, right))
                }
                None => Ok((left, columns::filter(right, vec![datafusion::logical_expr::lit(false)])?)),
            };
        }
        if join.join_type == JoinType::Inner
            && of_left.is_empty()
            && !of_right.is_empty()
            && is_dear(&join.left)
        {
            return match self.computed(right.clone()).await? {
                Some(right) => {
                    let left = self.meeting(&left, &join.on, &right).await?;
                    Ok((left, right))
                }
                None => Ok((columns::filter(left, vec![datafusion::logical_expr::lit(false)])?, right)),
            };
        }
        Ok((left, right))
    }

    /// The semi-join itself, with a filter below it from what is known of the keys, which prunes files.
    fn semi_join(&self, node: LogicalPlan, parts: &[KeyExpr], keys: &Keys) -> Result<LogicalPlan, Stop> {
        let alias = self.unique("keys");
        let of_keys = |part: &KeyExpr| column(keys.plan.schema(), part.key);
        let (fixed, compared): (Vec<&KeyExpr>, Vec<&KeyExpr>) =
            parts.iter().partition(|part| part.expr.column_refs().is_empty());
        let same = fixed
            .iter()
            .map(|part| {
                Expr::BinaryExpr(BinaryExpr::new(
                    Box::new(of_keys(part)),
                    Operator::IsNotDistinctFrom,
                    Box::new(part.expr.clone()),
                ))
            })
            .collect();
        let reduced = columns::filter(keys.plan.clone(), same)?;
        let known = keys
            .spans
            .iter()
            .flat_map(|spans| compared.iter().filter_map(|part| spans[part.key].predicate(&part.expr)));
        let node = columns::filter(node, known.collect())?;
        let columns_of_node = (0..node.schema().fields().len()).map(|at| column(node.schema(), at)).collect();
        let exprs: Vec<Expr> = compared.iter().map(|part| of_keys(part)).collect();
        let (build, on, join_type) = if exprs.is_empty() {
            let any = columns::positional(reduced, "k", vec![column(keys.plan.schema(), 0)])?;
            (first_row(any)?, Vec::new(), JoinType::Inner)
        } else {
            let build = columns::positional(reduced, "k", exprs)?;
            let build = if compared.len() == parts.len() && parts.len() == keys.plan.schema().fields().len() {
                build
            } else {
                LogicalPlan::Distinct(Distinct::All(Arc::new(build)))
            };
            let on = compared
                .iter()
                .enumerate()
                .map(|(at, part)| (qualified(&alias, &format!("k{at}")), part.expr.clone()))
                .collect();
            (build, on, JoinType::RightSemi)
        };
        // The keys are the side that is held in memory; the rows stream by.
        let joined = LogicalPlan::Join(Join::try_new(
            Arc::new(aliased(build, &alias)?),
            Arc::new(node),
            on,
            None,
            join_type,
            JoinConstraint::On,
            NullEquality::NullEqualsNull,
            false,
        )?);
        if join_type == JoinType::RightSemi {
            return Ok(joined);
        }
        Ok(LogicalPlan::Projection(Projection::try_new(columns_of_node, Arc::new(joined))?))
    }
}

fn through(
    parts: &[KeyExpr],
    mut inner: impl FnMut(&Column) -> Result<Option<Expr>>,
) -> Result<Vec<KeyExpr>> {
    parts
        .iter()
        .map(|part| Ok(KeyExpr { key: part.key, expr: substitute(part.expr.clone(), &mut inner)? }))
        .collect()
}

fn on_side(part: &KeyExpr, side: &LogicalPlan) -> bool {
    !part.expr.column_refs().is_empty() && belongs_to(&part.expr, side.schema())
}

fn mirror(parts: &[KeyExpr], pairs: &[(Expr, Expr)]) -> Vec<KeyExpr> {
    parts
        .iter()
        .filter_map(|part| Some(KeyExpr { key: part.key, expr: translate(&part.expr, pairs)? }))
        .collect()
}

/// The parts for each side, if every part has the form `coalesce(l, r)` for an equality `l = r`.
fn coalesced(parts: &[KeyExpr], on: &[(Expr, Expr)]) -> Option<(Vec<KeyExpr>, Vec<KeyExpr>)> {
    parts
        .iter()
        .map(|part| {
            let Expr::ScalarFunction(call) = &part.expr else { return None };
            let [one, other] = call.args.as_slice() else { return None };
            let equated = on
                .iter()
                .find(|(left, right)| (left == one && right == other) || (left == other && right == one));
            let (left, right) = equated.filter(|_| call.func.name() == "coalesce")?;
            let side = |expr: &Expr| KeyExpr { key: part.key, expr: expr.clone() };
            Some((side(left), side(right)))
        })
        .collect::<Option<Vec<_>>>()
        .map(|pairs| pairs.into_iter().unzip())
}
