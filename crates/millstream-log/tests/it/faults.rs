//! A disk that is full, fails or lies: nothing is acknowledged that is not durable, and nothing that is durable is lost.

use std::sync::Arc;

use millstream_log::{Append, EmbeddedLog, EventLog, LogError, Sequenced, TopicName, TopicOptions};
use rand::{SeedableRng, rngs::SmallRng};

use crate::{
    disk::SimDisk,
    place::{TestClock, numbered, numbers, options, place, put, with_topic},
};

fn pairs(range: std::ops::Range<u64>) -> Vec<(u64, u64)> {
    range.map(|number| (number, number)).collect()
}

/// A disk that fills up at any byte: the append is refused and leaves nothing, and the log goes on when there is room again.
#[tokio::test]
async fn a_full_disk() {
    for room in (0..1_500).step_by(7) {
        let disk = SimDisk::default();
        let options = options(Arc::new(disk.clone()), &TestClock::new());
        let log = with_topic(options.clone()).await;
        disk.set_capacity(Some(disk.used() + room));
        let mut appended = 0;
        let error = loop {
            match put(&*log, appended..appended + 2).await {
                Ok(()) => appended += 2,
                Err(error) => break error,
            }
        };
        assert!(matches!(error.code(), "MS-1407"), "{room}: {error}");
        assert!(error.retryable());
        assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..appended), "{room}");
        put(&*log, appended..appended + 2).await.unwrap_err();
        disk.set_capacity(None);
        put(&*log, appended..appended + 2).await.unwrap();
        assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..appended + 2), "{room}");
        let mut options = options;
        options.files = Arc::new(disk.killed());
        let log = EmbeddedLog::open(options).await.unwrap();
        assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..appended + 2), "{room}");
        assert!(log.recovery().damage.is_empty(), "{room}: {:?}", log.recovery());
    }
}

/// After a sync that failed nobody knows what the disk has: the partition takes nothing more, and what the system shows of the failed
/// write is written anew before anybody sees it.
#[tokio::test]
async fn a_sync_that_fails() {
    for seed in 0..40 {
        let disk = SimDisk::default();
        let options = options(Arc::new(disk.clone()), &TestClock::new());
        let log = with_topic(options.clone()).await;
        put(&*log, 0..3).await.unwrap();
        disk.fail_sync_after(0);
        let append = || {
            let sequenced = Sequenced { producer: 1, epoch: 0, sequence: 0 };
            Append::messages(&place(), vec![numbered(3)]).sequenced(sequenced)
        };
        let error = log.append(append()).await.unwrap_err();
        assert_eq!(error.code(), "MS-1409");
        assert!(matches!(error, LogError::Unsynced { .. }));
        // What was not confirmed is not shown, what was is; other partitions and topics go on.
        assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..3));
        assert_eq!(put(&*log, 4..5).await.unwrap_err().code(), "MS-1410");
        let other = TopicName::new("other").unwrap();
        log.create(&other, &TopicOptions::default()).await.unwrap();
        let elsewhere = millstream_log::Place::new(&other, 0);
        log.append(Append::messages(&elsewhere, vec![numbered(0)])).await.unwrap();
        assert!(log.topic(&place().topic).await.unwrap().partitions[0].poisoned.is_some());
        log.close().await.unwrap();

        let disk = disk.killed();
        let mut after = options.clone();
        after.files = Arc::new(disk.clone());
        let log = EmbeddedLog::open(after).await.unwrap();
        let shown = numbers(&*log, &place().at(0)).await.unwrap();
        assert_eq!(shown, pairs(0..shown.len() as u64));
        // The retry is appended once, whatever became of the first try.
        log.append(append()).await.unwrap();
        assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..4));

        let mut random = SmallRng::seed_from_u64(seed);
        let mut later = options.clone();
        later.files = Arc::new(disk.without_power(&mut random));
        let log = EmbeddedLog::open(later).await.unwrap();
        assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..4), "seed {seed}");
    }
}

/// nisshi, Bufstream and KIP-890: delayed and doubled requests of a producer, across crashes between the write and the answer, leave
/// each record once and in order.
#[tokio::test]
async fn a_crash_between_write_and_answer() {
    for deadline in 0..12 {
        for lost_power in [false, true] {
            let disk = SimDisk::default();
            let mut options = options(Arc::new(disk.clone()), &TestClock::new());
            let log = with_topic(options.clone()).await;
            let append = |sequence: u64| {
                let sequenced = Sequenced { producer: 5, epoch: 0, sequence };
                Append::messages(&place(), vec![numbered(sequence)]).sequenced(sequenced)
            };
            log.append(append(0)).await.unwrap();
            disk.die_after(deadline);
            let mut sequence = 1;
            while log.append(append(sequence)).await.is_ok() {
                sequence += 1;
            }
            let mut random = SmallRng::seed_from_u64(deadline);
            let disk = if lost_power { disk.without_power(&mut random) } else { disk.killed() };
            options.files = Arc::new(disk);
            let log = EmbeddedLog::open(options).await.unwrap();
            // The producer does not know how far it came, and sends everything once more.
            for again in [sequence - 1, sequence, sequence - 1, sequence] {
                log.append(append(again)).await.unwrap();
            }
            assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..sequence + 1), "{deadline}");
        }
    }
}

/// A folder that refuses is told as such, and nothing is left half made.
#[tokio::test]
async fn a_topic_that_cannot_be_made() {
    for deadline in 0..40 {
        let disk = SimDisk::default();
        let mut options = options(Arc::new(disk.clone()), &TestClock::new());
        let log = EmbeddedLog::open(options.clone()).await.unwrap();
        disk.die_after(deadline);
        let made =
            log.create(&place().topic, &TopicOptions { partitions: 2, ..TopicOptions::default() }).await;
        let mut random = SmallRng::seed_from_u64(deadline);
        options.files = Arc::new(disk.without_power(&mut random));
        let log = EmbeddedLog::open(options).await.unwrap();
        let topics = log.topics().await.unwrap();
        assert!(made.is_err() || topics.len() == 1, "{deadline}");
        assert!(log.recovery().damage.is_empty(), "{deadline}: {:?}", log.recovery());
        log.create(&place().topic, &TopicOptions { partitions: 2, ..TopicOptions::default() }).await.unwrap();
        put(&*log, 0..1).await.unwrap();
    }
}
