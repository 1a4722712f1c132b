//! The partitions of a table: which ones a change of the inputs reaches, which ones the query has rows for, and the rows of some
//! of them alone.

use std::sync::Arc;

use datafusion::{
    arrow::{
        array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, new_empty_array},
        compute::{cast, concat},
        datatypes::{DataType, Date32Type, TimeUnit, TimestampMicrosecondType},
    },
    catalog::TableProvider,
    common::{DataFusionError, Result},
    execution::SendableRecordBatchStream,
    logical_expr::{
        ColumnarValue, Distinct, Expr, LogicalPlan, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
        Volatility, cast as cast_expr,
    },
};
use futures::{TryStreamExt, future::BoxFuture};
use millstream_query::{Execution, Order, QueryRuntime};
use millstream_schedule::Calendar;
use millstream_types::TimestampMicros;

use super::{
    columns::{self, positional},
    error::{IncrementalError, Stop},
    evaluation::{Evaluation, Limits, Side, run},
    inputs::{Inputs, Version, read_as},
    maintenance::Maintenance,
    refresh::relabelled,
};

/// What parts the rows of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionKey {
    /// The column by whose values rows are parted.
    pub column: String,
    /// The partitions of time; `None` where each value of the column is a partition.
    pub calendar: Option<Calendar>,
}

/// The partitions that a change of the inputs can reach, as keys: numbers of a calendar, or values.
#[derive(Clone, Debug)]
pub enum Reached {
    Nothing,
    /// Each key once. A null stands for the rows without a value.
    Keys(ArrayRef),
    /// No bound can be shown, for this reason.
    All {
        why: String,
    },
}

impl PartitionKey {
    /// The key of each of the values of the column.
    ///
    /// # Errors
    ///
    /// The values are no times, where the partitions are those of a calendar.
    pub fn keys(&self, values: &ArrayRef) -> Result<ArrayRef> {
        match &self.calendar {
            Some(calendar) => Ok(Arc::new(numbers(calendar, values)?)),
            None => Ok(Arc::clone(values)),
        }
    }

    /// The key as an expression over the column.
    fn over(&self, column: Expr) -> Expr {
        match self.calendar {
            Some(calendar) => ScalarUDF::from(PartitionNumber::new(calendar)).call(vec![column]),
            None => column,
        }
    }
}

impl Maintenance {
    /// The rows that `condition` holds for, computed from the new versions of the inputs and sorted by the column of the key.
    /// The condition is one over the table's columns, without qualifiers; without one, all rows are computed.
    pub fn build_part<'a>(
        &'a self,
        runtime: &'a dyn QueryRuntime,
        inputs: &'a Inputs,
        key: &'a PartitionKey,
        condition: Option<&'a Expr>,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream, IncrementalError>> {
        Box::pin(async move {
            let start = async {
                let plan = inputs.at(&self.plan, Version::New)?;
                let place = self.place(&plan, &key.column)?;
                let plan = match condition {
                    Some(condition) => {
                        let condition = self.over_output(&plan, condition.clone())?;
                        columns::filter(plan, vec![condition])?
                    }
                    None => plan,
                };
                let how = Execution { order: Order::By(vec![place]), ..Execution::default() };
                runtime.stream(plan, how).await
            };
            let rows = start.await.map_err(IncrementalError::engine("computing partitions"))?;
            Ok(relabelled(rows, self.schema()))
        })
    }

    /// The rows of `files`, which are files of the table, that `condition` does not hold for: what stays when these files are
    /// rewritten. They come in the columns and types that the table has now, sorted by the column of the key.
    pub fn rows_without<'a>(
        &'a self,
        runtime: &'a dyn QueryRuntime,
        files: Arc<dyn TableProvider>,
        key: &'a PartitionKey,
        condition: &'a Expr,
    ) -> BoxFuture<'a, Result<SendableRecordBatchStream, IncrementalError>> {
        Box::pin(async move {
            let start = async {
                let plan = read_as(files, &self.schema())?;
                let place = self.place(&plan, &key.column)?;
                let stays = self.over_output(&plan, condition.clone())?.is_not_true();
                let how = Execution { order: Order::By(vec![place]), ..Execution::default() };
                runtime.stream(columns::filter(plan, vec![stays])?, how).await
            };
            let rows = start.await.map_err(IncrementalError::engine("reading the rows that stay"))?;
            Ok(relabelled(rows, self.schema()))
        })
    }

    /// The partitions that the query has rows for, of the rows that `condition` holds for; `None` for more than `limits` allow.
    pub fn partitions<'a>(
        &'a self,
        runtime: &'a dyn QueryRuntime,
        inputs: &'a Inputs,
        key: &'a PartitionKey,
        condition: Option<&'a Expr>,
        limits: Limits,
    ) -> BoxFuture<'a, Result<Option<ArrayRef>, IncrementalError>> {
        Box::pin(async move {
            let found = async {
                let plan = inputs.at(&self.plan, Version::New)?;
                let plan = match condition {
                    Some(condition) => {
                        let condition = self.over_output(&plan, condition.clone())?;
                        columns::filter(plan, vec![condition])?
                    }
                    None => plan,
                };
                let expr = self.partition_of(&plan, key)?;
                let plan = positional(plan, "k", vec![expr])?;
                collected(runtime, LogicalPlan::Distinct(Distinct::All(Arc::new(plan))), limits.keys).await
            };
            found.await.map_err(IncrementalError::engine("looking for partitions"))
        })
    }

    /// The partitions in which a row can have come, gone or changed between the old and the new versions of the inputs.
    pub fn reached<'a>(
        &'a self,
        runtime: &'a dyn QueryRuntime,
        inputs: &'a Inputs,
        key: &'a PartitionKey,
        limits: Limits,
    ) -> BoxFuture<'a, Result<Reached, IncrementalError>> {
        Box::pin(async move {
            if let Some(why) = &self.unsteady {
                return Ok(Reached::All { why: why.clone() });
            }
            let evaluation = Evaluation::new(runtime, inputs, &limits, Side::Both);
            let found = async {
                let expr = self.partition_of(&self.plan, key)?;
                let Some(keys) = evaluation.affected_keys(&self.plan, &[expr]).await? else {
                    return Ok(Reached::Nothing);
                };
                Ok(match collected(runtime, keys.plan, limits.keys).await? {
                    Some(keys) if keys.is_empty() => Reached::Nothing,
                    Some(keys) => Reached::Keys(keys),
                    None => return Err(Stop::TooManyKeys(limits.keys)),
                })
            };
            match found.await {
                Ok(reached) => Ok(reached),
                Err(Stop::Unsupported(why)) => Ok(Reached::All { why }),
                Err(Stop::TooManyKeys(limit)) => {
                    Ok(Reached::All { why: format!("more than {limit} of them are reached") })
                }
                Err(Stop::Engine(source)) => {
                    Err(IncrementalError::engine("looking for changed partitions")(source))
                }
            }
        })
    }

    /// The place of a column among those of the query.
    fn place(&self, plan: &LogicalPlan, column: &str) -> Result<usize> {
        let place = plan.schema().index_of_column_by_name(None, column);
        place.ok_or_else(|| DataFusionError::Plan(format!("the query has no column `{column}`")))
    }

    /// The key of the partition that a row of the query lies in.
    fn partition_of(&self, plan: &LogicalPlan, key: &PartitionKey) -> Result<Expr> {
        Ok(key.over(self.stored(plan, &key.column)?))
    }

    /// A column of the query as the table stores it.
    fn stored(&self, plan: &LogicalPlan, name: &str) -> Result<Expr> {
        let place = self.place(plan, name)?;
        let column = columns::column(plan.schema(), place);
        let stored = self.schema();
        let stored = stored.field(place).data_type();
        let stored = crate::schema::storable_type(stored).unwrap_or_else(|| stored.clone());
        let is_stored = *plan.schema().field(place).data_type() == stored;
        Ok(if is_stored { column } else { cast_expr(column, stored) })
    }

    /// A condition over the table's columns as one over those of the query.
    fn over_output(&self, plan: &LogicalPlan, condition: Expr) -> Result<Expr> {
        columns::substitute(condition, |column| self.stored(plan, &column.name).map(Some))
    }
}

/// The only column of a plan's rows; `None` for more than `most`.
async fn collected(runtime: &dyn QueryRuntime, plan: LogicalPlan, most: usize) -> Result<Option<ArrayRef>> {
    let data_type = plan.schema().field(0).data_type().clone();
    let mut stream = run(runtime, plan).await?;
    let (mut found, mut rows): (Vec<RecordBatch>, usize) = (Vec::new(), 0);
    while let Some(batch) = stream.try_next().await? {
        rows += batch.num_rows();
        if rows > most {
            return Ok(None);
        }
        found.push(batch);
    }
    let arrays: Vec<&dyn Array> = found.iter().map(|batch| batch.column(0).as_ref()).collect();
    Ok(Some(if arrays.is_empty() { new_empty_array(&data_type) } else { concat(&arrays)? }))
}

/// The number of the partition of time that each value lies in.
fn numbers(calendar: &Calendar, values: &ArrayRef) -> Result<Int64Array> {
    let out_of_range = || DataFusionError::Execution("a time is out of the range of calendars".into());
    let number = |value: Option<i64>, number: &dyn Fn(i64) -> Option<i64>| match value {
        Some(value) => number(value).ok_or_else(out_of_range).map(Some),
        None => Ok(None),
    };
    match values.data_type() {
        DataType::Date32 => {
            let days = values.as_primitive::<Date32Type>().iter();
            days.map(|day| number(day.map(i64::from), &|day| calendar.number_of_day(day))).collect()
        }
        DataType::Timestamp(..) => {
            let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
            let instants = cast(values, &micros)?;
            let instants = instants.as_primitive::<TimestampMicrosecondType>();
            let of = |at: i64| calendar.number(TimestampMicros(at));
            instants.iter().map(|at| number(at, &of)).collect()
        }
        other => Err(DataFusionError::Plan(format!("there are no partitions of time by a {other}"))),
    }
}

/// The function that gives a time the number of its partition.
#[derive(Debug, PartialEq, Eq, Hash)]
struct PartitionNumber {
    calendar: Calendar,
    signature: Signature,
}

impl PartitionNumber {
    fn new(calendar: Calendar) -> Self {
        Self { calendar, signature: Signature::any(1, Volatility::Immutable) }
    }
}

impl ScalarUDFImpl for PartitionNumber {
    fn name(&self) -> &str {
        "partition_number"
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(DataType::Int64)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let arrays = ColumnarValue::values_to_arrays(&args.args)?;
        let [times] = arrays.as_slice() else {
            return Err(DataFusionError::Plan("a partition is that of one time".into()));
        };
        Ok(ColumnarValue::Array(Arc::new(numbers(&self.calendar, times)?)))
    }
}
