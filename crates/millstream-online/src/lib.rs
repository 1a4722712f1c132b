//! The online store: for each (space, entity) one record of bytes, read in batches, changed with its progress in one
//! atomic step. Embedded (fjall) or Redis, behind one trait with one conformance suite.
//!
//! May touch: its stores. Must not: know SQL or the lake, or what a record holds: what changes and reads records is the
//! room of features; `feature` brings its changes into the store.

mod codes;
mod error;
pub mod feature;
mod store;

pub use codes::CODES;
pub use error::{Cause, Fault, OnlineError};
pub use store::{
    Append, Change, Changer, Durability, ENTITY_BYTES_MAX, EmbeddedOptions, EntityKey, Entry, EntryChange,
    EntryStore, Load, LogEntry, OnlineStore, RECORD_BYTES_MAX, RecordKey, RedisOptions, ReplicaWait,
    ScanCursor, ScanPage, SpaceInfo, StoreOptions, Update, Updated, open,
};
