//! Why the log could not do what it was asked, in words a caller can act on.

use std::{fmt, io, ops::Range, path::PathBuf, sync::Arc};

use arrow::error::ArrowError;

use crate::{Place, TopicName};

pub(crate) type Result<T, E = LogError> = std::result::Result<T, E>;

/// Records that are lost or cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub place: Place,
    /// The first offset of the segment that the records belong to, which is also the name of its file.
    pub segment: u64,
    /// The offsets that cannot be read. The last of them may never have been given to a record where nothing is left that says.
    pub offsets: Range<u64>,
    /// Whether later bytes prove that the records had been acknowledged. Records that were being written when the power went may
    /// leave a damage too.
    pub proven: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place: Place { topic, partition }, segment, offsets: Range { start, end }, .. } = self;
        write!(
            f,
            "topic `{topic}`, partition {partition}, segment {segment}, offsets {start} to {}",
            end.saturating_sub(1)
        )
    }
}

/// What kind of fault the disk answered with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No room is left.
    Full,
    /// The folder is read-only, or belongs to somebody else.
    Permission,
    Other,
}

/// A fault of the log. `Display` says what happened; the cause is in `source()`.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    #[error("`{location}` cannot be opened as an event log: {reason}")]
    Location { location: String, reason: String },
    #[error("the event log `{location}` is in use by another process{}", numbered(*pid))]
    Locked {
        location: String,
        /// The number of the process, where it is known.
        pid: Option<u32>,
    },
    /// Something was written by a version of Millstream with another format.
    #[error("`{}` has format {found}, this version reads format {readable}", path.display())]
    Format { path: PathBuf, found: u32, readable: u32 },
    /// A file without which its topic cannot be understood is damaged.
    #[error("`{}` of the event log is damaged: {reason}", path.display())]
    File { path: PathBuf, reason: String },
    #[error("records of the event log cannot be read: {0}")]
    Damaged(Damage),
    #[error("the event log cannot {action} `{}`", path.display())]
    Storage {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Arc<io::Error>,
    },
    /// The disk did not confirm the append's sync.
    #[error("it is unknown whether records were appended to partition {} of topic `{}`", place.partition, place.topic)]
    Unsynced {
        place: Place,
        #[source]
        source: Arc<io::Error>,
    },
    /// An earlier sync failed, after which nobody can say what the disk has.
    #[error("partition {} of topic `{}` takes no records since `{reason}`", place.partition, place.topic)]
    Poisoned { place: Place, reason: String },
    #[error("there is no topic `{topic}`")]
    NoTopic { topic: TopicName },
    #[error("topic `{}` has no partition {}: it has {partitions}", place.topic, place.partition)]
    NoPartition { place: Place, partitions: u32 },
    #[error("topic `{topic}` is there with {found}, not with {asked}")]
    TopicDiffers { topic: TopicName, found: String, asked: String },
    #[error("`{name}` cannot be the name of a {what}: {reason}")]
    Name { what: &'static str, name: String, reason: &'static str },
    /// The records before the start are gone, those at the end are yet to come.
    #[error(
        "partition {} of topic `{}` has no offset {offset}: it has {} to {}",
        place.partition, place.topic, offsets.start, offsets.end
    )]
    Range { place: Place, offset: u64, offsets: Range<u64> },
    #[error("a batch of {bytes} bytes is over the bound of {bound}")]
    TooLarge { bytes: u64, bound: u64 },
    /// Records have to be read, and to go, before others can come.
    #[error("{} is over its bound: {bytes} of {bound} bytes are taken", topic.as_ref().map_or("the event log".into(), |topic| format!("topic `{topic}`")))]
    OverBound {
        /// The topic whose bound it is; `None` for the bound of the whole log.
        topic: Option<TopicName>,
        bytes: u64,
        bound: u64,
    },
    /// Batches of the producer before this one are missing.
    #[error(
        "producer {producer:032x} has to go on with record {expected} in partition {} of topic `{}`, not with {found}",
        place.partition, place.topic
    )]
    OutOfOrder { place: Place, producer: u128, expected: u64, found: u64 },
    /// Another life of the producer has taken over.
    #[error("producer {producer:032x} of epoch {epoch} was replaced by one of epoch {current}")]
    Fenced { producer: u128, epoch: u32, current: u32 },
    #[error("the request to the event log is not valid: {reason}")]
    Request { reason: String },
    #[error("rows cannot be {action}")]
    Rows {
        action: &'static str,
        #[source]
        source: Arc<ArrowError>,
    },
    #[error("the event log is closed")]
    Closed,
}

impl LogError {
    pub(crate) fn storage(action: &'static str, path: &std::path::Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::Storage { action, path, source: Arc::new(source) }
    }

    pub(crate) fn rows(action: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Rows { action, source: Arc::new(source) }
    }

    /// What the disk's answer means, where the error comes from one.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        let (Self::Storage { source, .. } | Self::Unsynced { source, .. }) = self else { return None };
        Some(match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Fault::Full,
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Fault::Permission,
            _ => Fault::Other,
        })
    }

    /// Stable code for people and for machines.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Location { .. } => "MS-1401",
            Self::Locked { .. } => "MS-1402",
            Self::Format { .. } => "MS-1403",
            Self::File { .. } => "MS-1404",
            Self::Damaged { .. } => "MS-1405",
            Self::Storage { .. } => match self.fault() {
                Some(Fault::Full) => "MS-1407",
                Some(Fault::Permission) => "MS-1408",
                _ => "MS-1406",
            },
            Self::Unsynced { .. } => "MS-1409",
            Self::Poisoned { .. } => "MS-1410",
            Self::NoTopic { .. } | Self::NoPartition { .. } => "MS-1411",
            Self::TopicDiffers { .. } => "MS-1412",
            Self::Name { .. } => "MS-1413",
            Self::Range { .. } => "MS-1414",
            Self::TooLarge { .. } => "MS-1415",
            Self::OverBound { .. } => "MS-1416",
            Self::OutOfOrder { .. } => "MS-1417",
            Self::Fenced { .. } => "MS-1418",
            Self::Request { .. } => "MS-1419",
            Self::Rows { .. } => "MS-1420",
            Self::Closed => "MS-1421",
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Location { .. } => "use `embedded:<folder>`",
            Self::Locked { .. } => {
                "one process at a time opens an embedded log: stop that process, or let it take the events in"
            }
            Self::Format { .. } => "use the version that wrote it",
            Self::File { .. } => {
                "bring the file back from a backup, or move the topic's folder away to begin it anew"
            }
            Self::Damaged(damage) => {
                return Some(format!(
                    "bring the segment's file back from a backup, or go on from offset {}",
                    damage.offsets.end
                ));
            }
            Self::Storage { .. } => match self.fault() {
                Some(Fault::Full) => {
                    "free some space: the log goes on by itself, and what was acknowledged is there"
                }
                Some(Fault::Permission) => "check the rights of the log's folder",
                _ => return None,
            },
            Self::Unsynced { .. } => {
                "send the records again after a restart; those of a producer with numbers are not doubled"
            }
            Self::Poisoned { .. } => "check the disk and start again: what was acknowledged is there",
            Self::NoTopic { .. } | Self::NoPartition { .. } => return None,
            Self::TopicDiffers { .. } => {
                "keep what the topic has, or write to one of another name: its keys would change their partitions"
            }
            Self::Name { .. } => "use letters, digits, `.`, `_` and `-`",
            Self::Range { .. } => {
                "retention removed what was not read: read from the start that is named, and take what is missing from the \
                 lake; a pin keeps what a reader needs"
            }
            Self::TooLarge { .. } => "send smaller batches",
            Self::OverBound { .. } => "wait for the readers, shorten the retention, or raise the bound",
            Self::OutOfOrder { .. } => "send the missing records first",
            Self::Fenced { .. } => "stop this producer: another one has taken its place",
            Self::Request { .. } | Self::Rows { .. } | Self::Closed => return None,
        };
        Some(hint.into())
    }

    /// Whether the same call may succeed later with no danger of appending records twice.
    #[must_use]
    pub fn retryable(&self) -> bool {
        matches!(self, Self::OverBound { .. } | Self::Locked { .. } | Self::OutOfOrder { .. })
            || matches!(self, Self::Storage { .. } if self.fault() == Some(Fault::Full))
    }
}

/// ` (pid 4711)`, or nothing where the number of the process is not known.
fn numbered(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}
