//! Pushed rows are numbered, written to a log for the lake, and added to the views' records at once. A push is durable
//! before it is acknowledged; pushes at the same time share the store's syncs.
//!
//! Who brings the log into the lake first asks for a cut: a number up to which every push is in the log, or never will be.
//! Only entries up to the cut go along, and the cut goes with them as [`Chunk::covered`], so that a pushed row counts from
//! the log's side or from the lake's, never from both. The cut knows the pushes of its own process: of several processes
//! on one Redis, one takes pushes.
//!
//! [`Chunk::covered`]: millstream_features::view::Chunk::covered

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use futures::future::BoxFuture;
use millstream_features::view::OnlineView;
use tokio::sync::RwLock;

use super::{change, events_of};
use crate::{
    error::{OnlineError, Result},
    store::{Append, OnlineStore, Update},
};

/// The version of a log entry's format, which is the first byte of each entry.
const ENTRY_VERSION: u8 = 1;

/// Takes pushed rows. All callers in a process share one value, because a cut waits only for the pushes of its own value.
#[derive(Debug)]
pub struct Pushes {
    store: Arc<dyn OnlineStore>,
    /// Each push holds this lock, shared, from before it takes its numbers until its answer; a cut holds it alone.
    under_way: RwLock<()>,
}

/// A view, and the pushed rows as its events: as many as rows, in the rows' order.
#[derive(Clone, Copy, Debug)]
pub struct PushTarget<'a> {
    pub view: &'a OnlineView,
    pub events: &'a RecordBatch,
}

/// An entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushedRows {
    /// The entry's position in the log.
    pub position: u64,
    /// The number of the first of the pushed rows.
    pub first: u64,
    /// The pushed rows, in the form in which the caller of the push wrote them.
    pub rows: Bytes,
}

impl Pushes {
    #[must_use]
    pub fn new(store: Arc<dyn OnlineStore>) -> Self {
        Self { store, under_way: RwLock::new(()) }
    }

    /// Pushes rows to views, and through the log to the lake. The log keeps `kept`, the rows as the lake will take them; they
    /// count in the views until a chunk covers them. Gives the number of the first row.
    ///
    /// # Errors
    ///
    /// The events do not fit a view, an entity has too many pushed events that the lake has not taken up, or the store
    /// fails. Then the rows may be in some of the views.
    pub fn push<'a>(
        &'a self,
        log: &'a str,
        rows: u64,
        targets: &'a [PushTarget<'a>],
        kept: Bytes,
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let _under_way = self.under_way.read().await;
            let first = self.store.reserve(log, rows).await?;
            let mut entry = BytesMut::with_capacity(9 + kept.len());
            entry.put_u8(ENTRY_VERSION);
            entry.put_u64_le(first);
            entry.put(kept);
            let entries = [entry.freeze()];
            self.write(Some(Append { log, entries: &entries }), first, targets, false).await?;
            Ok(first)
        })
    }

    /// Pushes rows to views only, which the lake gets by another way: windows see them until the lake's newest event is as
    /// new, see [`OnlineView::provisional`]. Gives the number of the first row.
    ///
    /// # Errors
    ///
    /// As [`Pushes::push`].
    pub fn push_online<'a>(
        &'a self,
        log: &'a str,
        rows: u64,
        targets: &'a [PushTarget<'a>],
    ) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let _under_way = self.under_way.read().await;
            let first = self.store.reserve(log, rows).await?;
            self.write(None, first, targets, true).await?;
            Ok(first)
        })
    }

    /// Stores the rows in one step for each view, and the log's entry with the first step. Only the last step is synced, which
    /// makes the earlier ones durable too.
    async fn write(
        &self,
        mut append: Option<Append<'_>>,
        first: u64,
        targets: &[PushTarget<'_>],
        provisional: bool,
    ) -> Result<()> {
        for (at, PushTarget { view, events }) in targets.iter().enumerate() {
            let sequences: Vec<u64> = (first..).take(events.num_rows()).collect();
            let (events, entities) = events_of(view, events)?;
            let mut push = |at: usize, record: Option<&[u8]>| {
                change(match provisional {
                    true => view.provisional(record, &events, at, &sequences),
                    false => view.push(record, &events, at, &sequences),
                })
            };
            let update = Update {
                space: view.space(),
                entities: &entities,
                change: &mut push,
                marks: &[],
                append: append.take(),
                durable: at + 1 == targets.len(),
            };
            self.store.update(update).await?;
        }
        if let Some(append) = append {
            // No view takes the rows; the log is beside all spaces.
            let mut nothing = |_: usize, _: Option<&[u8]>| Ok(crate::store::Change::Keep);
            let update = Update {
                space: 0,
                entities: &[],
                change: &mut nothing,
                marks: &[],
                append: Some(append),
                durable: true,
            };
            self.store.update(update).await?;
        }
        Ok(())
    }

    /// A number up to which every push is in the log, or never will be. Waits for the pushes that are under way.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub fn cut<'a>(&'a self, log: &'a str) -> BoxFuture<'a, Result<u64>> {
        Box::pin(async move {
            let _alone = self.under_way.write().await;
            self.store.reserve(log, 1).await
        })
    }

    /// At most `limit` entries of the log after that position (0: from the first that is left) and up to the cut.
    ///
    /// # Errors
    ///
    /// The store fails, or an entry is damaged.
    pub fn entries<'a>(
        &'a self,
        log: &'a str,
        after: u64,
        cut: u64,
        limit: usize,
    ) -> BoxFuture<'a, Result<Vec<PushedRows>>> {
        Box::pin(async move {
            let mut pushed = Vec::new();
            for entry in self.store.log(log, after, limit).await? {
                let mut bytes = entry.bytes;
                if bytes.len() < 9 || bytes.get_u8() != ENTRY_VERSION {
                    return Err(OnlineError::Damaged {
                        location: self.store.location().to_owned(),
                        reason: format!("entry {} of the log `{log}` is no pushed rows", entry.position),
                        source: None,
                    });
                }
                let first = bytes.get_u64_le();
                // What comes after the cut was stored after all that comes before it.
                if first > cut {
                    break;
                }
                pushed.push(PushedRows { position: entry.position, first, rows: bytes });
            }
            Ok(pushed)
        })
    }
}
