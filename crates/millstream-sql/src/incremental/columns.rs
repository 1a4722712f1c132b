//! Small steps on plans and expressions that address columns by position, so that qualifiers and
//! computed names survive every rewrite.

use std::{collections::BTreeSet, sync::Arc};

use datafusion::{
    arrow::datatypes::DataType,
    common::{
        Column, DFSchema, Result,
        tree_node::{Transformed, TreeNode, TreeNodeRecursion},
    },
    logical_expr::{Expr, Filter, LogicalPlan, Projection, Union, expr::Alias, utils::conjunction},
};

use crate::walk;

/// The column at `index` of `schema`.
pub(super) fn column(schema: &DFSchema, index: usize) -> Expr {
    Expr::Column(Column::from(schema.qualified_field(index)))
}

/// The positions in `schema` that `exprs` read.
pub(super) fn used<'a>(
    exprs: impl IntoIterator<Item = &'a Expr>,
    schema: &DFSchema,
) -> Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for expr in exprs {
        for column in expr.column_refs() {
            found.insert(schema.index_of_column(column)?);
        }
    }
    Ok(found)
}

/// Whether every column of `expr` is a column of `schema`.
pub(super) fn belongs_to(expr: &Expr, schema: &DFSchema) -> bool {
    expr.column_refs().iter().all(|column| schema.has_column(column))
}

/// A projection of `input` to each `exprs[n].1`, called as the column `exprs[n].0` of `schema`.
pub(super) fn project_as(
    input: LogicalPlan,
    schema: &DFSchema,
    exprs: Vec<(usize, Expr)>,
) -> Result<LogicalPlan> {
    let exprs = exprs
        .into_iter()
        .map(|(index, expr)| {
            let (qualifier, field) = schema.qualified_field(index);
            match &expr {
                Expr::Column(column)
                    if column.relation.as_ref() == qualifier && column.name == *field.name() =>
                {
                    expr
                }
                _ => Expr::Alias(Alias::new(strip_alias(expr), qualifier.cloned(), field.name())),
            }
        })
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// The columns of `input` that stand at `need` in `schema`, which has the same names.
pub(super) fn keep(input: LogicalPlan, schema: &DFSchema, need: &BTreeSet<usize>) -> Result<LogicalPlan> {
    if input.schema().fields().len() == need.len()
        && need
            .iter()
            .enumerate()
            .all(|(at, &index)| input.schema().qualified_field(at) == schema.qualified_field(index))
    {
        return Ok(input);
    }
    project_as(input, schema, need.iter().map(|&index| (index, column(schema, index))).collect())
}

/// A projection of `input` to `exprs`, called by the prefix and their number (`c0`, `c1`, …), without qualifiers.
pub(super) fn positional(input: LogicalPlan, prefix: &str, exprs: Vec<Expr>) -> Result<LogicalPlan> {
    let exprs = exprs
        .into_iter()
        .enumerate()
        .map(|(at, expr)| strip_alias(expr).alias(format!("{prefix}{at}")))
        .collect();
    Ok(LogicalPlan::Projection(Projection::try_new(exprs, Arc::new(input))?))
}

/// All rows of `plans`, whose columns are the columns `need` of `schema`; `None` when there are no plans.
pub(super) fn union_as(
    mut plans: Vec<LogicalPlan>,
    schema: &DFSchema,
    need: &BTreeSet<usize>,
) -> Result<Option<LogicalPlan>> {
    if plans.len() < 2 {
        return Ok(plans.pop());
    }
    let inputs = plans
        .into_iter()
        .map(|plan| {
            let columns = (0..need.len()).map(|at| column(plan.schema(), at)).collect();
            positional(plan, "u", columns).map(Arc::new)
        })
        .collect::<Result<Vec<_>>>()?;
    let union = LogicalPlan::Union(Union::try_new_with_loose_types(inputs)?);
    let columns = need.iter().enumerate().map(|(at, &index)| (index, column(union.schema(), at))).collect();
    project_as(union, schema, columns).map(Some)
}

pub(super) fn filter(input: LogicalPlan, predicates: Vec<Expr>) -> Result<LogicalPlan> {
    match conjunction(predicates) {
        Some(predicate) => Ok(LogicalPlan::Filter(Filter::try_new(predicate, Arc::new(input))?)),
        None => Ok(input),
    }
}

/// `expr` with each column replaced by what computes it.
pub(super) fn substitute(
    expr: Expr,
    mut replacement: impl FnMut(&Column) -> Result<Option<Expr>>,
) -> Result<Expr> {
    walk::change_parts(expr, &mut |part| match &part {
        Expr::Column(column) => Ok(replacement(column)?
            .map_or_else(|| Transformed::no(part), |new| Transformed::yes(strip_alias(new)))),
        _ => Ok(Transformed::no(part)),
    })
}

/// Whether equal values of `determinants` imply an equal value of `expr`.
pub(super) fn is_function_of(expr: &Expr, determinants: &[Expr]) -> bool {
    let mut holds = true;
    let walked = walk::parts(expr, &mut |part| {
        if determinants.contains(part) {
            return Ok(TreeNodeRecursion::Jump);
        }
        if matches!(part, Expr::Column(_) | Expr::OuterReferenceColumn(..) | Expr::ScalarSubquery(_)) {
            holds = false;
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    holds && walked.is_ok()
}

/// `expr` in terms of the other side of the equalities `(from, to)`, when all it reads is equated.
pub(super) fn translate(expr: &Expr, pairs: &[(Expr, Expr)]) -> Option<Expr> {
    let sources: Vec<Expr> = pairs.iter().map(|(from, _)| from.clone()).collect();
    if expr.column_refs().is_empty() || !is_function_of(expr, &sources) {
        return None;
    }
    expr.clone()
        .transform_down(|part| match pairs.iter().find(|(from, _)| *from == part) {
            Some((_, to)) => Ok(Transformed::new(to.clone(), true, TreeNodeRecursion::Jump)),
            None => Ok(Transformed::no(part)),
        })
        .ok()
        .map(|done| done.data)
}

pub(super) fn strip_alias(expr: Expr) -> Expr {
    match expr {
        Expr::Alias(alias) => strip_alias(*alias.expr),
        other => other,
    }
}

/// Whether rows with this column can be grouped and compared as a whole.
pub(super) fn comparable(data_type: &DataType) -> bool {
    match data_type {
        DataType::Map(..) | DataType::Union(..) => false,
        DataType::List(field)
        | DataType::LargeList(field)
        | DataType::ListView(field)
        | DataType::LargeListView(field)
        | DataType::FixedSizeList(field, _) => comparable(field.data_type()),
        DataType::Struct(fields) => fields.iter().all(|field| comparable(field.data_type())),
        _ => true,
    }
}
