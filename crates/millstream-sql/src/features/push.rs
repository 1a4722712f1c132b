//! Pushed rows to events, by the view's definition alone: no table is read and nothing is planned per push.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::{common::DFSchema, physical_expr::PhysicalExpr};
use millstream_features::view::{KNOWN, SEQUENCE, ViewDefinition};

use super::{
    expression::Expression,
    types::{cast_computed, cast_exactly},
};
use crate::{codes, session::SqlError};

/// Makes events of rows; compiled once and used from any thread.
#[derive(Debug)]
pub struct PushProjection {
    rows: SchemaRef,
    events: SchemaRef,
    /// The numbers of the keys among the columns of rows.
    keys: Vec<usize>,
    time: usize,
    columns: Vec<Arc<dyn PhysicalExpr>>,
}

impl PushProjection {
    /// Compiles the projection for a view.
    ///
    /// # Errors
    ///
    /// A definition that says nothing about its rows, or that does not plan, which no analysis gives.
    pub fn compile(definition: &ViewDefinition) -> Result<Self, SqlError> {
        let broken = |reason: &str| {
            let message = format!("rows cannot be pushed to the view `{}`: {reason}", definition.name);
            SqlError::Invalid { code: codes::PUSHED_ROWS, message, place: None, label: None, hint: None }
        };
        let fields = definition.rows.columns.iter();
        let fields = fields.map(|column| Field::new(&column.name, column.data_type.clone(), true));
        let rows: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let index = |name: &str| rows.index_of(name).map_err(|_| broken("its rows are not described"));
        let schema = DFSchema::try_from(rows.as_ref().clone()).map_err(SqlError::from_datafusion)?;
        let schema = Arc::new(schema);
        let mut columns = Vec::with_capacity(definition.columns.len());
        for column in &definition.columns {
            let expression = Expression::parse(&column.sql).map_err(|problem| broken(&problem.message))?;
            let planned = expression.plan(&schema).map_err(|problems| {
                broken(problems.first().map_or("a column does not plan", |problem| &problem.message))
            })?;
            columns.push(planned.physical(&schema).map_err(SqlError::from_datafusion)?);
        }
        Ok(Self {
            events: definition.event_schema(),
            keys: definition.keys.iter().map(|key| index(&key.name)).collect::<Result<_, _>>()?,
            time: index(&definition.rows.time)?,
            rows,
            columns,
        })
    }

    /// The columns that rows must have: keys, time, and what the features use.
    #[must_use]
    pub fn push_schema(&self) -> &SchemaRef {
        &self.rows
    }

    /// The events of rows, in [`ViewDefinition::event_schema`]. The rows have the columns of [`Self::push_schema`] in any
    /// order; `_known` and `_sequence` are taken as they are where the rows have them, and are null otherwise.
    ///
    /// # Errors
    ///
    /// A column is missing, a value does not fit its type, or an expression fails.
    pub fn project(&self, rows: &RecordBatch) -> Result<RecordBatch, SqlError> {
        let count = rows.num_rows();
        let mut found = Vec::with_capacity(self.rows.fields().len());
        for field in self.rows.fields() {
            let column = rows.column_by_name(field.name()).ok_or_else(|| missing(field.name()))?;
            found.push(fitting(column, field.name(), field.data_type())?);
        }
        let stamp = |name: &str| {
            let data_type =
                self.events.field_with_name(name).map_or(&DataType::Null, |field| field.data_type());
            match rows.column_by_name(name) {
                Some(column) => fitting(column, name, data_type),
                None => Ok(new_null_array(data_type, count)),
            }
        };
        let mut events: Vec<ArrayRef> = self.keys.iter().map(|index| found[*index].clone()).collect();
        events.extend([found[self.time].clone(), stamp(KNOWN)?, stamp(SEQUENCE)?]);
        let options = RecordBatchOptions::new().with_row_count(Some(count));
        let batch = RecordBatch::try_new_with_options(self.rows.clone(), found, &options).map_err(unfit)?;
        for expr in &self.columns {
            let value = expr.evaluate(&batch).and_then(|value| value.into_array(count));
            events.push(value.map_err(SqlError::from_datafusion)?);
        }
        let events = events.iter().zip(self.events.fields());
        let events = events.map(|(column, field)| cast_computed(column, field.data_type()).map_err(unfit));
        let events = events.collect::<Result<Vec<_>, _>>()?;
        RecordBatch::try_new_with_options(self.events.clone(), events, &options).map_err(unfit)
    }
}

fn fitting(column: &ArrayRef, name: &str, data_type: &DataType) -> Result<ArrayRef, SqlError> {
    cast_exactly(column, data_type).map_err(|error| SqlError::Execution {
        message: format!("a value of the pushed column `{name}` does not fit: {error}"),
    })
}

fn missing(name: &str) -> SqlError {
    let message = format!("the pushed rows have no column `{name}`");
    SqlError::Invalid { code: codes::PUSHED_ROWS, message, place: None, label: None, hint: None }
}

fn unfit(error: arrow::error::ArrowError) -> SqlError {
    SqlError::Execution { message: error.to_string() }
}
