//! [`Evaluation::cover`] of joins: the rows that a change of the left side reaches on the new right side, and
//! the rows that a change of the right side reaches on the old left side. Together they find a simultaneous
//! change of both, because L'R' − LR = (L' − L)R' + L(R' − R).

use std::sync::Arc;

use datafusion::{
    common::{DFSchema, JoinType, NullEquality, Result},
    logical_expr::{Expr, Join, JoinConstraint, LogicalPlan, lit},
};

use super::{
    columns::{self, column},
    cover::{Need, first_row},
    error::Stop,
    evaluation::Evaluation,
    inputs::Version,
    normalize::null_of,
};

impl Evaluation<'_> {
    pub(super) async fn join_cover(&self, join: &Join, need: &Need) -> Result<Option<LogicalPlan>, Stop> {
        let width = join.left.schema().fields().len();
        let need_left: Need = need.iter().copied().filter(|&at| at < width).collect();
        let need_right: Need = match join.join_type {
            JoinType::LeftSemi | JoinType::LeftAnti | JoinType::LeftMark => Need::new(),
            _ => need.iter().filter(|&&at| at >= width).map(|at| at - width).collect(),
        };
        let mut covers = Vec::new();
        let below = with_condition(join, &join.left, need_left.clone(), |(left, _)| left)?;
        if let Some(changed) = self.cover(&join.left, below).await? {
            covers.extend(self.left_reaches(join, changed, &need_right, need).await?);
        }
        let below = with_condition(join, &join.right, need_right, |(_, right)| right)?;
        if let Some(changed) = self.cover(&join.right, below).await? {
            covers.extend(self.right_reaches(join, changed, &need_left, need).await?);
        }
        Ok(columns::union_as(covers, &join.schema, need)?)
    }

    /// Every join of these types is linear in its left side: each left row yields its rows alone. The one
    /// exception is the full join, where a left row also decides whether right rows stand alone.
    async fn left_reaches(
        &self,
        join: &Join,
        changed: LogicalPlan,
        need_right: &Need,
        need: &Need,
    ) -> Result<Vec<LogicalPlan>, Stop> {
        let on: Vec<(Expr, Expr)> =
            join.on.iter().map(|(left, right)| (right.clone(), left.clone())).collect();
        let columns = with_condition(join, &join.right, need_right.clone(), |(_, right)| right)?;
        let (changed, right) =
            match self.other_side(&join.right, Version::New, &on, changed, join, columns).await? {
                Some(sides) => sides,
                None => return Ok(Vec::new()),
            };
        if join.join_type == JoinType::Full {
            let with_left = rejoin(join, changed.clone(), right.clone(), JoinType::Left)?;
            let matched = rejoin(join, changed, right, JoinType::Inner)?;
            let width = join.left.schema().fields().len();
            let alone = with_nulls(matched, &join.schema, need, |at| at < width)?;
            return Ok(vec![columns::keep(with_left, &join.schema, need)?, alone]);
        }
        let joined = rejoin(join, changed, right, join.join_type)?;
        Ok(vec![columns::keep(joined, &join.schema, need)?])
    }

    /// A right row changes the left rows that it matches, and no others: their joined rows, and where the join
    /// keeps unmatched left rows, whether they stand alone.
    async fn right_reaches(
        &self,
        join: &Join,
        changed: LogicalPlan,
        need_left: &Need,
        need: &Need,
    ) -> Result<Vec<LogicalPlan>, Stop> {
        let width = join.left.schema().fields().len();
        let columns = with_condition(join, &join.left, need_left.clone(), |(left, _)| left)?;
        if join.null_aware {
            return self.not_in_reaches(join, changed, columns, need).await;
        }
        let sides = self.other_side(&join.left, Version::Old, &join.on, changed, join, columns).await?;
        let Some((changed, left)) = sides else { return Ok(Vec::new()) };
        let is_right = |at: usize| at >= width;
        let only_left = !need.iter().any(|&at| is_right(at));
        let semi = |left, changed| rejoin(join, left, changed, JoinType::LeftSemi);
        match join.join_type {
            JoinType::Inner => {
                Ok(vec![columns::keep(rejoin(join, left, changed, JoinType::Inner)?, &join.schema, need)?])
            }
            JoinType::LeftSemi | JoinType::LeftAnti => {
                Ok(vec![columns::keep(semi(left, changed)?, &join.schema, need)?])
            }
            JoinType::Left if only_left => Ok(vec![columns::keep(semi(left, changed)?, &join.schema, need)?]),
            JoinType::Left | JoinType::Full => {
                let joined = if join.join_type == JoinType::Left { JoinType::Inner } else { JoinType::Right };
                let alone = with_nulls(semi(left.clone(), changed.clone())?, &join.schema, need, is_right)?;
                let joined = rejoin(join, left, changed, joined)?;
                Ok(vec![columns::keep(joined, &join.schema, need)?, alone])
            }
            JoinType::LeftMark => {
                let touched = semi(left, changed)?;
                let marks = if only_left { vec![lit(true)] } else { vec![lit(true), lit(false)] };
                marks
                    .into_iter()
                    .map(|mark| {
                        let exprs = need
                            .iter()
                            .map(|&at| {
                                (at, if is_right(at) { mark.clone() } else { column(&join.schema, at) })
                            })
                            .collect();
                        Ok(columns::project_as(touched.clone(), &join.schema, exprs)?)
                    })
                    .collect()
            }
            other => Err(Stop::Unsupported(format!("it has a {other} join"))),
        }
    }

    /// `x NOT IN (…)`: besides the matched rows, a null among the changed rows decides over all left rows, and
    /// the first or last row over the left rows whose `x` is null.
    async fn not_in_reaches(
        &self,
        join: &Join,
        changed: LogicalPlan,
        columns: Need,
        need: &Need,
    ) -> Result<Vec<LogicalPlan>, Stop> {
        let Some(changed) = self.computed(changed).await? else { return Ok(Vec::new()) };
        let left = columns::keep(self.inputs.at(&join.left, Version::Old)?, join.left.schema(), &columns)?;
        let mut covers = vec![rejoin(join, left.clone(), changed.clone(), JoinType::LeftSemi)?];
        for (of_left, of_right) in &join.on {
            let nulls = columns::filter(changed.clone(), vec![of_right.clone().is_null()])?;
            if let Some(nulls) = self.computed(first_row(nulls)?).await? {
                covers.push(cross(left.clone(), first_row(nulls)?)?);
            }
            let nulls = columns::filter(left.clone(), vec![of_left.clone().is_null()])?;
            covers.push(cross(nulls, first_row(changed.clone())?)?);
        }
        covers.into_iter().map(|plan| Ok(columns::keep(plan, &join.schema, need)?)).collect()
    }

    /// `side` at `version`, reduced to the rows that `changed` can meet when computing all of it would be
    /// dear. `on` pairs the side's expressions with those of `changed`, which is returned computed.
    async fn other_side(
        &self,
        side: &LogicalPlan,
        version: Version,
        on: &[(Expr, Expr)],
        changed: LogicalPlan,
        join: &Join,
        columns: Need,
    ) -> Result<Option<(LogicalPlan, LogicalPlan)>, Stop> {
        // The changed rows are computed once, because two plans below use them, or because their number decides how the
        // join is run.
        let Some(changed) = self.computed(changed).await? else { return Ok(None) };
        let pinned = self.inputs.at(side, version)?;
        let followed = !join.null_aware && !on.is_empty();
        let reduced =
            if followed && is_dear(side) { self.meeting(&pinned, on, &changed).await? } else { pinned };
        Ok(Some((changed, columns::keep(reduced, side.schema(), &columns)?)))
    }

    /// The rows of `side` that meet a row of `rows` in the equalities `on` (side, rows); all of them when
    /// there are too many keys to follow.
    pub(super) async fn meeting(
        &self,
        side: &LogicalPlan,
        on: &[(Expr, Expr)],
        rows: &LogicalPlan,
    ) -> Result<LogicalPlan, Stop> {
        let (of_side, of_rows): (Vec<_>, Vec<_>) = on.iter().cloned().unzip();
        match self.keys(rows.clone(), of_rows).await {
            Ok(Some(keys)) => self.restricted(side, &of_side, &keys).await,
            // There is no row to meet; a filter that lets nothing through keeps the columns.
            Ok(None) => Ok(columns::filter(side.clone(), vec![lit(false)])?),
            Err(Stop::TooManyKeys(_)) => Ok(side.clone()),
            Err(stop) => Err(stop),
        }
    }
}

/// Whether computing `plan` does more than read and filter one table.
pub(super) fn is_dear(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::TableScan(_) | LogicalPlan::Values(_) | LogicalPlan::EmptyRelation(_) => false,
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::Unnest(_) => plan.inputs().into_iter().any(is_dear),
        _ => true,
    }
}

/// `need` and the columns of `side` that the join's condition reads.
fn with_condition(
    join: &Join,
    side: &LogicalPlan,
    mut need: Need,
    pick: impl Fn(&(Expr, Expr)) -> &Expr,
) -> Result<Need> {
    let schema = side.schema();
    for pair in &join.on {
        need.extend(columns::used([pick(pair)], schema)?);
    }
    for column in join.filter.iter().flat_map(|filter| filter.column_refs()) {
        need.extend(schema.maybe_index_of_column(column));
    }
    if need.is_empty() {
        need.insert(0);
    }
    Ok(need)
}

/// `join` with other sides and another type; the sides keep the names that the condition reads.
pub(super) fn rejoin(
    join: &Join,
    left: LogicalPlan,
    right: LogicalPlan,
    join_type: JoinType,
) -> Result<LogicalPlan> {
    Ok(LogicalPlan::Join(Join::try_new(
        Arc::new(left),
        Arc::new(right),
        join.on.clone(),
        join.filter.clone(),
        join_type,
        join.join_constraint,
        join.null_equality,
        join.null_aware && join_type == JoinType::LeftAnti,
    )?))
}

/// All rows of `left` if `right`, which has at most one row, has one.
fn cross(left: LogicalPlan, right: LogicalPlan) -> Result<LogicalPlan> {
    let columns = (0..left.schema().fields().len()).map(|at| column(left.schema(), at)).collect();
    let joined = Join::try_new(
        Arc::new(left),
        Arc::new(right),
        Vec::new(),
        None,
        JoinType::Inner,
        JoinConstraint::On,
        NullEquality::NullEqualsNothing,
        false,
    )?;
    Ok(LogicalPlan::Projection(datafusion::logical_expr::Projection::try_new(
        columns,
        Arc::new(LogicalPlan::Join(joined)),
    )?))
}

/// The columns `need` of a join's schema, those that `is_null` picks as nulls.
fn with_nulls(
    plan: LogicalPlan,
    schema: &DFSchema,
    need: &Need,
    is_null: impl Fn(usize) -> bool,
) -> Result<LogicalPlan> {
    let exprs = need
        .iter()
        .map(|&at| Ok((at, if is_null(at) { null_of(schema, at)? } else { column(schema, at) })))
        .collect::<Result<_>>()?;
    columns::project_as(plan, schema, exprs)
}
