//! The event log: topics with partitions, into which events are appended durably and from which they are read in order, from any
//! offset or time, by as many readers as there are. [`EventLog`] is the trait; [`EmbeddedLog`] keeps its segments in a folder of
//! this machine.
//!
//! May touch: the folder of its log, Arrow. Must not: know sources, contracts, SQL or the lake; keep the positions of readers
//! for them (they commit those together with what they made of the events); read a clock.
//!
//! What every log promises, and [`conformance`] checks:
//! - An append is answered when it survives a loss of power. It is there as a whole or not at all.
//! - Readers see what is durable and nothing else, in the order of its offsets. An offset never means two records.
//! - A record that cannot be read is an error that names its place; nobody is led past it in silence.
//! - An append of a producer that is sent again is not appended again.

mod codes;
pub mod conformance;
mod embedded;
mod error;
mod key;
mod log;
mod record;
mod tail;
mod topic;

pub use codes::CODES;
pub use embedded::{
    Disk, EmbeddedLog, EmbeddedOptions, Files, FolderLock, LogFile, OpenMode, Rebuilt, Recovery, Truncated,
};
pub use error::{Damage, Fault, LogError};
pub use key::partition_of;
pub use log::{EventLog, Lag, Maintained, Read, ReadBound};
pub use record::{Append, Appended, Batch, Header, Message, Payload, Sequenced};
pub use tail::Tail;
pub use topic::{
    Compression, PartitionInfo, Pin, Place, Position, ReaderName, Retention, TimestampKind, TopicInfo,
    TopicName, TopicOptions,
};
