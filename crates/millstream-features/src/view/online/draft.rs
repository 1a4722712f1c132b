//! A record while it is changed.

use std::borrow::Cow;

use super::{
    EntityEvents, OnlineView,
    change::{Chunk, Edit, FED_RECENT, RECENT_MAX},
    read::Newest,
    record::{Event, Parts, Position, Record},
};
use crate::{
    FeatureError,
    aggregate::{Order, ValueRef, Writer},
    window::Hops,
};

/// The parts of a record. A part that is not changed is written as the bytes that were read.
pub(super) struct Draft<'a> {
    view: &'a OnlineView,
    pub(super) applied: Position,
    mark: i64,
    newest: Option<(Order, Cow<'a, [u8]>)>,
    hops: Kept<'a>,
    /// The events from the mark on, in the total order.
    recent: Vec<Held<'a>>,
    pub(super) pushed: Vec<Held<'a>>,
    watermark: i64,
    pub(super) provisional: Vec<Held<'a>>,
}

enum Kept<'a> {
    Stored(&'a [u8]),
    Open(Hops),
}

/// An event that is kept as it is.
pub(super) struct Held<'a> {
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
    pub(super) fn new(view: &'a OnlineView, record: Option<&'a [u8]>) -> Result<Self, FeatureError> {
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

    /// The draft with the chunk's position; none when the chunk has already been applied to the record.
    pub(super) fn behind(mut self, record: Option<&[u8]>, chunk: &Chunk) -> Option<Self> {
        if record.is_some() && self.applied >= chunk.position {
            return None;
        }
        self.applied = chunk.position;
        Some(self)
    }

    /// Whether old events are to go into hops before so many further ones come. What was pushed leaves by the mark.
    pub(super) fn is_full(&self, further: usize) -> bool {
        self.recent.len() + further > FED_RECENT || !self.pushed.is_empty() || !self.provisional.is_empty()
    }

    /// Forgets the lake's events.
    pub(super) fn clear(&mut self) {
        self.newest = None;
        self.hops = Kept::Stored(&[]);
        self.recent.clear();
    }

    /// Moves the mark to `mark`; it never moves back. Events before it go into the hops.
    pub(super) fn advance(&mut self, mark: i64) -> Result<(), FeatureError> {
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

    pub(super) fn trim(&mut self) -> Result<(), FeatureError> {
        let plan = &self.view.0.plan;
        if !plan.is_empty() && !matches!(self.hops, Kept::Stored([])) {
            let keep = plan.kept_from(self.mark);
            self.open()?.trim(&keep);
        }
        Ok(())
    }

    /// Takes in the lake's events of an entity.
    pub(super) fn add(&mut self, events: &EntityEvents, entity: usize) -> Result<(), FeatureError> {
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
    pub(super) fn hold(
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

    pub(super) fn settle(&mut self, chunk: &Chunk) -> Result<(), FeatureError> {
        if let Some(covered) = chunk.covered {
            self.pushed.retain(|held| held.push > covered);
        }
        let Some(watermark) = chunk.table_watermark.filter(|_| !self.provisional.is_empty()) else {
            return Ok(());
        };
        self.watermark = self.watermark.max(watermark);
        let (mark, watermark) = (self.mark, self.watermark);
        let is_passed = |held: &Held<'_>| held.order.event <= watermark && held.order.event < mark;
        let (passed, ahead): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.provisional).into_iter().partition(is_passed);
        self.provisional = ahead;
        // Of the events that windows no longer see only the newest counts, as long as the lake has no event as new.
        let newest = self.newest.as_ref().map(|(order, row)| (*order, Newest::Newest(row)));
        let mut kept: Option<Held<'a>> = None;
        for held in passed.into_iter().filter(|_| self.view.has_newest()) {
            let best = kept.as_ref().map(|kept| (kept.order, Newest::Event(&kept.row))).or(newest);
            if self.view.is_newer(held.order, Newest::Event(&held.row), best)? {
                kept = Some(held);
            }
        }
        self.provisional.extend(kept);
        Ok(())
    }

    /// Moves the mark on while there are too many events behind it.
    pub(super) fn bound(&mut self) -> Result<(), FeatureError> {
        let Some(over) = self.recent.len().checked_sub(RECENT_MAX).filter(|over| *over > 0) else {
            return Ok(());
        };
        let last = self.recent.get(over - 1).map_or(self.mark, |held| held.order.event);
        self.advance(last.saturating_add(1))?;
        self.trim()
    }

    pub(super) fn finish(&self, before: Option<&[u8]>) -> Edit {
        let hops = match &self.hops {
            Kept::Stored(bytes) => Cow::Borrowed(*bytes),
            Kept::Open(hops) => {
                let mut out = Writer::default();
                hops.write(&self.view.0.plan, self.mark, &mut out);
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
