//! Topics: their names, options and places, and what is known of them.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use crate::{Damage, LogError, error::Result};

/// The most characters of the name of a topic or a reader; Kafka's bound.
const NAME_CHARACTERS_MAX: usize = 249;

/// The most partitions of a topic.
pub(crate) const PARTITIONS_MAX: u32 = 1024;

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name, if it consists of 1 to 249 letters of ASCII, digits, dots, underscores and hyphens, and is
            /// neither `.` nor `..`, as in Kafka.
            pub fn new(name: &str) -> Result<Self> {
                match fault_of(name) {
                    None => Ok(Self(name.into())),
                    Some(reason) => Err(LogError::Name { what: $what, name: name.into(), reason }),
                }
            }

            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "`{}`", self.0)
            }
        }
    };
}

name!(
    /// The name of a topic.
    TopicName,
    "topic"
);
name!(
    /// The name of a reader that pins what it has yet to read, such as a pipeline.
    ReaderName,
    "reader"
);

/// Why a name cannot be used.
fn fault_of(name: &str) -> Option<&'static str> {
    let legal = |character: char| character.is_ascii_alphanumeric() || matches!(character, '.' | '_' | '-');
    if name.is_empty() {
        return Some("it is empty");
    }
    if name.len() > NAME_CHARACTERS_MAX {
        return Some("it has more than 249 characters");
    }
    if !name.chars().all(legal) {
        return Some("only letters of ASCII, digits, `.`, `_` and `-` are allowed");
    }
    matches!(name, "." | "..").then_some("it means a folder")
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    pub topic: TopicName,
    /// The number of the partition, from 0.
    pub partition: u32,
}

impl Place {
    #[must_use]
    pub fn new(topic: &TopicName, partition: u32) -> Self {
        Self { topic: topic.clone(), partition }
    }

    /// The position before the record with this offset.
    #[must_use]
    pub fn at(&self, offset: u64) -> Position {
        Position { place: self.clone(), offset }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// How far a partition has been read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    pub place: Place,
    /// The offset of the record that is read next: the number of records that were appended to the partition before it, those
    /// that are gone included.
    pub offset: u64,
}

/// What stands in the timestamp of a record.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TimestampKind {
    /// When the record was appended, by the log's clock. Later records have no earlier timestamps, also after the clock was set
    /// back. Kafka calls it `LogAppendTime`.
    #[default]
    Appended,
    /// What the producer says; the time of appending where it says nothing. Kafka calls it `CreateTime`.
    Producer,
}

/// How the bodies of Arrow batches are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    None,
    /// Each buffer by itself, where that makes it smaller.
    #[default]
    Lz4,
}

/// What of a topic may go, always whole segments and the oldest ones first. The segment that is being written stays, unless all its
/// records are too old.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Records that were appended longer ago than this may go.
    pub age: Option<Duration>,
    /// The oldest segments of a partition may go while it is larger than this.
    pub bytes: Option<u64>,
    /// Whether records may go that a registered reader has yet to read.
    pub over_pins: bool,
}

/// How a topic keeps its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicOptions {
    /// The number of partitions, which never changes: it decides which partition a key belongs to.
    pub partitions: u32,
    pub retention: Retention,
    /// What the timestamps of records mean. It never changes.
    pub timestamps: TimestampKind,
    pub compression: Compression,
    /// The most bytes of the topic, all partitions together. Appends beyond it are refused until retention has made room.
    pub bytes_max: Option<u64>,
}

impl Default for TopicOptions {
    fn default() -> Self {
        Self {
            partitions: 1,
            retention: Retention::default(),
            timestamps: TimestampKind::default(),
            compression: Compression::default(),
            bytes_max: None,
        }
    }
}

/// A topic as it is now.
#[derive(Clone, Debug)]
pub struct TopicInfo {
    pub topic: TopicName,
    /// What tells the topic from another of the same name that was deleted; a position belongs to one of them only.
    pub id: u128,
    pub options: TopicOptions,
    /// The partitions in the order of their numbers.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition as it is now.
#[derive(Clone, Debug, Default)]
pub struct PartitionInfo {
    /// The offsets that can be read: from the oldest record that is kept up to, and without, the next one to be appended.
    pub offsets: Range<u64>,
    /// What the partition takes on disk.
    pub bytes: u64,
    pub segments: usize,
    /// The damage that is known, in the order of offsets.
    pub damage: Vec<Damage>,
    /// Why the partition takes no appends until the log is opened again, if it does not.
    pub poisoned: Option<String>,
}

/// What a registered reader has yet to read, so that retention leaves it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub reader: ReaderName,
    pub position: Position,
}
