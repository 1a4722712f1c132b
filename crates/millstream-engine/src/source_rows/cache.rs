//! What was judged last of a partition, so that readers that are near one another share the work.

use std::{collections::VecDeque, sync::Arc};

use millstream_log::Place;
use tokio::sync::Mutex;

use super::{CheckedRows, Chunk};
use crate::EngineError;

/// The most bytes of rows that are kept of a partition, apart from the newest ones.
const CACHE_BYTES_MAX: usize = 32 << 20;

/// The newest rows of one partition that somebody read.
pub(super) struct PartitionCache {
    place: Place,
    /// Held while records are read, so that of several readers that wait for the same ones, one reads.
    chunks: Mutex<Chunks>,
}

/// Chunks with offsets in a row.
#[derive(Default)]
struct Chunks {
    kept: VecDeque<Arc<Chunk>>,
    bytes: usize,
}

impl PartitionCache {
    pub(super) fn new(place: Place) -> Self {
        Self { place, chunks: Mutex::default() }
    }

    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// The rows from an offset on, by `read` where they are not here; `None` at the end of the partition.
    pub(super) async fn after<R>(
        &self,
        offset: u64,
        records: usize,
        read: impl FnOnce(u64) -> R,
    ) -> Result<Option<CheckedRows>, EngineError>
    where
        R: Future<Output = Result<Option<Chunk>, EngineError>>,
    {
        let cut = |chunk: &Chunk| chunk.cut(self.place.partition, offset, records);
        let mut chunks = self.chunks.lock().await;
        if let Some(chunk) = chunks.holding(offset) {
            return Ok(Some(cut(&chunk)));
        }
        if chunks.is_before(offset) {
            // A reader that is far behind must not push out what the others read.
            drop(chunks);
            return Ok(read(offset).await?.map(|chunk| cut(&chunk)));
        }
        let Some(chunk) = read(offset).await? else { return Ok(None) };
        let rows = cut(&chunk);
        chunks.put(Arc::new(chunk));
        Ok(Some(rows))
    }
}

impl Chunks {
    fn holding(&self, offset: u64) -> Option<Arc<Chunk>> {
        let at = self.kept.partition_point(|chunk| chunk.offsets.end <= offset);
        self.kept.get(at).filter(|chunk| chunk.offsets.contains(&offset)).cloned()
    }

    /// Whether the offset is before everything that is here.
    fn is_before(&self, offset: u64) -> bool {
        self.kept.front().is_some_and(|first| offset < first.offsets.start)
    }

    fn put(&mut self, chunk: Arc<Chunk>) {
        if self.kept.back().is_some_and(|last| last.offsets.end != chunk.offsets.start) {
            self.kept.clear();
            self.bytes = 0;
        }
        self.bytes = self.bytes.saturating_add(chunk.bytes);
        self.kept.push_back(chunk);
        while self.bytes > CACHE_BYTES_MAX && self.kept.len() > 1 {
            let gone = self.kept.pop_front().map_or(0, |chunk| chunk.bytes);
            self.bytes = self.bytes.saturating_sub(gone);
        }
    }
}
