//! Changes of a record: chunks of the lake's events, pushes, and what becomes of pushes once the lake has them.

use std::borrow::Cow;

use super::{
    EntityEvents, OnlineView, OnlineViewError,
    read::Newest,
    record::{Event, Parts, Position, Record},
};
use crate::{
    FeatureError,
    aggregate::{Order, ValueRef, Writer},
    window::Hops,
};

/// How far the mark stays behind the time of a change, in microseconds: a read whose time was taken that long before a
/// change is still exact.
pub const MARK_LAG: i64 = 10_000_000;
/// Most events of an entity that are kept one by one. Of more, the oldest go into hops before their time, and reads
/// between them and the new mark are degraded.
pub const RECENT_MAX: usize = 4_096;
/// Most pushed, and most provisional, events of an entity.
pub const PUSHED_MAX: usize = 4_096;

/// What to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// What is there.
    Keep,
    Put(Vec<u8>),
    Delete,
}

/// Some of the lake's events, and what the lake has with them. An entity's events of one epoch are in one chunk: then the
/// pushes that they cover vanish with the same change that brings the events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chunk {
    pub position: Position,
    /// Sequence up to which pushed events are in the lake, from this epoch on.
    pub covered: Option<u64>,
    /// Newest event time of the view in the lake, in microseconds.
    pub watermark: Option<i64>,
}

impl OnlineView {
    /// Adds a chunk's events of one entity. Nothing changes when the record is at the chunk's position or beyond.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view.
    pub fn apply(
        &self,
        record: Option<&[u8]>,
        events: &EntityEvents,
        entity: usize,
        chunk: &Chunk,
        now: i64,
    ) -> Result<Edit, OnlineViewError> {
        let change = || {
            let Some(mut draft) = Draft::new(self, record)?.behind(record, chunk) else {
                return Ok(Edit::Keep);
            };
            draft.advance(now.saturating_sub(MARK_LAG))?;
            draft.add(events, entity)?;
            draft.settle(chunk)?;
            draft.bound()?;
            Ok(draft.finish(record))
        };
        change().map_err(|source| self.state_error(source))
    }

    /// Takes all of the lake's events of one entity in place of those that were applied before. Pushed and provisional
    /// events stay, unless the chunk covers them.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view.
    pub fn replace(
        &self,
        record: Option<&[u8]>,
        events: &EntityEvents,
        entity: usize,
        chunk: &Chunk,
        now: i64,
    ) -> Result<Edit, OnlineViewError> {
        let change = || {
            let Some(mut draft) = Draft::new(self, record)?.behind(record, chunk) else {
                return Ok(Edit::Keep);
            };
            draft.newest = None;
            draft.hops = Kept::Open(Hops::default());
            draft.recent.clear();
            draft.advance(now.saturating_sub(MARK_LAG))?;
            draft.add(events, entity)?;
            draft.settle(chunk)?;
            draft.bound()?;
            Ok(draft.finish(record))
        };
        change().map_err(|source| self.state_error(source))
    }

    /// Adds pushed events of one entity, which count until the lake has them; `sequences` are those of the batch's rows,
    /// from 1 on. An event whose sequence is there already is not added again.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view, or the entity has more than [`PUSHED_MAX`] pushed events.
    pub fn push(
        &self,
        record: Option<&[u8]>,
        events: &EntityEvents,
        entity: usize,
        sequences: &[u64],
    ) -> Result<Edit, OnlineViewError> {
        let sequence = |row: usize| sequences.get(row).copied().unwrap_or(0);
        self.pend(record, |draft| draft.hold(events, entity, sequence, false))
    }

    /// Adds provisional events of one entity, which the lake gets by another way: windows forget them once the lake's
    /// newest event is as new, the newest event of the entity stays the newest for ever. Otherwise as [`OnlineView::push`].
    ///
    /// # Errors
    ///
    /// As [`OnlineView::push`].
    pub fn provisional(
        &self,
        record: Option<&[u8]>,
        events: &EntityEvents,
        entity: usize,
        sequences: &[u64],
    ) -> Result<Edit, OnlineViewError> {
        let sequence = |row: usize| sequences.get(row).copied().unwrap_or(0);
        self.pend(record, |draft| draft.hold(events, entity, sequence, true))
    }

    fn pend<'a>(
        &'a self,
        record: Option<&'a [u8]>,
        hold: impl FnOnce(&mut Draft<'a>) -> Result<(), FeatureError>,
    ) -> Result<Edit, OnlineViewError> {
        let mut draft = Draft::new(self, record).map_err(|source| self.state_error(source))?;
        hold(&mut draft).map_err(|source| self.state_error(source))?;
        if draft.pushed.len() > PUSHED_MAX || draft.provisional.len() > PUSHED_MAX {
            let view = self.definition().name.clone();
            return Err(OnlineViewError::TooManyPushed { view, most: PUSHED_MAX });
        }
        Ok(draft.finish(record))
    }

    /// Drops the pushed events that the lake has, of an entity for which the epoch's chunks had no events.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view.
    pub fn settle(&self, record: Option<&[u8]>, chunk: &Chunk) -> Result<Edit, OnlineViewError> {
        let change = || {
            let mut draft = Draft::new(self, record)?;
            draft.settle(chunk)?;
            Ok(draft.finish(record))
        };
        change().map_err(|source| self.state_error(source))
    }

    /// Brings events that have become old into hops and forgets hops that no window reaches any more. Reads do not need
    /// it; it makes the record of a quiet entity smaller.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view.
    pub fn advance(&self, record: Option<&[u8]>, now: i64) -> Result<Edit, OnlineViewError> {
        let change = || {
            let mut draft = Draft::new(self, record)?;
            draft.advance(now.saturating_sub(MARK_LAG))?;
            draft.trim()?;
            Ok(draft.finish(record))
        };
        change().map_err(|source| self.state_error(source))
    }
}

/// A record while it is changed. What is not touched stays as it lies.
struct Draft<'a> {
    view: &'a OnlineView,
    applied: Position,
    mark: i64,
    newest: Option<(Order, Cow<'a, [u8]>)>,
    hops: Kept<'a>,
    /// In their order.
    recent: Vec<Held<'a>>,
    pushed: Vec<Held<'a>>,
    watermark: i64,
    provisional: Vec<Held<'a>>,
}

enum Kept<'a> {
    Stored(&'a [u8]),
    Open(Hops),
}

/// An event that is kept as it is.
struct Held<'a> {
    push: u64,
    order: Order,
    row: Cow<'a, [u8]>,
}

impl<'a> Held<'a> {
    fn new(event: Event<'a>) -> Self {
        Self { push: event.push, order: event.order, row: Cow::Borrowed(event.row) }
    }

    fn event(&self) -> Event<'_> {
        Event { push: self.push, order: self.order, row: &self.row }
    }
}

impl<'a> Draft<'a> {
    fn new(view: &'a OnlineView, record: Option<&'a [u8]>) -> Result<Self, FeatureError> {
        let record = match record {
            Some(bytes) => Record::read(bytes, &view.0.newest_row)?,
            None => Record::EMPTY,
        };
        let held = |events: super::record::Events<'a>| {
            events.iter(&view.0.event_row).map(|event| event.map(Held::new)).collect::<Result<Vec<_>, _>>()
        };
        Ok(Self {
            view,
            applied: record.applied,
            mark: record.mark,
            newest: record.newest.map(|(order, row)| (order, Cow::Borrowed(row))),
            hops: Kept::Stored(record.hops),
            recent: held(record.recent)?,
            pushed: held(record.pushed)?,
            watermark: record.watermark,
            provisional: held(record.provisional)?,
        })
    }

    /// None when the chunk has been applied to the record.
    fn behind(mut self, record: Option<&[u8]>, chunk: &Chunk) -> Option<Self> {
        if record.is_some() && self.applied >= chunk.position {
            return None;
        }
        self.applied = chunk.position;
        Some(self)
    }

    /// Moves the mark to `mark`; it never moves back. Events before it go into the hops.
    fn advance(&mut self, mark: i64) -> Result<(), FeatureError> {
        if mark <= self.mark {
            return Ok(());
        }
        self.mark = mark;
        let old = self.recent.partition_point(|held| held.order.event < mark);
        let view = self.view;
        let mut lists = Vec::new();
        let recent: Vec<Held<'a>> = self.recent.drain(..old).collect();
        for held in recent {
            let values = view.0.event_row.values(&held.row, view.0.definition.columns.len(), &mut lists)?;
            self.fold(held.order, &values)?;
        }
        Ok(())
    }

    /// Takes in an event before the mark.
    fn fold(&mut self, order: Order, values: &[ValueRef<'_>]) -> Result<(), FeatureError> {
        self.fold_hops(order, values)?;
        self.fold_newest(order, values)
    }

    fn fold_hops(&mut self, order: Order, values: &[ValueRef<'_>]) -> Result<(), FeatureError> {
        let plan = &self.view.0.plan;
        if !plan.is_empty() {
            let keep = plan.kept_from(self.mark);
            self.open()?.add(plan, &keep, order, values);
        }
        Ok(())
    }

    /// An older event never takes the place of a newer one.
    fn fold_newest(&mut self, order: Order, values: &[ValueRef<'_>]) -> Result<(), FeatureError> {
        let newest = self.newest.as_ref().map(|(newest, row)| (*newest, Newest::Newest(row)));
        // Most are newer or older, and then the row need not be written down to tell.
        if newest.is_some_and(|(newest, _)| order < newest) {
            return Ok(());
        }
        let mut row = Vec::new();
        self.view.0.newest_row.write(&mut row, values);
        if self.view.is_newer(order, Newest::Newest(&row), newest)? {
            self.newest = Some((order, Cow::Owned(row)));
        }
        Ok(())
    }

    /// The hops, ready to be changed.
    fn open(&mut self) -> Result<&mut Hops, FeatureError> {
        if let Kept::Stored(bytes) = self.hops {
            let hops = if bytes.is_empty() { Hops::default() } else { Hops::read(&self.view.0.plan, bytes)? };
            self.hops = Kept::Open(hops);
        }
        match &mut self.hops {
            Kept::Open(hops) => Ok(hops),
            Kept::Stored(_) => Err(FeatureError::Mismatch),
        }
    }

    fn trim(&mut self) -> Result<(), FeatureError> {
        let plan = &self.view.0.plan;
        if !plan.is_empty() && !matches!(self.hops, Kept::Stored([])) {
            let keep = plan.kept_from(self.mark);
            self.open()?.trim(&keep);
        }
        Ok(())
    }

    /// Takes in the lake's events of an entity.
    fn add(&mut self, events: &EntityEvents, entity: usize) -> Result<(), FeatureError> {
        let view = self.view;
        let keep = view.0.plan.kept_from(self.mark);
        let mut values = Vec::with_capacity(view.0.definition.columns.len());
        let mut newest = None;
        let mut recent = false;
        for (order, row) in events.events_of(entity) {
            if order.event >= self.mark {
                events.values(row, &mut values);
                let mut bytes = Vec::new();
                view.0.event_row.write(&mut bytes, &values);
                self.recent.push(Held { push: 0, order, row: Cow::Owned(bytes) });
                recent = true;
                continue;
            }
            if !view.0.plan.is_empty() {
                events.values(row, &mut values);
                self.open()?.add(&view.0.plan, &keep, order, &values);
            }
            // The last of them is the newest, and only it and its equals need to be written down.
            if let Some((_, row)) = newest.replace((order, row)).filter(|(before, _)| *before == order) {
                events.values(row, &mut values);
                self.fold_newest(order, &values)?;
            }
        }
        if let Some((order, row)) = newest {
            events.values(row, &mut values);
            self.fold_newest(order, &values)?;
        }
        if recent {
            self.recent.sort_by_key(|held| held.order);
        }
        if matches!(self.hops, Kept::Open(_)) {
            self.trim()?;
        }
        Ok(())
    }

    /// Holds pushed or provisional events on top of the lake's.
    fn hold(
        &mut self,
        events: &EntityEvents,
        entity: usize,
        sequence: impl Fn(usize) -> u64,
        provisional: bool,
    ) -> Result<(), FeatureError> {
        let held = if provisional { &mut self.provisional } else { &mut self.pushed };
        let mut values = Vec::new();
        for (order, row) in events.events_of(entity) {
            let push = sequence(row);
            if held.iter().any(|known| known.push == push) {
                continue;
            }
            events.values(row, &mut values);
            let mut bytes = Vec::new();
            self.view.0.event_row.write(&mut bytes, &values);
            held.push(Held { push, order, row: Cow::Owned(bytes) });
        }
        Ok(())
    }

    fn settle(&mut self, chunk: &Chunk) -> Result<(), FeatureError> {
        if let Some(covered) = chunk.covered {
            self.pushed.retain(|held| held.push > covered);
        }
        let Some(watermark) = chunk.watermark.filter(|_| !self.provisional.is_empty()) else { return Ok(()) };
        self.watermark = self.watermark.max(watermark);
        let view = self.view;
        let mut lists = Vec::new();
        for held in std::mem::take(&mut self.provisional) {
            if held.order.event > self.watermark || held.order.event >= self.mark {
                self.provisional.push(held);
            } else if view.has_newest() {
                let values =
                    view.0.event_row.values(&held.row, view.0.definition.columns.len(), &mut lists)?;
                self.fold_newest(held.order, &values)?;
            }
        }
        Ok(())
    }

    /// Moves the mark on while there are too many events behind it.
    fn bound(&mut self) -> Result<(), FeatureError> {
        let Some(over) = self.recent.len().checked_sub(RECENT_MAX).filter(|over| *over > 0) else {
            return Ok(());
        };
        let last = self.recent.get(over - 1).map_or(self.mark, |held| held.order.event);
        self.advance(last.saturating_add(1))?;
        self.trim()
    }

    fn finish(&self, before: Option<&[u8]>) -> Edit {
        let hops = match &self.hops {
            Kept::Stored(bytes) => Cow::Borrowed(*bytes),
            Kept::Open(hops) => {
                let mut out = Writer::default();
                hops.write(&self.view.0.plan, &mut out);
                Cow::Owned(out.bytes)
            }
        };
        let held = self.recent.len() + self.pushed.len() + self.provisional.len();
        if self.newest.is_none() && held == 0 {
            return if before.is_some() { Edit::Delete } else { Edit::Keep };
        }
        let parts = Parts {
            applied: self.applied,
            mark: self.mark,
            newest: self.newest.as_ref().map(|(order, row)| (*order, row.as_ref())),
            hops: &hops,
            recent: self.recent.iter().map(Held::event),
            pushed: self.pushed.iter().map(Held::event),
            watermark: self.watermark,
            provisional: self.provisional.iter().map(Held::event),
        };
        let bytes = parts.write();
        if before == Some(bytes.as_slice()) { Edit::Keep } else { Edit::Put(bytes) }
    }
}
