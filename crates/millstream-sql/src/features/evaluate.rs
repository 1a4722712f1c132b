//! On-demand features at work: expressions compiled once, then computed over batches of any size without planning.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, Schema, SchemaRef},
};
use datafusion::physical_expr::PhysicalExpr;
use millstream_features::view::{FeatureSource, OnDemandDefinition};

use super::{
    expression::Expression,
    on_demand::scope,
    types::{cast_computed, cast_exactly},
};
use crate::{codes, session::SqlError};

/// The on-demand features of a service, ready to be computed from any thread.
#[derive(Debug)]
pub struct OnDemandExpressions {
    /// The columns that [`Self::evaluate`] needs: features of views as `view.feature`, and request values.
    inputs: SchemaRef,
    expressions: Vec<Compiled>,
}

#[derive(Debug)]
struct Compiled {
    name: String,
    schema: SchemaRef,
    /// The sources of the columns of `schema`.
    columns: Vec<OperandSource>,
    expr: Arc<dyn PhysicalExpr>,
    data_type: DataType,
}

/// The source of a column that an on-demand feature is computed of.
#[derive(Clone, Copy, Debug)]
enum OperandSource {
    /// The column is the input with this number.
    Input(usize),
    /// The column is the result of the earlier expression with this number.
    Computed(usize),
}

impl OnDemandExpressions {
    /// Compiles the on-demand features of a service, each after those that it uses.
    ///
    /// # Errors
    ///
    /// A definition that does not plan with the types that it states, which no analysis gives.
    pub fn compile(definitions: &[OnDemandDefinition]) -> Result<Self, SqlError> {
        let mut inputs: Vec<Field> = Vec::new();
        let mut expressions = Vec::with_capacity(definitions.len());
        for definition in definitions {
            let mut columns = Vec::new();
            let mut input = |name: &str, data_type: &DataType| {
                let known = inputs.iter().position(|field| field.name() == name);
                OperandSource::Input(known.unwrap_or_else(|| {
                    inputs.push(Field::new(name, data_type.clone(), true));
                    inputs.len() - 1
                }))
            };
            for feature in &definition.inputs {
                columns.push(match feature.source {
                    FeatureSource::View { .. } => input(&feature.name, &feature.data_type),
                    FeatureSource::OnDemand(index) if index < expressions.len() => {
                        OperandSource::Computed(index)
                    }
                    FeatureSource::OnDemand(_) => {
                        return Err(broken(definition, "it comes before its inputs"));
                    }
                });
            }
            columns.extend(definition.request.iter().map(|value| input(&value.name, &value.data_type)));
            expressions.push(compile(definition, columns)?);
        }
        Ok(Self { inputs: Arc::new(Schema::new(inputs)), expressions })
    }

    /// The columns that [`Self::evaluate`] reads: features of views as `view.feature`, and request values.
    #[must_use]
    pub fn inputs(&self) -> &SchemaRef {
        &self.inputs
    }

    /// The columns of all on-demand features for the rows of a batch, in the order of the definitions. The batch has the
    /// columns of [`Self::inputs`] in any order, and may have others.
    ///
    /// # Errors
    ///
    /// A column is missing, a value does not fit the input's type, or computing fails, for instance by an overflow.
    pub fn evaluate(&self, rows: &RecordBatch) -> Result<Vec<ArrayRef>, SqlError> {
        self.evaluate_from(rows, 0)
    }

    /// Does the same as [`Self::evaluate`] for a batch whose first row has the number `first` among all rows, so that an
    /// error can name the number of a row that cannot be computed.
    ///
    /// # Errors
    ///
    /// As [`Self::evaluate`].
    pub fn evaluate_from(&self, rows: &RecordBatch, first: u64) -> Result<Vec<ArrayRef>, SqlError> {
        let mut inputs = Vec::with_capacity(self.inputs.fields().len());
        for field in self.inputs.fields() {
            let column = rows.column_by_name(field.name()).ok_or_else(|| {
                failed(format!("the on-demand features need `{}`, which is not there", field.name()))
            })?;
            let column = cast_exactly(column, field.data_type());
            let unfit = |error| failed(format!("a value of `{}` does not fit: {error}", field.name()));
            inputs.push(column.map_err(unfit)?);
        }
        let mut computed: Vec<ArrayRef> = Vec::with_capacity(self.expressions.len());
        for one in &self.expressions {
            let columns = one.columns.iter().map(|source| match *source {
                OperandSource::Input(index) => inputs[index].clone(),
                OperandSource::Computed(index) => computed[index].clone(),
            });
            let array = one.evaluate(columns.collect(), rows.num_rows(), first);
            computed.push(array?);
        }
        Ok(computed)
    }
}

impl Compiled {
    fn evaluate(&self, columns: Vec<ArrayRef>, rows: usize, first: u64) -> Result<ArrayRef, SqlError> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options);
        let batch = batch.map_err(|error| failed(format!("`{}`: {error}", self.name)))?;
        let value = self.expr.evaluate(&batch).and_then(|value| value.into_array(rows));
        let array = value.map_err(|error| match SqlError::from_datafusion(error) {
            SqlError::Execution { message } => match self.failing_row(&batch) {
                Some(row) => failed(format!("`{}` of row {} (from 0): {message}", self.name, first + row)),
                None => failed(format!("`{}`: {message}", self.name)),
            },
            other => other,
        })?;
        cast_computed(&array, &self.data_type).map_err(|error| failed(format!("`{}`: {error}", self.name)))
    }
}

impl Compiled {
    /// The number, in the batch, of a row that cannot be computed by itself either.
    fn failing_row(&self, batch: &RecordBatch) -> Option<u64> {
        let fails = |start: usize, rows: usize| {
            let value = self.expr.evaluate(&batch.slice(start, rows));
            value.and_then(|value| value.into_array(rows)).is_err()
        };
        let (mut start, mut rows) = (0, batch.num_rows());
        while rows > 1 {
            let half = rows / 2;
            if fails(start, half) {
                rows = half;
            } else {
                (start, rows) = (start + half, rows - half);
            }
        }
        fails(start, rows).then_some(start as u64)
    }
}

fn compile(definition: &OnDemandDefinition, columns: Vec<OperandSource>) -> Result<Compiled, SqlError> {
    let inputs = definition.inputs.iter().map(|input| (input.name.as_str(), &input.data_type));
    let request = definition.request.iter().map(|value| (value.name.as_str(), &value.data_type));
    let schema = scope(inputs.chain(request)).ok_or_else(|| broken(definition, "two inputs share a name"))?;
    let expression =
        Expression::parse(&definition.sql).map_err(|problem| broken(definition, &problem.message))?;
    let planned = expression.plan(&schema).map_err(|problems| {
        let reason = problems.first().map_or("it does not plan", |problem| problem.message.as_str());
        broken(definition, reason)
    })?;
    let expr = planned.physical(&schema).map_err(SqlError::from_datafusion)?;
    Ok(Compiled {
        name: definition.name.clone(),
        schema: schema.inner().clone(),
        columns,
        expr,
        data_type: definition.data_type.clone(),
    })
}

fn broken(definition: &OnDemandDefinition, reason: &str) -> SqlError {
    let message = format!("the on-demand feature `{}` cannot be computed: {reason}", definition.name);
    SqlError::Invalid { code: codes::FEATURE_EXPRESSION, message, place: None, label: None, hint: None }
}

fn failed(message: String) -> SqlError {
    SqlError::Execution { message }
}
