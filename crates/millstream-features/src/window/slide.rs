//! Any aggregation over ranges whose two ends only move forward: a queue of events as two stacks of states. Events
//! enter at the back; when a range begins behind everything that the front holds, the back's events become the front,
//! with a state for each place where one of the coming ranges begins. Each event is added at most three times, and there
//! is one merge for each place where a range begins, so n events and m ranges cost O(n + m).
//!
//! Cut-offs that only move forward too are kept to: an event that is not yet known waits, and enters the states that it
//! belongs to when a cut-off reaches it.

use std::{cmp::Reverse, collections::BinaryHeap};

use super::seen::Run;
use crate::{FeatureError, aggregate::State};

/// The known times of all events of the group, and the cut-offs of the ranges, which never move back.
#[derive(Clone, Copy)]
pub(super) struct CutOffs<'a> {
    pub(super) known: &'a [i64],
    pub(super) cuts: &'a [i64],
}

impl CutOffs<'_> {
    /// The time at which the event was known, if that is after the range's cut-off.
    fn hides(&self, event: usize, range: usize) -> Option<i64> {
        let known = *self.known.get(event)?;
        // An event that is never known has the greatest number.
        self.cuts.get(range).is_some_and(|cut| known > *cut || known == i64::MAX).then_some(known)
    }
}

/// The number of events from which on they are added once to a state of their own, which is then merged.
const BATCH_MIN: usize = 8;

pub(super) struct Slide<'a, A: Fn(&mut State, usize)> {
    identity: &'a State,
    add: A,
    /// The states of the events from a place up to the middle; the first place is last.
    front: Vec<(usize, State)>,
    /// The place where the front ends.
    middle: usize,
    /// The events from the middle on; not kept up once the front is empty.
    back: State,
    /// The place where the range last read begins, and its state.
    current: (usize, State),
    /// The place where the range last read ends.
    reached: usize,
    cut_offs: Option<CutOffs<'a>>,
    /// The number of the range that is read.
    range: usize,
    /// The events before `reached` that were not known yet, by their known times.
    waiting: BinaryHeap<Reverse<(i64, usize)>>,
}

impl<'a, A: Fn(&mut State, usize)> Slide<'a, A> {
    /// `add` adds one event to a state.
    pub(super) fn new(identity: &'a State, cut_offs: Option<CutOffs<'a>>, add: A) -> Self {
        let [back, current] = [identity.clone(), identity.clone()];
        Self {
            identity,
            add,
            front: Vec::new(),
            middle: 0,
            back,
            current: (usize::MAX, current),
            reached: 0,
            cut_offs,
            range: 0,
            waiting: BinaryHeap::new(),
        }
    }

    /// Calls `visit` with the number and the state of each range.
    pub(super) fn each(
        mut self,
        ranges: &[Run],
        visit: &mut impl FnMut(usize, &State),
    ) -> Result<(), FeatureError> {
        for (at, (low, high)) in ranges.iter().enumerate() {
            if low == high {
                visit(at, self.identity);
                continue;
            }
            let (low, high) = (*low as usize, *high as usize);
            self.range = at;
            self.admit();
            if self.current.0 == low || self.moved_to(low)? {
                self.extend(high)?;
            } else {
                self.turn_over(ranges.get(at..).unwrap_or(&[]), high);
            }
            visit(at, &self.current.1);
        }
        Ok(())
    }

    /// Adds the waiting events that are known by now wherever they belong.
    fn admit(&mut self) {
        let Some(cut) = self.cut_offs.and_then(|cut_offs| cut_offs.cuts.get(self.range)) else { return };
        while let Some(Reverse((known, event))) = self.waiting.peek().copied() {
            if known > *cut || known == i64::MAX {
                return;
            }
            self.waiting.pop();
            for (_, state) in self.front.iter_mut().filter(|(start, _)| *start <= event) {
                // Places in the front begin before its end; an event behind that is in the back.
                if event < self.middle {
                    (self.add)(state, event);
                }
            }
            if event >= self.middle {
                (self.add)(&mut self.back, event);
            }
            if self.current.0 <= event {
                (self.add)(&mut self.current.1, event);
            }
        }
    }

    /// Tells whether the event is known to the range that is read; it waits otherwise, if it comes for the first time.
    fn is_known(&mut self, event: usize) -> bool {
        match self.cut_offs.and_then(|cut_offs| cut_offs.hides(event, self.range)) {
            None => true,
            Some(known) => {
                if event >= self.reached {
                    self.waiting.push(Reverse((known, event)));
                }
                false
            }
        }
    }

    /// Makes the state from `low` up to where the last range ended the current one; false when the front has none.
    fn moved_to(&mut self, low: usize) -> Result<bool, FeatureError> {
        while self.front.last().is_some_and(|(start, _)| *start < low) {
            self.front.pop();
        }
        let Some((start, mut state)) = self.front.pop() else { return Ok(false) };
        state.merge(&self.back)?;
        self.current = (start, state);
        Ok(true)
    }

    /// Adds the events up to `high` to the current range, and to the back if another range will need it.
    fn extend(&mut self, high: usize) -> Result<(), FeatureError> {
        let events = self.reached..high;
        let is_needed = !self.front.is_empty();
        if is_needed && events.len() >= BATCH_MIN {
            let mut batch = self.identity.clone();
            for event in events {
                if self.is_known(event) {
                    (self.add)(&mut batch, event);
                }
            }
            self.current.1.merge(&batch)?;
            self.back.merge(&batch)?;
        } else {
            for event in events {
                if self.is_known(event) {
                    (self.add)(&mut self.current.1, event);
                    if is_needed {
                        (self.add)(&mut self.back, event);
                    }
                }
            }
        }
        self.reached = high;
        Ok(())
    }

    /// Makes the events up to `high` the front, and the first of `ranges` the current one.
    fn turn_over(&mut self, ranges: &[Run], high: usize) {
        let mut starts: Vec<usize> = ranges.iter().map(|(low, _)| *low as usize).collect();
        starts.truncate(starts.partition_point(|start| *start < high));
        starts.dedup();
        let mut state = self.identity.clone();
        let mut end = high;
        self.front.clear();
        while let Some(start) = starts.pop() {
            for event in start..end {
                if self.is_known(event) {
                    (self.add)(&mut state, event);
                }
            }
            end = start;
            if starts.is_empty() {
                self.current = (start, state);
                break;
            }
            self.front.push((start, state.clone()));
        }
        self.back = self.identity.clone();
        (self.middle, self.reached) = (high, high);
    }
}
