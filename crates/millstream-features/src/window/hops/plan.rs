//! Which hops of which slots a view's features need.

use arrow::datatypes::DataType;

use super::compact::{CompactState, Shape, Slot};
use crate::{
    aggregate::{Order, Outgrown, Value, ValueRef, micros},
    window::{
        Layout,
        definition::{HOPS, Window, floor},
        layout::{Planned, Read, Slot as LayoutSlot},
    },
};

/// The levels are the sizes of hops, then all time.
pub(super) const LEVELS: usize = HOPS.len() + 1;
pub(super) const ALL_TIME: usize = HOPS.len();

/// The number of the first hop that is kept on each level.
pub(crate) type Starts = [i64; LEVELS];

/// A plan of what is kept for one layout, and how it is read.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(super) slots: Vec<Slot>,
    /// The slots of each level that some feature needs there.
    pub(super) levels: [Vec<usize>; LEVELS],
    /// The different windows.
    pub(super) windows: Vec<Window>,
    /// The cells, each of which is a slot over a window, and there once.
    pub(super) cells: Vec<Cell>,
    features: Vec<Computed>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) slot: usize,
    pub(super) window: usize,
}

/// A feature and the cells it is read from.
#[derive(Debug, Clone)]
struct Computed {
    planned: Planned,
    numerator: usize,
    second: Option<usize>,
}

impl Plan {
    /// `columns` are the types that the layout was made for.
    pub(crate) fn new(layout: &Layout, columns: &[DataType]) -> Self {
        let (mut windows, mut cells): (Vec<Window>, Vec<Cell>) = (Vec::new(), Vec::new());
        let mut features = Vec::with_capacity(layout.features.len());
        for planned in &layout.features {
            let window = position(&mut windows, planned.window);
            let mut cell = |read: &Read, window| position(&mut cells, Cell { slot: read.slot, window });
            let numerator = cell(&planned.numerator, window);
            let second = match &planned.second {
                Some(second) => {
                    let window = position(&mut windows, second.window);
                    Some(cell(&second.read, window))
                }
                None => None,
            };
            features.push(Computed { planned: planned.clone(), numerator, second });
        }
        let levels = std::array::from_fn(|level| {
            let needs = |slot: usize| {
                let mut own = cells.iter().filter(|cell| cell.slot == slot);
                own.any(|cell| windows.get(cell.window).is_some_and(|window| uses(window, level)))
            };
            (0..layout.slots.len()).filter(|slot| needs(*slot)).collect()
        });
        let slot = |(index, slot): (usize, &LayoutSlot)| {
            let own = || cells.iter().filter(move |cell| cell.slot == index);
            let longest = |size: i64| {
                let windows = own().filter_map(|cell| windows.get(cell.window));
                let lengths =
                    windows.filter(|window| window.hop() == Some(size)).filter_map(|window| window.length);
                lengths.max().map(micros)
            };
            Slot {
                shape: Shape::of(&slot.identity, slot.column.and_then(|column| columns.get(column))),
                identity: slot.identity.clone(),
                column: slot.column,
                filter: slot.filter,
                longest: HOPS.map(longest),
            }
        };
        let slots = layout.slots.iter().enumerate().map(slot).collect();
        Self { slots, levels, windows, cells, features }
    }

    /// Tells whether there is nothing to keep.
    pub(crate) fn is_empty(&self) -> bool {
        self.features.is_empty()
    }

    /// The number of features.
    pub(crate) fn features(&self) -> usize {
        self.features.len()
    }

    /// The cells that the given features need are set.
    pub(crate) fn wanted(&self, features: impl Iterator<Item = usize>) -> Vec<bool> {
        let mut wanted = vec![false; self.cells.len()];
        for feature in features.filter_map(|feature| self.features.get(feature)) {
            for cell in [Some(feature.numerator), feature.second].into_iter().flatten() {
                if let Some(wanted) = wanted.get_mut(cell) {
                    *wanted = true;
                }
            }
        }
        wanted
    }

    /// The states of all cells over no events.
    pub(crate) fn empty(&self) -> Vec<CompactState> {
        self.cells.iter().filter_map(|cell| self.slots.get(cell.slot)).map(Slot::empty).collect()
    }

    /// Adds one event to the states of the cells whose windows see it.
    pub(crate) fn add(
        &self,
        states: &mut [CompactState],
        wanted: &[bool],
        at: i64,
        order: Order,
        values: &[ValueRef<'_>],
    ) {
        for ((cell, state), _) in self.cells.iter().zip(states).zip(wanted).filter(|(_, wanted)| **wanted) {
            if let (Some(slot), Some(window)) = (self.slots.get(cell.slot), self.windows.get(cell.window))
                && window.start(at) <= order.event
                && order.event < window.end(at)
            {
                slot.add(state, order, values);
            }
        }
    }

    /// A feature's value from the states of all cells.
    ///
    /// # Errors
    ///
    /// It is beyond what it can hold, or is made of what is.
    pub(crate) fn value(&self, feature: usize, states: &[CompactState], at: i64) -> Result<Value, Outgrown> {
        let Some(Computed { planned, numerator, second }) = self.features.get(feature) else {
            return Ok(Value::Null);
        };
        let one = |cell: usize, read: &Read| match (self.slots.get(read.slot), states.get(cell)) {
            (Some(slot), Some(state)) => slot.value(state, &read.finish, at),
            _ => Ok(Value::Null),
        };
        let above = one(*numerator, &planned.numerator)?;
        let (Some(cell), Some(second)) = (second, &planned.second) else { return Ok(above) };
        let below = one(*cell, &second.read)?;
        Ok(planned.joined(second, above.borrowed(), below.borrowed()).map_or(Value::Null, Value::Float))
    }

    /// The first hops that some slot needs for reads from `mark` on.
    pub(crate) fn kept_from(&self, mark: i64) -> Starts {
        let starts = self.slots.iter().map(|slot| slot.kept_from(mark));
        starts.fold([i64::MAX; LEVELS], |all, one| std::array::from_fn(|level| all[level].min(one[level])))
    }
}

impl Slot {
    /// The first hops that a read from `mark` on can need: the tails of their own windows, and for the windows of larger
    /// hops what has passed of the larger hop in which the mark lies.
    pub(super) fn kept_from(&self, mark: i64) -> Starts {
        let [minutes, hours, days] = self.longest;
        let own =
            |length: Option<i64>, size: i64| length.map(|length| floor(mark.saturating_sub(length), size));
        let within = |larger: bool, size: i64| larger.then(|| floor(mark, size));
        let first = |size: i64, starts: [Option<i64>; 2]| {
            let start = starts.into_iter().flatten().min();
            start.map_or(i64::MAX, |start| start.div_euclid(size))
        };
        let [minute, hour, day] = HOPS;
        [
            first(minute, [own(minutes, minute), within(hours.is_some() || days.is_some(), hour)]),
            first(hour, [own(hours, hour), within(days.is_some(), day)]),
            first(day, [own(days, day), None]),
            0,
        ]
    }
}

/// Tells whether a window is read from hops of a level.
pub(super) fn uses(window: &Window, level: usize) -> bool {
    match (window.hop(), HOPS.get(level)) {
        (Some(hop), Some(size)) => *size <= hop,
        (None, None) => true,
        _ => false,
    }
}

/// The number of the hop in which a time lies.
pub(super) fn hop_of(level: usize, time: i64) -> i64 {
    HOPS.get(level).map_or(0, |size| time.div_euclid(*size))
}

fn position<T: PartialEq>(items: &mut Vec<T>, item: T) -> usize {
    items.iter().position(|known| *known == item).unwrap_or_else(|| {
        items.push(item);
        items.len() - 1
    })
}
