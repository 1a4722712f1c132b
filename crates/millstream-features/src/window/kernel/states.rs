//! Any aggregation from states: by sliding where a label's events only move forward from one label to the next, and
//! from a tree of blocks where cut-offs make holes in them.

use arrow::array::ArrayRef;

use super::{
    super::{
        layout::Read,
        part::{EntityRows, Part},
        seen::{Run, Seen},
        slide::Slide,
        tree::Tree,
    },
    Input,
};
use crate::{
    FeatureError,
    aggregate::{Order, State, Value, build},
};

pub(super) fn states(
    part: &mut Part<'_>,
    read: &Read,
    identity: &State,
    input: Input,
    seen: &Seen,
) -> Result<ArrayRef, FeatureError> {
    let mask = part.mask(input);
    let part = &*part;
    let add = |state: &mut State, row: usize| {
        if mask.as_ref().is_none_or(|mask| mask.value(row)) {
            // Known time and sequence decide among first and last events, which are not found by states.
            let event = part.times.get(row).copied().unwrap_or(0);
            state.add(Order { event, known: 0, sequence: 0 }, part.value(input.0, row));
        }
    };
    let mut values = Vec::with_capacity(part.label_times.len());
    for entity in &part.entities {
        let times = part.label_times.get(entity.labels.clone()).unwrap_or(&[]);
        let mut finish = |at: usize, state: &State| {
            values.push(times.get(at).map_or(Value::Null, |time| read.finish.value(state, *time)));
        };
        match forward(entity, seen) {
            Some(ranges) => Slide::new(identity, &add).each(&ranges, &mut finish)?,
            None => {
                let mut tree = Tree::new(identity, &add);
                for (at, label) in entity.labels.clone().enumerate() {
                    let mut state = identity.clone();
                    for (low, high) in seen.of(label) {
                        tree.range_into(&mut state, *low as usize, *high as usize)?;
                    }
                    finish(at, &state);
                }
            }
        }
    }
    build(&values, &read.finish.output)
}

/// The entity's runs, if each label has one and both ends never move back.
fn forward(entity: &EntityRows, seen: &Seen) -> Option<Vec<Run>> {
    let mut ranges: Vec<Run> = Vec::with_capacity(entity.labels.len());
    for label in entity.labels.clone() {
        let [run] = seen.of(label) else { return None };
        let (low, high) = ranges.last().copied().unwrap_or((0, 0));
        if run.0 < low || run.1 < high {
            return None;
        }
        ranges.push(*run);
    }
    Some(ranges)
}
