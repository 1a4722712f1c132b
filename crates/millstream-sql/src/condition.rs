//! The conditions of checks: SQL over one row of a table, with the functions and the arithmetic that SQL tables have.

use std::{collections::BTreeSet, sync::Arc};

use arrow::datatypes::Schema;
use chrono::DateTime;
use datafusion::{
    common::{DFSchema, tree_node::TreeNode},
    logical_expr::Expr,
    optimizer::analyzer::type_coercion::TypeCoercionRewriter,
    physical_expr::PhysicalExpr,
    sql::planner::PlannerContext,
};
use millstream_types::TimestampMicros;

use crate::{
    SqlError,
    catalog::Catalog,
    codes,
    explain::{Problem, explain},
    parse::parse_expression,
    place::SqlText,
    planner::{Planner, offline_state, physical, unpanicked},
    walk,
};

/// A condition that is ready to run over batches of its schema.
#[derive(Debug)]
pub struct Condition {
    /// The names of the columns that the condition reads.
    pub columns: BTreeSet<String>,
    pub expr: Arc<dyn PhysicalExpr>,
}

/// Makes a condition over the columns of `schema` ready to run; `now()` in it is the given time.
pub fn condition(sql: &str, schema: &Schema, now: TimestampMicros) -> Result<Condition, SqlError> {
    let text = SqlText::new(sql);
    let schema = DFSchema::try_from(schema.clone()).map_err(SqlError::from_datafusion)?;
    let planned = plan_condition(&text, &schema).map_err(|problems| {
        let fallback =
            || Problem::new(codes::CHECK_EXPRESSION, "the condition cannot be planned", text.whole());
        SqlError::problem(problems.into_iter().next().unwrap_or_else(fallback), &text)
    })?;
    let columns = planned.column_refs().into_iter().map(|column| column.name.clone()).collect();
    let now = DateTime::from_timestamp_micros(now.0).unwrap_or(DateTime::UNIX_EPOCH);
    let expr = physical(planned, &schema, Some(now)).map_err(SqlError::from_datafusion)?;
    Ok(Condition { columns, expr })
}

/// The condition as an expression over one row, types coerced. Whether it gives true or false is not checked.
pub(crate) fn plan_condition(text: &SqlText<'_>, schema: &DFSchema) -> Result<Expr, Vec<Problem>> {
    let explained = |error| explain(&error, text);
    let parsed = parse_expression(text).map_err(|problem| vec![problem])?;
    let catalog = Catalog::default();
    let planner = Planner::new(offline_state(), &catalog);
    let planned = unpanicked(|| {
        let expr = planner.sql_to_rel().sql_to_expr(parsed, schema, &mut PlannerContext::new())?;
        Ok(expr.rewrite(&mut TypeCoercionRewriter::new(schema))?.data)
    });
    let expr = planned.map_err(explained)?;
    let beyond_row = walk::any_part(&expr, &mut |part| {
        matches!(
            part,
            Expr::AggregateFunction(_)
                | Expr::WindowFunction(_)
                | Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
        )
    });
    if beyond_row.map_err(explained)? {
        let message = "a condition sees one row: no aggregates, window functions or subqueries";
        return Err(vec![Problem::new(codes::CHECK_EXPRESSION, message, text.whole())]);
    }
    Ok(expr)
}
