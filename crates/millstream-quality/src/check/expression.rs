//! `expression`: a SQL condition over the row. False fails, null passes.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    buffer::BooleanBuffer,
    datatypes::{DataType, Schema},
};
use chrono::{DateTime, Utc};
use datafusion::{
    common::DFSchema,
    error::{DataFusionError, Result},
    execution::{SessionState, SessionStateBuilder, SessionStateDefaults},
    logical_expr::{execution_props::ExecutionProps, simplify::SimplifyContext},
    optimizer::simplify_expressions::ExprSimplifier,
    physical_expr::PhysicalExpr,
};
use millstream_types::TimestampMicros;

use super::{Problem, RowCheck, Rows};
use crate::{
    QualityError, bitmap,
    column::{Column, MASKED},
};

#[derive(Debug)]
struct Expression {
    /// As written, for messages.
    sql: String,
    columns: Vec<String>,
    /// Whether one of the columns holds personal data.
    is_personal: bool,
    condition: Arc<dyn PhysicalExpr>,
}

/// SQL's functions, with `now()` at the given time.
pub(super) fn session(now: TimestampMicros) -> SessionState {
    let now: DateTime<Utc> = DateTime::from_timestamp_micros(now.0).unwrap_or(DateTime::UNIX_EPOCH);
    let properties = ExecutionProps::new().with_query_execution_start_time(now);
    SessionStateBuilder::new()
        .with_expr_planners(SessionStateDefaults::default_expr_planners())
        .with_scalar_functions(SessionStateDefaults::default_scalar_functions())
        .with_higher_order_functions(SessionStateDefaults::default_higher_order_functions())
        .with_aggregate_functions(SessionStateDefaults::default_aggregate_functions())
        .with_window_functions(SessionStateDefaults::default_window_functions())
        .with_execution_props(properties)
        .build()
}

pub(super) fn compile(
    sql: &str,
    schema: &Schema,
    known: &[Column],
    session: &SessionState,
) -> Result<Box<dyn RowCheck>, Problem> {
    let compiled = condition(sql, schema, session);
    let (columns, condition) = compiled.map_err(|fault| {
        Problem::new(format!("`{sql}` is not a condition over the row: {}", message(&fault)))
    })?;
    match condition.data_type(schema) {
        Ok(DataType::Boolean | DataType::Null) => {
            let is_read = |column: &Column| columns.iter().any(|name| name == column.name());
            let is_personal = known.iter().any(|column| column.pii && is_read(column));
            Ok(Box::new(Expression { sql: sql.trim().to_owned(), columns, is_personal, condition }))
        }
        Ok(other) => Err(Problem::with_hint(
            format!("`{sql}` gives {}, not bool", super::type_name(&other)),
            "write a condition that is true for good rows, as in `amount > 0`",
        )),
        Err(fault) => Err(Problem::new(message(&fault))),
    }
}

/// The innermost message, without the library's prefixes.
fn message(fault: &DataFusionError) -> String {
    match fault.find_root() {
        DataFusionError::ArrowError(fault, _) => fault.to_string(),
        root => root.strip_backtrace(),
    }
}

fn condition(
    sql: &str,
    schema: &Schema,
    session: &SessionState,
) -> Result<(Vec<String>, Arc<dyn PhysicalExpr>)> {
    let schema = DFSchema::try_from(schema.clone())?;
    let written = session.create_logical_expr(sql, &schema)?;
    let mut columns: Vec<String> =
        written.column_refs().into_iter().map(|column| column.name.clone()).collect();
    columns.sort_unstable();
    let context = SimplifyContext::builder()
        .with_schema(Arc::new(schema.clone()))
        .with_config_options(session.config_options().clone())
        .with_query_execution_start_time(session.execution_props().query_execution_start_time)
        .build();
    let simplifier = ExprSimplifier::new(context);
    let coerced = simplifier.coerce(written, &schema)?;
    let simple = simplifier.simplify(coerced)?;
    Ok((columns, session.create_physical_expr(simple, &schema)?))
}

impl RowCheck for Expression {
    fn columns(&self) -> Vec<String> {
        self.columns.clone()
    }

    fn failures(&self, rows: &Rows<'_>) -> Result<Option<BooleanBuffer>, QualityError> {
        let mut failed = Vec::new();
        match self.false_rows(rows.typed) {
            Ok(rows) => return Ok(rows),
            Err(_) => self.search(rows.typed, 0, &mut failed),
        }
        Ok(bitmap::of_list(rows.typed.num_rows(), &failed))
    }

    fn reason(&self, rows: &Rows<'_>, row: usize) -> String {
        match self.false_rows(&rows.typed.slice(row, 1)) {
            Ok(_) => format!("`{}` is false", self.sql),
            // The library quotes the value that it stopped at.
            Err(_) if self.is_personal => format!("`{}` cannot be computed: {MASKED}", self.sql),
            Err(fault) => format!("`{}` cannot be computed: {}", self.sql, message(&fault)),
        }
    }
}

impl Expression {
    fn false_rows(&self, batch: &RecordBatch) -> Result<Option<BooleanBuffer>> {
        let verdict = self.condition.evaluate(batch)?.into_array(batch.num_rows())?;
        let Some(verdict) = verdict.as_boolean_opt() else { return Ok(None) };
        Ok(bitmap::without_nulls(!verdict.values(), verdict.nulls()))
    }

    /// An expression that stops with an error (a division by zero) does so for the whole batch; halving finds
    /// the rows, which fail the check, and judges the others.
    fn search(&self, batch: &RecordBatch, first: usize, failed: &mut Vec<usize>) {
        match self.false_rows(batch) {
            Ok(None) => {}
            Ok(Some(rows)) => failed.extend(rows.set_indices().map(|row| first + row)),
            Err(_) if batch.num_rows() <= 1 => failed.extend((0..batch.num_rows()).map(|row| first + row)),
            Err(_) => {
                let half = batch.num_rows() / 2;
                self.search(&batch.slice(0, half), first, failed);
                self.search(&batch.slice(half, batch.num_rows() - half), first + half, failed);
            }
        }
    }
}
