//! The events of one epoch, from the files of the view's tables into chunks. Rows are counted on the way, so that a receipt can
//! tell where each of them went.

use std::sync::{
    Arc,
    atomic::{AtomicI64, AtomicU64, Ordering},
};

use arrow::array::RecordBatch;
use futures::{StreamExt, TryStreamExt};
use millstream_lake::{DataFile, LakeTable, ScanCount};
use millstream_state::Receipt;
use millstream_types::TableName;

use super::{
    chunks::{self, Chunks},
    materialize::{Epoch, Work},
};
use crate::{
    EngineError,
    event::Figures,
    features::rows::{EventStream, events_of_rows, pushed_events, pushed_table, table_events},
    receipt::{self, of_each_row},
};

/// The events of an epoch, before any of them is applied.
pub(super) struct Collected {
    pub chunks: Chunks,
    /// The newest time in microseconds among the events that the view's tables brought, up to the present.
    pub newest: Option<i64>,
    /// Where the rows of the tables went, as far as the chunks.
    pub receipt: Receipt,
}

/// The files of a table that are read for an epoch.
struct FilesRead {
    /// The rows that the log tells; `None` where it does not.
    rows: Option<u64>,
    scanned: ScanCount,
}

impl Work<'_> {
    /// Takes in the events. `rows_before` events were read before.
    pub(super) async fn collect(
        &self,
        epoch: &mut Epoch,
        rows_before: u64,
    ) -> Result<Collected, EngineError> {
        let definition = self.view.definition();
        let count = |rows| {
            let (doing, rows) = (self.doing.clone(), rows_before + rows);
            self.meter.show(Figures { doing, rows, ..Figures::default() });
        };
        let (spill, now) = (self.world.made_spill_dir()?, self.world.options.clock.now().0);
        let bytes: u64 = epoch.pinning.snapshots().values().map(|snapshot| snapshot.bytes()).sum();
        let under_way = &epoch.under_way;
        let wanted = if under_way.chunks > 0 { under_way.chunks } else { chunks::count(bytes) };
        let newest = Arc::new(AtomicI64::new(i64::MIN));
        let (mut streams, mut read) = (Vec::new(), Vec::new());
        if under_way.full && !self.is_row_wise() {
            streams.push(watched(table_events(&epoch.pinning, definition).await?, &newest, now));
            streams.extend(pushed_events(&epoch.pinning, definition).await?);
        } else {
            let pushed = pushed_table(&definition.name)?;
            for (table, to) in &under_way.versions {
                let Some((events, files)) = self.events_of_files(epoch, table, *to).await? else { continue };
                streams.push(if *table == pushed { events } else { watched(events, &newest, now) });
                read.push(files);
            }
        }
        let from_log = Arc::new(AtomicU64::new(0));
        if let Some((follow, span)) = self.follow.as_ref().zip(epoch.under_way.log.as_ref())
            && !span.is_empty()
        {
            let counted = from_log.clone();
            let count = move |batch: &RecordBatch| {
                counted.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
            };
            streams.push(watched(follow.between(span).inspect_ok(count).boxed(), &newest, now));
        }
        let cancel = self.cancel.clone();
        let stopped = move |batch| if cancel.is_cancelled() { Err(EngineError::Cancelled) } else { batch };
        let events = futures::stream::iter(streams).flatten().map(stopped);
        let chunks = Chunks::collect(&self.view, events, wanted, &spill, now, count).await?;
        epoch.under_way.chunks = chunks.len();
        let newest = newest.load(Ordering::Relaxed);
        let receipt = receipt_of(&chunks, &read, from_log.load(Ordering::Relaxed));
        receipt::check(&super::id(&definition.name), receipt)?;
        Ok(Collected { chunks, newest: (newest > i64::MIN).then_some(newest), receipt })
    }

    /// Whether each event is made of one row of the view's one table, as the project defines the view now.
    pub(super) fn is_row_wise(&self) -> bool {
        if self.follow.is_some() {
            return true;
        }
        let definition = self.view.definition();
        let own = self.world.project.features.views.get(&definition.name);
        own.is_some_and(|own| own.row_wise && own.definition.space() == self.view.space())
    }

    /// The events of the files of `table` that the epoch takes in: all of them, or those that came since the version that the
    /// records have. `None` where none came.
    async fn events_of_files(
        &self,
        epoch: &Epoch,
        table: &TableName,
        to: i64,
    ) -> Result<Option<(EventStream, FilesRead)>, EngineError> {
        let definition = self.view.definition();
        let Some(snapshot) = epoch.pinning.snapshots().remove(table) else { return Ok(None) };
        let files = match epoch.since.get(table).filter(|_| !epoch.under_way.full) {
            Some(from) if *from == to => return Ok(None),
            Some(from) => self.world.lake.changes(table, *from, to).await?.added,
            None => snapshot.files().to_vec(),
        };
        let scanned = ScanCount::default();
        let rows = files.iter().map(DataFile::rows).sum();
        let provider = LakeTable::counted(&self.world.lake, snapshot.schema(), files, &scanned)?;
        let events = events_of_rows(&epoch.pinning, definition, table, provider).await?;
        Ok(Some((events, FilesRead { rows, scanned })))
    }
}

/// Where the rows went that were `read`, and the events that came from the log. Where their files cannot be counted, or an event is not made of one row, the receipt
/// begins with the events.
fn receipt_of(chunks: &Chunks, read: &[FilesRead], from_log: u64) -> Receipt {
    let sum = |rows: &dyn Fn(&FilesRead) -> Option<u64>| {
        read.iter().map(rows).sum::<Option<u64>>().map(|rows| rows + from_log)
    };
    let counted = sum(&|files| files.rows).zip(sum(&|files| files.scanned.rows()));
    let (rows_in, scanned) = counted.filter(|_| !read.is_empty()).unwrap_or((chunks.read, chunks.read));
    // What the view's own query leaves out.
    let filtered = scanned.saturating_sub(chunks.read);
    Receipt {
        rows_made: chunks.read,
        rows_out: chunks.events(),
        rows_filtered: Some(filtered.saturating_add(chunks.left_out).saturating_add(chunks.without_key)),
        ..of_each_row(Some(rows_in))
    }
}

/// Raises `newest` to the newest event time that passes, up to the present.
fn watched(events: EventStream, newest: &Arc<AtomicI64>, now: i64) -> EventStream {
    let newest = Arc::clone(newest);
    let watch = move |batch: &RecordBatch| {
        if let Some(time) = chunks::newest_of(batch, now) {
            newest.fetch_max(time, Ordering::Relaxed);
        }
    };
    events.inspect_ok(watch).boxed()
}
