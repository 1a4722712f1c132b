//! Checks that every merged table must pass: a key is never null and stands in one row.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::{
        array::{Array, AsArray, RecordBatch},
        datatypes::{Int64Type, Schema},
        util::display::{ArrayFormatter, FormatOptions},
    },
    catalog::TableProvider,
    common::Result,
    functions_aggregate::expr_fn::count,
    logical_expr::{Aggregate, Expr, Filter, LogicalPlan, lit},
};
use futures::{TryStreamExt, future::BoxFuture};
use millstream_query::QueryRuntime;

use super::{
    columns::{column, positional},
    cover::first_row,
    error::{IncrementalError, KeyValues},
    evaluation::run,
    inputs::read_as,
    maintenance::{Keep, Maintenance},
};
use crate::walk;

/// Errors when `rows`, which hold the table or a part of it, break the rules of its key: a null
/// ([`IncrementalError::NullKey`]) or two rows with the same key ([`IncrementalError::DuplicateKey`], with the values).
/// Rows with a null that the caller keeps out are passed over. Memory is bounded by the session; tables without a merge
/// key pass unread.
pub fn check_keys<'a>(
    runtime: &'a dyn QueryRuntime,
    maintenance: &'a Maintenance,
    rows: Arc<dyn TableProvider>,
) -> BoxFuture<'a, Result<(), IncrementalError>> {
    Box::pin(async move {
        if !matches!(maintenance.keep, Keep::Merge { .. }) {
            return Ok(());
        }
        let columns: Vec<_> = maintenance.key.iter().map(|part| part.column.as_str()).collect();
        let schema = maintenance.schema();
        let fields: Vec<_> =
            columns.iter().filter_map(|name| schema.field_with_name(name).ok().cloned()).collect();
        let key = Schema::new(fields);
        let unique_already = one_row_per_key(maintenance.plan(), &columns);
        let found = find_problem(runtime, rows, &key, &maintenance.nulls_kept_out, unique_already).await;
        match found.map_err(IncrementalError::engine("checking the key"))? {
            Some(problem) => Err(problem),
            None => Ok(()),
        }
    })
}

async fn find_problem(
    runtime: &dyn QueryRuntime,
    rows: Arc<dyn TableProvider>,
    key: &Schema,
    nulls_kept_out: &BTreeSet<String>,
    unique_already: bool,
) -> Result<Option<IncrementalError>> {
    let width = key.fields().len();
    let mut plan = read_as(rows, key)?;
    for at in (0..width).filter(|&at| nulls_kept_out.contains(key.field(at).name())) {
        let is_there = column(plan.schema(), at).is_not_null();
        plan = LogicalPlan::Filter(Filter::try_new(is_there, Arc::new(plan))?);
    }
    let filled = (0..width).map(|at| count(column(plan.schema(), at)).alias(format!("n{at}")));
    let all = count(lit(1_i64)).alias("all");
    let totals = Aggregate::try_new(Arc::new(plan.clone()), Vec::new(), filled.chain([all]).collect())?;
    if let Some(totals) = first_batch(runtime, LogicalPlan::Aggregate(totals)).await? {
        let total = |at: usize| totals.column(at).as_primitive::<Int64Type>().value(0);
        if let Some(at) = (0..width).find(|&at| total(at) < total(width)) {
            let column = key.field(at).name().clone();
            return Ok(Some(IncrementalError::NullKey { column, rows: total(width) - total(at) }));
        }
    }
    if unique_already {
        return Ok(None);
    }
    let group = (0..width).map(|at| column(plan.schema(), at)).collect();
    let grouped = Aggregate::try_new(Arc::new(plan), group, vec![count(lit(1_i64)).alias("rows")])?;
    let grouped = LogicalPlan::Aggregate(grouped);
    let several = column(grouped.schema(), width).gt(lit(1_i64));
    let repeated = first_row(LogicalPlan::Filter(Filter::try_new(several, Arc::new(grouped))?))?;
    let repeated = {
        let all = (0..=width).map(|at| column(repeated.schema(), at)).collect();
        positional(repeated, "c", all)?
    };
    let Some(example) = first_batch(runtime, repeated).await? else { return Ok(None) };
    let names: Vec<_> = key.fields().iter().map(|field| field.name().as_str()).collect();
    Ok(Some(IncrementalError::DuplicateKey {
        key: describe(&names, &example, 0)?,
        rows: example.column(width).as_primitive::<Int64Type>().value(0),
    }))
}

async fn first_batch(runtime: &dyn QueryRuntime, plan: LogicalPlan) -> Result<Option<RecordBatch>> {
    let mut stream = run(runtime, plan).await?;
    while let Some(batch) = stream.try_next().await? {
        if batch.num_rows() > 0 {
            return Ok(Some(batch));
        }
    }
    Ok(None)
}

/// The first columns of `row` under these names, as a key for messages.
pub(super) fn describe(names: &[&str], batch: &RecordBatch, row: usize) -> Result<KeyValues> {
    let options = FormatOptions::default().with_null("null");
    let parts = names
        .iter()
        .zip(batch.columns())
        .map(|(name, values)| {
            let shown = ArrayFormatter::try_new(values.as_ref() as &dyn Array, &options)?;
            Ok(((*name).to_owned(), shown.value(row).to_string()))
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(KeyValues(parts))
}

/// Whether the plan's last grouping already makes the key unique, which saves a pass over the rows.
fn one_row_per_key(plan: &LogicalPlan, key: &[&str]) -> bool {
    let schema = plan.schema();
    let wanted: Option<Vec<Expr>> = key
        .iter()
        .map(|name| schema.index_of_column_by_name(None, name).map(|at| column(schema, at)))
        .collect();
    wanted.is_some_and(|wanted| groups_by(plan, wanted).unwrap_or(false))
}

/// Whether `plan` has at most one row per value of the columns `key`.
fn groups_by(plan: &LogicalPlan, key: Vec<Expr>) -> Result<bool> {
    match plan {
        LogicalPlan::Filter(filter) => groups_by(&filter.input, key),
        LogicalPlan::Sort(sort) => groups_by(&sort.input, key),
        LogicalPlan::SubqueryAlias(alias) => {
            let below = key
                .iter()
                .filter_map(|expr| {
                    Some(column(alias.input.schema(), alias.schema.index_of_column(expr.try_as_col()?).ok()?))
                })
                .collect();
            groups_by(&alias.input, below)
        }
        LogicalPlan::Projection(projection) => {
            let below = key
                .iter()
                .filter_map(|expr| {
                    let at = projection.schema.index_of_column(expr.try_as_col()?).ok()?;
                    let inner = super::columns::strip_alias(projection.expr[at].clone());
                    inner.try_as_col().is_some().then_some(inner)
                })
                .collect();
            groups_by(&projection.input, below)
        }
        LogicalPlan::Aggregate(aggregate) => {
            let mut sets = false;
            for expr in &aggregate.group_expr {
                sets |= walk::any_part(expr, &mut |part| matches!(part, Expr::GroupingSet(_)))?;
            }
            let groups = aggregate.group_expr.len();
            Ok(!sets && (0..groups).all(|at| key.contains(&column(&aggregate.schema, at))))
        }
        _ => Ok(false),
    }
}
