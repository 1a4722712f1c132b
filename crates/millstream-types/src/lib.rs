//! Words that every room shares: names, ids, column types, durations, severities, positions, aggregations.
//!
//! May touch: the standard library, serde for writing these words down.
//! Must not: do IO, know Arrow or SQL, or hold behaviour that belongs to one room.

mod aggregation;
mod byte_size;
mod column_name;
mod column_type;
mod duration;
mod fingerprint;
mod name;
mod percent;
mod secret;
mod severity;
mod time;
mod version;

pub use aggregation::{Aggregation, BOUND_MAX, EDGES_MAX, HALF_LIFE_MIN, K_MAX};
pub use byte_size::{ByteSize, ByteSizeError};
pub use column_name::{COLUMN_NAME_RULE, is_column_name, unfit_member};
pub use column_type::{ColumnType, ColumnTypeError, Field};
pub use duration::{DurationError, Span};
pub use fingerprint::{Fingerprint, FingerprintError};
pub use name::{AssetId, CheckId, NameError, RunId, SourceName, TableName};
pub use percent::{Percent, PercentError};
pub use secret::{COVER, Secret, is_secret_name, know_secret, secrets_in};
pub use severity::Severity;
pub use time::TimestampMicros;
pub use version::AssetVersion;

/// The instant at which the row was ingested. This and the next three columns are added by landing to every row of
/// `bronze.<source>`; a contract cannot use their names.
pub const INGESTED_AT: &str = "_ingested_at";
/// Position of the row in the order of ingestion of its table: 0, 1, 2, … without repetition.
pub const SEQUENCE: &str = "_sequence";
/// Where the row came from inside its source: the file's path, the topic's partition, the table.
pub const SOURCE: &str = "_source";
/// Where in `_source` the row stood: line number (from 1), offset, log sequence number.
pub const POSITION: &str = "_position";

/// The four landing columns in the order in which they follow the contract's columns.
pub const LANDING_COLUMNS: [&str; 4] = [INGESTED_AT, SEQUENCE, SOURCE, POSITION];

/// What is appended to a table's name to name the table of its rejected rows.
pub const REJECTED_SUFFIX: &str = "__rejected";
/// The ending of the name of a table that keeps the rows of a continuous table which came too late for it, or took no part for another
/// reason.
pub const LATE_SUFFIX: &str = "__late";
