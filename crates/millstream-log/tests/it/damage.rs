//! Bytes that were cut, zeroed, flipped or lost with their files: what was acknowledged and can be read is there in order, and the rest
//! is reported with its place. Each case is a row of what other logs got wrong.

use std::{ops::Range, path::PathBuf, sync::Arc};

use millstream_log::{Append, Damage, EmbeddedLog, EventLog, LogError, Sequenced};

use crate::{
    disk::SimDisk,
    place::{
        TestClock, message, number_of, numbered, numbers, numbers_around, options, path, place, put, segment,
        with_topic,
    },
};

/// A log with batches of these sizes, which was killed or closed, and its disk.
async fn written(sizes: &[u64], segment_bytes: u64, is_closed: bool) -> SimDisk {
    let disk = SimDisk::default();
    let mut options = options(Arc::new(disk.clone()), &TestClock::new());
    options.segment_bytes = segment_bytes;
    let log = with_topic(options).await;
    let mut end = 0;
    for size in sizes {
        put(&*log, end..end + size).await.unwrap();
        end += size;
    }
    if is_closed {
        log.close().await.unwrap();
    }
    disk.killed()
}

async fn reopened(disk: &SimDisk, segment_bytes: u64) -> Arc<EmbeddedLog> {
    let mut options = options(Arc::new(disk.clone()), &TestClock::new());
    options.segment_bytes = segment_bytes;
    EmbeddedLog::open(options).await.unwrap()
}

fn pairs(range: Range<u64>) -> Vec<(u64, u64)> {
    range.map(|number| (number, number)).collect()
}

/// Checks that the log goes on behind its end, whatever happened before.
async fn goes_on(log: &EmbeddedLog) {
    let end = log.topic(&place().topic).await.unwrap().partitions[0].offsets.end;
    let appended = log.append(Append::messages(&place(), vec![numbered(4242)])).await.unwrap();
    assert_eq!(appended.offsets, Some(end..end + 1));
    assert_eq!(numbers(log, &place().at(end)).await.unwrap(), [(end, 4242)]);
}

/// Where each batch of the only segment ends.
async fn ends(sizes: &[u64]) -> Vec<usize> {
    let disk = SimDisk::default();
    let mut options = options(Arc::new(disk.clone()), &TestClock::new());
    options.segment_bytes = 1 << 30;
    let log = with_topic(options).await;
    let (mut ends, mut end) = (Vec::new(), 0);
    for size in sizes {
        put(&*log, end..end + size).await.unwrap();
        end += size;
        ends.push(disk.content(&segment(0)).len());
    }
    ends
}

/// Jepsen on NATS 2.12.1 (nats-server#7564): a file that ends at any byte.
#[tokio::test]
async fn truncated_at_any_byte() {
    let sizes = [1, 3, 1, 2];
    let ends = ends(&sizes).await;
    let disk = written(&sizes, 1 << 30, false).await;
    for length in 0..=disk.content(&segment(0)).len() {
        let disk = disk.copy();
        disk.tamper(&segment(0), |bytes| bytes.truncate(length));
        let log = reopened(&disk, 1 << 30).await;
        let whole = ends.iter().take_while(|end| **end <= length).count();
        let records = sizes[..whole].iter().sum();
        assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..records), "cut at {length}");
        let is_cut = !ends.contains(&length) && length != 64;
        assert_eq!(log.recovery().truncated.len(), usize::from(is_cut && length > 64), "cut at {length}");
        assert!(log.recovery().damage.is_empty(), "cut at {length}");
        goes_on(&log).await;
    }
}

/// Delta on S2 (s2#670) and others: a tail of zeros after the machine stopped.
#[tokio::test]
async fn zeroed_from_any_byte() {
    let sizes = [2, 1, 2];
    let ends = ends(&sizes).await;
    let disk = written(&sizes, 1 << 30, false).await;
    for from in 64..disk.content(&segment(0)).len() {
        let disk = disk.copy();
        disk.tamper(&segment(0), |bytes| {
            bytes[from..].fill(0);
            bytes.extend(vec![0; 3_000]);
        });
        let log = reopened(&disk, 1 << 30).await;
        // The zeros may be what a batch ended with anyway.
        let found = numbers(&*log, &place().at(0)).await.unwrap();
        let whole = ends.iter().take_while(|end| **end <= from).count();
        let records: u64 = sizes[..whole].iter().sum();
        assert!(found.len() as u64 >= records && found == pairs(0..found.len() as u64), "zeros from {from}");
        assert_eq!(log.recovery().truncated.len(), 1, "zeros from {from}");
        goes_on(&log).await;
    }
}

/// Jepsen on NATS 2.12.1: a single flipped bit lost half of the writes. Here it loses its batch, and says so.
#[tokio::test]
async fn any_flipped_bit() {
    let sizes = [2, 1, 3, 1];
    let ends = ends(&sizes).await;
    let disk = written(&sizes, 1 << 30, false).await;
    let total: u64 = sizes.iter().sum();
    for at in 0..disk.content(&segment(0)).len() {
        let disk = disk.copy();
        disk.tamper(&segment(0), |bytes| bytes[at] ^= 1 << (at % 8));
        let log = reopened(&disk, 1 << 30).await;
        let (found, damages) = numbers_around(&*log, &place().at(0)).await;
        let Some(hit) = ends.iter().position(|end| at >= 64 && at < *end) else {
            assert_eq!((found, damages), (pairs(0..total), vec![]), "bit at {at} of the header");
            continue;
        };
        let first: u64 = sizes[..hit].iter().sum();
        let lost = first..first + sizes[hit];
        let mut expected = pairs(0..lost.start);
        if hit + 1 == sizes.len() {
            assert_eq!((found, damages), (expected, vec![]), "bit at {at} of the last batch");
            assert_eq!(log.recovery().truncated.len(), 1, "bit at {at} of the last batch");
        } else {
            expected.extend(pairs(lost.end..total));
            let damage = Damage { place: place(), segment: 0, offsets: lost, proven: true };
            assert_eq!((found, damages), (expected, vec![damage.clone()]), "bit at {at}");
            assert_eq!(log.recovery().damage, [damage], "bit at {at}");
        }
        goes_on(&log).await;
    }
}

/// What was durable when the log was closed cannot pass for an unfinished end.
#[tokio::test]
async fn the_last_batch_of_a_closed_log() {
    let disk = written(&[2, 1, 3], 1 << 30, true).await;
    let length = disk.content(&segment(0)).len();
    for is_cut in [true, false] {
        let disk = disk.copy();
        disk.tamper(
            &segment(0),
            |bytes| {
                if is_cut { bytes.truncate(length - 5) } else { bytes[length - 5] ^= 4 }
            },
        );
        let log = reopened(&disk, 1 << 30).await;
        let (found, damages) = numbers_around(&*log, &place().at(0)).await;
        assert_eq!(found, pairs(0..3));
        assert!(
            matches!(&damages[..], [damage] if damage.offsets.start == 3 && damage.proven),
            "{damages:?}"
        );
        assert!(log.recovery().truncated.is_empty());
        // No offset is given twice, and the damage is still there after the next start.
        goes_on(&log).await;
        let end = log.topic(&place().topic).await.unwrap().partitions[0].offsets.end;
        let log = reopened(&disk.killed(), 1 << 30).await;
        let (found, damages) = numbers_around(&*log, &place().at(0)).await;
        assert_eq!(found, [pairs(0..3), vec![(end - 1, 4242)]].concat());
        assert!(matches!(&damages[..], [damage] if damage.offsets == (3..end - 1)), "{damages:?}");
    }
}

/// A bit that flips in a segment that is complete is found by whoever reads it, and by `verify`.
#[tokio::test]
async fn a_flipped_bit_of_an_earlier_segment() {
    let disk = written(&[3; 30], 1_000, true).await;
    let log = reopened(&disk, 1_000).await;
    let second = log_segments(&disk)[1];
    disk.tamper(&segment(second), |bytes| bytes[70] ^= 1);
    let (found, damages) = numbers_around(&*log, &place().at(0)).await;
    let damage = Damage { place: place(), segment: second, offsets: second..second + 3, proven: true };
    assert_eq!(damages, std::slice::from_ref(&damage));
    assert_eq!(found, [pairs(0..second), pairs(second + 3..90)].concat());
    assert_eq!(log.verify(&place()).await.unwrap(), std::slice::from_ref(&damage));
    assert_eq!(log.topic(&place().topic).await.unwrap().partitions[0].damage, std::slice::from_ref(&damage));
    let error = log.read(&place().at(second + 1), millstream_log::ReadBound::default()).await.unwrap_err();
    assert_eq!(error.code(), "MS-1405");
    assert!(
        error.to_string().contains(&format!(
            "topic `orders`, partition 0, segment {second}, offsets {second} to {}",
            second + 2
        )),
        "{error}"
    );
    // Reading by time and the lag pass by it.
    assert_eq!(log.lag(&place().at(second + 1)).await.unwrap().records, 90 - second - 1);
}

fn log_segments(disk: &SimDisk) -> Vec<u64> {
    let names = millstream_log::Files::list(disk, &path("")).unwrap();
    names.iter().filter_map(|name| name.strip_suffix(".log")?.parse().ok()).collect()
}

/// iggy#3946 and #2798: a file that is gone is no reason to give its offsets to other records.
#[tokio::test]
async fn a_missing_segment() {
    let disk = written(&[3; 30], 1_000, false).await;
    let bases = log_segments(&disk);
    assert!(bases.len() > 4, "{bases:?}");
    for (place_of, base) in bases.iter().enumerate() {
        let disk = disk.copy();
        millstream_log::Files::remove(&disk, &segment(*base)).unwrap();
        let log = reopened(&disk, 1_000).await;
        let (found, damages) = numbers_around(&*log, &place().at(0)).await;
        let end = bases.get(place_of + 1).copied();
        let rest = end.map_or(vec![], |end| pairs(end..90));
        assert_eq!(found, [pairs(0..*base), rest].concat(), "without {base}");
        let [damage] = &damages[..] else { panic!("without {base}: {damages:?}") };
        assert_eq!((damage.segment, damage.offsets.start), (*base, *base));
        assert!(end.map_or(damage.offsets.end >= 90, |end| damage.offsets.end == end), "{damage}");
        assert_eq!(log.recovery().damage.len(), 1, "without {base}: {:?}", log.recovery());
        goes_on(&log).await;
        let again = reopened(&disk.killed(), 1_000).await;
        assert_eq!(again.recovery().damage.len(), 1, "without {base}, once more: {:?}", again.recovery());
    }
}

/// Indexes and what is known of producers are derived: wrong or missing ones are worked out anew.
#[tokio::test]
async fn wrong_derived_files() {
    let disk = written(&[3; 30], 1_000, true).await;
    let names = millstream_log::Files::list(&disk, &path("")).unwrap();
    let derived: Vec<PathBuf> = names
        .iter()
        .filter(|name| name.ends_with("index") || name.ends_with("producers"))
        .map(|name| path(name))
        .collect();
    assert!(derived.len() > 4, "{names:?}");
    let changes: [fn(&mut Vec<u8>); 4] = [
        |bytes| bytes.clear(),
        |bytes| bytes.truncate(bytes.len() / 2),
        |bytes| bytes.fill(0),
        |bytes| {
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
        },
    ];
    for change in changes {
        let disk = disk.copy();
        derived.iter().for_each(|path| disk.tamper(path, change));
        let log = reopened(&disk, 1_000).await;
        assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..90));
        assert!(
            !log.recovery().rebuilt.is_empty() && log.recovery().damage.is_empty(),
            "{:?}",
            log.recovery()
        );
        for offset in 0..90 {
            let read = log
                .read(&place().at(offset), millstream_log::ReadBound { bytes: 1, records: 1 })
                .await
                .unwrap();
            assert_eq!(read.batches[0].offset, offset);
        }
        goes_on(&log).await;
    }
    // Those of another segment have the right form and are wrong all the same.
    let swapped = disk.copy();
    let other = swapped.content(&derived[0]);
    swapped.tamper(&derived[1], |bytes| *bytes = other);
    let log = reopened(&swapped, 1_000).await;
    assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..90));
}

/// A manifest that is gone is worked out from the segments.
#[tokio::test]
async fn a_damaged_manifest() {
    let disk = written(&[3; 30], 1_000, true).await;
    disk.tamper(&path("manifest"), |bytes| bytes[3] ^= 1);
    let log = reopened(&disk, 1_000).await;
    assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..90));
    assert!(log.recovery().rebuilt.iter().any(|rebuilt| rebuilt.path.ends_with("manifest")));
    goes_on(&log).await;
}

/// A message whose content is a batch of the log is no batch, also where the bytes before it are damaged.
#[tokio::test]
async fn a_message_that_looks_like_a_batch() {
    let disk = SimDisk::default();
    let log = with_topic(options(Arc::new(disk.clone()), &TestClock::new())).await;
    put(&*log, 0..2).await.unwrap();
    let bytes = disk.content(&segment(0));
    let fake = millstream_log::Message { value: Some(bytes.repeat(2).into()), ..message("") };
    // These batches are of the same segment, and so even their checksums hold; but their offsets have been.
    log.append(Append::messages(&place(), vec![fake])).await.unwrap();
    assert_eq!(log_segments(&disk), [0]);
    let disk = disk.killed();
    disk.tamper(&segment(0), |content| content[bytes.len() + 2] ^= 1);
    let log = reopened(&disk, 1_000).await;
    assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..2));
    assert!(log.recovery().damage.is_empty(), "{:?}", log.recovery());
    goes_on(&log).await;
}

/// A topic that cannot be understood leaves the others alone.
#[tokio::test]
async fn a_damaged_topic() {
    let disk = written(&[3], 1_000, true).await;
    let log = reopened(&disk, 1_000).await;
    let other = millstream_log::TopicName::new("other").unwrap();
    log.create(&other, &millstream_log::TopicOptions::default()).await.unwrap();
    let disk = disk.killed();
    disk.tamper(std::path::Path::new("/log/topics/other/topic"), |bytes| bytes[8] ^= 1);
    let log = reopened(&disk, 1_000).await;
    assert_eq!(numbers(&*log, &place().at(0)).await.unwrap(), pairs(0..3));
    let error = log.topic(&other).await.unwrap_err();
    assert_eq!(error.code(), "MS-1404");
    assert!(matches!(error, LogError::File { .. }));
    // So is one of which nothing is left: nobody knows how far its offsets went.
    let disk = disk.killed();
    for name in millstream_log::Files::list(&disk, &path("")).unwrap() {
        millstream_log::Files::remove(&disk, &path(&name)).unwrap();
    }
    let log = reopened(&disk, 1_000).await;
    assert_eq!(put(&*log, 0..1).await.unwrap_err().code(), "MS-1404");
    // Either can be removed and made anew.
    log.delete(&other).await.unwrap();
    log.create(&other, &millstream_log::TopicOptions::default()).await.unwrap();
}

/// A batch that a power failure took from the midst of a group can be sent again, although a later one of its producer is there.
#[tokio::test]
async fn a_producer_fills_what_a_crash_left_out() {
    let disk = SimDisk::default();
    let log = with_topic(options(Arc::new(disk.clone()), &TestClock::new())).await;
    let append = |sequence: u64| {
        let sequenced = Sequenced { producer: 9, epoch: 0, sequence };
        Append::messages(&place(), vec![numbered(sequence)]).sequenced(sequenced)
    };
    log.append(append(0)).await.unwrap();
    let first = disk.content(&segment(0)).len();
    log.append(append(1)).await.unwrap();
    log.append(append(2)).await.unwrap();
    let disk = disk.killed();
    disk.tamper(&segment(0), |bytes| bytes[first + 3] ^= 1);
    let log = reopened(&disk, 1_000).await;
    for (sequence, repeated) in [(2, true), (1, false), (1, true), (0, true), (3, false)] {
        assert_eq!(log.append(append(sequence)).await.unwrap().repeated, repeated, "{sequence}");
    }
    let (found, _) = numbers_around(&*log, &place().at(0)).await;
    assert_eq!(found.iter().map(|(_, number)| *number).collect::<Vec<_>>(), [0, 2, 1, 3]);
    assert_eq!(number_of(&numbered(3)), 3);
}
