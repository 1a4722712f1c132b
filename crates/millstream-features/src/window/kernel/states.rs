//! Any aggregation from states. The windows of an entity's labels only move forward, and mostly their cut-offs do too: then
//! one state slides along. Other cut-offs take what they see from a tree of blocks.

use super::{
    super::{entity_group::EntityGroup, layout::Read, seen::Seen, slide::Slide, tree::Tree},
    Computed, Input,
};
use crate::{
    FeatureError,
    aggregate::{Order, Outgrown, State, Value, build},
};

pub(super) fn states(
    group: &mut EntityGroup<'_>,
    read: &Read,
    identity: &State,
    input: Input,
    seen: &Seen,
) -> Result<Computed, FeatureError> {
    let mask = group.mask(input);
    let group = &*group;
    let add = |state: &mut State, row: usize| {
        if mask.as_ref().is_none_or(|mask| mask.value(row)) {
            // Known time and sequence decide among first and last events, which are not found by states.
            let event = group.times.get(row).copied().unwrap_or(0);
            state.add(Order { event, known: 0, sequence: 0 }, group.value(input.0, row));
        }
    };
    let mut values = Vec::with_capacity(group.label_times.len());
    let mut outgrown = Vec::new();
    for entity in &group.entities {
        let times = group.label_times.get(entity.labels.clone()).unwrap_or(&[]);
        let mut finish = |at: usize, state: &State| {
            let value = times.get(at).map_or(Ok(Value::Null), |time| read.finish.value(state, *time));
            values.push(value.unwrap_or_else(|Outgrown| {
                outgrown.extend(u32::try_from(values.len()));
                Value::Null
            }));
        };
        let cut_offs = group.cut_offs(entity.labels.clone());
        if cut_offs.is_none_or(|cut_offs| cut_offs.cuts.is_sorted()) {
            let windows = seen.windows(entity.labels.clone());
            Slide::new(identity, cut_offs, &add).each(windows, &mut finish)?;
            continue;
        }
        let mut tree = Tree::new(identity, &add);
        for (at, label) in entity.labels.clone().enumerate() {
            let mut state = identity.clone();
            for (low, high) in seen.of(label) {
                tree.range_into(&mut state, *low as usize, *high as usize)?;
            }
            finish(at, &state);
        }
    }
    Ok(Computed { values: build(&values, &read.finish.output)?, outgrown })
}
