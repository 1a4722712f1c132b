//! `expression`: a SQL condition over the row. False fails, null passes.

use std::sync::Arc;

use arrow::{
    array::{Array, AsArray, RecordBatch},
    buffer::BooleanBuffer,
    datatypes::{DataType, Schema},
};
use datafusion::{
    error::{DataFusionError, Result},
    physical_expr::PhysicalExpr,
};
use millstream_sql::{Condition, condition};
use millstream_types::TimestampMicros;

use super::{Problem, RowCheck, Rows};
use crate::{
    QualityError, bitmap,
    column::{Column, MASKED},
};

#[derive(Debug)]
struct Expression {
    /// The condition as written, for messages.
    sql: String,
    columns: Vec<String>,
    /// Whether one of the columns holds personal data.
    is_personal: bool,
    condition: Arc<dyn PhysicalExpr>,
}

pub(super) fn compile(
    sql: &str,
    schema: &Schema,
    known: &[Column],
    now: TimestampMicros,
) -> Result<Box<dyn RowCheck>, Problem> {
    let Condition { columns, expr } = condition(sql, schema, now)
        .map_err(|error| Problem::new(format!("`{sql}` is not a condition over the row: {error}")))?;
    match expr.data_type(schema) {
        Ok(DataType::Boolean | DataType::Null) => {
            let is_personal = known.iter().any(|column| column.pii && columns.contains(column.name()));
            let columns = columns.into_iter().collect();
            Ok(Box::new(Expression { sql: sql.trim().to_owned(), columns, is_personal, condition: expr }))
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
        DataFusionError::External(fault) => fault.to_string(),
        root => root.strip_backtrace(),
    }
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
            // The library's message quotes the value that it stopped at.
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
