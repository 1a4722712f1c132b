//! Aggregates of windows, side by side: each keeps one state for each slot, and takes in a batch of rows in one loop.
//!
//! Every state is a function of the multiset of its rows. Sums are exact until they are read, what is first or last comes from the total
//! order of events, and everything else commutes. So the result depends on neither order of arrival, cuts nor panes.

mod average;
mod count;
mod extreme;
mod feature;
mod ordinal;
mod sum;
mod totals;

use std::fmt;

use arrow::{
    array::{ArrayRef, RecordBatch},
    datatypes::{DataType, Field, Schema},
};
use millstream_types::Aggregation;

use crate::{
    StreamError,
    state::{Reader, Writer},
};

/// One aggregate of a window: a function over a column, under a name.
#[derive(Debug, Clone, PartialEq)]
pub struct Aggregate {
    /// The name of the column with the result.
    pub name: String,
    pub function: Function,
}

/// What is computed of the rows of a window and group. Without any value the result is null, but for counts.
#[derive(Debug, Clone, PartialEq)]
pub enum Function {
    /// The number of rows.
    Count,
    /// The number of values that are not null.
    CountOf(String),
    /// The sum. Whole numbers give an int64, unsigned ones a uint64, decimals ten more digits, up to 38, each as SQL does; they are added in
    /// wider numbers, and a sum that does not fit its type in the end makes the row a refused one. Floats give the float nearest to the true sum.
    Sum(String),
    /// The mean: a float64 within two units in the last place of the true quotient; of decimals one with four more digits, cut off.
    Average(String),
    /// The least value. Texts are compared by their bytes; NaN is the greatest float, as in SQL.
    Min(String),
    /// The greatest value.
    Max(String),
    /// Any aggregation of the feature language, with its own rules: `first` and `last`, `distinct` (exact up to a bound) and
    /// `approx_distinct`, quantiles and others.
    Feature { aggregation: Aggregation, over: Option<String>, ties: Ties },
}

/// By which columns rows of one event time are ordered where a feature asks for an order; rows that are equal in all of it are told apart by
/// their value.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Ties {
    /// A timestamp in microseconds: when the row was learned of.
    pub known: Option<String>,
    /// An int64: the row's place in the order of ingestion.
    pub sequence: Option<String>,
}

impl Aggregate {
    /// An aggregate under a name.
    #[must_use]
    pub fn new(name: impl Into<String>, function: Function) -> Self {
        Self { name: name.into(), function }
    }

    /// What comes first by event time; nulls are skipped.
    #[must_use]
    pub fn first(name: impl Into<String>, over: impl Into<String>, ties: Ties) -> Self {
        Self::new(name, Function::Feature { aggregation: Aggregation::First, over: Some(over.into()), ties })
    }

    /// What comes last by event time; nulls are skipped.
    #[must_use]
    pub fn last(name: impl Into<String>, over: impl Into<String>, ties: Ties) -> Self {
        Self::new(name, Function::Feature { aggregation: Aggregation::Last, over: Some(over.into()), ties })
    }
}

/// Rows that an accumulator takes in.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken<'a> {
    pub(crate) rows: &'a RecordBatch,
    pub(crate) times: &'a [i64],
    /// The slot of each row.
    pub(crate) slots: &'a [u32],
}

/// Results of some slots; `outgrown` lists the numbers of those that their type cannot hold, which are null.
#[derive(Debug)]
pub(crate) struct Results {
    pub(crate) values: ArrayRef,
    pub(crate) outgrown: Vec<usize>,
}

/// The states of one aggregate, by slot.
pub(crate) trait Accumulator: fmt::Debug + Send {
    /// Makes room for slots below `slots`, each without rows.
    fn resize(&mut self, slots: usize);
    fn update(&mut self, taken: Taken<'_>) -> Result<(), StreamError>;
    /// Adds what is in one slot to another one.
    fn merge(&mut self, into: u32, from: u32) -> Result<(), StreamError>;
    /// Makes a slot one without rows.
    fn reset(&mut self, slot: u32);
    /// The results of slots, whose windows end at `ends`.
    fn results(&self, slots: &[u32], ends: &[i64]) -> Result<Results, StreamError>;
    fn bytes(&mut self) -> usize;
    fn write(&self, slot: u32, out: &mut Writer);
    fn read(&mut self, slot: u32, input: &mut Reader<'_>) -> Result<(), StreamError>;
}

/// An aggregate bound to the columns of its input, and the field of its result.
pub(crate) fn bind(
    stage: &str,
    aggregate: &Aggregate,
    schema: &Schema,
    length: Option<u64>,
) -> Result<(Box<dyn Accumulator>, Field), StreamError> {
    let column = |name: &String| {
        let found = schema.column_with_name(name);
        found
            .map(|(column, field)| (column, field.data_type().clone()))
            .ok_or_else(|| StreamError::NoSuchColumn { stage: stage.into(), column: name.clone() })
    };
    let unfit = |name: &String, data_type: DataType, role: &'static str| StreamError::ColumnType {
        stage: stage.into(),
        column: name.clone(),
        data_type,
        role,
    };
    let nullable = |data_type: DataType| Field::new(&aggregate.name, data_type, true);
    let count = Field::new(&aggregate.name, DataType::Int64, false);
    Ok(match &aggregate.function {
        Function::Count => (Box::new(count::Count::new(None)), count),
        Function::CountOf(name) => (Box::new(count::Count::new(Some(column(name)?.0))), count),
        Function::Sum(name) => {
            let (at, data_type) = column(name)?;
            let sum =
                sum::Sum::new(at, &data_type).ok_or_else(|| unfit(name, data_type, "a number to add up"))?;
            let output = sum.output().clone();
            (Box::new(sum), nullable(output))
        }
        Function::Average(name) => {
            let (at, data_type) = column(name)?;
            let average = average::Average::new(at, &data_type)
                .ok_or_else(|| unfit(name, data_type, "a number to average"))?;
            let output = average.output().clone();
            (Box::new(average), nullable(output))
        }
        Function::Min(name) | Function::Max(name) => {
            let (at, data_type) = column(name)?;
            let greatest = matches!(aggregate.function, Function::Max(_));
            let states = extreme::extreme(at, &data_type, greatest)
                .ok_or_else(|| unfit(name, data_type.clone(), "a value with an order"))?;
            (states, nullable(data_type))
        }
        Function::Feature { aggregation, over, ties } => {
            let over = over.as_ref().map(column).transpose()?;
            let order = feature::order_columns(stage, schema, ties)?;
            let states = feature::Feature::new(aggregation, over, order, length)
                .map_err(|source| StreamError::Aggregate { stage: stage.into(), source })?;
            let output = states.output().clone();
            (Box::new(states), nullable(output))
        }
    })
}
