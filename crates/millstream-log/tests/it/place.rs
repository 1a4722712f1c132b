//! Logs and records as the tests make them.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};

use bytes::Bytes;
use millstream_log::{
    Append, EmbeddedLog, EmbeddedOptions, EventLog, Files, LogError, Message, Payload, Place, Position,
    ReadBound, TopicName, TopicOptions,
};
use millstream_types::TimestampMicros;

/// A clock that the test moves, in microseconds.
#[derive(Clone, Debug)]
pub(crate) struct TestClock(Arc<AtomicI64>);

impl TestClock {
    pub(crate) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(1_700_000_000_000_000)))
    }

    pub(crate) fn advance(&self, milliseconds: i64) {
        self.0.fetch_add(milliseconds * 1_000, Ordering::Relaxed);
    }

    pub(crate) fn now(&self) -> TimestampMicros {
        TimestampMicros(self.0.load(Ordering::Relaxed))
    }
}

/// Options with small segments over this file system.
pub(crate) fn options(files: Arc<dyn Files>, clock: &TestClock) -> EmbeddedOptions {
    let clock = clock.clone();
    let mut options = EmbeddedOptions::new("/log", Arc::new(move || clock.now()));
    options.files = files;
    options.segment_bytes = 1_000;
    options
}

/// Options for a folder of this machine.
pub(crate) fn disk_options(folder: &Path) -> EmbeddedOptions {
    let clock = TestClock::new();
    EmbeddedOptions::new(folder, Arc::new(move || clock.now()))
}

pub(crate) fn topic() -> TopicName {
    TopicName::new("orders").unwrap()
}

pub(crate) fn place() -> Place {
    Place::new(&topic(), 0)
}

pub(crate) async fn with_topic(options: EmbeddedOptions) -> Arc<EmbeddedLog> {
    with_topic_of(options, &TopicOptions::default()).await
}

pub(crate) async fn with_topic_of(
    options: EmbeddedOptions,
    topic_options: &TopicOptions,
) -> Arc<EmbeddedLog> {
    let log = EmbeddedLog::open(options).await.unwrap();
    log.create(&topic(), topic_options).await.unwrap();
    log
}

/// The path of a file of partition 0.
pub(crate) fn path(name: &str) -> PathBuf {
    Path::new("/log/topics/orders/0").join(name)
}

pub(crate) fn segment(base: u64) -> PathBuf {
    path(&format!("{base:020}.log"))
}

pub(crate) fn message(value: &str) -> Message {
    Message { value: Some(Bytes::copy_from_slice(value.as_bytes())), ..Message::default() }
}

/// A message that is told from all others, of some length.
pub(crate) fn numbered(value: u64) -> Message {
    message(&format!("{value} {}", "x".repeat(value as usize % 7 * 10)))
}

pub(crate) fn number_of(message: &Message) -> u64 {
    let text = std::str::from_utf8(message.value.as_deref().unwrap()).unwrap();
    text.split_once(' ').unwrap().0.parse().unwrap()
}

pub(crate) async fn put(log: &dyn EventLog, values: std::ops::Range<u64>) -> Result<(), LogError> {
    let messages = values.map(numbered).collect();
    log.append(Append::messages(&place(), messages)).await.map(|_| ())
}

/// The numbers of the records with their offsets, from the position on.
pub(crate) async fn numbers(log: &dyn EventLog, from: &Position) -> Result<Vec<(u64, u64)>, LogError> {
    let (mut found, mut position) = (Vec::new(), from.clone());
    loop {
        let read = log.read(&position, ReadBound { bytes: 2_000, records: usize::MAX }).await?;
        if read.batches.is_empty() {
            return Ok(found);
        }
        for batch in &read.batches {
            let Payload::Messages(messages) = &batch.payload else {
                panic!("rows where messages were appended")
            };
            found.extend((batch.offset..).zip(messages.iter().map(number_of)));
        }
        assert!(read.next > position.offset && read.next <= read.end);
        position.offset = read.next;
    }
}

/// The same, going on behind each damage; and the damages.
pub(crate) async fn numbers_around(
    log: &dyn EventLog,
    from: &Position,
) -> (Vec<(u64, u64)>, Vec<millstream_log::Damage>) {
    let (mut found, mut damages, mut position) = (Vec::new(), Vec::new(), from.clone());
    loop {
        match log.read(&position, ReadBound { bytes: 2_000, records: usize::MAX }).await {
            Ok(read) if read.batches.is_empty() => return (found, damages),
            Ok(read) => {
                for batch in &read.batches {
                    let Payload::Messages(messages) = &batch.payload else { panic!("rows") };
                    found.extend((batch.offset..).zip(messages.iter().map(number_of)));
                }
                position.offset = read.next;
            }
            Err(LogError::Damaged(damage)) => {
                assert!(damage.offsets.contains(&position.offset), "{damage} at {}", position.offset);
                position.offset = damage.offsets.end;
                damages.push(damage);
            }
            Err(error) => panic!("{error}"),
        }
    }
}
