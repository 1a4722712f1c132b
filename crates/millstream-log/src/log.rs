//! The event log as a trait.
//!
//! Its shapes are Kafka's, so that Kafka can stand behind it: topics, partitions, offsets, one timestamp for each record, headers.
//! Who reads keeps its own position and says from where it reads; groups that share the partitions of a topic among processes can
//! be put on top of that.

use std::fmt::Debug;

use async_trait::async_trait;
use millstream_types::TimestampMicros;

use crate::{
    Append, Appended, Batch, Damage, Pin, Place, Position, ReaderName, TopicInfo, TopicName, TopicOptions,
    error::Result,
};

/// Topics with partitions. All calls may be made at the same time, from any task.
#[async_trait]
pub trait EventLog: Send + Sync + Debug {
    /// Where the log is, without secrets.
    fn location(&self) -> &str;

    /// Makes the topic, or gives it these options where it is there. The number of partitions and the kind of timestamps of a topic
    /// that is there cannot be changed.
    async fn create(&self, topic: &TopicName, options: &TopicOptions) -> Result<TopicInfo>;

    /// The topics in the order of their names. One that cannot be understood is left out; [`Self::topic`] says why.
    async fn topics(&self) -> Result<Vec<TopicInfo>>;

    async fn topic(&self, topic: &TopicName) -> Result<TopicInfo>;

    /// Removes the topic with its records and pins. Readers that wait for it are told.
    async fn delete(&self, topic: &TopicName) -> Result<()>;

    /// Appends records and answers when they are durable. Many appends at the same time share a sync.
    ///
    /// Where the future is dropped before the answer, the records may be appended or not. So may they after
    /// [`LogError::Unsynced`](crate::LogError::Unsynced); with every other error they are not.
    async fn append(&self, append: Append) -> Result<Appended>;

    /// Records from the position on: none at the end of the partition, otherwise at least one, however large.
    ///
    /// Reading ends before a damage; a read that begins in one is refused with its offsets, and whoever wants to go on reads from
    /// the end of it.
    async fn read(&self, from: &Position, bound: ReadBound) -> Result<Read>;

    /// Waits until one of the partitions has a record at or after its position.
    async fn wait(&self, positions: &[Position]) -> Result<()>;

    /// The offset of the first record whose timestamp is not earlier than `time`; `None` if there is no such record yet.
    async fn offset_at(&self, place: &Place, time: TimestampMicros) -> Result<Option<u64>>;

    /// How far a reader at this position is behind.
    async fn lag(&self, position: &Position) -> Result<Lag>;

    /// Makes the records before the position unreadable at once; their space is freed by whole segments.
    async fn trim(&self, before: &Position) -> Result<()>;

    /// Registers what the reader has yet to read, in place of what it registered for the partition before, so that retention leaves
    /// it. A pin stays while its reader is away, over restarts too, and may then be older than the last one that was set.
    async fn pin(&self, reader: &ReaderName, position: &Position) -> Result<()>;

    /// Removes the reader's pins of the topic.
    async fn unpin(&self, reader: &ReaderName, topic: &TopicName) -> Result<()>;

    /// The pins of a topic, by reader and partition.
    async fn pins(&self, topic: &TopicName) -> Result<Vec<Pin>>;

    /// Lets go what retention allows to go. Logs also do so by themselves, as they grow.
    async fn maintain(&self) -> Result<Maintained>;

    /// Reads everything that is kept and gives the damage that it finds.
    async fn verify(&self, place: &Place) -> Result<Vec<Damage>>;

    /// Ends the log: appends that wait are answered, later calls are refused.
    async fn close(&self) -> Result<()>;
}

/// How much one read gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadBound {
    /// About the most bytes, as they are stored; a single batch may be larger.
    pub bytes: usize,
    /// The most records.
    pub records: usize,
}

impl Default for ReadBound {
    fn default() -> Self {
        Self { bytes: 1 << 20, records: usize::MAX }
    }
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Read {
    pub batches: Vec<Batch>,
    /// The offset from which the next read goes on.
    pub next: u64,
    /// The end of the partition at the time of the read.
    pub end: u64,
}

/// How far a reader is behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Lag {
    /// The records that it has yet to read.
    pub records: u64,
    /// The timestamp of the first of them; `None` without any, or where it cannot be read.
    pub since: Option<TimestampMicros>,
}

/// What maintenance did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Maintained {
    pub segments: usize,
    pub bytes: u64,
}
