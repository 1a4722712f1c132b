//! Random lives of a log beside a naive one in memory: appends, reads, trims, retention, pins, restarts, disks that are full or fail
//! to sync, kills and losses of power at any touch of the disk. After each of them every acknowledged record is there, in order, and nothing that was not appended.

use std::sync::Arc;

use millstream_log::{
    Append, EmbeddedLog, EmbeddedOptions, EventLog, Fault, LogError, Message, Payload, Place, ReadBound,
    ReaderName, Retention, Sequenced, TimestampKind, TopicName, TopicOptions,
};
use millstream_types::TimestampMicros;
use proptest::prelude::*;
use rand::{Rng, SeedableRng, rngs::SmallRng};

use crate::{
    disk::SimDisk,
    place::{TestClock, number_of, numbered, options},
};

const PARTITIONS: u32 = 2;
const STEPS: usize = 60;

/// A record as the naive log keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Kept {
    number: u64,
    timestamp: i64,
}

/// A partition as the naive log keeps it: all records from offset 0 on.
#[derive(Clone, Debug, Default)]
struct Naive {
    records: Vec<Kept>,
    start: u64,
    /// The number of the next record of the partition's producer.
    sequence: u64,
}

/// An append whose answer never came.
#[derive(Clone, Debug)]
struct Unanswered {
    partition: u32,
    batch: Vec<(u64, Option<i64>)>,
    sequence: Option<u64>,
}

struct World {
    random: SmallRng,
    disk: SimDisk,
    clock: TestClock,
    topic: TopicName,
    topic_options: TopicOptions,
    log: Arc<EmbeddedLog>,
    naive: Vec<Naive>,
    pinned: Vec<Option<u64>>,
    next_number: u64,
    unanswered: Option<Unanswered>,
    told: Vec<String>,
}

fn log_options(disk: &SimDisk, clock: &TestClock) -> EmbeddedOptions {
    options(Arc::new(disk.clone()), clock)
}

impl Drop for World {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{:?}\n{}", self.topic_options, self.told.join("\n"));
        }
    }
}

impl World {
    async fn new(seed: u64) -> Self {
        let mut random = SmallRng::seed_from_u64(seed);
        let (disk, clock) = (SimDisk::default(), TestClock::new());
        let topic = TopicName::new("world").unwrap();
        let retention = Retention {
            age: random.random_bool(0.5).then_some(std::time::Duration::from_secs(50)),
            bytes: random.random_bool(0.5).then_some(4_000),
            over_pins: random.random_bool(0.3),
        };
        let timestamps =
            if random.random_bool(0.5) { TimestampKind::Appended } else { TimestampKind::Producer };
        let topic_options =
            TopicOptions { partitions: PARTITIONS, retention, timestamps, ..TopicOptions::default() };
        let log = EmbeddedLog::open(log_options(&disk, &clock)).await.unwrap();
        log.create(&topic, &topic_options).await.unwrap();
        let (naive, pinned) = (vec![Naive::default(); PARTITIONS as usize], vec![None; PARTITIONS as usize]);
        let (next_number, unanswered, told) = (0, None, Vec::new());
        Self { random, disk, clock, topic, topic_options, log, naive, pinned, next_number, unanswered, told }
    }

    fn place(&self, partition: u32) -> Place {
        Place::new(&self.topic, partition)
    }

    async fn live(&mut self) {
        for _ in 0..STEPS {
            let partition = self.random.random_range(0..PARTITIONS);
            let outcome = match self.random.random_range(0..100) {
                0..45 => self.append(partition).await,
                45..60 => self.read(partition).await,
                60..66 => self.time(partition).await,
                66..72 => self.trim(partition).await,
                72..78 => self.pin(partition).await,
                78..82 => {
                    self.clock.advance(self.random.random_range(0..20_000));
                    self.told.push("maintain".into());
                    self.log.maintain().await.map(|_| ())
                }
                82..86 => self.restart().await,
                86..88 => {
                    let room = self.random.random_range(0..800);
                    self.told.push(format!("room for {room} bytes"));
                    self.disk.set_capacity(Some(self.disk.used() + room));
                    Ok(())
                }
                88..90 => {
                    let syncs = self.random.random_range(0..4);
                    self.told.push(format!("{syncs} syncs"));
                    self.disk.fail_sync_after(syncs);
                    Ok(())
                }
                90..95 => {
                    let changes = self.random.random_range(0..12);
                    self.told.push(format!("die after {changes}"));
                    self.disk.die_after(changes);
                    Ok(())
                }
                _ => {
                    self.crash().await;
                    Ok(())
                }
            };
            if let Err(error) = outcome {
                self.told.push(format!("{} {error}", error.code()));
                self.go_on_after(&error).await;
            }
            self.follow_retention().await;
        }
        self.crash().await;
    }

    /// A full disk leaves the log as it was; whatever else failed, the process ends.
    async fn go_on_after(&mut self, error: &LogError) {
        // The log may be closed by half a restart, or the topic may not have been opened after it.
        let is_gone = self.log.topic(&self.topic).await.is_err();
        if error.fault() != Some(Fault::Full) || is_gone {
            return self.crash().await;
        }
        self.unanswered = None;
        if self.random.random_bool(0.5) {
            self.told.push("room again".into());
            self.disk.set_capacity(None);
        }
    }

    async fn append(&mut self, partition: u32) -> Result<(), LogError> {
        let size = self.random.random_range(1..6);
        let batch: Vec<(u64, Option<i64>)> = (0..size)
            .map(|place| {
                let time = self.clock.now().as_ms() + self.random.random_range(-5_000..5_000);
                (self.next_number + place, self.random.random_bool(0.8).then_some(time))
            })
            .collect();
        self.next_number += size;
        let is_numbered = self.random.random_bool(0.5);
        let sequence = is_numbered.then_some(self.naive[partition as usize].sequence);
        self.told.push(format!("append {batch:?} to {partition}, {sequence:?}"));
        let unanswered = Unanswered { partition, batch, sequence };
        self.unanswered = Some(unanswered.clone());
        let appended = self.log.append(self.append_of(&unanswered)).await?;
        let end = self.naive[partition as usize].records.len() as u64;
        assert!(!appended.repeated);
        assert_eq!(appended.offsets, Some(end..end + size));
        self.keep(&unanswered);
        self.unanswered = None;
        Ok(())
    }

    fn append_of(&self, append: &Unanswered) -> Append {
        let message = |(number, time): &(u64, Option<i64>)| Message {
            timestamp: time.map(TimestampMicros::from_ms),
            ..numbered(*number)
        };
        let messages = append.batch.iter().map(message).collect();
        let mut made = Append::messages(&self.place(append.partition), messages);
        made.sequenced = append.sequence.map(|sequence| Sequenced {
            producer: u128::from(append.partition),
            epoch: 0,
            sequence,
        });
        made
    }

    fn keep(&mut self, append: &Unanswered) {
        let now = self.clock.now().0;
        let is_producers = self.topic_options.timestamps == TimestampKind::Producer;
        let naive = &mut self.naive[append.partition as usize];
        for (number, time) in &append.batch {
            let own = time.filter(|_| is_producers).map(|time| time * 1_000);
            naive.records.push(Kept { number: *number, timestamp: own.unwrap_or(now) });
        }
        if append.sequence.is_some() {
            naive.sequence += append.batch.len() as u64;
        }
    }

    async fn read(&mut self, partition: u32) -> Result<(), LogError> {
        let naive = &self.naive[partition as usize];
        let end = naive.records.len() as u64;
        let from = self.random.random_range(naive.start..=end);
        let bound =
            ReadBound { bytes: self.random.random_range(0..2_000), records: self.random.random_range(1..20) };
        let read = self.log.read(&self.place(partition).at(from), bound).await?;
        let naive = &self.naive[partition as usize];
        assert!(read.next > from || from == end, "a read from {from} of {end} gives nothing");
        assert!(read.next - from <= bound.records as u64);
        let found = records(&read.batches);
        assert_eq!(found, naive.records[from as usize..read.next as usize], "from {from}");
        if from > naive.start {
            let gone = self.log.read(&self.place(partition).at(end + 1), bound).await;
            assert!(matches!(gone, Err(LogError::Range { .. })), "{gone:?}");
        }
        Ok(())
    }

    async fn time(&mut self, partition: u32) -> Result<(), LogError> {
        let time = self.clock.now().as_ms() + self.random.random_range(-60_000..6_000);
        let found = self.log.offset_at(&self.place(partition), TimestampMicros::from_ms(time)).await?;
        let naive = &self.naive[partition as usize];
        let records = (0_u64..).zip(&naive.records).skip(naive.start as usize);
        let expected =
            records.clone().find(|(_, kept)| kept.timestamp >= time * 1_000).map(|(offset, _)| offset);
        assert_eq!(found, expected, "at {time}");
        let end = naive.records.len() as u64;
        let at = self.random.random_range(naive.start..=end);
        let lag = self.log.lag(&self.place(partition).at(at)).await?;
        assert_eq!(lag.records, end - at);
        assert_eq!(lag.since.map(|since| since.0), naive.records.get(at as usize).map(|kept| kept.timestamp));
        Ok(())
    }

    async fn trim(&mut self, partition: u32) -> Result<(), LogError> {
        let naive = &self.naive[partition as usize];
        let end = naive.records.len() as u64;
        let before = self.random.random_range(naive.start..=(naive.start + 5).min(end));
        self.told.push(format!("trim {partition} before {before}"));
        // A trim that is not answered may be done or not; what is gone is looked up after the crash.
        let pin = self.pinned[partition as usize].take();
        self.log.trim(&self.place(partition).at(before)).await?;
        self.pinned[partition as usize] = pin;
        self.naive[partition as usize].start = before;
        Ok(())
    }

    async fn pin(&mut self, partition: u32) -> Result<(), LogError> {
        let reader = ReaderName::new("reader").unwrap();
        let naive = &self.naive[partition as usize];
        let offset = self.random.random_range(naive.start..=naive.records.len() as u64);
        self.told.push(format!("pin {partition} at {offset}"));
        let former = self.pinned[partition as usize].take();
        self.log.pin(&reader, &self.place(partition).at(offset)).await?;
        self.pinned[partition as usize] = Some(offset);
        // Only pins that go forward are sure to hold back what the former one did, which may come back after a crash.
        let _ = former;
        Ok(())
    }

    async fn restart(&mut self) -> Result<(), LogError> {
        self.told.push("restart".into());
        self.log.close().await?;
        self.log = EmbeddedLog::open(log_options(&self.disk, &self.clock)).await?;
        self.log.topic(&self.topic).await?;
        let recovery = self.log.recovery();
        assert!(recovery.truncated.is_empty() && recovery.damage.is_empty(), "after a close: {recovery:?}");
        self.compare().await;
        Ok(())
    }

    async fn crash(&mut self) {
        let is_power = self.random.random_bool(0.5);
        self.told.push(if is_power { "power" } else { "kill" }.into());
        self.disk = if is_power { self.disk.without_power(&mut self.random) } else { self.disk.killed() };
        // Recovery itself may be interrupted, too.
        for _ in 0..self.random.random_range(0..3) {
            self.disk.die_after(self.random.random_range(0..10));
            let _ = EmbeddedLog::open(log_options(&self.disk, &self.clock)).await;
            let is_power = self.random.random_bool(0.5);
            self.disk = if is_power { self.disk.without_power(&mut self.random) } else { self.disk.killed() };
        }
        self.log = EmbeddedLog::open(log_options(&self.disk, &self.clock)).await.unwrap();
        assert_eq!(self.log.recovery().damage, [], "acknowledged records are damaged");
        self.answer().await;
        self.follow_retention().await;
        self.compare().await;
    }

    /// What became of an append that was not answered: it is there as a whole, or not at all. A producer with numbers sends it again.
    async fn answer(&mut self) {
        let Some(unanswered) = self.unanswered.take() else { return };
        let info = self.log.topic(&self.topic).await.unwrap();
        let end = info.partitions[unanswered.partition as usize].offsets.end;
        let known = self.naive[unanswered.partition as usize].records.len() as u64;
        let is_there = end == known + unanswered.batch.len() as u64;
        assert!(is_there || end == known, "{end} instead of {known} and {unanswered:?}");
        if unanswered.sequence.is_some() {
            let appended = self.log.append(self.append_of(&unanswered)).await.unwrap();
            assert_eq!(appended.repeated, is_there);
            assert_eq!(appended.offsets, Some(known..known + unanswered.batch.len() as u64));
            self.keep(&unanswered);
        } else if is_there {
            self.keep(&unanswered);
        }
        if is_there {
            // The clock may have gone on since; the log knows when it was.
            self.look_up_times(unanswered.partition, known).await;
        }
    }

    async fn look_up_times(&mut self, partition: u32, from: u64) {
        let from =
            from.max(self.log.topic(&self.topic).await.unwrap().partitions[partition as usize].offsets.start);
        let bound = ReadBound { bytes: usize::MAX, ..ReadBound::default() };
        let read = self.log.read(&self.place(partition).at(from), bound).await.unwrap();
        let naive = &mut self.naive[partition as usize].records;
        for (offset, kept) in (from as usize..).zip(records(&read.batches)) {
            naive[offset].timestamp = kept.timestamp;
        }
    }

    /// Takes over from where the log goes on, if retention may have moved it there.
    async fn follow_retention(&mut self) {
        let Ok(info) = self.log.topic(&self.topic).await else { return };
        let retention = &self.topic_options.retention;
        for (partition, naive) in info.partitions.iter().zip(&mut self.naive) {
            assert!(partition.offsets.start >= naive.start, "{} came back", naive.start);
            let end = naive.records.len() as u64;
            assert!(partition.offsets.start <= end);
            naive.start = partition.offsets.start;
        }
        for ((pinned, naive), partition) in self.pinned.iter_mut().zip(&self.naive).zip(0..) {
            let pin: Option<u64> = *pinned;
            if let Some(offset) = pin.filter(|offset| *offset < naive.start && !retention.over_pins) {
                // A reader's own trim goes over its pin.
                let is_trimmed = self.told.iter().any(|told| told.starts_with(&format!("trim {partition}")));
                assert!(is_trimmed, "the pin at {offset} did not hold back {}", naive.start);
                *pinned = None;
            }
        }
    }

    async fn compare(&mut self) {
        for partition in 0..PARTITIONS {
            let naive = &self.naive[partition as usize];
            let bound = ReadBound { bytes: usize::MAX, ..ReadBound::default() };
            let read = self.log.read(&self.place(partition).at(naive.start), bound).await.unwrap();
            assert_eq!(read.end, naive.records.len() as u64, "partition {partition}");
            assert_eq!(
                records(&read.batches),
                naive.records[naive.start as usize..],
                "partition {partition}"
            );
            assert_eq!(self.log.verify(&self.place(partition)).await.unwrap(), []);
        }
    }
}

fn records(batches: &[millstream_log::Batch]) -> Vec<Kept> {
    let of = |batch: &millstream_log::Batch| match &batch.payload {
        Payload::Messages(messages) => messages.clone(),
        Payload::Rows(_) => panic!("rows where messages were appended"),
    };
    let kept =
        |message: Message| Kept { number: number_of(&message), timestamp: message.timestamp.unwrap().0 };
    batches.iter().flat_map(of).map(kept).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_acknowledged_record_is_there_in_order(seed: u64) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_time().build().unwrap();
        runtime.block_on(async {
            let mut world = World::new(seed).await;
            world.live().await;
        });
    }
}
