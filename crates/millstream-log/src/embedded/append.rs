//! An append before it is written: checked, brought to bytes, and given room.

use std::sync::{Arc, atomic::Ordering};

use tokio::sync::oneshot;

use super::{
    batch::{BatchHeader, BodyKind, HEADER_BYTES},
    blocking, messages,
    partition::{Partition, Reserved, Waiting, locked},
    recover::SEGMENT_RECORDS_MAX,
    topic::Topic,
};
use crate::{Append, Appended, LogError, Message, Payload, TimestampKind, TopicOptions, error::Result};

/// How long a log that is over its bound is not looked through for room again, in microseconds.
const ROOM_LOOKED_FOR_US: i64 = 1_000_000;

pub(super) async fn append(topic: Arc<Topic>, partition: Arc<Partition>, append: Append) -> Result<Appended> {
    let options = topic.options();
    let (header, body) = encode(&topic, &options, append).await?;
    let bytes = header.batch_bytes();
    let bound = partition.shared.options.batch_bytes_max;
    if bytes > bound {
        return Err(LogError::TooLarge { bytes, bound });
    }
    let reserved = reserve(&topic, &partition, &options, bytes).await?;
    let room = partition.room(bytes).await?;
    let is_stamped_here = options.timestamps == TimestampKind::Appended;
    let (answer, answered) = oneshot::channel();
    partition.enqueue(Waiting { header, body, is_stamped_here, answer, reserved, room })?;
    answered.await.unwrap_or(Err(LogError::Closed))
}

async fn encode(
    topic: &Arc<Topic>,
    options: &TopicOptions,
    append: Append,
) -> Result<(BatchHeader, Vec<u8>)> {
    let Append { payload, timestamp, sequenced, place: _ } = append;
    let records = payload.records();
    let records = u32::try_from(records).ok().filter(|records| u64::from(*records) <= SEGMENT_RECORDS_MAX);
    let Some(records) = records.filter(|records| *records > 0) else {
        let reason = "a batch has at least one record, and fewer than 2^32".into();
        return Err(LogError::Request { reason });
    };
    let is_producers = options.timestamps == TimestampKind::Producer;
    let now = || (topic.shared.options.clock)().0;
    let otherwise = if is_producers { timestamp.map_or_else(now, |timestamp| timestamp.0) } else { 0 };
    let (mut first, mut last) = (otherwise, otherwise);
    let (kind, schema, body) = match &payload {
        Payload::Messages(messages) if is_producers => {
            (first, last) = range(messages, otherwise);
            (BodyKind::StampedMessages, 0, messages::encode(messages, Some((first, otherwise))))
        }
        Payload::Messages(messages) => (BodyKind::Messages, 0, messages::encode(messages, None)),
        Payload::Rows(rows) => {
            let schema = match topic.known_schema(rows.schema_ref()) {
                Some(known) => known,
                None => {
                    let (topic, schema) = (Arc::clone(topic), rows.schema());
                    blocking(move || topic.add_schema(&schema)).await?
                }
            };
            let body = schema.encode(rows, options.compression).map_err(LogError::rows("stored"))?;
            (BodyKind::Rows, schema.number, body)
        }
    };
    let bytes = body.len() as u64 + HEADER_BYTES as u64;
    let bound = topic.shared.options.batch_bytes_max;
    let body_bytes = u32::try_from(body.len()).map_err(|_| LogError::TooLarge { bytes, bound })?;
    let header = BatchHeader {
        body_bytes,
        body_crc: crc32fast::hash(&body),
        base: 0,
        records,
        kind,
        schema,
        timestamp: first,
        timestamp_max: last,
        appended: 0,
        synced: 0,
        sequenced,
    };
    Ok((header, body))
}

/// The earliest and the latest timestamp of the messages.
fn range(messages: &[Message], otherwise: i64) -> (i64, i64) {
    let timestamps =
        messages.iter().map(|message| message.timestamp.map_or(otherwise, |timestamp| timestamp.0));
    timestamps
        .fold((i64::MAX, i64::MIN), |(first, last), timestamp| (first.min(timestamp), last.max(timestamp)))
}

/// Reserves bytes of the log and the topic, which retention may have to make free first.
async fn reserve(
    topic: &Arc<Topic>,
    partition: &Arc<Partition>,
    options: &TopicOptions,
    bytes: u64,
) -> Result<Reserved> {
    let shared = &partition.shared;
    let over = match Reserved::new(partition, bytes, options.bytes_max) {
        Ok(reserved) => return Ok(reserved),
        Err(over) => over,
    };
    let now = (shared.options.clock)().0;
    let looked = shared.looked_for_room.load(Ordering::Relaxed);
    let is_soon = looked != i64::MIN && (looked..looked.saturating_add(ROOM_LOOKED_FOR_US)).contains(&now);
    if is_soon
        || shared.looked_for_room.compare_exchange(looked, now, Ordering::Relaxed, Ordering::Relaxed).is_err()
    {
        return Err(over);
    }
    let topic = Arc::clone(topic);
    blocking(move || {
        for partition in &topic.partitions {
            partition.maintain(&mut locked(&partition.writer))?;
        }
        Ok(())
    })
    .await?;
    Reserved::new(partition, bytes, options.bytes_max)
}
