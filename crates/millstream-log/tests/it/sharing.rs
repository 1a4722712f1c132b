//! Who may have a log open, and readers beside writers.

use std::sync::Arc;

use millstream_log::{Append, EmbeddedLog, EventLog, Payload, ReadBound, Tail, TopicOptions};
use tempfile::TempDir;

use crate::{
    disk::SimDisk,
    place::{TestClock, disk_options, number_of, numbered, numbers, options, place, put, topic, with_topic},
};

#[tokio::test]
async fn one_process_at_a_time() {
    let folder = TempDir::new().unwrap();
    let log = with_topic(disk_options(folder.path())).await;
    let error = EmbeddedLog::open(disk_options(folder.path())).await.unwrap_err();
    assert_eq!(error.code(), "MS-1402");
    assert!(error.retryable());
    assert!(error.to_string().ends_with(&format!("(pid {})", std::process::id())), "{error}");
    put(&*log, 0..3).await.unwrap();
    log.close().await.unwrap();
    // A closed log is free, even while somebody still holds on to it.
    let again = EmbeddedLog::open(disk_options(folder.path())).await.unwrap();
    assert_eq!(numbers(&*again, &place().at(0)).await.unwrap().len(), 3);
    drop(log);
}

#[tokio::test]
async fn a_place_that_is_no_folder() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, "x").unwrap();
    let error = EmbeddedLog::open(disk_options(&file)).await.unwrap_err();
    assert_eq!(error.code(), "MS-1406");
    std::fs::write(folder.path().join("log"), "log 9\ncheck 00000000\n").unwrap();
    let error = EmbeddedLog::open(disk_options(folder.path())).await.unwrap_err();
    assert_eq!(error.code(), "MS-1404", "{error}");
}

/// iggy#2958: consumers that skip records after a restart. Records are appended and read across a restart at every border of
/// segments.
#[tokio::test]
async fn readers_go_on_at_every_border_of_segments() {
    let (disk, clock) = (SimDisk::default(), TestClock::new());
    let mut log = with_topic(options(Arc::new(disk.clone()), &clock)).await;
    let (mut end, mut position, mut segments) = (0, 0, 1);
    let mut found = Vec::new();
    while segments < 12 {
        put(&*log, end..end + 3).await.unwrap();
        end += 3;
        let read = log.read(&place().at(position), ReadBound { bytes: 1, records: 2 }).await.unwrap();
        found.extend(read.batches.iter().flat_map(|batch| match &batch.payload {
            Payload::Messages(messages) => messages.iter().map(number_of).collect::<Vec<_>>(),
            Payload::Rows(_) => vec![],
        }));
        position = read.next;
        let now = log.topic(&topic()).await.unwrap().partitions[0].segments;
        if now != segments {
            segments = now;
            log.close().await.unwrap();
            log = EmbeddedLog::open(options(Arc::new(disk.clone()), &clock)).await.unwrap();
        }
    }
    found.extend(numbers(&*log, &place().at(position)).await.unwrap().into_iter().map(|(_, number)| number));
    assert!(found.iter().copied().eq(0..end), "{found:?}");
}

/// Readers behind several producers, while segments are begun and removed: each sees every record that it did not leave to retention,
/// in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_producers_and_retention() {
    const EACH: u64 = 300;
    let (disk, clock) = (SimDisk::default(), TestClock::new());
    let log = with_topic(options(Arc::new(disk), &clock)).await;
    let two = TopicOptions {
        partitions: 1,
        retention: millstream_log::Retention { bytes: Some(3_000), ..Default::default() },
        ..Default::default()
    };
    log.create(&topic(), &two).await.unwrap();
    let reader = millstream_log::ReaderName::new("reader").unwrap();
    log.pin(&reader, &place().at(0)).await.unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..4 {
        let log = Arc::clone(&log);
        tasks.spawn(async move {
            for turn in 0..EACH {
                let number = task * EACH + turn;
                log.append(Append::messages(&place(), vec![numbered(number)])).await.unwrap();
            }
        });
    }
    let mut tail = Tail::new(log.clone(), vec![place().at(0)], ReadBound { bytes: 500, records: 7 });
    let mut found: Vec<u64> = Vec::new();
    while (found.len() as u64) < 4 * EACH {
        let (_, read) = tail.read().await.unwrap();
        for batch in read.batches {
            let Payload::Messages(messages) = batch.payload else { panic!("rows") };
            assert_eq!(batch.offset, found.len() as u64);
            found.extend(messages.iter().map(number_of));
        }
        log.pin(&reader, &tail.positions()[0]).await.unwrap();
    }
    tasks.join_all().await;
    for task in 0..4 {
        let own = found.iter().copied().filter(|number| number / EACH == task);
        assert!(own.eq(task * EACH..(task + 1) * EACH), "task {task}");
    }
    log.maintain().await.unwrap();
    let partition = log.topic(&topic()).await.unwrap().partitions.swap_remove(0);
    assert!(partition.bytes < 5_000, "{partition:?}");
    assert!(partition.damage.is_empty());
}
