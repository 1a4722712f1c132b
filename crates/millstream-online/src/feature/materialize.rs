//! From the lake into the store, chunk by chunk. A chunk that is applied again changes nothing, so whoever was killed
//! begins with the first chunk that may be missing.

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use millstream_features::view::{Chunk, Edit, EntityEvents, OnlineView, OnlineViewError};

use super::{change, events_of};
use crate::{
    error::{OnlineError, Result},
    store::{EntityKey, Load, OnlineStore, Update},
};

/// The most records that one step of the store changes, which bounds the memory that the step takes.
const ENTITIES_AT_ONCE: usize = 4_096;

/// The counts of what a chunk, or a pass over all records, did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The number of rows of the chunk that have a key and an event time.
    pub rows: u64,
    /// The number of rows of the chunk without a key or an event time, which no read can see.
    pub skipped: u64,
    /// The number of records that were looked at.
    pub entities: u64,
    /// The number of records that were stored or removed.
    pub changed: u64,
    /// The size in bytes of the records that were stored.
    pub bytes: u64,
}

/// Adds a chunk's events, rows in the view's event schema, to the records of their entities. Not synced: what is missing
/// after a crash is found by applying the chunk again. `now` is in microseconds.
///
/// # Errors
///
/// The events do not fit the view, a record is damaged, or the store fails. Some entities may have been changed.
pub fn apply_chunk<'a>(
    store: &'a dyn OnlineStore,
    view: &'a OnlineView,
    chunk: &'a Chunk,
    events: &'a RecordBatch,
    now: i64,
) -> BoxFuture<'a, Result<Applied>> {
    Box::pin(async move {
        let (events, entities) = events_of(view, events)?;
        let apply = |at: usize, record: Option<&[u8]>| view.apply(record, &events, at, chunk, now);
        let applied = each(store, view, &entities, apply).await?;
        Ok(counted(applied, &events))
    })
}

/// Puts a chunk's events in the place of what was applied to the records of their entities before; the chunk has all of the
/// lake's events of each of its entities. Otherwise as [`apply_chunk`].
///
/// # Errors
///
/// As [`apply_chunk`].
pub fn replace_entities<'a>(
    store: &'a dyn OnlineStore,
    view: &'a OnlineView,
    chunk: &'a Chunk,
    events: &'a RecordBatch,
    now: i64,
) -> BoxFuture<'a, Result<Applied>> {
    Box::pin(async move {
        let (events, entities) = events_of(view, events)?;
        let replace = |at: usize, record: Option<&[u8]>| view.replace(record, &events, at, chunk, now);
        let applied = each(store, view, &entities, replace).await?;
        Ok(counted(applied, &events))
    })
}

/// Fills a space that nobody reads or pushes to yet with a chunk, without reading the records that are there; the chunk has
/// all of the lake's events of each of its entities. It is several times as fast as [`replace_entities`], and can be repeated
/// as safely.
///
/// # Errors
///
/// The events do not fit the view, or the store fails. Some entities may have been stored.
pub fn fill<'a>(
    store: &'a dyn OnlineStore,
    view: &'a OnlineView,
    chunk: &'a Chunk,
    events: &'a RecordBatch,
    now: i64,
) -> BoxFuture<'a, Result<Applied>> {
    Box::pin(async move {
        let (events, entities) = events_of(view, events)?;
        let mut applied = counted(Applied { entities: entities.len() as u64, ..Applied::default() }, &events);
        let mut records = Vec::with_capacity(entities.len());
        for (at, entity) in entities.into_iter().enumerate() {
            let edit = view.replace(None, &events, at, chunk, now).map_err(OnlineError::change)?;
            if let Edit::Put(record) = edit {
                applied.bytes += record.len() as u64;
                records.push((entity, record));
            }
        }
        applied.changed = records.len() as u64;
        store.load(Load { space: view.space(), records, marks: &[] }).await?;
        Ok(applied)
    })
}

/// Takes away what epochs before `epoch` brought to records that it did not reach: the entities are not in the lake any
/// more. What was pushed stays.
///
/// # Errors
///
/// A record is damaged, or the store fails.
pub fn remove_older<'a>(
    store: &'a dyn OnlineStore,
    view: &'a OnlineView,
    epoch: u64,
) -> BoxFuture<'a, Result<Applied>> {
    Box::pin(async move { sweep(store, view, |record| view.forget_older(record, epoch)).await })
}

/// Drops pushed events that the lake has in records that no chunk of the epoch reached, as for rows that were pushed and
/// then rejected, or for provisional events that the lake has passed.
///
/// # Errors
///
/// A record is damaged, or the store fails.
pub fn settle<'a>(
    store: &'a dyn OnlineStore,
    view: &'a OnlineView,
    chunk: &'a Chunk,
) -> BoxFuture<'a, Result<Applied>> {
    Box::pin(async move { sweep(store, view, |record| view.settle(record, chunk)).await })
}

fn counted(applied: Applied, events: &EntityEvents) -> Applied {
    Applied { rows: events.rows() as u64, skipped: events.skipped() as u64, ..applied }
}

/// Changes the records of these entities, some at a time.
async fn each(
    store: &dyn OnlineStore,
    view: &OnlineView,
    entities: &[EntityKey],
    edit: impl Fn(usize, Option<&[u8]>) -> Result<Edit, OnlineViewError> + Send + Sync,
) -> Result<Applied> {
    let mut applied = Applied::default();
    for (part, first) in entities.chunks(ENTITIES_AT_ONCE).zip((0..).step_by(ENTITIES_AT_ONCE)) {
        // A store may ask for an entity again, and then only the last answer counts.
        let mut bytes = vec![0; part.len()];
        let mut answer = |at: usize, record: Option<&[u8]>| {
            let edit = edit(first + at, record);
            if let (Some(bytes), Ok(edit)) = (bytes.get_mut(at), &edit) {
                *bytes = if let Edit::Put(record) = edit { record.len() as u64 } else { 0 };
            }
            change(edit)
        };
        let update = Update {
            space: view.space(),
            entities: part,
            change: &mut answer,
            marks: &[],
            append: None,
            durable: false,
        };
        applied.changed += store.update(update).await?.changed as u64;
        applied.entities += part.len() as u64;
        applied.bytes += bytes.iter().sum::<u64>();
    }
    Ok(applied)
}

/// Applies `edit` to every record of the view, and stores the records that it changes.
async fn sweep(
    store: &dyn OnlineStore,
    view: &OnlineView,
    edit: impl Fn(Option<&[u8]>) -> Result<Edit, OnlineViewError> + Send + Sync,
) -> Result<Applied> {
    let (mut applied, mut from) = (Applied::default(), None);
    loop {
        let page = store.scan(view.space(), from.as_ref(), ENTITIES_AT_ONCE).await?;
        let mut touched: Vec<EntityKey> = Vec::new();
        for (entity, record) in &page.records {
            if edit(Some(record)).map_err(OnlineError::change)? != Edit::Keep {
                touched.push(entity.clone());
            }
        }
        // Redis may return a record twice, and an update names it once.
        touched.sort_unstable();
        touched.dedup();
        let done = each(store, view, &touched, |_, record| match record {
            // The record was removed after the scan returned it.
            None => Ok(Edit::Keep),
            record => edit(record),
        });
        let done = done.await?;
        applied.entities += page.records.len() as u64;
        applied.changed += done.changed;
        applied.bytes += done.bytes;
        match page.next {
            Some(next) => from = Some(next),
            None => return Ok(applied),
        }
    }
}
