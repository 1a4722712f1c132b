//! How one operand is computed over runs of sorted events. Counts and sums come from running totals of whole numbers
//! (floats become whole numbers of a common power of two, where they fit), first and last values from the neighbouring
//! events, extremes from extremes of blocks; everything else from states. Each gives the same bits as the states do.

mod ends;
mod extremes;
mod states;
mod totals;

use arrow::{
    array::{Array, ArrayRef, BooleanArray},
    buffer::BooleanBuffer,
};

use super::{
    entity_group::EntityGroup,
    layout::{Layout, Read},
    seen::Seen,
};
use crate::{FeatureError, aggregate::Aggregation};

pub(super) use ends::Chosen;
pub(super) use totals::{Prefix, running_count};

/// A column and a filter, each by number.
pub(super) type Input = (Option<usize>, Option<usize>);

/// The value of each label.
pub(super) struct Computed {
    pub(super) values: ArrayRef,
    /// The labels, ascending, of which there is more than the value can hold: not the null of no events. Null in `values`.
    pub(super) outgrown: Vec<u32>,
}

impl From<ArrayRef> for Computed {
    fn from(values: ArrayRef) -> Self {
        Self { values, outgrown: Vec::new() }
    }
}

/// Values of one operand for all labels of the group.
pub(super) fn operand(
    group: &mut EntityGroup<'_>,
    layout: &Layout,
    read: &Read,
    seen: &Seen,
) -> Result<Computed, FeatureError> {
    let Some(slot) = layout.slots.get(read.slot) else { return Err(FeatureError::Mismatch) };
    let input = (slot.column, slot.filter);
    let fast = match &read.finish.aggregation {
        Aggregation::Sum | Aggregation::Mean => match totals::sum(group, read, input, seen)? {
            Some(sums) => return Ok(sums),
            None => None,
        },
        Aggregation::Count => Some(totals::count(group, input, seen)),
        Aggregation::CountIf => totals::count_if(group, input, seen),
        Aggregation::First => Some(ends::one(group, input, seen, false, read)?),
        Aggregation::Last => Some(ends::one(group, input, seen, true, read)?),
        Aggregation::FirstK(k) => Some(ends::several(group, input, seen, (false, *k), read)?),
        Aggregation::LastK(k) => Some(ends::several(group, input, seen, (true, *k), read)?),
        Aggregation::TimeSinceLast => Some(ends::since_last(group, input, seen)),
        Aggregation::Min => extremes::extreme(group, input, seen, false, read)?,
        Aggregation::Max => extremes::extreme(group, input, seen, true, read)?,
        _ => None,
    };
    match fast {
        Some(values) => Ok(values.into()),
        None => states::states(group, read, &slot.identity, input, seen),
    }
}

/// The flags that are true and not null.
pub(super) fn only_true(flags: &BooleanArray) -> BooleanBuffer {
    match flags.nulls() {
        Some(nulls) => flags.values() & nulls.inner(),
        None => flags.values().clone(),
    }
}
