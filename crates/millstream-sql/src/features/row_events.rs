//! Events of a view whose every event is made of one row: the view's query as expressions that run over batches, so that rows
//! become events as they come, without a plan for each batch. The rows are those that the query would read from its table.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, AsArray, RecordBatch, RecordBatchOptions, new_null_array},
    compute::filter_record_batch,
    datatypes::{DataType, Schema, SchemaRef},
};
use datafusion::{
    common::TableReference,
    logical_expr::{Expr, LogicalPlan},
    physical_expr::PhysicalExpr,
};
use millstream_features::view::ViewDefinition;
use millstream_types::TableName;

use super::types::cast_exactly;
use crate::{
    analyze::Analysis,
    explain::explain,
    parse::parse_query,
    place::SqlText,
    planner::{Planner, offline_state, physical},
    schema::conform,
    session::SqlError,
};

/// Makes events of the rows of one table; compiled once and used from any thread.
#[derive(Debug)]
pub struct RowEvents {
    table: TableName,
    /// The columns of the rows that the query reads.
    rows: SchemaRef,
    /// The steps from rows to events, in their order.
    steps: Vec<Step>,
    events: SchemaRef,
}

/// A node of the query's plan.
#[derive(Debug)]
enum Step {
    /// Only rows for which this is true go on.
    Filter(Arc<dyn PhysicalExpr>),
    /// Columns are computed of the row's columns.
    Project { columns: Vec<Arc<dyn PhysicalExpr>>, schema: SchemaRef },
}

impl RowEvents {
    /// Compiles the query of a view over the project's tables; an earlier definition of a view too, as long as the columns that it
    /// reads are there.
    ///
    /// # Errors
    ///
    /// The query does not plan any more, an event is not made of one row, or an expression cannot be executed.
    pub fn compile(definition: &ViewDefinition, analysis: &Analysis) -> Result<Self, SqlError> {
        let plan = planned(definition, analysis)?;
        let (mut node, mut steps) = (&plan, Vec::new());
        let (table, rows) = loop {
            match node {
                LogicalPlan::Projection(projection) => {
                    let input = projection.input.as_ref();
                    let columns = projection.expr.iter().map(|expr| compiled(expr, input));
                    let schema = Arc::new(projection.schema.as_arrow().clone());
                    steps.push(Step::Project { columns: columns.collect::<Result<_, _>>()?, schema });
                    node = input;
                }
                LogicalPlan::Filter(filter) => {
                    let input = filter.input.as_ref();
                    steps.push(Step::Filter(compiled(&filter.predicate, input)?));
                    node = input;
                }
                // Names of tables are part of the schemas by which expressions are compiled, and nothing happens to rows.
                LogicalPlan::SubqueryAlias(alias) => node = alias.input.as_ref(),
                LogicalPlan::TableScan(scan) => {
                    for predicate in &scan.filters {
                        steps.push(Step::Filter(compiled(predicate, node)?));
                    }
                    let table = named(&scan.table_name).ok_or_else(|| beyond_rows(&definition.name))?;
                    break (table, Arc::new(scan.projected_schema.as_arrow().clone()));
                }
                _ => return Err(beyond_rows(&definition.name)),
            }
        };
        steps.reverse();
        Ok(Self { table, rows, steps, events: definition.event_schema() })
    }

    /// The table whose rows become events.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The columns that rows have: those of the table that the view reads.
    #[must_use]
    pub fn row_schema(&self) -> &SchemaRef {
        &self.rows
    }

    /// The columns of events.
    #[must_use]
    pub fn event_schema(&self) -> &SchemaRef {
        &self.events
    }

    /// The events of rows, in [`ViewDefinition::event_schema`] and in the order of the rows. The rows
    /// may have the columns of [`Self::row_schema`] in any order, and others; a column that they do not have is null.
    ///
    /// # Errors
    ///
    /// A value does not fit its column, or an expression fails.
    pub fn of(&self, rows: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let mut batch = fitted(rows, &self.rows)?;
        for step in &self.steps {
            batch = step.apply(&batch)?;
        }
        conform(&batch, &self.events).map_err(unfit)
    }
}

impl Step {
    fn apply(&self, batch: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let count = batch.num_rows();
        let evaluate = |expr: &Arc<dyn PhysicalExpr>| -> Result<ArrayRef, SqlError> {
            let value = expr.evaluate(batch).and_then(|value| value.into_array(count));
            value.map_err(SqlError::from_datafusion)
        };
        match self {
            Self::Filter(predicate) => {
                let kept = evaluate(predicate)?;
                let kept = kept.as_boolean_opt().ok_or_else(|| SqlError::Execution {
                    message: "a condition of the view gives no truth values".to_owned(),
                })?;
                filter_record_batch(batch, kept).map_err(unfit)
            }
            Self::Project { columns, schema } => {
                let columns = columns.iter().map(evaluate).collect::<Result<Vec<_>, _>>()?;
                with_rows(schema, columns, count)
            }
        }
    }
}

/// The definition's query over the project's tables, types coerced.
fn planned(definition: &ViewDefinition, analysis: &Analysis) -> Result<LogicalPlan, SqlError> {
    let text = SqlText::new(&definition.query);
    let broken = |message: String| SqlError::Execution {
        message: format!("the query of the view `{}` does not plan: {message}", definition.name),
    };
    let query = parse_query(&text).map_err(|problem| broken(problem.message))?;
    let planner = Planner::new(offline_state(), &analysis.catalog);
    planner.plan(query).and_then(|plan| planner.analyse(plan)).map_err(|error| {
        let problem = explain(&error, &text).into_iter().next();
        broken(problem.map_or_else(|| error.to_string(), |problem| problem.message))
    })
}

fn named(table: &TableReference) -> Option<TableName> {
    match table {
        TableReference::Partial { schema, table } => TableName::new(schema, table).ok(),
        _ => None,
    }
}

/// The expression over the columns of `input`. Where it has a name, the schema of its node has it too.
fn compiled(expr: &Expr, input: &LogicalPlan) -> Result<Arc<dyn PhysicalExpr>, SqlError> {
    let expr = expr.clone().unalias();
    physical(expr, input.schema(), None).map_err(SqlError::from_datafusion)
}

/// The rows in the columns that the query reads.
fn fitted(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    if rows.schema_ref() == schema {
        return Ok(rows.clone());
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        columns.push(match rows.column_by_name(field.name()) {
            None => new_null_array(field.data_type(), rows.num_rows()),
            Some(column) if column.data_type() == field.data_type() => column.clone(),
            Some(column) => cast_exactly(column, field.data_type()).map_err(|error| SqlError::Execution {
                message: format!("a value of the column `{}` does not fit: {error}", field.name()),
            })?,
        });
    }
    with_rows(schema, columns, rows.num_rows())
}

/// A batch of these columns. Whether values may be missing is not the business of a batch, and expressions know less of it than
/// the schema that was planned.
fn with_rows(schema: &SchemaRef, columns: Vec<ArrayRef>, rows: usize) -> Result<RecordBatch, SqlError> {
    let fields = schema.fields().iter().zip(&columns).map(|(field, column)| {
        let data_type: DataType = column.data_type().clone();
        field.as_ref().clone().with_data_type(data_type).with_nullable(true)
    });
    let schema = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(schema, columns, &options).map_err(unfit)
}

fn beyond_rows(view: &str) -> SqlError {
    SqlError::Execution { message: format!("an event of the view `{view}` is not made of one row") }
}

fn unfit(error: arrow::error::ArrowError) -> SqlError {
    SqlError::Execution { message: error.to_string() }
}
