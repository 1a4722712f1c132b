//! An order of nodes in which each comes after those that go before it, or a circle of them.

use std::{cmp::Reverse, collections::BinaryHeap};

/// All places in an order in which each comes after its `before`, of which each is a place too; among those that could be next, the
/// smallest goes first.
///
/// Errors with a circle: places of which each goes before the next, from the smallest of them around to itself.
pub fn ordered(before: &[Vec<usize>]) -> Result<Vec<usize>, Vec<usize>> {
    let order = as_far_as_possible(before);
    if order.len() == before.len() { Ok(order) } else { Err(circle(before, &order)) }
}

/// Kahn's algorithm. Members of a circle, and what comes after them, are left out.
fn as_far_as_possible(before: &[Vec<usize>]) -> Vec<usize> {
    let mut after = vec![Vec::new(); before.len()];
    for (place, first) in before.iter().enumerate() {
        first.iter().for_each(|first| after[*first].push(place));
    }
    let mut missing: Vec<usize> = before.iter().map(Vec::len).collect();
    let mut ready: BinaryHeap<Reverse<usize>> =
        (0..before.len()).filter(|place| missing[*place] == 0).map(Reverse).collect();
    let mut order = Vec::with_capacity(before.len());
    while let Some(Reverse(place)) = ready.pop() {
        order.push(place);
        for next in &after[place] {
            missing[*next] -= 1;
            if missing[*next] == 0 {
                ready.push(Reverse(*next));
            }
        }
    }
    order
}

/// Walks back inside what could not be ordered until a place comes again.
fn circle(before: &[Vec<usize>], order: &[usize]) -> Vec<usize> {
    let mut left = vec![true; before.len()];
    order.iter().for_each(|place| left[*place] = false);
    let mut path: Vec<usize> = left.iter().position(|left| *left).into_iter().collect();
    while let Some(next) =
        path.last().and_then(|last| before[*last].iter().find(|first| left[**first]).copied())
    {
        if let Some(start) = path.iter().position(|place| *place == next) {
            path.drain(..start);
            break;
        }
        path.push(next);
    }
    path.reverse();
    // The path begins with the smallest place, whichever member the walk met first.
    let smallest = path.iter().enumerate().min_by_key(|(_, place)| **place).map_or(0, |(index, _)| index);
    path.rotate_left(smallest);
    path.extend(path.first().copied());
    path
}
