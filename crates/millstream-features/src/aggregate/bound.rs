//! An aggregation bound to the type of its column, for callers that keep the states themselves.

use arrow::{array::ArrayRef, datatypes::DataType};

use super::{Aggregate, Aggregation, Column, Finish, Order, State, Value, ValueRef, build};
use crate::FeatureError;

/// An aggregation over columns of one type. The caller keeps one [`State`] for each group, such as a key in a window of a
/// stream.
#[derive(Debug, Clone)]
pub struct BoundAggregation {
    finish: Finish,
}

impl BoundAggregation {
    /// Binds to columns of type `input`, or to rows if there is none. `length` is that of the window in microseconds.
    ///
    /// # Errors
    ///
    /// The aggregation cannot be computed of that type, needs a column, or has a parameter out of range.
    pub fn new(
        aggregation: &Aggregation,
        input: Option<&DataType>,
        length: Option<u64>,
    ) -> Result<Self, FeatureError> {
        Ok(Self { finish: Finish::new(aggregation, input, length)? })
    }

    /// The type of the values.
    #[must_use]
    pub fn output(&self) -> &DataType {
        &self.finish.output
    }

    /// The state of no events.
    #[must_use]
    pub fn identity(&self) -> State {
        self.finish.aggregation.identity()
    }

    /// Adds each row of `column` to the state with the number that `slots` names for it; without a column each row counts.
    /// `order` gives the place of a row in the total order of events.
    ///
    /// # Errors
    ///
    /// The column has a type for which there is no such aggregation.
    pub fn add(
        &self,
        states: &mut [State],
        slots: &[u32],
        column: Option<&ArrayRef>,
        order: impl Fn(usize) -> Order,
    ) -> Result<(), FeatureError> {
        let column = column.map(Column::new).transpose()?;
        for (row, slot) in slots.iter().enumerate() {
            if let Some(state) = states.get_mut(*slot as usize) {
                let value = column.as_ref().map_or(ValueRef::Bool(true), |column| column.value(row));
                state.add(order(row), value);
            }
        }
        Ok(())
    }

    /// The values of states at time `at` (microseconds). The second list says, for each of them, whether it is beyond what its
    /// type can hold; such a value is null in the array.
    ///
    /// # Errors
    ///
    /// Arrow cannot build an array of that type.
    pub fn values<'a>(
        &self,
        states: impl IntoIterator<Item = &'a State>,
        at: impl Fn(usize) -> i64,
    ) -> Result<(ArrayRef, Vec<bool>), FeatureError> {
        let values = states.into_iter().enumerate().map(|(row, state)| self.finish.value(state, at(row)));
        let (values, outgrown): (Vec<Value>, Vec<bool>) =
            values.map(|value| value.map_or((Value::Null, true), |value| (value, false))).unzip();
        Ok((build(&values, &self.finish.output)?, outgrown))
    }
}
