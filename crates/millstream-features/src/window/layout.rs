//! Features checked against the types of the events' columns, and the states they share: features that differ only in
//! their window, or in how a state is read, use one state.

use arrow::datatypes::DataType;
use indexmap::IndexMap;

use super::definition::{Feature, Measure, Operand, Window};
use crate::{
    FeatureError,
    aggregate::{Aggregate, Aggregation, Finish, State, Value, ValueRef, change, micros, ratio},
};

/// Features ready to be computed.
#[derive(Debug, Clone)]
pub struct Layout {
    pub(crate) slots: Vec<Slot>,
    pub(crate) features: Vec<Planned>,
}

/// A state that one or more features read, with the column and the filter of the events that it takes in.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) identity: State,
    pub(crate) column: Option<usize>,
    pub(crate) filter: Option<usize>,
}

#[derive(Debug, Clone)]
pub(crate) struct Planned {
    pub(crate) window: Window,
    pub(crate) numerator: Read,
    pub(crate) second: Option<Second>,
}

/// The second value that a feature is made of.
#[derive(Debug, Clone)]
pub(crate) struct Second {
    pub(crate) read: Read,
    pub(crate) window: Window,
    pub(crate) joined: Joined,
}

/// What a feature makes of its two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Joined {
    /// The first divided by the second.
    Ratio,
    /// The second is of a window twice as long, of which the first is the later half.
    Change,
}

/// How a slot is read.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) slot: usize,
    pub(crate) finish: Finish,
}

type SlotKey = (Vec<u8>, Option<usize>, Option<usize>);

impl Layout {
    /// Checks the features against the types of the events' value columns.
    ///
    /// # Errors
    ///
    /// A feature names a column that is not there or whose type its aggregation cannot take, or a parameter is out of
    /// range.
    pub fn new(features: &[Feature], columns: &[DataType]) -> Result<Self, FeatureError> {
        let mut slots: IndexMap<SlotKey, Slot> = IndexMap::new();
        let mut planned = Vec::with_capacity(features.len());
        for feature in features {
            let [window, below] = feature.windows();
            let mut read = |operand: &Operand, window| read(operand, window, columns, &mut slots);
            let (numerator, second) = match &feature.measure {
                Measure::One(operand) => (read(operand, window)?, None),
                Measure::Ratio { numerator, denominator, .. } => {
                    let second =
                        Second { read: read(denominator, below)?, window: below, joined: Joined::Ratio };
                    (read(numerator, window)?, Some(second))
                }
                Measure::Change(operand) => {
                    check_change(operand, window)?;
                    let second =
                        Second { read: read(operand, below)?, window: below, joined: Joined::Change };
                    (read(operand, window)?, Some(second))
                }
            };
            if let Some(second) = &second {
                let scalar = |read: &Read| {
                    matches!(
                        read.finish.output,
                        DataType::Int64 | DataType::Float64 | DataType::Decimal128(..)
                    )
                };
                if ![&numerator, &second.read].into_iter().all(scalar) {
                    let reason = "both sides must be a count, a sum or a float";
                    return Err(FeatureError::Parameter { aggregation: "ratio", reason });
                }
            }
            planned.push(Planned { window, numerator, second });
        }
        Ok(Self { slots: slots.into_values().collect(), features: planned })
    }

    /// The type of each feature's values.
    #[must_use]
    pub fn output_types(&self) -> Vec<DataType> {
        self.features.iter().map(Planned::output_type).collect()
    }

    pub(crate) fn identities(&self) -> Vec<State> {
        self.slots.iter().map(|slot| slot.identity.clone()).collect()
    }
}

impl Planned {
    pub(crate) fn output_type(&self) -> DataType {
        match self.second {
            Some(_) => DataType::Float64,
            None => self.numerator.finish.output.clone(),
        }
    }

    /// What the feature is of no events; `identities` are the states of all slots over none.
    pub(crate) fn value_of_none(&self, identities: &[State]) -> Value {
        let one = |read: &Read| {
            let state = identities.get(read.slot);
            // No sum of nothing outgrows its type.
            state.and_then(|state| read.finish.value(state, 0).ok()).unwrap_or(Value::Null)
        };
        let numerator = one(&self.numerator);
        match &self.second {
            None => numerator,
            Some(second) => {
                let joined = self.joined(second, numerator.borrowed(), one(&second.read).borrowed());
                joined.map_or(Value::Null, Value::Float)
            }
        }
    }

    /// What the feature makes of its two values.
    pub(crate) fn joined(&self, second: &Second, one: ValueRef<'_>, other: ValueRef<'_>) -> Option<f64> {
        let scales = [self.numerator.value_scale(), second.read.value_scale()];
        match second.joined {
            Joined::Ratio => ratio(one, other, scales),
            Joined::Change => change(one, other, scales),
        }
    }
}

/// A change is computed of what two windows have and a longer one has, so the aggregation has to be one that is added up.
fn check_change(operand: &Operand, window: Window) -> Result<(), FeatureError> {
    let parameter = |reason| Err(FeatureError::Parameter { aggregation: "change", reason });
    if !matches!(operand.aggregation, Aggregation::Count | Aggregation::CountIf | Aggregation::Sum) {
        return parameter("it is of a count, a count_if or a sum");
    }
    match window.length {
        Some(_) => Ok(()),
        None => parameter("it needs a window: all time has none before it"),
    }
}

impl Read {
    /// Scale of the values that are read, 0 unless they are decimals.
    pub(crate) fn value_scale(&self) -> i8 {
        match self.finish.output {
            DataType::Decimal128(_, scale) => scale,
            _ => 0,
        }
    }
}

fn read(
    operand: &Operand,
    window: Window,
    columns: &[DataType],
    slots: &mut IndexMap<SlotKey, Slot>,
) -> Result<Read, FeatureError> {
    let data_type =
        |index: usize| columns.get(index).ok_or(FeatureError::NoSuchColumn { index, columns: columns.len() });
    if let Some(index) = operand.filter {
        let found = data_type(index)?;
        if *found != DataType::Boolean {
            return Err(FeatureError::FilterType { index, data_type: found.clone() });
        }
    }
    let input = operand.column.map(data_type).transpose()?;
    let length = window.length.map(|length| micros(length).unsigned_abs());
    let finish = Finish::new(&operand.aggregation, input, length)?;
    let identity = operand.aggregation.identity();
    let entry = slots.entry((identity.to_bytes(), operand.column, operand.filter));
    let slot = entry.index();
    entry.or_insert(Slot { identity, column: operand.column, filter: operand.filter });
    Ok(Read { slot, finish })
}
