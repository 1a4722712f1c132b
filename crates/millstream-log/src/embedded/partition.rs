//! A partition of the embedded log: what its readers see, and the queue in front of its writer.

use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{
        Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::{
    Shared,
    batch::BatchHeader,
    files::LogFile,
    manifest::{Durable, Manifest},
    producers::Producers,
    recover::{Recovered, SEGMENT_RECORDS_MAX},
    segment::Segment,
};
use crate::{Appended, Damage, LogError, PartitionInfo, Place, error::Result};

/// The unit of the room in front of a partition: semaphores count in 32 bits.
const ROOM_UNIT_BYTES: u64 = 1 << 10;
/// The most damages that a partition remembers.
const DAMAGE_MAX: usize = 1000;

#[derive(Debug)]
pub(super) struct Partition {
    pub shared: Arc<Shared>,
    pub place: Place,
    pub folder: PathBuf,
    /// The bytes of the partition's topic, all partitions together, those that wait included.
    pub topic_bytes: Arc<AtomicU64>,
    queue: Mutex<Queue>,
    /// Tells that the committer has ended.
    idle: Condvar,
    room: Arc<Semaphore>,
    pub writer: Mutex<Writer>,
    /// Segments that can be read, oldest first.
    segments: RwLock<Vec<Arc<Segment>>>,
    start: AtomicU64,
    end: watch::Sender<End>,
    damage: Mutex<Vec<Damage>>,
}

/// The end of a partition, as those who wait for records see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// The offset after the last durable record.
    pub offset: u64,
    /// Whether no record will come any more, because the topic is deleted or the log closed.
    pub is_final: bool,
}

/// Appends that wait for the committer.
#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Waiting>,
    is_running: bool,
    /// Why no appends are taken any more.
    ended: Option<LogError>,
}

/// An append that waits to be written.
#[derive(Debug)]
pub(super) struct Waiting {
    /// The header, but for what the committer decides: offset, times, and how much was synced before.
    pub header: BatchHeader,
    pub body: Vec<u8>,
    /// Whether the records' timestamp is the time of appending.
    pub is_stamped_here: bool,
    pub answer: oneshot::Sender<Result<Appended>>,
    pub reserved: Reserved,
    /// Held until the append is answered.
    pub room: OwnedSemaphorePermit,
}

/// Bytes that count as taken; they are given back unless they are kept.
#[derive(Debug)]
pub(super) struct Reserved {
    partition: Arc<Partition>,
    bytes: u64,
}

impl Reserved {
    /// Counts the bytes as taken, unless the log or the topic would then be over its bound.
    pub(super) fn new(partition: &Arc<Partition>, bytes: u64, topic_max: Option<u64>) -> Result<Self> {
        partition.add_bytes(bytes);
        let reserved = Self { partition: Arc::clone(partition), bytes };
        let over = |taken: &AtomicU64, bound: Option<u64>| {
            let taken = taken.load(Ordering::Relaxed);
            bound.filter(|bound| taken > *bound).map(|bound| (taken.saturating_sub(bytes), bound))
        };
        if let Some((bytes, bound)) = over(&partition.topic_bytes, topic_max) {
            return Err(LogError::OverBound { topic: Some(partition.place.topic.clone()), bytes, bound });
        }
        if let Some((bytes, bound)) = over(&partition.shared.bytes, partition.shared.options.bytes_max) {
            return Err(LogError::OverBound { topic: None, bytes, bound });
        }
        Ok(reserved)
    }

    /// The bytes are on the disk.
    pub(super) fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.partition.release_bytes(self.bytes);
    }
}

/// The end of a partition that is written to; whoever has it writes.
#[derive(Debug)]
pub(super) struct Writer {
    pub file: Arc<dyn LogFile>,
    pub segment: Arc<Segment>,
    pub producers: Producers,
    pub appended_max: i64,
    /// What was written together last time, to be used again.
    pub buffer: Vec<u8>,
    pub poisoned: Option<String>,
}

impl Partition {
    pub(super) fn new(
        shared: &Arc<Shared>,
        place: Place,
        folder: PathBuf,
        topic_bytes: &Arc<AtomicU64>,
        recovered: Recovered,
    ) -> Option<Arc<Self>> {
        let Recovered { start, segments, file, appended_max, producers, damage } = recovered;
        let last = Arc::clone(segments.last()?);
        let bytes: u64 = segments.iter().map(|segment| segment.with(|extent| extent.length)).sum();
        shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        topic_bytes.fetch_add(bytes, Ordering::Relaxed);
        let end = End { offset: last.with(|extent| extent.end), is_final: false };
        let room =
            u32::try_from(shared.options.waiting_bytes_max / ROOM_UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        let writer =
            Writer { file, segment: last, producers, appended_max, buffer: Vec::new(), poisoned: None };
        Some(Arc::new(Self {
            shared: Arc::clone(shared),
            place,
            folder,
            topic_bytes: Arc::clone(topic_bytes),
            queue: Mutex::default(),
            idle: Condvar::new(),
            room: Arc::new(Semaphore::new(room as usize)),
            writer: Mutex::new(writer),
            segments: RwLock::new(segments),
            start: AtomicU64::new(start),
            end: watch::Sender::new(end),
            damage: Mutex::new(damage),
        }))
    }

    /// Waits for room for so many bytes in front of the partition.
    pub(super) async fn room(&self, bytes: u64) -> Result<OwnedSemaphorePermit> {
        let all =
            u32::try_from(self.shared.options.waiting_bytes_max / ROOM_UNIT_BYTES).unwrap_or(u32::MAX).max(1);
        // An append that is larger than the room waits until it has all of it.
        let units = u32::try_from(bytes.div_ceil(ROOM_UNIT_BYTES)).unwrap_or(u32::MAX).min(all);
        Arc::clone(&self.room)
            .acquire_many_owned(units)
            .await
            .map_err(|_| self.ended().unwrap_or(LogError::Closed))
    }

    /// Hands an append to the committer, and lets one run if none does.
    pub(super) fn enqueue(self: &Arc<Self>, waiting: Waiting) -> Result<()> {
        let mut queue = locked(&self.queue);
        if let Some(ended) = &queue.ended {
            return Err(ended.clone());
        }
        queue.waiting.push_back(waiting);
        if !queue.is_running {
            queue.is_running = true;
            let partition = Arc::clone(self);
            tokio::task::spawn_blocking(move || partition.commit_all());
        }
        Ok(())
    }

    /// The next appends to write together; without any, the committer counts as ended.
    pub(super) fn next_group(&self) -> Option<Vec<Waiting>> {
        let mut queue = locked(&self.queue);
        let bound = self.shared.options.group_bytes_max;
        let (mut bytes, mut records) = (0, 0);
        let mut group = Vec::with_capacity(queue.waiting.len());
        while let Some(waiting) = queue.waiting.front() {
            bytes += waiting.header.batch_bytes();
            records += u64::from(waiting.header.records);
            if (bytes > bound || records > SEGMENT_RECORDS_MAX) && !group.is_empty() {
                break;
            }
            group.extend(queue.waiting.pop_front());
        }
        if group.is_empty() {
            queue.is_running = false;
            self.idle.notify_all();
            return None;
        }
        Some(group)
    }

    /// How many appends wait.
    pub(super) fn waiting(&self) -> usize {
        locked(&self.queue).waiting.len()
    }

    /// Takes no more appends, for this reason, and returns when those before are answered. Blocks.
    pub(super) fn end_appends(&self, reason: LogError) {
        let mut queue = locked(&self.queue);
        queue.ended = Some(reason);
        self.room.close();
        while queue.is_running {
            queue = self.idle.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
        drop(queue);
        self.end.send_modify(|end| end.is_final = true);
    }

    /// Why no appends are taken any more.
    pub(super) fn ended(&self) -> Option<LogError> {
        locked(&self.queue).ended.clone()
    }

    /// The records up to this offset are durable and can be read from now on.
    pub(super) fn publish(&self, offset: u64) {
        self.end.send_modify(|end| end.offset = offset);
    }

    pub(super) fn watch_end(&self) -> watch::Receiver<End> {
        self.end.subscribe()
    }

    pub(super) fn start(&self) -> u64 {
        self.start.load(Ordering::Acquire)
    }

    pub(super) fn set_start(&self, start: u64) {
        self.start.store(start, Ordering::Release);
    }

    pub(super) fn end(&self) -> u64 {
        self.end.borrow().offset
    }

    pub(super) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The segments from the one on that has the offset.
    pub(super) fn segments_from(&self, offset: u64) -> Vec<Arc<Segment>> {
        let segments = self.segments.read().unwrap_or_else(PoisonError::into_inner);
        let after = segments.partition_point(|segment| segment.base <= offset);
        segments.get(after.saturating_sub(1)..).unwrap_or_default().to_vec()
    }

    pub(super) fn change_segments(&self, change: impl FnOnce(&mut Vec<Arc<Segment>>)) {
        change(&mut self.segments.write().unwrap_or_else(PoisonError::into_inner));
    }

    /// Notes damage that a reader came upon, and gives what is known of it.
    pub(super) fn note_damage(&self, found: Damage) -> Damage {
        let mut damage = locked(&self.damage);
        let is_same = |known: &&Damage| {
            known.offsets.start <= found.offsets.start && known.offsets.end >= found.offsets.end
        };
        if let Some(known) = damage.iter().find(is_same) {
            return Damage { proven: known.proven, ..found };
        }
        if damage.len() < DAMAGE_MAX {
            tracing::error!(damage = %found, "records of the event log cannot be read");
            damage.push(found.clone());
            damage.sort_by_key(|damage| damage.offsets.start);
        }
        found
    }

    /// The damage that is known.
    pub(super) fn damage(&self) -> Vec<Damage> {
        locked(&self.damage).clone()
    }

    pub(super) fn info(&self) -> PartitionInfo {
        let segments = self.segments();
        let start = self.start();
        let mut damage = locked(&self.damage).clone();
        damage.retain(|damage| damage.offsets.end > start);
        PartitionInfo {
            offsets: start..self.end(),
            bytes: segments.iter().map(|segment| segment.with(|extent| extent.length)).sum(),
            segments: segments.len(),
            damage,
            poisoned: locked(&self.writer).poisoned.clone(),
        }
    }

    /// Takes no more appends and notes what is durable, so that nothing of it can pass for an unfinished end. Blocks.
    pub(super) fn close(&self) -> Result<()> {
        self.end_appends(LogError::Closed);
        let mut writer = locked(&self.writer);
        if writer.poisoned.is_some() {
            return Ok(());
        }
        // Somebody else may open the log from now on, so nothing is written by those who are late.
        writer.poisoned = Some(LogError::Closed.to_string());
        let path = self.folder.join(super::manifest::NAME);
        let manifest = self.manifest(&writer, self.start(), &self.segments());
        manifest
            .write(&*self.shared.options.files, &self.folder)
            .map_err(|fault| LogError::storage("write", &path)(fault.into_error()))
    }

    /// Takes no more appends because the topic is deleted, and counts its bytes as gone. Blocks.
    pub(super) fn retire(&self) {
        let reason = LogError::NoTopic { topic: self.place.topic.clone() };
        self.end_appends(reason.clone());
        let mut writer = locked(&self.writer);
        writer.poisoned = Some(reason.to_string());
        let bytes = self.segments().iter().map(|segment| segment.with(|extent| extent.length)).sum();
        self.release_bytes(bytes);
    }

    /// What the manifest has to say now, with another start and segments.
    pub(super) fn manifest(&self, writer: &Writer, start: u64, segments: &[Arc<Segment>]) -> Manifest {
        let active = &writer.segment;
        let durable =
            active.with(|extent| Durable { segment: active.base, length: extent.length, end: extent.end });
        let segments = segments.iter().map(|segment| (segment.base, segment.salt)).collect();
        let damage = locked(&self.damage);
        let unproven = damage.iter().filter(|damage| !damage.proven && damage.offsets.end > start);
        let unproven = unproven.map(|damage| damage.offsets.clone()).collect();
        Manifest { start, durable: Some(durable), segments, unproven }
    }

    /// Counts bytes that are gone.
    pub(super) fn release_bytes(&self, bytes: u64) {
        self.shared.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.topic_bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Counts bytes that come.
    pub(super) fn add_bytes(&self, bytes: u64) {
        self.shared.bytes.fetch_add(bytes, Ordering::Relaxed);
        self.topic_bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

/// The guard of a value that no panic leaves by halves.
pub(super) fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
