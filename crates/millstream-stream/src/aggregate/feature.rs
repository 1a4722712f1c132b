//! Aggregations of the feature language, with the states that the online store and training sets use.

use arrow::{
    array::{Array, AsArray},
    datatypes::{DataType, Int64Type, Schema, TimestampMicrosecondType},
};
use millstream_features::{
    FeatureError,
    aggregate::{BoundAggregation, Order, State},
};
use millstream_types::Aggregation;

use super::{Accumulator, Results, Taken, Ties};
use crate::{
    StreamError,
    source::time_column,
    state::{Reader, Writer},
};

#[derive(Debug)]
pub(super) struct Feature {
    aggregation: BoundAggregation,
    column: Option<usize>,
    order: OrderColumns,
    states: Vec<State>,
    /// The size of each state as it was measured last, and the slots that have changed since.
    sizes: Vec<u32>,
    changed: Vec<u32>,
    size: usize,
}

/// The columns of the total order of events beside the event time.
#[derive(Debug, Clone, Copy)]
pub(super) struct OrderColumns {
    known: Option<usize>,
    sequence: Option<usize>,
}

pub(super) fn order_columns(stage: &str, schema: &Schema, ties: &Ties) -> Result<OrderColumns, StreamError> {
    let known = ties.known.as_ref().map(|name| time_column(stage, schema, name)).transpose()?;
    let sequence = ties.sequence.as_ref().map(|name| {
        let (column, field) = schema
            .column_with_name(name)
            .ok_or_else(|| StreamError::NoSuchColumn { stage: stage.into(), column: name.clone() })?;
        if *field.data_type() == DataType::Int64 {
            return Ok(column);
        }
        Err(StreamError::ColumnType {
            stage: stage.into(),
            column: name.clone(),
            data_type: field.data_type().clone(),
            role: "a place in an order, which is an int64",
        })
    });
    Ok(OrderColumns { known, sequence: sequence.transpose()? })
}

impl Feature {
    pub(super) fn new(
        aggregation: &Aggregation,
        over: Option<(usize, DataType)>,
        order: OrderColumns,
        length: Option<u64>,
    ) -> Result<Self, FeatureError> {
        let aggregation =
            BoundAggregation::new(aggregation, over.as_ref().map(|(_, data_type)| data_type), length)?;
        Ok(Self {
            aggregation,
            column: over.map(|(column, _)| column),
            order,
            states: Vec::new(),
            sizes: Vec::new(),
            changed: Vec::new(),
            size: 0,
        })
    }

    pub(super) fn output(&self) -> &DataType {
        self.aggregation.output()
    }

    /// Marks a state as changed. Its size counts as 0 until it is measured.
    fn mark(&mut self, slot: u32) {
        if let Some(size) = self.sizes.get_mut(slot as usize)
            && *size != 0
        {
            self.size -= std::mem::take(size) as usize;
            self.changed.push(slot);
        }
    }
}

impl Accumulator for Feature {
    fn resize(&mut self, slots: usize) {
        let former = self.states.len();
        self.states.resize_with(slots, || self.aggregation.identity());
        self.sizes.resize(slots, 0);
        self.changed.extend((former..slots).filter_map(|slot| u32::try_from(slot).ok()));
    }

    fn update(&mut self, taken: Taken<'_>) -> Result<(), StreamError> {
        let column = self.column.and_then(|column| taken.rows.columns().get(column));
        let get = |column: Option<usize>| column.and_then(|column| taken.rows.columns().get(column));
        let known = get(self.order.known).map(|column| column.as_primitive::<TimestampMicrosecondType>());
        let sequence = get(self.order.sequence).map(|column| column.as_primitive::<Int64Type>());
        let order = |row: usize| Order {
            event: taken.times.get(row).copied().unwrap_or(0),
            known: known.filter(|known| known.is_valid(row)).map_or(0, |known| known.value(row)),
            sequence: sequence
                .filter(|sequence| sequence.is_valid(row))
                .map_or(0, |sequence| sequence.value(row)),
        };
        self.aggregation
            .add(&mut self.states, taken.slots, column, order)
            .map_err(|source| StreamError::Aggregate { stage: "a window".into(), source })?;
        taken.slots.iter().for_each(|slot| self.mark(*slot));
        Ok(())
    }

    fn merge(&mut self, into: u32, from: u32) -> Result<(), StreamError> {
        let Some(more) = self.states.get(from as usize).cloned() else { return Ok(()) };
        if let Some(state) = self.states.get_mut(into as usize) {
            state
                .merge(&more)
                .map_err(|source| StreamError::Aggregate { stage: "a window".into(), source })?;
        }
        self.mark(into);
        Ok(())
    }

    fn reset(&mut self, slot: u32) {
        if let Some(state) = self.states.get_mut(slot as usize) {
            *state = self.aggregation.identity();
        }
        self.mark(slot);
    }

    fn results(&self, slots: &[u32], ends: &[i64]) -> Result<Results, StreamError> {
        let states = slots.iter().filter_map(|slot| self.states.get(*slot as usize));
        let at = |row: usize| ends.get(row).copied().unwrap_or(0);
        let (values, outgrown) = self
            .aggregation
            .values(states, at)
            .map_err(|source| StreamError::Aggregate { stage: "a window".into(), source })?;
        let outgrown = outgrown.iter().enumerate().filter(|(_, outgrown)| **outgrown).map(|(row, _)| row);
        Ok(Results { values, outgrown: outgrown.collect() })
    }

    fn bytes(&mut self) -> usize {
        for slot in std::mem::take(&mut self.changed) {
            let written = self.states.get(slot as usize).map_or(0, |state| state.to_bytes().len());
            let written = u32::try_from(written).unwrap_or(u32::MAX).max(1);
            if let Some(size) = self.sizes.get_mut(slot as usize) {
                self.size = self.size - *size as usize + written as usize;
                *size = written;
            }
        }
        // What is written is about what is kept beside the state itself.
        self.size + self.states.capacity() * (size_of::<State>() + 4)
    }

    fn write(&self, slot: u32, out: &mut Writer) {
        out.block(&self.states.get(slot as usize).map(State::to_bytes).unwrap_or_default());
    }

    fn read(&mut self, slot: u32, input: &mut Reader<'_>) -> Result<(), StreamError> {
        let state =
            State::from_bytes(input.block()?).map_err(|_| StreamError::damaged("an aggregation is none"))?;
        if let Some(slot) = self.states.get_mut(slot as usize) {
            *slot = state;
        }
        self.mark(slot);
        Ok(())
    }
}
