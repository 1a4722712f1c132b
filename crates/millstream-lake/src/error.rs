//! Why the lake could not do what it was asked, in words a caller can act on.

use millstream_types::{TableName, TimestampMicros};

use crate::DamagedFile;

/// The cause below a [`LakeError`], whatever library it came from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What kind of fault a store answered with; decides the hint and whether another try may help.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StorageFault {
    /// No room is left for the write.
    DiskFull,
    /// The store refuses these credentials, or the folder is read-only.
    Permission,
    /// The file is not there.
    Missing,
    /// The network or the service failed; the same call may succeed later.
    Unavailable,
    /// Anything else.
    Other,
}

/// A fault of the lake. `Display` says what happened; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LakeError {
    /// The lake's address or its options cannot work.
    #[error("`{location}` cannot be opened as a lake: {reason}")]
    Location { location: String, reason: String },
    /// A read or a write of the store failed.
    #[error("cannot {action} `{path}`")]
    Storage {
        action: &'static str,
        path: String,
        fault: StorageFault,
        #[source]
        source: Cause,
    },
    /// Someone else committed since the base snapshot, and the change may depend on what they changed.
    #[error("{table} moved to version {found} while a change of {} was being written", base_text(*base))]
    Conflict { table: TableName, base: Option<i64>, found: i64 },
    /// The change's txn is in the log already: its rows are there, nothing was written.
    #[error("{table} holds this change already (seen at version {version})")]
    AlreadyCommitted { table: TableName, version: i64 },
    /// The commit was sent and no answer came, and the log could not be read either.
    #[error("it is unknown whether version {version} of {table} was committed")]
    CommitUnknown {
        table: TableName,
        version: i64,
        #[source]
        source: Cause,
    },
    /// The wanted version never existed or its log was cleaned away.
    #[error("version {wanted} of {table} is not available, versions {earliest} to {latest} are")]
    VersionUnavailable { table: TableName, wanted: i64, earliest: i64, latest: i64 },
    /// A reader holds to a version of the table that went away with the table.
    #[error(
        "the version of {table} that belongs together with the other tables is gone: the table was deleted, or put back"
    )]
    VersionLost { table: TableName },
    /// The table did not exist at the wanted time, or that part of its log was cleaned away.
    #[error("{table} has no version as old as {}, the earliest is of {}", instant(*wanted), instant(*earliest))]
    TimestampUnavailable { table: TableName, wanted: TimestampMicros, earliest: TimestampMicros },
    /// The commits between two versions can no longer be read; whoever follows the table starts over.
    #[error("the changes of {table} from version {from} to {to} are not available: {reason}")]
    ChangesUnavailable { table: TableName, from: i64, to: i64, reason: String },
    /// The table uses something of Delta Lake that Millstream does not read or write.
    #[error("{table} uses {what}, which is not supported")]
    Unsupported { table: TableName, what: String },
    /// Rows or a new schema do not fit the table.
    #[error("the schema does not fit {table}: {reason}")]
    Schema { table: TableName, reason: String },
    /// A change names files or values that make no sense for the table.
    #[error("the change of {table} is not valid: {reason}")]
    InvalidChange { table: TableName, reason: String },
    /// The table's log cannot be understood.
    #[error("the log of {table} cannot be read{}", at_version(*version))]
    Log {
        table: TableName,
        version: Option<i64>,
        #[source]
        source: Cause,
    },
    /// A data file is gone, or is not what was written.
    #[error("`{}` cannot be read", .0.table)]
    DataFile(#[source] DamagedFile),
    /// Rows could not be encoded as Parquet, or not be read.
    #[error("cannot {action} rows of {table}")]
    Rows {
        action: &'static str,
        table: TableName,
        #[source]
        source: Cause,
    },
}

pub(crate) type Result<T, E = LakeError> = std::result::Result<T, E>;

impl LakeError {
    /// The stable code of the error, for people and for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Location { .. } => "MS-0401",
            Self::Storage { fault: StorageFault::DiskFull, .. } => "MS-0403",
            Self::Storage { fault: StorageFault::Permission, .. } => "MS-0404",
            Self::Storage { .. } => "MS-0402",
            Self::Conflict { .. } => "MS-0405",
            Self::AlreadyCommitted { .. } => "MS-0406",
            Self::CommitUnknown { .. } => "MS-0407",
            Self::VersionUnavailable { .. } => "MS-0408",
            Self::TimestampUnavailable { .. } => "MS-0409",
            Self::ChangesUnavailable { .. } => "MS-0410",
            Self::Unsupported { .. } => "MS-0411",
            Self::Schema { .. } => "MS-0412",
            Self::InvalidChange { .. } => "MS-0413",
            Self::Log { .. } => "MS-0414",
            Self::Rows { .. } => "MS-0415",
            Self::VersionLost { .. } => "MS-0416",
            Self::DataFile(_) => DamagedFile::CODE,
        }
    }

    /// What the user can do about the error.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Location { .. } => {
                "use an absolute folder, `s3://bucket/path`, `gs://bucket/path` or `az://container/path`"
            }
            Self::Storage { fault: StorageFault::DiskFull, .. } => {
                "free some space and run again; nothing was half committed"
            }
            Self::Storage { fault: StorageFault::Permission, .. } => {
                "check that the lake's folder or bucket can be written with these credentials"
            }
            Self::Storage { fault: StorageFault::Unavailable, .. } => {
                "check the network and the store's endpoint, then run again"
            }
            Self::Conflict { .. } => {
                "another process writes to this table; run again and the change is computed from its version"
            }
            Self::CommitUnknown { .. } => {
                "run again: the table's log says whether the change is there, and it is applied once"
            }
            Self::VersionUnavailable { earliest, latest, .. } => {
                return Some(format!("choose a version between {earliest} and {latest}"));
            }
            Self::VersionLost { table } => {
                return Some(format!(
                    "`millstream run {table}` makes it again, and readers take it once every step of that run has ended well"
                ));
            }
            Self::TimestampUnavailable { .. } => "choose a later time",
            Self::Unsupported { .. } => {
                "take that off the table with the tool that made it (`ALTER TABLE`), or let Millstream write a table of its own"
            }
            Self::Log { table, .. } => {
                return Some(format!(
                    "bring `_delta_log` of {table} back from a backup, or move the table's folder away: the next run \
                     lands or builds it anew"
                ));
            }
            Self::DataFile(damaged) => return Some(damaged.hint()),
            Self::ChangesUnavailable { .. } => "the table that reads these changes has to be rebuilt in full",
            _ => return None,
        };
        Some(hint.into())
    }

    /// Whether the same work may succeed when it is planned and tried again.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Conflict { .. } | Self::CommitUnknown { .. } => true,
            Self::Storage { fault, .. } => *fault == StorageFault::Unavailable,
            Self::DataFile(damaged) => damaged.may_pass(),
            _ => false,
        }
    }

    /// The fault that rows of the table could not be read for.
    pub(crate) fn unread(table: &TableName, error: datafusion::error::DataFusionError) -> Self {
        match DamagedFile::behind(&error) {
            Some(damaged) => Self::DataFile(damaged.clone()),
            None => match error {
                datafusion::error::DataFusionError::External(cause) => match cause.downcast::<Self>() {
                    Ok(own) => *own,
                    Err(source) => Self::Rows { action: "read", table: table.clone(), source },
                },
                source => Self::Rows { action: "read", table: table.clone(), source: Box::new(source) },
            },
        }
    }

    /// Whether a commit that ended with this error can still be in the log, or come there later. `is_local` says that the
    /// lake is on a disk, which has answered.
    pub(crate) fn may_be_committed(&self, is_local: bool) -> bool {
        match self {
            Self::CommitUnknown { .. } => true,
            Self::Storage { .. } => !is_local,
            _ => false,
        }
    }

    pub(crate) fn io(action: &'static str, path: impl std::fmt::Display, source: std::io::Error) -> Self {
        let fault = io_fault(&source);
        Self::Storage { action, path: path.to_string(), fault, source: Box::new(source) }
    }

    pub(crate) fn store(
        action: &'static str,
        path: impl std::fmt::Display,
        source: object_store::Error,
    ) -> Self {
        let fault = store_fault(&source);
        Self::Storage { action, path: path.to_string(), fault, source: Box::new(source) }
    }
}

fn io_fault(error: &std::io::Error) -> StorageFault {
    use std::io::ErrorKind;
    match error.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => StorageFault::DiskFull,
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => StorageFault::Permission,
        ErrorKind::NotFound => StorageFault::Missing,
        ErrorKind::TimedOut | ErrorKind::Interrupted | ErrorKind::ConnectionReset => {
            StorageFault::Unavailable
        }
        _ => StorageFault::Other,
    }
}

fn store_fault(error: &object_store::Error) -> StorageFault {
    use object_store::Error;
    match error {
        Error::NotFound { .. } => StorageFault::Missing,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => StorageFault::Permission,
        Error::Generic { source, .. } => match io_cause(source.as_ref()) {
            Some(StorageFault::Other) | None => StorageFault::Unavailable,
            Some(fault) => fault,
        },
        _ => StorageFault::Other,
    }
}

/// The kind of the operating system's error somewhere below `error`, if there is one.
pub(crate) fn io_cause(error: &(dyn std::error::Error + 'static)) -> Option<StorageFault> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<std::io::Error>() {
            return Some(io_fault(io));
        }
        if let Some(parquet::errors::ParquetError::External(inner)) = error.downcast_ref() {
            return io_cause(inner.as_ref());
        }
        next = error.source();
    }
    None
}

fn base_text(base: Option<i64>) -> String {
    base.map_or_else(|| "a new table".into(), |version| format!("version {version}"))
}

fn at_version(version: Option<i64>) -> String {
    version.map_or_else(String::new, |version| format!(" at version {version}"))
}

fn instant(at: TimestampMicros) -> String {
    chrono::DateTime::from_timestamp_micros(at.0)
        .map_or_else(|| format!("{} µs", at.0), |time| time.format("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}
