//! Reading a partition, from an offset or a time.

use std::{io::ErrorKind, ops::Range, sync::Arc};

use millstream_types::TimestampMicros;

use super::{
    batch::{BatchHeader, BodyKind},
    files::{LogFile, OpenMode},
    messages,
    partition::Partition,
    rows::TopicSchema,
    scan::{BatchReader, CHUNK_BYTES, RawBatch, Step},
    segment::{SEGMENT_HEADER_BYTES, Segment},
};
use crate::{Batch, Damage, Lag, LogError, Payload, Read, ReadBound, error::Result};

/// The least that is read of a file at once.
const READ_BYTES_MIN: usize = 128 << 10;

/// Finds the schema of rows by its number.
pub(super) type Schemas<'a> = dyn Fn(u32) -> Result<Arc<TopicSchema>> + 'a;

/// What comes next in a partition.
enum Next {
    Batch(RawBatch),
    /// Offsets that cannot be read; reading goes on behind them.
    Hole(Damage),
    End,
}

/// Goes from batch to batch through the segments of a partition.
struct Walk<'a> {
    partition: &'a Partition,
    /// The segments that are yet to be read, the next one last.
    segments: Vec<Arc<Segment>>,
    /// The offset that is expected next.
    expected: u64,
    /// Where the walk ends.
    end: u64,
    chunk_bytes: usize,
}

/// A segment that is read.
struct Open {
    segment: Arc<Segment>,
    file: Option<Arc<dyn LogFile>>,
    end: u64,
    limit: u64,
    position: u64,
}

impl Walk<'_> {
    /// Tells the visitor of one batch or hole after the other until it says to stop.
    fn run(
        mut self,
        mut begin: Option<(u64, u64)>,
        visit: &mut dyn FnMut(Next) -> Result<bool>,
    ) -> Result<()> {
        while self.expected < self.end {
            let Some(segment) = self.segments.pop() else { break };
            if segment.base > self.expected {
                let damage = self.damage(segment.base, self.expected..segment.base);
                self.expected = segment.base;
                if !visit(Next::Hole(damage))? {
                    return Ok(());
                }
            }
            let position = match begin.take() {
                Some((offset, position)) => {
                    self.expected = offset;
                    position
                }
                None => SEGMENT_HEADER_BYTES,
            };
            let (limit, end) = segment.with(|extent| (extent.length, extent.end));
            let file = match self.partition.shared.options.files.open(&segment.path, OpenMode::Read) {
                Ok(file) => Some(file),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    // Retention may have removed it in between.
                    if self.partition.start() >= end {
                        return Err(self.out_of_range(self.expected));
                    }
                    None
                }
                Err(error) => return Err(LogError::storage("open", &segment.path)(error)),
            };
            let open = Open { segment, file, end: end.min(self.end), limit, position };
            if !self.segment(open, visit)? {
                return Ok(());
            }
        }
        visit(Next::End).map(|_| ())
    }

    fn segment(&mut self, open: Open, visit: &mut dyn FnMut(Next) -> Result<bool>) -> Result<bool> {
        let Open { segment, file, end, limit, position } = open;
        let mut reader = file
            .as_deref()
            .map(|file| BatchReader::new(file, segment.salt, position, limit, self.chunk_bytes));
        let read = |error| LogError::storage("read", &segment.path)(error);
        let mut good = position;
        while self.expected < end {
            let step = reader.as_mut().map_or(Ok(Step::End), BatchReader::step).map_err(read)?;
            let batch = match step {
                Step::Batch(batch) if batch.header.base >= self.expected => batch,
                Step::Batch(_) | Step::Invalid => {
                    let resumed = match &mut reader {
                        Some(reader) => {
                            reader.position = good;
                            reader.resume(self.expected).map_err(read)?
                        }
                        None => false,
                    };
                    if resumed {
                        continue;
                    }
                    return self.hole(&segment, end, visit);
                }
                Step::End => return self.hole(&segment, end, visit),
            };
            if batch.header.base > self.expected && !self.hole(&segment, batch.header.base, visit)? {
                return Ok(false);
            }
            self.expected = batch.header.end();
            good = batch.position + batch.header.batch_bytes();
            if !visit(Next::Batch(batch))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Tells of the offsets up to this one that cannot be read.
    fn hole(
        &mut self,
        segment: &Segment,
        to: u64,
        visit: &mut dyn FnMut(Next) -> Result<bool>,
    ) -> Result<bool> {
        let damage = self.damage(segment.base, self.expected..to);
        self.expected = to;
        visit(Next::Hole(damage))
    }

    fn damage(&self, segment: u64, offsets: Range<u64>) -> Damage {
        let damage = Damage { place: self.partition.place.clone(), segment, offsets, proven: true };
        self.partition.note_damage(damage)
    }

    fn out_of_range(&self, offset: u64) -> LogError {
        let partition = self.partition;
        LogError::Range {
            place: partition.place.clone(),
            offset,
            offsets: partition.start()..partition.end(),
        }
    }
}

impl Partition {
    fn walk(&self, from: u64, end: u64, chunk_bytes: usize) -> (Walk<'_>, Option<(u64, u64)>) {
        let mut segments = self.segments_from(from);
        let first = segments.first().and_then(|segment| segment.with(|extent| extent.index.by_offset(from)));
        let expected = segments.first().map_or(from, |segment| segment.base.min(from));
        segments.reverse();
        let walk = Walk { partition: self, segments, expected, end, chunk_bytes };
        (walk, first.map(|entry| (entry.offset, entry.position)))
    }

    fn check_range(&self, offset: u64) -> Result<u64> {
        let offsets = self.start()..self.end();
        if offset < offsets.start || offset > offsets.end {
            return Err(LogError::Range { place: self.place.clone(), offset, offsets });
        }
        Ok(offsets.end)
    }

    /// Records from the offset on. Blocks.
    pub(super) fn read(&self, from: u64, bound: ReadBound, schemas: &Schemas<'_>) -> Result<Read> {
        let end = self.check_range(from)?;
        let mut read = Read { batches: Vec::new(), next: from, end };
        if from == end || bound.records == 0 {
            return Ok(read);
        }
        let chunk_bytes = bound.bytes.clamp(READ_BYTES_MIN, CHUNK_BYTES);
        let (walk, begin) = self.walk(from, end, chunk_bytes);
        let (mut bytes, mut records) = (0, 0);
        walk.run(begin, &mut |next| match next {
            Next::End => Ok(false),
            Next::Hole(damage) => {
                if damage.offsets.end <= read.next {
                    return Ok(true);
                }
                if read.batches.is_empty() { Err(LogError::Damaged(damage)) } else { Ok(false) }
            }
            Next::Batch(raw) => {
                if raw.header.end() <= read.next {
                    return Ok(true);
                }
                bytes += raw.body.len();
                let batch = self.decode(&raw, schemas);
                let batch = match batch {
                    Err(LogError::Damaged(_)) if !read.batches.is_empty() => return Ok(false),
                    batch => batch?,
                };
                let skipped = usize::try_from(read.next - batch.offset).unwrap_or(usize::MAX);
                let payload = batch.payload.cut(skipped, bound.records - records);
                let batch = Batch { offset: read.next, payload, ..batch };
                records += batch.payload.records();
                read.next = batch.offsets().end;
                read.batches.push(batch);
                Ok(bytes < bound.bytes && records < bound.records)
            }
        })?;
        Ok(read)
    }

    fn decode(&self, raw: &RawBatch, schemas: &Schemas<'_>) -> Result<Batch> {
        let header = &raw.header;
        let payload = match header.kind {
            BodyKind::Messages | BodyKind::StampedMessages => {
                let messages = messages::decode(header, &raw.body);
                Payload::Messages(messages.ok_or_else(|| self.unreadable(header))?)
            }
            BodyKind::Rows => {
                let rows =
                    schemas(header.schema)?.decode(raw.body.clone()).map_err(LogError::rows("read"))?;
                if rows.num_rows() as u64 != u64::from(header.records) {
                    return Err(self.unreadable(header));
                }
                Payload::Rows(rows)
            }
        };
        Ok(Batch { offset: header.base, timestamp: TimestampMicros(header.timestamp_max), payload })
    }

    /// The error for a batch whose checksum holds and whose content does not.
    fn unreadable(&self, header: &BatchHeader) -> LogError {
        let segment = self.segments_from(header.base).first().map_or(0, |segment| segment.base);
        let damage =
            Damage { place: self.place.clone(), segment, offsets: header.base..header.end(), proven: true };
        LogError::Damaged(self.note_damage(damage))
    }

    /// The offset of the first record that is not earlier than the time. Blocks.
    pub(super) fn offset_at(&self, time: TimestampMicros) -> Result<Option<u64>> {
        let (start, end) = (self.start(), self.end());
        let mut found = None;
        for segment in self.segments_from(start) {
            let (latest, segment_end, entry) =
                segment.with(|extent| (extent.index.timestamp_max, extent.end, extent.index.by_time(time.0)));
            if latest < time.0 || segment_end <= start {
                continue;
            }
            let begin = entry.map(|entry| (entry.offset, entry.position));
            let walk = Walk {
                partition: self,
                segments: vec![Arc::clone(&segment)],
                expected: segment.base,
                end: end.min(segment_end),
                chunk_bytes: READ_BYTES_MIN,
            };
            walk.run(begin, &mut |next| {
                if let Next::Batch(raw) = next {
                    found = first_at(&raw, time.0, start);
                }
                Ok(found.is_none())
            })?;
            if found.is_some() {
                break;
            }
        }
        Ok(found)
    }

    /// The damage of everything that is kept. Blocks.
    pub(super) fn verify(&self) -> Result<Vec<Damage>> {
        let (start, end) = (self.start(), self.end());
        let (walk, _) = self.walk(start, end, CHUNK_BYTES);
        let mut damage = Vec::new();
        walk.run(None, &mut |next| {
            match next {
                Next::Batch(raw) if raw.header.kind != BodyKind::Rows => {
                    if messages::decode(&raw.header, &raw.body).is_none()
                        && let LogError::Damaged(found) = self.unreadable(&raw.header)
                    {
                        damage.push(found);
                    }
                }
                Next::Hole(found) => damage.push(found),
                Next::Batch(_) | Next::End => {}
            }
            Ok(true)
        })?;
        damage.retain(|damage| damage.offsets.end > start);
        Ok(damage)
    }

    /// How far a reader at the offset is behind. Blocks.
    pub(super) fn lag(&self, offset: u64) -> Result<Lag> {
        let (start, end) = (self.start(), self.end());
        let records = end.saturating_sub(offset.max(start));
        if records == 0 {
            return Ok(Lag::default());
        }
        let (walk, begin) = self.walk(offset.max(start), end, READ_BYTES_MIN);
        let mut since = None;
        walk.run(begin, &mut |next| match next {
            Next::Batch(raw) if raw.header.end() <= offset => Ok(true),
            Next::Batch(raw) => {
                let skipped = usize::try_from(offset.saturating_sub(raw.header.base)).unwrap_or(usize::MAX);
                since = timestamps(&raw).and_then(|mut timestamps| timestamps.nth(skipped));
                Ok(false)
            }
            Next::Hole(damage) => Ok(damage.offsets.end <= offset),
            Next::End => Ok(false),
        })?;
        Ok(Lag { records, since: since.map(TimestampMicros) })
    }
}

/// The offset of the batch's first record that is at or after `start` and not earlier than the time.
fn first_at(raw: &RawBatch, time: i64, start: u64) -> Option<u64> {
    if raw.header.timestamp_max < time || raw.header.end() <= start {
        return None;
    }
    let mut offsets = (raw.header.base..).zip(timestamps(raw)?);
    offsets.find(|(offset, timestamp)| *offset >= start && *timestamp >= time).map(|(offset, _)| offset)
}

/// The timestamps of the batch's records; `None` where they cannot be read.
fn timestamps(raw: &RawBatch) -> Option<Box<dyn Iterator<Item = i64>>> {
    let header = &raw.header;
    if header.kind == BodyKind::StampedMessages {
        let messages = messages::decode(header, &raw.body)?;
        return Some(Box::new(
            messages.into_iter().filter_map(|message| message.timestamp).map(|time| time.0),
        ));
    }
    let records = usize::try_from(header.records).ok()?;
    Some(Box::new(std::iter::repeat_n(header.timestamp_max, records)))
}
