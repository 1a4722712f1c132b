//! Events of a log into the store, batch by batch. A batch goes into the records of its entities in one step, together with the
//! mark that says up to which events the log has been read.
//!
//! Embedded, the mark and the records are one: what a loss of power takes away, it takes away with the mark, and the events are
//! read from the log again. So nothing here waits for a sync. Elsewhere records come before the mark, and a batch that is applied
//! again with its own position changes nothing; so whoever was killed has to begin with the same events.

use arrow::array::RecordBatch;
use futures::future::BoxFuture;
use millstream_features::view::{Chunk, OnlineView};

use super::{change, events_of, materialize::Applied};
use crate::{
    error::Result,
    store::{OnlineStore, Update},
};

/// Adds events, rows in the view's event schema, to the records of their entities, and stores `mark` with them: its name and
/// its value. Nothing is added to records that are at the chunk's position or beyond. `now` is in microseconds.
///
/// # Errors
///
/// The events do not fit the view, a record is damaged, or the store fails. Embedded, nothing has changed then; elsewhere some
/// records may have, and the mark has not.
pub fn feed<'a>(
    store: &'a dyn OnlineStore,
    view: &'a OnlineView,
    chunk: &'a Chunk,
    events: &'a RecordBatch,
    now: i64,
    mark: (&'a str, &'a [u8]),
) -> BoxFuture<'a, Result<Applied>> {
    Box::pin(async move {
        let (events, entities) = events_of(view, events)?;
        let mut answer =
            |at: usize, record: Option<&[u8]>| change(view.feed(record, &events, at, chunk, now));
        let update = Update {
            space: view.space(),
            entities: &entities,
            change: &mut answer,
            marks: &[mark],
            append: None,
            durable: false,
        };
        let updated = store.update(update).await?;
        Ok(Applied {
            rows: events.rows() as u64,
            skipped: events.skipped() as u64,
            entities: entities.len() as u64,
            changed: updated.changed as u64,
            bytes: 0,
        })
    })
}
