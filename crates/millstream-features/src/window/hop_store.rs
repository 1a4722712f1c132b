//! The hops of one entity, for reads at request time: 5-minute, hourly and daily states up to a mark, events one by
//! one after it, and one state of all time.
//!
//! `update` takes events in any order; an event before the mark updates its hops in place. `advance` moves the mark:
//! events before it go into hops, and hops that no window can reach any more are dropped. `read` is exact for any time
//! from the mark on, and equals what `evaluate` computes over the same events.

use std::collections::BTreeMap;

use super::{
    definition::{DAY, HOPS, MINUTES_5, Window, floor},
    layout::Layout,
};
use crate::{
    FeatureError,
    aggregate::{Order, Reader, State, Value, ValueRef, Writer, micros},
};

/// Version of the bytes of a store; the first byte.
pub const HOP_STORE_VERSION: u8 = 1;

/// Hops of one entity. All calls on one store take the same layout.
#[derive(Debug, Clone)]
pub struct HopStore {
    /// Events before it are in hops. A whole multiple of five minutes; `i64::MIN` before the first `advance`.
    mark: i64,
    levels: [BTreeMap<i64, Vec<State>>; 3],
    all: Vec<State>,
    recent: BTreeMap<Order, Vec<Vec<Value>>>,
    newest: Option<i64>,
}

/// The values of all features at one time.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub values: Vec<Value>,
    /// False when the read lies before the mark, where only whole hops are left: the values are of the mark's time.
    pub exact: bool,
    /// Event time of the newest event that was ever taken in, in microseconds.
    pub newest: Option<i64>,
}

impl HopStore {
    /// No events.
    #[must_use]
    pub fn new(layout: &Layout) -> Self {
        Self {
            mark: i64::MIN,
            levels: Default::default(),
            all: layout.identities(),
            recent: BTreeMap::new(),
            newest: None,
        }
    }

    /// Takes in one event; `values` are those of the columns that the layout was made for.
    ///
    /// # Errors
    ///
    /// The number of values differs from the layout's.
    pub fn update(
        &mut self,
        layout: &Layout,
        order: Order,
        values: &[ValueRef<'_>],
    ) -> Result<(), FeatureError> {
        if values.len() != layout.columns {
            let (rows, expected) = (values.len(), layout.columns);
            return Err(FeatureError::Length { array: "the values of an event", rows, expected });
        }
        self.newest = self.newest.max(Some(order.event));
        let values: Vec<_> = values.iter().map(|value| value.to_value()).collect();
        if order.event < self.mark {
            self.fold(layout, order, &values);
        } else {
            self.recent.entry(order).or_default().push(values);
        }
        Ok(())
    }

    /// Moves the mark to the five minutes in which `now` lies; a mark never moves back.
    pub fn advance(&mut self, layout: &Layout, now: i64) {
        let mark = floor(now, MINUTES_5);
        if mark <= self.mark {
            return;
        }
        self.mark = mark;
        let first = Order { event: mark, known: i64::MIN, sequence: i64::MIN };
        let rest = self.recent.split_off(&first);
        for (order, events) in std::mem::replace(&mut self.recent, rest) {
            for values in events {
                self.fold(layout, order, &values);
            }
        }
        for (hops, keep) in self.levels.iter_mut().zip(kept_from(layout, mark)) {
            *hops = hops.split_off(&keep);
        }
    }

    fn fold(&mut self, layout: &Layout, order: Order, values: &[Value]) {
        layout.add(&mut self.all, order, values);
        for ((hops, size), keep) in self.levels.iter_mut().zip(HOPS).zip(kept_from(layout, self.mark)) {
            let start = floor(order.event, size);
            if start >= keep {
                let states = hops.entry(start).or_insert_with(|| layout.identities());
                layout.add(states, order, values);
            }
        }
    }

    /// The values at time `at` (microseconds).
    ///
    /// # Errors
    ///
    /// The layout is not the store's.
    pub fn read(&self, layout: &Layout, at: i64) -> Result<Reading, FeatureError> {
        let mut windows: Vec<(Window, Vec<State>)> = Vec::new();
        let mut values = Vec::with_capacity(layout.features.len());
        let exact = at >= self.mark;
        let at_or_mark = at.max(self.mark);
        for feature in &layout.features {
            let known = windows.iter().position(|(window, _)| *window == feature.window);
            let index = match known {
                Some(index) => index,
                None => {
                    windows.push((feature.window, self.window(layout, feature.window, at_or_mark)?));
                    windows.len() - 1
                }
            };
            let states = windows.get(index).map_or(&[][..], |(_, states)| states.as_slice());
            values.push(feature.value(states, at_or_mark));
        }
        Ok(Reading { values, exact, newest: self.newest })
    }

    /// States of all slots over one window; the store's own states are never touched.
    fn window(&self, layout: &Layout, window: Window, at: i64) -> Result<Vec<State>, FeatureError> {
        let start = window.start(at);
        let mut states = match window.hop() {
            None => self.all.clone(),
            Some(hop) => {
                let mut states = layout.identities();
                let mut from = start;
                for (hops, size) in self.levels.iter().zip(HOPS).rev().filter(|(_, size)| *size <= hop) {
                    let until = floor(self.mark, size);
                    if from < until {
                        for (_, hop) in hops.range(from..until) {
                            merge(&mut states, hop)?;
                        }
                        from = until;
                    }
                }
                states
            }
        };
        let order = |event| Order { event, known: i64::MIN, sequence: i64::MIN };
        let end = window.end(at);
        if start < end {
            for (order, events) in self.recent.range(order(start)..order(end)) {
                events.iter().for_each(|values| layout.add(&mut states, *order, values));
            }
        }
        Ok(states)
    }

    /// Takes in all events of `other`, a store of other events of the same entity.
    ///
    /// # Errors
    ///
    /// The stores are of different layouts.
    pub fn merge(&mut self, layout: &Layout, other: &Self) -> Result<(), FeatureError> {
        let mut other = other.clone();
        let mark = self.mark.max(other.mark);
        self.advance(layout, mark);
        other.advance(layout, mark);
        merge(&mut self.all, &other.all)?;
        for (hops, others) in self.levels.iter_mut().zip(other.levels) {
            for (start, states) in others {
                match hops.get_mut(&start) {
                    Some(mine) => merge(mine, &states)?,
                    None => {
                        hops.insert(start, states);
                    }
                }
            }
        }
        for (order, events) in other.recent {
            self.recent.entry(order).or_default().extend(events);
        }
        self.newest = self.newest.max(other.newest);
        Ok(())
    }

    /// The store as bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.byte(HOP_STORE_VERSION);
        out.signed(i128::from(self.mark));
        out.flag(self.newest.is_some());
        out.signed(i128::from(self.newest.unwrap_or(0)));
        self.all.iter().for_each(|state| state.write(&mut out));
        for (hops, size) in self.levels.iter().zip(HOPS) {
            out.unsigned(hops.len() as u64);
            for (start, states) in hops {
                out.signed(i128::from(start.div_euclid(size)));
                states.iter().for_each(|state| state.write(&mut out));
            }
        }
        let events =
            || self.recent.iter().flat_map(|(order, events)| events.iter().map(move |event| (order, event)));
        out.unsigned(events().count() as u64);
        for (order, values) in events() {
            out.order(*order);
            values.iter().for_each(|value| out.value(value));
        }
        out.bytes
    }

    /// Reads what [`HopStore::to_bytes`] wrote for the same layout.
    ///
    /// # Errors
    ///
    /// The bytes are of an unknown version, damaged, or of another layout.
    pub fn from_bytes(layout: &Layout, bytes: &[u8]) -> Result<Self, FeatureError> {
        let mut input = Reader::new(bytes);
        if input.byte()? != HOP_STORE_VERSION {
            return Err(FeatureError::bytes("the version is unknown"));
        }
        let mut store = Self::new(layout);
        store.mark = input.long()?;
        let any = input.flag()?;
        store.newest = Some(input.long()?).filter(|_| any);
        store.all = states(layout, &mut input)?;
        for (hops, size) in store.levels.iter_mut().zip(HOPS) {
            for _ in 0..input.count(1)? {
                let start = input.long()?.saturating_mul(size);
                hops.insert(start, states(layout, &mut input)?);
            }
        }
        for _ in 0..input.count(3)? {
            let order = input.order()?;
            let values = (0..layout.columns).map(|_| input.value()).collect::<Result<_, _>>()?;
            store.recent.entry(order).or_default().push(values);
        }
        if input.is_empty() { Ok(store) } else { Err(FeatureError::bytes("something follows the store")) }
    }
}

/// One state for each slot, of the slots' aggregations.
fn states(layout: &Layout, input: &mut Reader<'_>) -> Result<Vec<State>, FeatureError> {
    let mut states = Vec::with_capacity(layout.slots.len());
    for slot in &layout.slots {
        let state = State::read(input)?;
        slot.identity.clone().merge(&state)?;
        states.push(state);
    }
    Ok(states)
}

fn merge(states: &mut [State], others: &[State]) -> Result<(), FeatureError> {
    states.iter_mut().zip(others).try_for_each(|(state, other)| state.merge(other))
}

/// For each size of hop the first start that a read from `mark` on can need: the tails of its own windows, and for the
/// windows of larger hops what has passed of the larger hop in which the mark lies.
fn kept_from(layout: &Layout, mark: i64) -> [i64; 3] {
    let start = |size: i64| {
        let windows = layout.features.iter().map(|feature| feature.window);
        let longest = windows.filter(|window| window.hop() == Some(size)).filter_map(|window| window.length);
        longest.max().map(|length| floor(mark.saturating_sub(micros(length)), size))
    };
    let [minutes, hours, days] = HOPS.map(start);
    let none = i64::MAX;
    let larger = |starts: [Option<i64>; 2]| starts.iter().any(Option::is_some);
    let within_hour = if larger([hours, days]) { floor(mark, HOPS[1]) } else { none };
    let within_day = if days.is_some() { floor(mark, DAY) } else { none };
    [minutes.unwrap_or(none).min(within_hour), hours.unwrap_or(none).min(within_day), days.unwrap_or(none)]
}
