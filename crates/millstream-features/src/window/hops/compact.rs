//! One state in its shortest form: machine numbers where they hold it exactly, else the aggregation's own state.

use arrow::datatypes::DataType;

use super::whole::Whole;
use crate::{
    FeatureError,
    aggregate::{
        Aggregation, Finish, Kind, Order, Outgrown, State, StateShape, Value, ValueRef, fits_decimal,
    },
    window::definition::HOPS,
};

/// The shortest form of a slot's states.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Count {
        only_true: bool,
    },
    Sum,
    Int {
        greatest: bool,
    },
    Float {
        greatest: bool,
    },
    /// The newest event time.
    Time,
    State,
}

/// A slot of the layout, ready for its shape.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    pub(super) shape: Shape,
    pub(super) identity: State,
    pub(super) column: Option<usize>,
    pub(super) filter: Option<usize>,
    /// The longest of the windows that are read from hops of each size, in microseconds.
    pub(super) longest: [Option<i64>; HOPS.len()],
}

/// A state in its shortest form: the events of one slot in one hop or window, folded.
#[derive(Debug, Clone)]
pub(crate) enum CompactState {
    Count(u64),
    Sum { count: u64, sum: Whole },
    Int(Option<i64>),
    Float(Option<f64>),
    State(Box<State>),
}

impl Shape {
    pub(super) fn of(identity: &State, column: Option<&DataType>) -> Self {
        let kind = column.and_then(Kind::of);
        match (identity.shape(), kind) {
            (StateShape::Count { only_true }, _) => Self::Count { only_true },
            (StateShape::Sum, _) => Self::Sum,
            (StateShape::Extreme { greatest }, Some(Kind::Int | Kind::Instant)) => Self::Int { greatest },
            (StateShape::Extreme { greatest }, Some(Kind::Float)) => Self::Float { greatest },
            (StateShape::Recency, _) => Self::Time,
            _ => Self::State,
        }
    }
}

impl Slot {
    pub(super) fn empty(&self) -> CompactState {
        match self.shape {
            Shape::Count { .. } => CompactState::Count(0),
            Shape::Sum => CompactState::Sum { count: 0, sum: Whole::default() },
            Shape::Int { .. } | Shape::Time => CompactState::Int(None),
            Shape::Float { .. } => CompactState::Float(None),
            Shape::State => CompactState::State(Box::new(self.identity.clone())),
        }
    }

    /// Adds one event; `values` are those of all columns.
    pub(super) fn add(&self, state: &mut CompactState, order: Order, values: &[ValueRef<'_>]) {
        let value = |column: usize| values.get(column).copied().unwrap_or(ValueRef::Null);
        if self.filter.is_some_and(|filter| !matches!(value(filter), ValueRef::Bool(true))) {
            return;
        }
        let value = self.column.map_or(ValueRef::Bool(true), value);
        if value.is_null() {
            return;
        }
        match (self.shape, &mut *state, value) {
            (Shape::Count { only_true }, CompactState::Count(rows), _) => {
                *rows += u64::from(!only_true || matches!(value, ValueRef::Bool(true)));
            }
            (Shape::Sum, CompactState::Sum { .. }, _) => self.add_term(state, order, value),
            (Shape::Int { greatest }, CompactState::Int(best), ValueRef::Int(value)) => {
                *best = Some(best.map_or(value, |best| extreme(greatest, best, value)));
            }
            (Shape::Float { greatest }, CompactState::Float(best), ValueRef::Float(value))
                if !value.is_nan() =>
            {
                *best = Some(best.map_or(value, |best| extreme_float(greatest, best, value)));
            }
            (Shape::Time, CompactState::Int(newest), _) => *newest = (*newest).max(Some(order.event)),
            (_, CompactState::State(state), _) => state.add(order, value),
            // NaN, or a value of another type than the column's, adds nothing.
            _ => {}
        }
    }

    fn add_term(&self, state: &mut CompactState, order: Order, value: ValueRef<'_>) {
        let CompactState::Sum { count, sum } = &mut *state else { return };
        let term = match value {
            ValueRef::Int(value) => Whole::of_int(i128::from(value)),
            ValueRef::Decimal(value) => Whole::of_int(value),
            ValueRef::Float(value) => Whole::of_float(value),
            ValueRef::Bool(true) => Whole::of_int(1),
            _ => return,
        };
        match term.and_then(|term| sum.plus(term)) {
            Some(total) => {
                *sum = total;
                *count += 1;
            }
            None => {
                let mut full = self.state(state);
                full.add(order, value);
                *state = CompactState::State(Box::new(full));
            }
        }
    }

    /// Takes in the events of `other`.
    pub(super) fn merge(&self, state: &mut CompactState, other: &CompactState) -> Result<(), FeatureError> {
        match (self.shape, &mut *state, other) {
            (_, CompactState::Count(rows), CompactState::Count(others)) => {
                *rows = rows.saturating_add(*others);
            }
            (_, CompactState::Sum { count, sum }, CompactState::Sum { count: others, sum: other_sum }) => {
                if let Some(total) = sum.plus(*other_sum) {
                    *sum = total;
                    *count = count.saturating_add(*others);
                    return Ok(());
                }
                return self.merge_states(state, other);
            }
            (Shape::Int { greatest }, CompactState::Int(best), CompactState::Int(Some(value))) => {
                *best = Some(best.map_or(*value, |best| extreme(greatest, best, *value)));
            }
            (Shape::Time, CompactState::Int(newest), CompactState::Int(other)) => {
                *newest = (*newest).max(*other);
            }
            (Shape::Float { greatest }, CompactState::Float(best), CompactState::Float(Some(value))) => {
                *best = Some(best.map_or(*value, |best| extreme_float(greatest, best, *value)));
            }
            (_, CompactState::Int(_), CompactState::Int(None))
            | (_, CompactState::Float(_), CompactState::Float(None)) => {}
            _ => return self.merge_states(state, other),
        }
        Ok(())
    }

    fn merge_states(&self, state: &mut CompactState, other: &CompactState) -> Result<(), FeatureError> {
        if let (CompactState::State(state), CompactState::State(other)) = (&mut *state, other) {
            return state.merge(other);
        }
        let mut full = self.state(state);
        full.merge(&self.state(other))?;
        *state = CompactState::State(Box::new(full));
        Ok(())
    }

    /// The aggregation's own form of a state.
    pub(super) fn state(&self, state: &CompactState) -> State {
        let greatest = matches!(self.shape, Shape::Int { greatest: true } | Shape::Float { greatest: true });
        match state {
            CompactState::State(state) => State::clone(state),
            CompactState::Count(rows) => {
                State::of_count(matches!(self.shape, Shape::Count { only_true: true }), *rows)
            }
            CompactState::Sum { count, sum } => State::of_sum(*count, sum.total, sum.exponent),
            CompactState::Int(newest) if self.shape == Shape::Time => State::of_recency(*newest),
            CompactState::Int(best) => State::of_extreme(greatest, best.map(Value::Int)),
            CompactState::Float(best) => State::of_extreme(greatest, best.map(Value::Float)),
        }
    }

    /// The sum of a state in its shortest form, if it has one.
    pub(super) fn sum(&self, state: &CompactState) -> Option<(u64, Whole)> {
        match state {
            CompactState::Sum { count, sum } => Some((*count, sum.shortest())),
            CompactState::State(state) => {
                let (count, total, exponent) = state.as_sum()?;
                let sum = Whole { total, exponent };
                sum.at(exponent).map(|_| (count, sum.shortest()))
            }
            _ => None,
        }
    }

    /// The value of a state at time `at` in microseconds.
    pub(super) fn value(&self, state: &CompactState, finish: &Finish, at: i64) -> Result<Value, Outgrown> {
        match state {
            CompactState::State(state) => finish.value(state, at),
            CompactState::Count(rows)
                if matches!(finish.aggregation, Aggregation::Count | Aggregation::CountIf) =>
            {
                Ok(Value::Int(i64::try_from(*rows).unwrap_or(i64::MAX)))
            }
            CompactState::Sum { count, sum } => {
                sum_value(*count, *sum, finish).unwrap_or_else(|| finish.value(&self.state(state), at))
            }
            _ => finish.value(&self.state(state), at),
        }
    }
}

/// What `Finish::value` gives for the same sum, without making a state of it; none where only the state is certain.
fn sum_value(count: u64, sum: Whole, finish: &Finish) -> Option<Result<Value, Outgrown>> {
    if count == 0 {
        return Some(Ok(Value::Null));
    }
    match (&finish.aggregation, &finish.output) {
        (Aggregation::Sum, DataType::Float64) => sum.to_float().map(|sum| Ok(Value::Float(sum))),
        (Aggregation::Sum, DataType::Int64) => {
            let total = sum.shortest().at(0)?;
            Some(i64::try_from(total).map(Value::Int).map_err(|_| Outgrown))
        }
        (Aggregation::Sum, DataType::Decimal128(..)) => {
            let total = sum.shortest().at(0)?;
            Some(if fits_decimal(total) { Ok(Value::Decimal(total)) } else { Err(Outgrown) })
        }
        (Aggregation::Mean, _) => {
            let ten = 10_u128.checked_pow(u32::try_from(finish.scale).ok()?)?;
            sum.over(u128::from(count).checked_mul(ten)?).map(|mean| Ok(Value::Float(mean)))
        }
        _ => None,
    }
}

pub(super) fn extreme<T: Ord>(greatest: bool, left: T, right: T) -> T {
    if greatest { left.max(right) } else { left.min(right) }
}

pub(super) fn extreme_float(greatest: bool, left: f64, right: f64) -> f64 {
    if left.total_cmp(&right).is_lt() == greatest { right } else { left }
}
