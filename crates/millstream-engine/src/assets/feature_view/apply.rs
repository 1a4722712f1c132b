//! The chunks of one epoch, on their way into the records of the online store.

use millstream_features::view::{Chunk, Position};
use millstream_online::feature;
use millstream_state::Receipt;
use millstream_types::AssetId;

use super::{
    chunks::Chunks,
    materialize::{Epoch, Work},
    progress::{self, Progress},
};
use crate::{
    EngineError,
    receipt::{self, of_each_row},
};

/// What became of the chunks of an epoch.
#[derive(Debug, Default)]
pub(super) struct AppliedChunks {
    /// The records that were looked at.
    pub entities: u64,
    /// The events that are in records, those of chunks that an earlier attempt has applied among them.
    events: u64,
    /// The events without a key or a time, which no read can see.
    unseen: u64,
}

impl AppliedChunks {
    /// The receipt of the epoch, of which `collected` is the part up to the chunks. Fails where an event of a chunk has come to
    /// no record.
    pub(super) fn receipt(&self, view: &AssetId, collected: Receipt) -> Result<Receipt, EngineError> {
        let filtered = collected.rows_filtered.map(|rows| rows.saturating_add(self.unseen));
        let receipt = Receipt { rows_out: self.events, rows_filtered: filtered, ..collected };
        receipt::check(view, receipt)?;
        Ok(receipt)
    }
}

impl Work<'_> {
    /// Applies the chunks that may be missing, and writes the progress to the view's mark after each.
    pub(super) async fn apply(
        &self,
        epoch: &mut Epoch,
        chunks: &Chunks,
        done: &mut Progress,
        fills: bool,
    ) -> Result<AppliedChunks, EngineError> {
        // The mark follows the data, not the clock: then a read at any time from the newest event on is exact.
        let clock = self.world.options.clock.now().0;
        let now = done.watermark.unwrap_or(clock).min(clock);
        let before = (0..epoch.under_way.next).map(|number| chunks.events_of(number)).sum();
        let mut all = AppliedChunks { events: before, ..AppliedChunks::default() };
        for number in epoch.under_way.next..chunks.len() {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let events = chunks.read(number)?;
            self.check_read(chunks.events_of(number), events.num_rows() as u64)?;
            let chunk = self.chunk(epoch, done, number + 1);
            let applied = if epoch.under_way.full && fills {
                feature::fill(self.store.as_ref(), &self.view, &chunk, &events, now).await?
            } else if epoch.under_way.full {
                feature::replace_entities(self.store.as_ref(), &self.view, &chunk, &events, now).await?
            } else {
                feature::apply_chunk(self.store.as_ref(), &self.view, &chunk, &events, now).await?
            };
            all.entities += applied.entities;
            all.events += applied.rows;
            all.unseen += applied.skipped;
            epoch.under_way.next = number + 1;
            done.under_way = Some(epoch.under_way.clone());
            progress::write(self.store.as_ref(), self.view.space(), done).await?;
        }
        Ok(all)
    }

    /// Fails where a chunk that was on disk does not come back whole; its records are as they were then.
    fn check_read(&self, rows_in: u64, rows_out: u64) -> Result<(), EngineError> {
        let receipt = Receipt { rows_out, ..of_each_row(Some(rows_in)) };
        receipt::check(&super::id(&self.view.definition().name), receipt)
    }

    pub(super) fn chunk(&self, epoch: &Epoch, done: &Progress, number: u64) -> Chunk {
        Chunk {
            position: Position { epoch: epoch.under_way.epoch, chunk: number },
            covered: Some(epoch.under_way.covered),
            watermark: done.watermark,
            table_watermark: done.table_watermark,
        }
    }
}
