//! Features checked against the types of the events' columns, and the states they share: features that differ only in
//! their window, or in how a state is read, use one state.

use arrow::datatypes::DataType;
use indexmap::IndexMap;

use super::definition::{Feature, Measure, Operand, Window};
use crate::{
    FeatureError,
    aggregate::{Aggregate, Finish, State, Value, micros, ratio},
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
    pub(crate) denominator: Option<Read>,
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
            let window = feature.window;
            let mut read = |operand: &Operand| read(operand, window, columns, &mut slots);
            let (numerator, denominator) = match &feature.measure {
                Measure::One(operand) => (read(operand)?, None),
                Measure::Ratio { numerator, denominator } => (read(numerator)?, Some(read(denominator)?)),
            };
            if denominator.is_some() {
                let scalar = |read: &Read| {
                    matches!(
                        read.finish.output,
                        DataType::Int64 | DataType::Float64 | DataType::Decimal128(..)
                    )
                };
                if ![Some(&numerator), denominator.as_ref()].into_iter().flatten().all(scalar) {
                    let reason = "both sides must be a count, a sum or a float";
                    return Err(FeatureError::Parameter { aggregation: "ratio", reason });
                }
            }
            planned.push(Planned { window, numerator, denominator });
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
        match self.denominator {
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
        match &self.denominator {
            None => numerator,
            Some(denominator) => {
                let scales = [self.numerator.value_scale(), denominator.value_scale()];
                ratio(numerator.borrowed(), one(denominator).borrowed(), scales)
                    .map_or(Value::Null, Value::Float)
            }
        }
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
