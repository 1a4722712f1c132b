//! The lake: Delta tables that change by one commit path, read at any version.
//!
//! May touch: object_store, Parquet, DataFusion's scans, the local disk.
//! Must not: know sources, contracts, SQL text or runs; decide what to write; keep state outside the tables.
//!
//! Every change is [`Lake::commit`] of a [`TableChange`] computed from one [`Snapshot`]. Maintenance
//! ([`Lake::maintain`]) is the only other thing that deletes. A [`FileTable`] is a Delta table outside the lake, for files
//! that were written elsewhere.

mod change;
mod changes;
mod checkpoint;
mod codes;
mod collect;
mod commit;
mod counted;
mod damage;
mod delta;
mod draft;
mod durable;
mod duties;
mod encoding;
mod error;
mod file;
mod file_table;
mod lake;
mod listing;
mod load;
mod log;
mod maintain;
mod metered;
mod retention;
mod scan;
mod snapshot;
mod state;
mod stats;
mod storage;
mod table;
mod upload;
mod vacuum;
mod writer;

pub use change::{Operation, TableChange};
pub use changes::{Changes, CommitRecord};
pub use codes::CODES;
pub use counted::ScanCount;
pub use damage::{DamagedFile, FileDamage};
pub use error::{Cause, LakeError, StorageFault};
pub use file::{DataFile, StagedFile};
pub use file_table::FileTable;
pub use lake::Lake;
pub use maintain::{MaintainOptions, Maintained};
pub use snapshot::{At, Snapshot};
pub use stats::ColumnBounds;
pub use table::LakeTable;
pub use writer::{TableWriter, WriteOptions};
