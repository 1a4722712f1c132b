//! Windows added up from stored hops.

use std::ops::Range;

use super::{
    compact::CompactState,
    plan::{ALL_TIME, Plan, hop_of, uses},
    store::{Head, Tail},
};
use crate::{
    FeatureError,
    aggregate::Reader,
    window::definition::{HOPS, Window, floor},
};

/// Adds the hops of each wanted cell's window, as a read at `at` sees it, into the cell's state. `at` is not before `mark`.
///
/// # Errors
///
/// The bytes are damaged or of another plan.
pub(crate) fn fold(
    plan: &Plan,
    bytes: &[u8],
    (mark, at): (i64, i64),
    wanted: &[bool],
    states: &mut [CompactState],
) -> Result<(), FeatureError> {
    let mut input = Reader::new(bytes);
    let mut ranges: Vec<Range<usize>> = Vec::with_capacity(plan.windows.len());
    for (level, slots) in plan.levels.iter().enumerate().filter(|(_, slots)| !slots.is_empty()) {
        let Some(head) = Head::read(&mut input)? else { continue };
        ranges.clear();
        ranges.extend(plan.windows.iter().map(|window| range(&head, window, level, (mark, at))));
        for index in slots {
            let Some(slot) = plan.slots.get(*index) else { continue };
            let Tail { left_out, column } = Tail::read(&mut input, slot, head.count)?;
            let cells = plan.cells.iter().zip(wanted).zip(states.iter_mut());
            for ((cell, _), state) in cells.filter(|((cell, wanted), _)| cell.slot == *index && **wanted) {
                if let Some(range) = ranges.get(cell.window).filter(|range| !range.is_empty()) {
                    let range = range.start.saturating_sub(left_out)..range.end.saturating_sub(left_out);
                    column.fold(slot, range, state)?;
                }
            }
        }
    }
    Ok(())
}

/// The hops of a level that a window is made of: from its start, or from where the larger hops end, to the mark. The
/// smallest hops reach into the mark itself, since events from it on are not in hops.
fn range(head: &Head<'_>, window: &Window, level: usize, (mark, at): (i64, i64)) -> Range<usize> {
    if !uses(window, level) {
        return 0..0;
    }
    if level == ALL_TIME {
        return 0..head.count;
    }
    let start = window.start(at);
    let larger = HOPS.get(level + 1).filter(|_| uses(window, level + 1));
    let from = larger.map_or(start, |size| start.max(floor(mark, *size)));
    let until = if level == 0 { mark } else { HOPS.get(level).map_or(mark, |size| floor(mark, *size)) };
    if from >= until {
        return 0..0;
    }
    // The hop in which `until` lies is taken when `until` is inside of it, and `from` is always a start.
    let last = hop_of(level, until.saturating_sub(1));
    let below = |number: i64| {
        number
            .checked_sub(head.first)
            .map_or(head.count, |past| u64::try_from(past).map_or(0, |past| head.numbers.below(past)))
    };
    below(hop_of(level, from))..below(last.saturating_add(1))
}
