//! What an online store does, whatever it is made of.

mod check;
mod embedded;
mod key;
mod options;
#[cfg(feature = "redis")]
mod redis;
mod stripes;

use std::{
    fmt::{self, Debug},
    ops::Range,
};

use async_trait::async_trait;
use bytes::Bytes;

use crate::error::{OnlineError, Result};

pub use check::RECORD_BYTES_MAX;
pub use embedded::entries::{Durability, Entry, EntryChange, EntryStore};
pub use key::{ENTITY_BYTES_MAX, EntityKey, RecordKey};
pub use options::{EmbeddedOptions, RedisOptions, ReplicaWait, StoreOptions, open};

/// Records by (space, entity), marks by (space, name) and logs by name.
///
/// A space is what one definition of a view stores. A mark is a small value beside the records of a space, such as how
/// far they were materialised. A log keeps entries in the order in which they were stored until they are trimmed.
///
/// Calls may run at the same time, from any task. Each sees everything that was acknowledged before it began.
#[async_trait]
pub trait OnlineStore: Send + Sync + Debug {
    /// Where the store is, without secrets.
    fn location(&self) -> &str;

    /// The records of `keys`, in the keys' order, in one batched look-up.
    async fn read(&self, keys: &[RecordKey]) -> Result<Vec<Option<Bytes>>>;

    /// Reads records, lets the caller work out what becomes of them, and stores that, with marks and log entries.
    ///
    /// No change of another caller to the same record comes in between. A reader at the same time may see some of the
    /// records changed and others not yet. Embedded, everything is stored in one step or nothing is. Redis stores the log entries first, then each record, then the marks: whoever sees a mark sees the
    /// records, and after a failure the log has every event that a record has.
    async fn update(&self, update: Update<'_>) -> Result<Updated>;

    /// Stores records that nobody has to be read for, replacing any there are; the fastest way to fill a space.
    /// The marks are stored when all records are.
    ///
    /// Records become visible before the call ends, and some may stay when it fails: a load is for a space that is not
    /// served yet, and is repeated until it succeeds.
    async fn load(&self, load: Load<'_>) -> Result<()>;

    /// The value of a mark.
    async fn mark(&self, space: u64, name: &str) -> Result<Option<Bytes>>;

    /// Stores a mark by itself, durably, or removes it.
    async fn set_mark(&self, space: u64, name: &str, value: Option<&[u8]>) -> Result<()>;

    /// The first of `count` numbers in a row that the log has never given to anybody and never will again, from 1.
    /// Numbers may be left out.
    async fn reserve(&self, log: &str, count: u64) -> Result<u64>;

    /// Makes the log's later positions and numbers greater than these: an earlier store in this place, which was lost, gave
    /// positions and numbers up to these to callers.
    async fn raise(&self, log: &str, position: u64, number: u64) -> Result<()>;

    /// At most `limit` entries of the log, in the order in which they were stored, after that position (0: from the
    /// first that is left). No entry is ever stored before one that was returned.
    async fn log(&self, log: &str, after: u64, limit: usize) -> Result<Vec<LogEntry>>;

    /// Removes entries up to and with this position.
    async fn trim_log(&self, log: &str, up_to: u64) -> Result<()>;

    /// A part of a space's records, about `limit` of them, and where to go on; from the beginning without a cursor.
    ///
    /// A record that is there during the whole scan is returned; the order is the store's own. Redis may return a
    /// record twice.
    async fn scan(&self, space: u64, from: Option<&ScanCursor>, limit: usize) -> Result<ScanPage>;

    /// The spaces with records, in order of number.
    async fn spaces(&self) -> Result<Vec<SpaceInfo>>;

    /// Removes a space with its marks and frees its room. Readers see an empty space; a later update begins a new one.
    ///
    /// Embedded, a drop that is interrupted is finished when the store is opened. Redis removes the marks first, so
    /// whoever fills a space without a mark drops it before.
    async fn drop_space(&self, space: u64) -> Result<()>;

    /// Everything acknowledged so far is durable when this returns.
    async fn sync(&self) -> Result<()>;
}

/// The change of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Keep,
    Put(Vec<u8>),
    Delete,
}

/// Works out the change of the entity at that place of [`Update::entities`] from its present record.
///
/// It may be called again for an entity when another writer was faster, and must depend on nothing but its arguments.
/// An error ends the update and stores nothing; in the case of another writer, Redis keeps what it stored before.
pub type Changer<'a> = dyn FnMut(usize, Option<&[u8]>) -> Result<Change, OnlineError> + Send + 'a;

/// Changes of one space's records, with what has to be stored along.
pub struct Update<'a> {
    pub space: u64,
    /// The entities whose records are changed, each at most once.
    pub entities: &'a [EntityKey],
    pub change: &'a mut Changer<'a>,
    pub marks: &'a [(&'a str, &'a [u8])],
    pub append: Option<Append<'a>>,
    /// Whether to answer only when the update survives a loss of power. A sync is shared by all who wait for one.
    /// Redis promises what its `appendfsync` does, see [`RedisOptions`].
    pub durable: bool,
}

impl Debug for Update<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("space", &self.space)
            .field("entities", &self.entities.len())
            .field("marks", &self.marks.len())
            .field("append", &self.append.map(|append| (append.log, append.entries.len())))
            .field("durable", &self.durable)
            .finish_non_exhaustive()
    }
}

/// Entries for a log.
#[derive(Clone, Copy, Debug)]
pub struct Append<'a> {
    pub log: &'a str,
    pub entries: &'a [Bytes],
}

/// The result of an update.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Updated {
    /// The number of records that were put or deleted.
    pub changed: usize,
    /// Positions that the log gave to the appended entries, in their order; empty without any.
    pub positions: Range<u64>,
}

/// Records for [`OnlineStore::load`].
#[derive(Debug)]
pub struct Load<'a> {
    pub space: u64,
    /// The records to store, in any order and each entity at most once.
    pub records: Vec<(EntityKey, Vec<u8>)>,
    pub marks: &'a [(&'a str, &'a [u8])],
}

/// An entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The entry's position in its log, which begins at 1 and grows from entry to entry.
    pub position: u64,
    pub bytes: Bytes,
}

/// Where a scan goes on; only the store that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScanCursor(pub(crate) Bytes);

/// A part of a space.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScanPage {
    pub records: Vec<(EntityKey, Bytes)>,
    /// The place where the scan continues; none after the last part.
    pub next: Option<ScanCursor>,
}

/// A space with what its store knows of it at no cost.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceInfo {
    pub space: u64,
    /// The approximate number of records: one that was changed recently may count more than once.
    pub records: Option<u64>,
    /// The size of the space on disk in bytes, without changes that are only in the journal so far.
    pub bytes: Option<u64>,
}
