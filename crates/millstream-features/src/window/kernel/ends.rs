//! First and last values: events with a value are listed once, and a label's are then a stretch of the list.

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, Float64Array, ListArray, UInt32Array},
    buffer::{BooleanBuffer, NullBuffer, OffsetBuffer},
    compute::{cast, take},
    datatypes::DataType,
};

use super::{
    super::{
        entity_group::EntityGroup,
        layout::Read,
        seen::{Run, Seen, narrow},
    },
    Input,
};
use crate::{
    FeatureError,
    aggregate::{Data, Value, build, seconds},
};

/// The events with a value, in the total order; those that are equal in it are ordered by their values.
pub(in super::super) struct Chosen {
    /// The numbers of the events; none when every event has a value and no two are equal.
    events: Option<Vec<u32>>,
}

impl Chosen {
    pub(in super::super) fn new(
        group: &EntityGroup<'_>,
        column: Option<usize>,
        mask: Option<&BooleanBuffer>,
    ) -> Self {
        if mask.is_none() && group.ties.is_none() {
            return Self { events: None };
        }
        let mut events: Vec<u32> = match mask {
            Some(mask) => mask.set_indices_u32().collect(),
            None => (0..narrow(group.times.len())).collect(),
        };
        if let Some(ties) = &group.ties {
            // The run of equal events to which an event belongs, by the event it begins with.
            let mut first = 0;
            let runs: Vec<u32> = (0..)
                .zip(ties)
                .map(|(at, is_tie)| {
                    first = if is_tie { first } else { at };
                    first
                })
                .collect();
            let run = |event: &u32| runs.get(*event as usize).copied().unwrap_or(0);
            for equal in events.chunk_by_mut(|one, other| run(one) == run(other)) {
                let value = |event: u32| group.value(column, event as usize);
                equal.sort_by(|one, other| value(*one).compare(&value(*other)));
            }
        }
        Self { events: Some(events) }
    }

    fn event(&self, at: u32) -> u32 {
        self.events.as_ref().map_or(at, |events| events.get(at as usize).copied().unwrap_or(0))
    }
}

/// The places that the events of a run have in the list of those with a value.
fn stretch(counts: Option<&Vec<u32>>, (low, high): Run) -> Run {
    let at =
        |position: u32| counts.map_or(position, |counts| counts.get(position as usize).map_or(0, |at| *at));
    (at(low), at(high))
}

/// The first or last event with a value of each label.
fn end_events(group: &mut EntityGroup<'_>, input: Input, seen: &Seen, newest: bool) -> UInt32Array {
    let (chosen, counts) = (group.chosen(input), group.counts(input));
    let of_run = |run: &Run| {
        let (low, high) = stretch(counts.as_deref(), *run);
        (low < high).then(|| chosen.event(if newest { high - 1 } else { low }))
    };
    let of = |runs: &[Run]| {
        if newest { runs.iter().rev().find_map(of_run) } else { runs.iter().find_map(of_run) }
    };
    seen.each().map(of).collect()
}

/// `first` or `last`.
pub(super) fn one(
    group: &mut EntityGroup<'_>,
    input: Input,
    seen: &Seen,
    newest: bool,
    read: &Read,
) -> Result<ArrayRef, FeatureError> {
    let events = end_events(group, input, seen, newest);
    picked(group, input.0, &events, &read.finish.output)
}

/// `first_k` or `last_k`, from the wanted end on.
pub(super) fn several(
    group: &mut EntityGroup<'_>,
    input: Input,
    seen: &Seen,
    (newest, k): (bool, usize),
    read: &Read,
) -> Result<ArrayRef, FeatureError> {
    let (chosen, counts) = (group.chosen(input), group.counts(input));
    let (mut events, mut lengths) = (Vec::new(), Vec::new());
    for runs in seen.each() {
        let before = events.len();
        for at in 0..runs.len() {
            let run = if newest { runs.get(runs.len() - 1 - at) } else { runs.get(at) };
            let (low, high) = stretch(counts.as_deref(), run.copied().unwrap_or((0, 0)));
            let missing = narrow(k - (events.len() - before)).min(high - low);
            let nth = |at: u32| chosen.event(if newest { high - 1 - at } else { low + at });
            events.extend((0..missing).map(nth));
        }
        lengths.push(events.len() - before);
    }
    let DataType::List(field) = &read.finish.output else { return Err(FeatureError::Mismatch) };
    if i32::try_from(events.len()).is_err() {
        return Err(FeatureError::TooManyRows { rows: events.len() });
    }
    let valid: NullBuffer = lengths.iter().map(|length| *length > 0).collect();
    let values = picked(group, input.0, &UInt32Array::from(events), field.data_type())?;
    let offsets = OffsetBuffer::from_lengths(lengths);
    let list = ListArray::try_new(Arc::clone(field), offsets, values, Some(valid));
    Ok(Arc::new(list.map_err(FeatureError::arrow("build a list"))?))
}

/// `time_since_last`.
pub(super) fn since_last(group: &mut EntityGroup<'_>, input: Input, seen: &Seen) -> ArrayRef {
    let events = end_events(group, input, seen, true);
    let since = |(event, at): (Option<u32>, &i64)| {
        event.and_then(|event| group.times.get(event as usize)).map(|time| seconds(*at, *time))
    };
    Arc::new(events.iter().zip(&group.label_times).map(since).collect::<Float64Array>())
}

/// The column's values at these events.
fn picked(
    group: &EntityGroup<'_>,
    column: Option<usize>,
    events: &UInt32Array,
    output: &DataType,
) -> Result<ArrayRef, FeatureError> {
    let action = "read the values of a feature";
    let taken = match group.column(column).map(|column| &column.data) {
        Some(Data::Int(array)) if *output != DataType::Date32 => take(array, events, None),
        Some(Data::Float(array)) => take(array, events, None),
        Some(Data::Text(array)) => take(array, events, None),
        _ => {
            let value = |event: Option<u32>| {
                event.map_or(Value::Null, |event| group.value(column, event as usize).to_value())
            };
            return build(&events.iter().map(value).collect::<Vec<_>>(), output);
        }
    };
    let taken = taken.map_err(FeatureError::arrow(action))?;
    if taken.data_type() == output {
        Ok(taken)
    } else {
        cast(&taken, output).map_err(FeatureError::arrow(action))
    }
}
