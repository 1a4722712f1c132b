//! What of a partition may go.

use std::sync::Arc;

use millstream_types::TimestampMicros;

use super::{
    files::ReplaceFault,
    partition::{Partition, Writer, locked},
    segment::{self, SEGMENT_HEADER_BYTES, Segment},
};
use crate::{LogError, Maintained, Retention, error::Result};

/// What retention goes by of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SegmentFact {
    /// The offset after the last record.
    pub end: u64,
    pub bytes: u64,
    pub appended_max: i64,
}

/// How many of the oldest segments may go. The last of `segments` is the one that is written to, and never goes.
pub(super) fn removable(
    segments: &[SegmentFact],
    retention: &Retention,
    now: TimestampMicros,
    start: u64,
    pinned: Option<u64>,
) -> usize {
    let mut bytes: u64 = segments.iter().map(|segment| segment.bytes).sum();
    let closed = segments.split_last().map_or(&[][..], |(_, closed)| closed);
    let mut count = 0;
    for segment in closed {
        let is_trimmed = segment.end <= start;
        let is_pinned = !retention.over_pins && pinned.is_some_and(|pinned| segment.end > pinned);
        let is_too_large = retention.bytes.is_some_and(|bound| bytes > bound);
        if !is_trimmed && (is_pinned || !(is_too_large || is_older(segment.appended_max, retention, now))) {
            break;
        }
        bytes = bytes.saturating_sub(segment.bytes);
        count += 1;
    }
    count
}

/// Whether records that were appended then are older than the retention keeps them.
pub(super) fn is_older(appended: i64, retention: &Retention, now: TimestampMicros) -> bool {
    let age = retention.age.map(|age| i64::try_from(age.as_micros()).unwrap_or(i64::MAX));
    age.is_some_and(|age| appended.saturating_add(age) < now.0)
}

impl Partition {
    /// Lets go what retention allows, the segment that is written to included when all it has is too old.
    pub(super) fn maintain(&self, writer: &mut Writer) -> Result<Maintained> {
        if writer.poisoned.is_some() {
            return Ok(Maintained::default());
        }
        let retention = self.shared.retention(&self.place.topic);
        let (appended, length, end) =
            writer.segment.with(|extent| (extent.index.appended_max, extent.length, extent.end));
        let is_pinned =
            !retention.over_pins && self.shared.pinned(&self.place).is_some_and(|pinned| pinned < end);
        let now = (self.shared.options.clock)();
        if length > SEGMENT_HEADER_BYTES && is_older(appended, &retention, now) && !is_pinned {
            self.roll(writer)?;
        }
        self.retain(writer)
    }

    /// Makes the records before the offset unreadable. Blocks.
    pub(super) fn trim(&self, offset: u64) -> Result<()> {
        let mut writer = locked(&self.writer);
        if let Some(reason) = &writer.poisoned {
            return Err(LogError::Poisoned { place: self.place.clone(), reason: reason.clone() });
        }
        let offsets = self.start()..self.end();
        if offset > offsets.end {
            return Err(LogError::Range { place: self.place.clone(), offset, offsets });
        }
        let start = offset.max(offsets.start);
        let segments = self.segments();
        let closed = segments.split_last().map_or(&[][..], |(_, closed)| closed);
        let count = closed.iter().take_while(|segment| segment.with(|extent| extent.end) <= start).count();
        self.remove_before(&mut writer, start, count).map(|_| ())
    }

    /// Removes the segments that may go.
    pub(super) fn retain(&self, writer: &mut Writer) -> Result<Maintained> {
        let retention = self.shared.retention(&self.place.topic);
        let segments = self.segments();
        let facts: Vec<SegmentFact> = segments.iter().map(|segment| fact(segment)).collect();
        let now = (self.shared.options.clock)();
        let count = removable(&facts, &retention, now, self.start(), self.shared.pinned(&self.place));
        let start = segments.get(count).filter(|_| count > 0).map_or(0, |segment| segment.base);
        self.remove_before(writer, self.start().max(start), count)
    }

    /// Makes the records before the offset unreadable, and removes the first segments. The manifest says so first, so that a file
    /// that is missing without that is a damage.
    pub(super) fn remove_before(&self, writer: &mut Writer, start: u64, count: usize) -> Result<Maintained> {
        let files = &*self.shared.options.files;
        let mut kept = self.segments();
        let gone: Vec<Arc<Segment>> = kept.drain(..count).collect();
        if gone.is_empty() && start == self.start() {
            return Ok(Maintained::default());
        }
        let path = self.folder.join(super::manifest::NAME);
        match self.manifest(writer, start, &kept).write(files, &self.folder) {
            Ok(()) => {}
            Err(ReplaceFault::Unchanged(error)) => return Err(LogError::storage("write", &path)(error)),
            // The files stay, whichever manifest it is; the records are gone all the same, since they may be after a restart.
            Err(ReplaceFault::Unknown(error)) => {
                self.set_start(start);
                self.change_segments(|present| *present = kept);
                return Err(LogError::storage("sync", &self.folder)(error));
            }
        }
        self.set_start(start);
        self.change_segments(|present| *present = kept);
        let mut maintained = Maintained { segments: gone.len(), bytes: 0 };
        for segment in gone {
            maintained.bytes += segment.with(|extent| extent.length);
            // A file that stays is removed when the log is opened.
            let _ = files.remove(&segment.path);
            let _ = files.remove(&segment::index_path(&self.folder, segment.base));
            let _ = files.remove(&segment::producers_path(&self.folder, segment.base));
        }
        self.release_bytes(maintained.bytes);
        Ok(maintained)
    }
}

fn fact(segment: &Segment) -> SegmentFact {
    segment.with(|extent| SegmentFact {
        end: extent.end,
        bytes: extent.length,
        appended_max: extent.index.appended_max,
    })
}
