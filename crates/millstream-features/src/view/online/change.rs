//! Changes of a record: chunks of the lake's events, pushes, and what becomes of pushes once the lake has them.

use super::{EntityEvents, OnlineView, OnlineViewError, draft::Draft, record::Position};
use crate::FeatureError;

/// How far the mark stays behind the time of a change, in microseconds: a read whose time was taken that long before a
/// change is still exact.
pub const MARK_LAG: i64 = 10_000_000;
/// The most events of an entity that are kept one by one. If there are more, the oldest go into hops early, and reads
/// at times between those events and the new mark are degraded.
pub const RECENT_MAX: usize = 4_096;
/// So many events of an entity that is fed are kept one by one before the old ones of them go into hops together: hops are written
/// anew as a whole, which would cost more than all else if each change did it.
pub(crate) const FED_RECENT: usize = 48;
/// The most pushed events of an entity, and the most provisional ones.
pub const PUSHED_MAX: usize = 4_096;

/// The change of a record that the caller has to store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// The stored record stays as it is.
    Keep,
    Put(Vec<u8>),
    Delete,
}

/// Some of the lake's events, and what the lake has with them. An entity's events of one epoch are in one chunk: then the
/// pushes that they cover vanish with the same change that brings the events.
#[derive(Debug, Clone, Copy, Default)]
pub struct Chunk {
    pub position: Position,
    /// The sequence up to which the lake has the pushed events, from this epoch on.
    pub covered: Option<u64>,
    /// The newest event time of the view in the lake, pushed rows included, in microseconds.
    pub watermark: Option<i64>,
    /// The newest event time that the view's table brought, in microseconds. Rows that were pushed ahead of their table count
    /// until the table is as new as they are; rows that were pushed to the lake do not show how far the table is.
    pub table_watermark: Option<i64>,
}

/// How a chunk's events come to a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Taking {
    /// They come beside those that were applied before.
    Beside,
    /// They take the place of those.
    InPlace,
    /// They come beside those, and more come soon.
    Fed,
}

impl Chunk {
    /// The mark that fits the chunk. It is never after the lake's newest event, so that reads from there on stay exact however
    /// old the data is, and never after `now`, so that an event of the future does not make reads of the present degraded.
    fn mark(&self, now: i64) -> i64 {
        self.watermark.map_or(now, |watermark| watermark.min(now)).saturating_sub(MARK_LAG)
    }
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
        self.take(record, events, entity, chunk, now, Taking::Beside)
    }

    /// Adds a batch's events of one entity, as [`Self::apply`] does, for records that change many times a minute: old events go into
    /// hops when there are enough of them. Reads give the same.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view.
    pub fn feed(
        &self,
        record: Option<&[u8]>,
        events: &EntityEvents,
        entity: usize,
        chunk: &Chunk,
        now: i64,
    ) -> Result<Edit, OnlineViewError> {
        self.take(record, events, entity, chunk, now, Taking::Fed)
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
        self.take(record, events, entity, chunk, now, Taking::InPlace)
    }

    /// A chunk's events, beside those that were applied before or in their place.
    fn take(
        &self,
        record: Option<&[u8]>,
        events: &EntityEvents,
        entity: usize,
        chunk: &Chunk,
        now: i64,
        taking: Taking,
    ) -> Result<Edit, OnlineViewError> {
        let change = || {
            let Some(mut draft) = Draft::new(self, record)?.behind(record, chunk) else {
                return Ok(Edit::Keep);
            };
            if taking == Taking::InPlace {
                draft.clear();
            }
            if taking != Taking::Fed || draft.is_full(events.events_of(entity).len()) {
                draft.advance(chunk.mark(now))?;
            }
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

    /// Takes away what chunks of epochs before `epoch` brought, of an entity that the lake does not have any more. Pushed and
    /// provisional events stay.
    ///
    /// # Errors
    ///
    /// The bytes are no record of this view.
    pub fn forget_older(&self, record: Option<&[u8]>, epoch: u64) -> Result<Edit, OnlineViewError> {
        let change = || {
            let mut draft = Draft::new(self, record)?;
            if draft.applied.epoch >= epoch {
                return Ok(Edit::Keep);
            }
            draft.clear();
            Ok(draft.finish(record))
        };
        change().map_err(|source| self.state_error(source))
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
