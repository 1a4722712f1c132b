//! What `ingest --json` prints.

use serde::Serialize;

/// Events that were taken in.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct IngestDocument {
    pub(crate) source: String,
    /// The events that are durable.
    pub(crate) accepted: u64,
    /// Those of them that an earlier run had taken in.
    pub(crate) repeated: u64,
    pub(crate) batches: u64,
}

impl IngestDocument {
    /// Adds a batch of so many events.
    pub(crate) fn add(&mut self, accepted: u64, is_repeated: bool) {
        self.accepted += accepted;
        self.repeated += if is_repeated { accepted } else { 0 };
        self.batches += 1;
    }
}
