//! What an embedded log is opened with.

use std::{fmt, path::PathBuf, sync::Arc};

use millstream_types::TimestampMicros;

use super::files::{Disk, Files};

/// What an embedded log is opened with.
#[derive(Clone)]
pub struct EmbeddedOptions {
    /// The folder of the log, which is made where it is not there.
    pub folder: PathBuf,
    /// The file system that the folder is in.
    pub files: Arc<dyn Files>,
    /// Tells the time at which records are appended.
    pub clock: Arc<dyn Fn() -> TimestampMicros + Send + Sync>,
    /// A segment that has so many bytes is followed by another one.
    pub segment_bytes: u64,
    /// The most bytes of one append, as it is stored.
    pub batch_bytes_max: u64,
    /// The most bytes of appends to one partition that wait to be written; further ones wait for room.
    pub waiting_bytes_max: u64,
    /// The most bytes that are written and synced together.
    pub group_bytes_max: u64,
    /// The most bytes of all topics together; `None` for as many as the disk has.
    pub bytes_max: Option<u64>,
    /// How many producers each partition remembers.
    pub producers_max: usize,
}

impl EmbeddedOptions {
    /// The options for a log in this folder of the machine, with the house's bounds.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, clock: Arc<dyn Fn() -> TimestampMicros + Send + Sync>) -> Self {
        Self {
            folder: folder.into(),
            files: Arc::new(Disk),
            clock,
            segment_bytes: 128 << 20,
            batch_bytes_max: 64 << 20,
            waiting_bytes_max: 64 << 20,
            group_bytes_max: 8 << 20,
            bytes_max: None,
            producers_max: 100_000,
        }
    }
}

impl fmt::Debug for EmbeddedOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedOptions")
            .field("folder", &self.folder)
            .field("files", &self.files)
            .field("segment_bytes", &self.segment_bytes)
            .field("batch_bytes_max", &self.batch_bytes_max)
            .field("waiting_bytes_max", &self.waiting_bytes_max)
            .field("group_bytes_max", &self.group_bytes_max)
            .field("bytes_max", &self.bytes_max)
            .field("producers_max", &self.producers_max)
            .finish_non_exhaustive()
    }
}
