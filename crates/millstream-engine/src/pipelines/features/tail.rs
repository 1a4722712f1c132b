//! The tail of a view: events of the log on top of what was materialised, batch by batch.
//!
//! A batch goes into the records of its entities together with the offsets at which it ends. Embedded, that is one step. On a store
//! without transactions over several records the offsets of a batch are written down before it is begun, and each record says which
//! batches it has: what was killed in between does the same batch again, and no event counts twice.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use arrow::{
    array::{AsArray, RecordBatch},
    compute::concat_batches,
    datatypes::TimestampMicrosecondType,
};
use futures::TryStreamExt;
use millstream_features::{
    view::{Chunk, FeatureValue, MARK_LAG, OnlineView, Position, TIME, ViewDefinition},
    window::Window,
};
use millstream_log::ReaderName;
use millstream_online::{OnlineStore, feature::feed};
use tokio_util::sync::CancellationToken;

use super::follow::{Follow, advance};
use crate::{
    EngineError,
    assets::feature_view::{
        LogProgress, LogSpan, Offsets, Progress, newest_of,
        progress::{self, MARK, reaches},
    },
    blocking,
    engine::World,
    features::keys::storable,
    pipelines::{PipelineMeter, meter::CommitSeen},
    source_rows::{CheckedRows, RowsBound},
};

/// Batches are numbered from here on, behind all chunks of a materialisation.
const FIRST_BATCH: u64 = 1 << 12;

/// The most bytes of the rows of one batch, more or less.
const BATCH_BYTES: usize = 128 << 20;

/// The records of one batch, more or less. What is idle takes what is there; what is behind takes so many, which are grouped by entity, so
/// that a record that many of them change is changed once.
const BATCH_RECORDS: usize = 512 * 1024;

/// A read of so many records tells that there are more.
const FAR_BEHIND: u64 = 2_048;

const BOUND: RowsBound = RowsBound { records: BATCH_RECORDS };

/// How often the figures are told that are not of one batch.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// How often the place in the log is pinned. The records are synced before, which readers of the store should rarely wait for; what
/// the pin lags behind stays in the log a little longer.
const PIN_EVERY: Duration = Duration::from_secs(30);

/// The beginning of the names under which views pin what they have yet to read.
const READER: &str = "view-";

/// One definition of a view as it follows the log.
pub(super) struct Tail<'a> {
    pub world: &'a Arc<World>,
    pub store: &'a Arc<dyn OnlineStore>,
    pub view: OnlineView,
    pub follow: Arc<Follow>,
    reach: Reach,
}

/// How far the records of a view are.
struct Records {
    progress: Progress,
    log: LogProgress,
}

/// What a batch brought.
#[derive(Clone, Copy, Debug, Default)]
struct Taken {
    /// The events that came to records.
    rows: u64,
    /// Those of them that no window sees any more.
    late: u64,
}

impl<'a> Tail<'a> {
    pub(super) fn new(
        world: &'a Arc<World>,
        store: &'a Arc<dyn OnlineStore>,
        view: OnlineView,
        follow: Arc<Follow>,
    ) -> Self {
        let reach = Reach::of(view.definition());
        Self { world, store, view, follow, reach }
    }

    /// Follows the log until `stop`.
    pub(super) async fn keep(
        &self,
        stop: &CancellationToken,
        meter: &PipelineMeter,
    ) -> Result<(), EngineError> {
        let mut records = self.begin().await?;
        self.pin(&records).await?;
        let (mut pinned, mut told) = (Instant::now(), Instant::now());
        let mut ahead = Vec::new();
        loop {
            let rows = tokio::select! {
                biased;
                () = stop.cancelled() => break,
                rows = self.batch(&records.log.offsets, ahead) => rows?,
            };
            let began = Instant::now();
            let mut to = records.log.offsets.clone();
            advance(&mut to, &rows);
            // The next rows are decoded on other threads while these come to their records.
            let (taken, read) = tokio::join!(self.take(&mut records, &rows), self.there(&to));
            let taken = taken?;
            ahead = read?;
            meter.taken_in(self::records(&rows));
            meter.committed(&CommitSeen {
                version: None,
                rows: taken.rows,
                rows_rejected: rows.iter().map(|rows| rows.rejected).sum(),
                rows_late: taken.late,
                took: began.elapsed(),
            });
            if told.elapsed() >= TELL_EVERY {
                self.tell(&records, &rows, meter).await?;
                told = Instant::now();
            }
            if pinned.elapsed() >= PIN_EVERY {
                self.pin(&records).await?;
                pinned = Instant::now();
            }
        }
        self.pin(&records).await
    }

    /// Takes in what is in the log now, and gives the number of events.
    pub(super) async fn catch_up(&self, stop: &CancellationToken) -> Result<u64, EngineError> {
        let mut records = self.begin().await?;
        let (ends, mut rows) = (self.follow.rows.ends().await?, 0);
        while !reaches(&records.log.offsets, &ends) {
            if stop.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let read = self.there(&records.log.offsets).await?;
            // While the source's breaker is open its events stay where they are.
            if read.is_empty() {
                break;
            }
            rows += self.take(&mut records, &read).await?.rows;
        }
        self.pin(&records).await?;
        Ok(rows)
    }

    /// The next rows behind these offsets, at least one: those that were read ahead, or else what is there. Waits while there is none.
    async fn batch(&self, from: &Offsets, ahead: Vec<CheckedRows>) -> Result<Vec<CheckedRows>, EngineError> {
        if !ahead.is_empty() {
            return Ok(ahead);
        }
        let first = self.follow.rows.next(from, BOUND).await?;
        self.filled(from, first).await
    }

    /// The rows that are there behind these offsets, up to a batch.
    async fn there(&self, from: &Offsets) -> Result<Vec<CheckedRows>, EngineError> {
        let first = self.follow.rows.present(from, BOUND).await?;
        self.filled(from, first).await
    }

    /// A batch that begins with these rows behind the offsets. Who is nearly at the end of the log takes what it has: what comes
    /// meanwhile is for the next batch.
    async fn filled(
        &self,
        from: &Offsets,
        mut rows: Vec<CheckedRows>,
    ) -> Result<Vec<CheckedRows>, EngineError> {
        let (mut at, mut last) = (from.clone(), records(&rows));
        advance(&mut at, &rows);
        while last >= FAR_BEHIND && !is_batch(&rows) {
            let more = self.follow.rows.present(&at, BOUND).await?;
            last = records(&more);
            advance(&mut at, &more);
            rows.extend(more);
        }
        Ok(rows)
    }

    /// The records as they are stored; where a batch was begun and may be in some of them, it is done first.
    async fn begin(&self) -> Result<Records, EngineError> {
        let stored = progress::read(self.store.as_ref(), self.view.space()).await?;
        let missing =
            EngineError::Worker { doing: "following the event log before a view has its first records" };
        let progress = stored.ok_or(missing)?;
        let log = progress.log.clone();
        let log = log.ok_or(EngineError::Worker { doing: "following the event log from nowhere" })?;
        let mut records = Records { progress, log };
        if let Some(to) = records.log.begun.clone() {
            let span = LogSpan { from: records.log.offsets.clone(), to: to.clone() };
            let read: Vec<RecordBatch> = self.follow.between(&span).try_collect().await?;
            let events = concat_batches(&self.view.definition().event_schema(), &read)
                .map_err(|source| EngineError::Arrow { action: "put events of the log together", source })?;
            self.apply(&mut records, &to, events).await?;
        }
        self.catches_up(&mut records).await?;
        Ok(records)
    }

    /// Takes in a batch of rows.
    async fn take(&self, records: &mut Records, rows: &[CheckedRows]) -> Result<Taken, EngineError> {
        let mut to = records.log.offsets.clone();
        advance(&mut to, rows);
        let events = blocking::in_place(|| self.follow.events_of(rows))?;
        if !self.world.online.is_embedded() {
            records.log.begun = Some(to.clone());
            self.write(records).await?;
        }
        self.apply(records, &to, events).await
    }

    /// Adds the events of the batch that ends at `to` to the records, and makes it the last batch.
    async fn apply(
        &self,
        records: &mut Records,
        to: &Offsets,
        events: RecordBatch,
    ) -> Result<Taken, EngineError> {
        let mut left_out = 0;
        let events = storable(&self.view, events, &mut left_out)?;
        let clock = self.world.options.clock.now().0;
        let Records { progress, log } = records;
        let newest = newest_of(&events, clock);
        let watermark = progress.watermark.max(newest);
        let table_watermark = progress.table_watermark.max(newest);
        let position = Position { epoch: progress.epoch, chunk: FIRST_BATCH.saturating_add(log.batch + 1) };
        let chunk = Chunk { position, covered: Some(progress.covered), watermark, table_watermark };
        let now = watermark.unwrap_or(clock).min(clock);
        let late = self.reach.late(&events, now.saturating_sub(MARK_LAG));
        let rows = events.num_rows() as u64;
        (progress.watermark, progress.table_watermark, progress.at) = (watermark, table_watermark, clock);
        progress.rows += rows;
        log.offsets.clone_from(to);
        log.batch += 1;
        log.begun = None;
        log.late += late;
        if !log.is_caught_up {
            log.is_caught_up = reaches(&log.offsets, &self.follow.rows.ends().await?);
        }
        let mark = records.written(self.view.space())?;
        feed(self.store.as_ref(), &self.view, &chunk, &events, now, (MARK, &mark)).await?;
        Ok(Taken { rows, late })
    }

    /// Says so where the view is as far as the log without another batch, as when the log is empty.
    async fn catches_up(&self, records: &mut Records) -> Result<(), EngineError> {
        if records.log.is_caught_up || !reaches(&records.log.offsets, &self.follow.rows.ends().await?) {
            return Ok(());
        }
        records.log.is_caught_up = true;
        self.write(records).await
    }

    async fn write(&self, records: &Records) -> Result<(), EngineError> {
        let mark = records.written(self.view.space())?;
        Ok(self.store.set_mark(self.view.space(), MARK, Some(&mark)).await?)
    }

    /// Keeps what is not in the records yet from leaving the log.
    async fn pin(&self, records: &Records) -> Result<(), EngineError> {
        let reader = reader(self.view.space())?;
        // What a loss of power may take from the records has to stay in the log.
        self.store.sync().await?;
        self.follow.rows.pin(&reader, &records.log.offsets).await
    }

    async fn tell(
        &self,
        records: &Records,
        rows: &[CheckedRows],
        meter: &PipelineMeter,
    ) -> Result<(), EngineError> {
        let ends = self.follow.rows.ends().await?;
        let behind = ends.iter().zip(&records.log.offsets).map(|(end, at)| end.saturating_sub(*at)).sum();
        meter.behind(behind, rows.iter().map(|rows| rows.appended_at).max());
        if let Some(watermark) = records.progress.watermark {
            meter.watermark(watermark);
        }
        Ok(())
    }
}

impl Records {
    fn written(&self, space: u64) -> Result<Vec<u8>, EngineError> {
        let progress = Progress { log: Some(self.log.clone()), ..self.progress.clone() };
        progress::written(space, &progress)
    }
}

/// The name under which a view pins what it has yet to read.
pub(super) fn reader(space: u64) -> Result<ReaderName, EngineError> {
    Ok(ReaderName::new(&format!("{READER}{space:016x}"))?)
}

/// Whether the rows are as many as one batch has.
fn is_batch(rows: &[CheckedRows]) -> bool {
    let bytes: usize = rows.iter().map(|rows| rows.rows.get_array_memory_size()).sum();
    records(rows) >= BATCH_RECORDS as u64 || bytes >= BATCH_BYTES
}

/// The number of records that were looked at.
fn records(rows: &[CheckedRows]) -> u64 {
    rows.iter().map(|rows| rows.offsets.end - rows.offsets.start).sum()
}

/// Whether the reader is a view.
pub(super) fn is_view(reader: &ReaderName) -> bool {
    reader.as_str().starts_with(READER)
}

/// How far back the windows of a view see.
#[derive(Debug)]
enum Reach {
    /// Some feature sees the events of all time.
    AllTime,
    Windows(Vec<Window>),
}

impl Reach {
    fn of(definition: &ViewDefinition) -> Self {
        let is_newest = |value: &FeatureValue| matches!(value, FeatureValue::Newest(_));
        if definition.features.iter().any(|feature| is_newest(&feature.value)) {
            return Self::AllTime;
        }
        let windows: Vec<Window> = definition.windowed().into_iter().map(|feature| feature.window).collect();
        match windows.iter().any(|window| window.length.is_none()) {
            true => Self::AllTime,
            false => Self::Windows(windows),
        }
    }

    /// The number of events that no read from `mark` on sees.
    fn late(&self, events: &RecordBatch, mark: i64) -> u64 {
        let Self::Windows(windows) = self else { return 0 };
        let Some(first) = windows.iter().map(|window| window.start(mark)).min() else { return 0 };
        let times = events
            .column_by_name(TIME)
            .and_then(|column| column.as_primitive_opt::<TimestampMicrosecondType>());
        times.map_or(0, |times| times.iter().flatten().filter(|time| *time < first).count() as u64)
    }
}
