//! Hops while they are changed.

use super::{
    column,
    column::Column,
    compact::{CompactState, Slot},
    packed::{Packed, write_unsigned},
    plan::{LEVELS, Plan, Starts, hop_of},
};
use crate::{
    FeatureError,
    aggregate::{Order, Reader, ValueRef, Writer},
};

/// The most hops of one size that bytes may claim to hold: five-minute hops of a day are 288, days of a century 36,525.
pub(super) const HOPS_MAX: usize = 1 << 20;

/// The hops of an entity.
#[derive(Debug, Clone, Default)]
pub(crate) struct Hops {
    levels: [Level; LEVELS],
}

/// The hops of one size, oldest first.
#[derive(Debug, Clone, Default)]
struct Level {
    numbers: Vec<i64>,
    /// The states of the level's slots, hop by hop.
    states: Vec<CompactState>,
}

impl Hops {
    /// Adds an event to the hops in which it lies, but not to those before `keep`.
    pub(crate) fn add(&mut self, plan: &Plan, keep: &Starts, order: Order, values: &[ValueRef<'_>]) {
        for (index, (level, slots)) in self.levels.iter_mut().zip(&plan.levels).enumerate() {
            let number = hop_of(index, order.event);
            if slots.is_empty() || keep.get(index).is_none_or(|keep| number < *keep) {
                continue;
            }
            let slots = slots.iter().filter_map(|slot| plan.slots.get(*slot));
            let width = slots.clone().count();
            let at = level.position(number, || slots.clone().map(Slot::empty));
            let states = level.states.get_mut(at * width..(at + 1) * width).unwrap_or(&mut []);
            for (slot, state) in slots.zip(states) {
                slot.add(state, order, values);
            }
        }
    }

    /// Forgets the hops before `keep`.
    pub(crate) fn trim(&mut self, keep: &Starts) {
        for (level, keep) in self.levels.iter_mut().zip(keep) {
            let old = level.numbers.partition_point(|number| number < keep);
            let width = level.states.len() / level.numbers.len().max(1);
            level.numbers.drain(..old);
            level.states.drain(..old * width);
        }
    }

    /// `mark` is the record's: what no read from it on can need is left out.
    pub(crate) fn write(&self, plan: &Plan, mark: i64, out: &mut Writer) {
        let levels = self.levels.iter().zip(&plan.levels).enumerate();
        for (index, (level, slots)) in levels.filter(|(_, (_, slots))| !slots.is_empty()) {
            out.unsigned(level.numbers.len() as u64);
            let Some(first) = level.numbers.first() else { continue };
            out.signed(i128::from(*first));
            write_unsigned(out, level.numbers.iter().map(|number| number.abs_diff(*first)));
            let slots = slots.iter().filter_map(|slot| plan.slots.get(*slot));
            let width = slots.clone().count();
            for (at, slot) in slots.enumerate() {
                let keep = slot.kept_from(mark).get(index).copied().unwrap_or(0);
                let old = level.numbers.partition_point(|number| *number < keep);
                out.unsigned(old as u64);
                column::write(out, slot, level.states.iter().skip(old * width + at).step_by(width));
            }
        }
    }

    /// # Errors
    ///
    /// The bytes are damaged or of another plan.
    pub(crate) fn read(plan: &Plan, bytes: &[u8]) -> Result<Self, FeatureError> {
        let mut hops = Self::default();
        let mut input = Reader::new(bytes);
        for (level, slots) in hops.levels.iter_mut().zip(&plan.levels).filter(|(_, slots)| !slots.is_empty())
        {
            let Some(head) = Head::read(&mut input)? else { continue };
            head.numbers.each_unsigned(|past| level.numbers.push(head.first.saturating_add_unsigned(past)));
            let mut columns = Vec::with_capacity(slots.len());
            for slot in slots.iter().filter_map(|slot| plan.slots.get(*slot)) {
                let column = Tail::read(&mut input, slot, head.count)?;
                let states = column.column.states(slot, head.count - column.left_out)?;
                columns.push(std::iter::repeat_n(slot.empty(), column.left_out).chain(states));
            }
            for _ in 0..head.count {
                level.states.extend(columns.iter_mut().filter_map(Iterator::next));
            }
        }
        if input.is_empty() { Ok(hops) } else { Err(FeatureError::bytes("something follows the hops")) }
    }
}

impl Level {
    /// The place of a hop, which is made of `empty` states if it is not there yet. Mostly it is the last.
    fn position<I: Iterator<Item = CompactState>>(
        &mut self,
        number: i64,
        empty: impl FnOnce() -> I,
    ) -> usize {
        let at = match self.numbers.last() {
            Some(last) if *last == number => return self.numbers.len() - 1,
            Some(last) if *last > number => match self.numbers.binary_search(&number) {
                Ok(at) => return at,
                Err(at) => at,
            },
            _ => self.numbers.len(),
        };
        self.numbers.insert(at, number);
        if at == self.numbers.len() - 1 {
            self.states.extend(empty());
        } else {
            let states: Vec<CompactState> = empty().collect();
            let start = at * states.len();
            self.states.splice(start..start, states);
        }
        at
    }
}

/// The column of one slot, which may leave the first hops of its level out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tail<'a> {
    /// The number of hops that are left out.
    pub(super) left_out: usize,
    pub(super) column: Column<'a>,
}

impl<'a> Tail<'a> {
    pub(super) fn read(input: &mut Reader<'a>, slot: &Slot, hops: usize) -> Result<Self, FeatureError> {
        let left_out = usize::try_from(input.unsigned()?).unwrap_or(usize::MAX);
        let rest =
            hops.checked_sub(left_out).ok_or(FeatureError::bytes("a column is longer than its level"))?;
        Ok(Self { left_out, column: Column::read(input, slot, rest)? })
    }
}

/// The head that stands before the columns of a level.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) count: usize,
    /// The number of the first hop.
    pub(super) first: i64,
    /// The distance of each hop from the first, in hops.
    pub(super) numbers: Packed<'a>,
}

impl<'a> Head<'a> {
    /// Reads the head of a level; a level without hops has none.
    pub(super) fn read(input: &mut Reader<'a>) -> Result<Option<Self>, FeatureError> {
        let count = usize::try_from(input.unsigned()?).unwrap_or(usize::MAX);
        if count > HOPS_MAX {
            return Err(FeatureError::bytes("there are too many hops"));
        }
        if count == 0 {
            return Ok(None);
        }
        Ok(Some(Self { count, first: input.long()?, numbers: Packed::read(input, count, 8)? }))
    }
}
