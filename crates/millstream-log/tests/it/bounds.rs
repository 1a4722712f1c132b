//! What is bounded: retention, pins, sizes and what waits.

use std::{sync::Arc, time::Duration};

use futures::FutureExt;
use millstream_log::{Append, EventLog, Place, ReaderName, Retention, TopicName, TopicOptions};

use crate::{
    disk::SimDisk,
    place::{TestClock, message, numbers, options, place, put, topic, with_topic_of},
};

async fn log_with(
    clock: &TestClock,
    disk: &SimDisk,
    retention: Retention,
) -> Arc<millstream_log::EmbeddedLog> {
    let topic_options = TopicOptions { retention, ..TopicOptions::default() };
    with_topic_of(options(Arc::new(disk.clone()), clock), &topic_options).await
}

async fn start(log: &dyn EventLog) -> u64 {
    log.topic(&topic()).await.unwrap().partitions[0].offsets.start
}

#[tokio::test]
async fn old_segments_go() {
    let (clock, disk) = (TestClock::new(), SimDisk::default());
    let retention = Retention { age: Some(Duration::from_secs(3_600)), ..Retention::default() };
    let log = log_with(&clock, &disk, retention).await;
    put(&*log, 0..20).await.unwrap();
    clock.advance(1_800_000);
    put(&*log, 20..40).await.unwrap();
    log.maintain().await.unwrap();
    assert_eq!(start(&*log).await, 0);
    clock.advance(1_800_001);
    log.maintain().await.unwrap();
    assert_eq!(start(&*log).await, 20);
    assert_eq!(numbers(&*log, &place().at(20)).await.unwrap().len(), 20);
    // The segment that is written to goes too, when all it has is too old; offsets go on.
    clock.advance(3_600_001);
    let maintained = log.maintain().await.unwrap();
    assert!(maintained.bytes > 0, "{maintained:?}");
    assert_eq!(start(&*log).await, 40);
    put(&*log, 40..41).await.unwrap();
    assert_eq!(numbers(&*log, &place().at(40)).await.unwrap(), [(40, 40)]);
    assert_eq!(numbers(&*log, &place().at(39)).await.unwrap_err().code(), "MS-1414");
}

#[tokio::test]
async fn large_partitions_lose_their_oldest_segments_as_they_grow() {
    let (clock, disk) = (TestClock::new(), SimDisk::default());
    let retention = Retention { bytes: Some(5_000), ..Retention::default() };
    let log = log_with(&clock, &disk, retention).await;
    for value in 0..300 {
        put(&*log, value..value + 1).await.unwrap();
        let partition = log.topic(&topic()).await.unwrap().partitions.swap_remove(0);
        assert!(partition.bytes < 5_000 + 2 * 1_000, "{} bytes", partition.bytes);
    }
    let start = start(&*log).await;
    assert!(start > 200, "{start}");
    assert_eq!(numbers(&*log, &place().at(start)).await.unwrap().len() as u64, 300 - start);
}

#[tokio::test]
async fn what_a_reader_needs_stays_unless_the_policy_says_otherwise() {
    for over_pins in [false, true] {
        let (clock, disk) = (TestClock::new(), SimDisk::default());
        let retention = Retention { bytes: Some(3_000), age: Some(Duration::from_secs(60)), over_pins };
        let log = log_with(&clock, &disk, retention).await;
        let reader = ReaderName::new("silver.orders").unwrap();
        log.pin(&reader, &place().at(0)).await.unwrap();
        for value in 0..100 {
            put(&*log, value..value + 1).await.unwrap();
        }
        clock.advance(60_001);
        log.maintain().await.unwrap();
        if over_pins {
            assert_eq!(start(&*log).await, 100);
            continue;
        }
        assert_eq!(start(&*log).await, 0);
        log.pin(&reader, &place().at(50)).await.unwrap();
        // A reader that is away keeps its pin, also when the process is killed.
        let log = millstream_log::EmbeddedLog::open(options(Arc::new(disk.killed()), &clock)).await.unwrap();
        log.maintain().await.unwrap();
        let kept = start(&*log).await;
        assert!((30..=50).contains(&kept), "{kept}");
        assert_eq!(numbers(&*log, &place().at(50)).await.unwrap().len(), 50);
        log.unpin(&reader, &topic()).await.unwrap();
        log.maintain().await.unwrap();
        assert_eq!(start(&*log).await, 100);
    }
}

#[tokio::test]
async fn the_whole_log_has_a_bound() {
    let (clock, disk) = (TestClock::new(), SimDisk::default());
    let mut options = options(Arc::new(disk.clone()), &clock);
    options.bytes_max = Some(20_000);
    let retention = Retention { age: Some(Duration::from_secs(10)), ..Retention::default() };
    let log = with_topic_of(options, &TopicOptions { retention, ..TopicOptions::default() }).await;
    let other = TopicName::new("other").unwrap();
    log.create(&other, &TopicOptions::default()).await.unwrap();
    let text = message(&"x".repeat(800));
    let append = |place: &Place| Append::messages(place, vec![text.clone()]);
    let mut appended = 0;
    let error = loop {
        let to = if appended % 2 == 0 { place() } else { Place::new(&other, 0) };
        match log.append(append(&to)).await {
            Ok(_) => appended += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.code(), "MS-1416");
    assert!(error.to_string().starts_with("the event log is over its bound: "), "{error}");
    assert!((18..=21).contains(&appended), "{appended}");
    assert!(disk.used() < 25_000, "{}", disk.used());
    // Records that have become old make room without anybody's asking.
    clock.advance(20_000);
    log.append(append(&place())).await.unwrap();
    log.delete(&other).await.unwrap();
    for _ in 0..10 {
        log.append(append(&place())).await.unwrap();
    }
}

#[tokio::test]
async fn batches_have_a_bound() {
    let (clock, disk) = (TestClock::new(), SimDisk::default());
    let mut options = options(Arc::new(disk.clone()), &clock);
    options.batch_bytes_max = 10_000;
    let log = with_topic_of(options, &TopicOptions::default()).await;
    let before = disk.used();
    let error = log.append(Append::messages(&place(), vec![message(&"x".repeat(10_000))])).await.unwrap_err();
    assert_eq!(error.code(), "MS-1415");
    assert_eq!(disk.used(), before);
    log.append(Append::messages(&place(), vec![message(&"x".repeat(9_000))])).await.unwrap();
}

/// Appends beyond the room in front of a partition wait for it, and all are answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_has_a_bound() {
    let (clock, disk) = (TestClock::new(), SimDisk::default());
    let mut options = options(Arc::new(disk.clone()), &clock);
    options.waiting_bytes_max = 4 << 10;
    options.segment_bytes = 1 << 20;
    let log = with_topic_of(options, &TopicOptions::default()).await;
    let text = message(&"x".repeat(3_000));
    let appends = (0..100).map(|_| log.append(Append::messages(&place(), vec![text.clone()])));
    for outcome in futures::future::join_all(appends).await {
        outcome.unwrap();
    }
    assert_eq!(log.topic(&topic()).await.unwrap().partitions[0].offsets, 0..100);
}

/// Many appends at the same time share their syncs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn appends_share_a_sync() {
    let (clock, disk) = (TestClock::new(), SimDisk::default());
    let mut options = options(Arc::new(disk.clone()), &clock);
    options.segment_bytes = 1 << 20;
    let log = with_topic_of(options, &TopicOptions::default()).await;
    let before = disk.syncs();
    let appends = (0..30).map(|value| {
        let log = Arc::clone(&log);
        Box::pin(async move { put(&*log, value..value + 1).await })
    });
    let mut appends = futures::future::join_all(appends);
    {
        // The first sync does not end before all have come; they are few enough to be polled at once.
        let _held = disk.hold_syncs();
        assert!((&mut appends).now_or_never().is_none());
    }
    for outcome in appends.await {
        outcome.unwrap();
    }
    let syncs = disk.syncs() - before;
    assert!(syncs <= 3, "{syncs} syncs for 30 appends that came together");
}
