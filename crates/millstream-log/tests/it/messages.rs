//! Messages come back as they were appended, whatever their bytes.

use std::sync::Arc;

use bytes::Bytes;
use millstream_log::{Append, EventLog, Header, Message, Payload, ReadBound, TimestampKind, TopicOptions};
use millstream_types::TimestampMicros;
use proptest::{collection::vec, option, prelude::*};

use crate::{
    disk::SimDisk,
    place::{TestClock, options, place, with_topic_of},
};

fn bytes() -> impl Strategy<Value = Option<Bytes>> {
    option::of(vec(any::<u8>(), 0..200)).prop_map(|bytes| bytes.map(Bytes::from))
}

fn message() -> impl Strategy<Value = Message> {
    let header = (".{0,10}", bytes()).prop_map(|(name, value)| Header { name, value });
    let timestamp = option::of(any::<i64>()).prop_map(|timestamp| timestamp.map(TimestampMicros));
    (bytes(), bytes(), vec(header, 0..4), timestamp).prop_map(|(key, value, headers, timestamp)| Message {
        key,
        value,
        headers,
        timestamp,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_messages_come_back(batches in vec(vec(message(), 1..6), 1..6), is_producers: bool) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let timestamps = if is_producers { TimestampKind::Producer } else { TimestampKind::Appended };
            let topic_options = TopicOptions { timestamps, ..TopicOptions::default() };
            let clock = TestClock::new();
            let log = with_topic_of(options(Arc::new(SimDisk::default()), &clock), &topic_options).await;
            let now = clock.now();
            for batch in &batches {
                log.append(Append::messages(&place(), batch.clone())).await.unwrap();
            }
            let bound = ReadBound { bytes: usize::MAX, ..ReadBound::default() };
            let read = log.read(&place().at(0), bound).await.unwrap();
            let found: Vec<Vec<Message>> = read.batches.into_iter().map(|batch| match batch.payload {
                Payload::Messages(messages) => messages,
                Payload::Rows(_) => panic!("rows"),
            }).collect();
            let stamped = |message: &Message| {
                let timestamp = message.timestamp.filter(|_| is_producers).unwrap_or(now);
                Message { timestamp: Some(timestamp), ..message.clone() }
            };
            let expected: Vec<Vec<Message>> = batches.iter().map(|batch| batch.iter().map(stamped).collect()).collect();
            assert_eq!(found, expected);
        });
    }
}
