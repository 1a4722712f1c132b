//! Writing appends to a partition: what waits is written together, synced once, and then answered.
//!
//! The committer runs on a thread that may block while there is something to write, and ends with the last append that waits.

use std::{
    io,
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    files::ReplaceFault,
    index,
    partition::{Partition, Waiting, Writer, locked},
    producers::{Former, Verdict},
    recover::SEGMENT_RECORDS_MAX,
    segment::{self, Extent, SEGMENT_HEADER_BYTES, Segment},
};
use crate::{Appended, LogError, error::Result};

/// A buffer that is larger than this is not kept for the next group.
const BUFFER_BYTES_KEPT: usize = 16 << 20;

/// An append that is on its way to the disk.
struct OnTheWay {
    waiting: Waiting,
    answer: Result<Appended>,
}

impl Partition {
    /// Writes what waits until nothing does.
    pub(super) fn commit_all(self: Arc<Self>) {
        let mut answered = 0;
        let mut sync_took = Duration::ZERO;
        loop {
            self.gather(answered, sync_took);
            let Some(group) = self.next_group() else { return };
            answered = group.len();
            sync_took = self.commit(group);
        }
    }

    /// Waits a moment for those who were answered just now: their next appends are on their way, and would otherwise miss the
    /// sync that begins, and wait for a whole one.
    fn gather(&self, answered: usize, sync_took: Duration) {
        if answered < 2 {
            return;
        }
        let patience = sync_took / 8;
        let begin = Instant::now();
        let mut last = self.waiting();
        while last < answered && begin.elapsed() < patience {
            std::thread::sleep(patience / 8);
            let now = self.waiting();
            if now == last && now > 0 {
                return;
            }
            last = now;
        }
    }

    /// Writes a group and gives how long its sync took.
    fn commit(&self, group: Vec<Waiting>) -> Duration {
        let mut guard = locked(&self.writer);
        let writer = &mut *guard;
        let bytes: u64 = group.iter().map(|waiting| waiting.header.batch_bytes()).sum();
        let records: u64 = group.iter().map(|waiting| u64::from(waiting.header.records)).sum();
        let ready = self.ready(writer, bytes, records);
        if let Err(error) = ready {
            drop(guard);
            Self::refuse(group, &error);
            return Duration::ZERO;
        }
        let (length, mut end) = writer.segment.with(|extent| (extent.length, extent.end));
        let now = (self.shared.options.clock)().0.max(writer.appended_max);
        let mut buffer = std::mem::take(&mut writer.buffer);
        buffer.clear();
        let mut formers = Vec::new();
        let mut on_the_way = Vec::with_capacity(group.len());
        let mut index = Vec::with_capacity(group.len());
        for mut waiting in group {
            let answer = self.place(writer, &mut waiting, end, (now, length), &mut formers);
            if let Ok(Appended { repeated: false, .. }) = answer {
                index.push((waiting.header.clone(), length + buffer.len() as u64));
                waiting.header.encode(&writer.segment.salt, &mut buffer);
                buffer.extend_from_slice(&waiting.body);
                end = waiting.header.end();
            }
            on_the_way.push(OnTheWay { waiting, answer });
        }
        let (written, sync_took) = self.write(writer, &buffer, length);
        match &written {
            Ok(()) => {
                writer.appended_max = now;
                writer.producers.forget_oldest();
                writer.segment.change(|extent| {
                    for (header, position) in &index {
                        extent.index.add(header, *position);
                    }
                    extent.length += buffer.len() as u64;
                    extent.end = end;
                });
                self.publish(end);
            }
            Err(_) => formers.into_iter().rev().for_each(|former| writer.producers.take_back(former)),
        }
        if buffer.capacity() <= BUFFER_BYTES_KEPT {
            writer.buffer = buffer;
        }
        drop(guard);
        Self::answer(on_the_way, written.err());
        sync_took
    }

    /// Sees to it that the group can be written to the last segment.
    fn ready(&self, writer: &mut Writer, bytes: u64, records: u64) -> Result<()> {
        if let Some(reason) = &writer.poisoned {
            return Err(LogError::Poisoned { place: self.place.clone(), reason: reason.clone() });
        }
        let (length, end) = writer.segment.with(|extent| (extent.length, extent.end));
        let is_full = length > SEGMENT_HEADER_BYTES && length + bytes > self.shared.options.segment_bytes;
        if is_full || end - writer.segment.base + records > SEGMENT_RECORDS_MAX {
            self.roll(writer)?;
            if let Err(error) = self.retain(writer) {
                tracing::warn!(place = %self.place, %error, "retention of the event log failed");
            }
        }
        Ok(())
    }

    /// Gives the batch its place, or the answer that it gets without being written.
    fn place(
        &self,
        writer: &mut Writer,
        waiting: &mut Waiting,
        end: u64,
        (now, synced): (i64, u64),
        formers: &mut Vec<Former>,
    ) -> Result<Appended> {
        let header = &mut waiting.header;
        if let Some(sequenced) = &header.sequenced {
            match writer.producers.judge(sequenced, header.records) {
                Verdict::Append => {
                    formers.push(writer.producers.note(sequenced, header.records, end, false));
                }
                Verdict::Repeated(offsets) => return Ok(Appended { offsets, repeated: true }),
                Verdict::OutOfOrder { expected } => {
                    let (place, producer, found) =
                        (self.place.clone(), sequenced.producer, sequenced.sequence);
                    return Err(LogError::OutOfOrder { place, producer, expected, found });
                }
                Verdict::Fenced { current } => {
                    let (producer, epoch) = (sequenced.producer, sequenced.epoch);
                    return Err(LogError::Fenced { producer, epoch, current });
                }
            }
        }
        header.base = end;
        header.appended = now;
        header.synced = synced;
        if waiting.is_stamped_here {
            header.timestamp = now;
            header.timestamp_max = now;
        }
        Ok(Appended { offsets: Some(end..header.end()), repeated: false })
    }

    /// Writes and syncs. What was written by halves is taken back, so that nothing is left behind the last record.
    fn write(&self, writer: &mut Writer, buffer: &[u8], length: u64) -> (Result<()>, Duration) {
        if buffer.is_empty() {
            return (Ok(()), Duration::ZERO);
        }
        let path = &writer.segment.path;
        if let Err(error) = writer.file.write_all_at(buffer, length) {
            if let Err(error) = writer.file.set_length(length) {
                writer.poisoned = Some(error.to_string());
            }
            return (Err(LogError::storage("write to", path)(error)), Duration::ZERO);
        }
        let begin = Instant::now();
        if let Err(error) = writer.file.sync() {
            tracing::error!(place = %self.place, %error, "a sync of the event log failed; the partition takes no records until a restart");
            writer.poisoned = Some(error.to_string());
            let source = Arc::new(error);
            return (Err(LogError::Unsynced { place: self.place.clone(), source }), Duration::ZERO);
        }
        (Ok(()), begin.elapsed())
    }

    fn answer(on_the_way: Vec<OnTheWay>, fault: Option<LogError>) {
        for OnTheWay { waiting, answer } in on_the_way {
            let is_written = matches!(&answer, Ok(appended) if !appended.repeated);
            let answer = match (&fault, answer) {
                // A batch that repeats one of the same group is as durable as that one.
                (Some(fault), Ok(_)) => Err(fault.clone()),
                (_, answer) => answer,
            };
            let Waiting { answer: teller, reserved, room, .. } = waiting;
            if is_written && fault.is_none() {
                reserved.keep();
            }
            drop(room);
            // Whoever has gone away is not told.
            let _ = teller.send(answer);
        }
    }

    fn refuse(group: Vec<Waiting>, error: &LogError) {
        let refused = group.into_iter().map(|waiting| OnTheWay { waiting, answer: Err(error.clone()) });
        Self::answer(refused.collect(), None);
    }

    /// Begins another segment. What the last one has is durable already.
    pub(super) fn roll(&self, writer: &mut Writer) -> Result<()> {
        let files = &*self.shared.options.files;
        let (length, base) = writer.segment.with(|extent| (extent.length, extent.end));
        let former = Arc::clone(&writer.segment);
        let salt = self.shared.salt();
        let path = segment::log_path(&self.folder, base);
        let take_back = |error: io::Error| {
            let _ = files.remove(&path);
            LogError::storage("begin", &path)(error)
        };
        let file = segment::create(files, &path, base, &salt).map_err(take_back)?;
        let next = Arc::new(Segment::new(&self.folder, base, salt, Extent::empty(base)));
        let mut segments = self.segments();
        segments.push(Arc::clone(&next));
        match self.manifest(writer, self.start(), &segments).write(files, &self.folder) {
            Ok(()) => {}
            Err(ReplaceFault::Unchanged(error)) => return Err(take_back(error)),
            // Which manifest is there after a restart nobody knows, and the segment may be named in it: it has to stay.
            Err(ReplaceFault::Unknown(error)) => {
                writer.poisoned = Some(error.to_string());
                return Err(LogError::storage("begin", &path)(error));
            }
        }
        // Both files can be worked out anew.
        let producers = segment::producers_path(&self.folder, base);
        let _ = super::files::write_derived(files, &producers, &writer.producers.encode(&salt));
        let _ = files.remove(&segment::producers_path(&self.folder, former.base));
        let is_whole = self.damage().iter().all(|damage| damage.segment != former.base);
        if is_whole {
            let bytes = former.with(|extent| index::encode(&extent.index, &former.salt, length, base));
            let _ =
                super::files::write_derived(files, &segment::index_path(&self.folder, former.base), &bytes);
        }
        self.add_bytes(SEGMENT_HEADER_BYTES);
        self.change_segments(|present| *present = segments);
        writer.file = file;
        writer.segment = next;
        Ok(())
    }
}
