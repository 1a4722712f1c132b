//! What is appended and read: messages as they came, or rows of Arrow.

use std::{fmt, ops::Range};

use arrow::array::RecordBatch;
use bytes::Bytes;
use millstream_types::TimestampMicros;

use crate::Place;

/// A message as it came from outside. The bytes are never looked at.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    pub key: Option<Bytes>,
    /// The content; `None` says that what the key names is gone (Kafka's tombstone).
    pub value: Option<Bytes>,
    pub headers: Vec<Header>,
    /// The producer's time, which counts in topics of [`TimestampKind::Producer`](crate::TimestampKind::Producer) only. A message
    /// that was read has the timestamp of its record.
    pub timestamp: Option<TimestampMicros>,
}

/// A header of a message. Names may occur several times; their order is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    pub name: String,
    pub value: Option<Bytes>,
}

/// Records: each message and each row is one, with an offset of its own.
#[derive(Clone, PartialEq)]
pub enum Payload {
    Messages(Vec<Message>),
    Rows(RecordBatch),
}

impl Payload {
    #[must_use]
    pub fn records(&self) -> usize {
        match self {
            Self::Messages(messages) => messages.len(),
            Self::Rows(rows) => rows.num_rows(),
        }
    }

    /// The payload without its first records and with at most `limit` of the others.
    pub(crate) fn cut(self, skipped: usize, limit: usize) -> Self {
        let records = self.records();
        let skipped = skipped.min(records);
        let kept = limit.min(records - skipped);
        if kept == records {
            return self;
        }
        match self {
            Self::Messages(messages) => {
                Self::Messages(messages.into_iter().skip(skipped).take(kept).collect())
            }
            Self::Rows(rows) => Self::Rows(rows.slice(skipped, kept)),
        }
    }
}

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Messages(messages) => f.debug_tuple("Messages").field(messages).finish(),
            Self::Rows(rows) => write!(f, "Rows({} x {})", rows.num_rows(), rows.num_columns()),
        }
    }
}

/// Records that are appended to one partition as a whole or not at all.
#[derive(Clone, Debug)]
pub struct Append {
    pub place: Place,
    pub payload: Payload,
    /// The producer's time of the rows, and of messages that have none of their own.
    pub timestamp: Option<TimestampMicros>,
    /// What makes it safe to send the append again when its answer was lost.
    pub sequenced: Option<Sequenced>,
}

impl Append {
    #[must_use]
    pub fn messages(place: &Place, messages: Vec<Message>) -> Self {
        Self::of(place, Payload::Messages(messages))
    }

    #[must_use]
    pub fn rows(place: &Place, rows: RecordBatch) -> Self {
        Self::of(place, Payload::Rows(rows))
    }

    fn of(place: &Place, payload: Payload) -> Self {
        Self { place: place.clone(), payload, timestamp: None, sequenced: None }
    }

    #[must_use]
    pub fn sequenced(mut self, sequenced: Sequenced) -> Self {
        self.sequenced = Some(sequenced);
        self
    }
}

/// Where an append stands among those of its producer in one partition.
///
/// The records that a producer sends to a partition are numbered without gaps. A batch whose numbers were appended before is
/// answered and not appended; one that leaves numbers out is refused, because those before it may still be on their way. The first
/// batch of a producer may begin with any number. A request with an idempotency key is a producer of one batch: its id is a hash of
/// the key.
///
/// A log remembers a bounded number of producers for each partition, those that appended last, over restarts too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sequenced {
    pub producer: u128,
    /// The life of the producer: one with a higher epoch takes over and numbers its records anew, and the earlier one is refused.
    pub epoch: u32,
    /// The number of the batch's first record.
    pub sequence: u64,
}

/// The answer to an append, whose records are durable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// The offsets of the records; `None` when they were appended so long ago that their offsets are forgotten.
    pub offsets: Option<Range<u64>>,
    /// Whether the records had been appended before.
    pub repeated: bool,
}

/// Records that were read, with offsets in a row.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    /// The offset of the first record.
    pub offset: u64,
    /// The latest timestamp of the batch as it was appended, which may be more than was asked for.
    pub timestamp: TimestampMicros,
    pub payload: Payload,
}

impl Batch {
    #[must_use]
    pub fn offsets(&self) -> Range<u64> {
        self.offset..self.offset + self.payload.records() as u64
    }
}
