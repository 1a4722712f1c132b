//! The sparse index of a segment: where some of its batches begin, by offset and by time. It is worked out from the segment; its
//! file saves going through a segment that is complete.

use bytes::{Buf, BufMut};

use super::batch::{BatchHeader, Salt};

/// How far apart the batches of the index are at least.
const INTERVAL_BYTES: u64 = 64 << 10;
/// The first bytes of an index file; the last one is the version of the format.
const MAGIC: [u8; 4] = *b"MSI\x01";

/// A batch that can be found without reading those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct IndexEntry {
    pub offset: u64,
    pub position: u64,
    /// The latest timestamp of the records before the batch in its segment.
    pub timestamp_before: i64,
}

/// What is known of a segment's content besides its bytes.
#[derive(Clone, Debug)]
pub(super) struct IndexBuilder {
    pub entries: Vec<IndexEntry>,
    /// The latest timestamp of all records.
    pub timestamp_max: i64,
    /// When the last record was appended.
    pub appended_max: i64,
}

impl Default for IndexBuilder {
    fn default() -> Self {
        Self { entries: Vec::new(), timestamp_max: i64::MIN, appended_max: i64::MIN }
    }
}

impl IndexBuilder {
    pub(super) fn add(&mut self, header: &BatchHeader, position: u64) {
        if self.entries.last().is_none_or(|last| position >= last.position + INTERVAL_BYTES) {
            let timestamp_before = self.timestamp_max;
            self.entries.push(IndexEntry { offset: header.base, position, timestamp_before });
        }
        self.timestamp_max = self.timestamp_max.max(header.timestamp_max);
        self.appended_max = self.appended_max.max(header.appended);
    }

    /// The last batch of the index that begins at or before the offset.
    pub(super) fn by_offset(&self, offset: u64) -> Option<IndexEntry> {
        let after = self.entries.partition_point(|entry| entry.offset <= offset);
        self.entries.get(after.checked_sub(1)?).copied()
    }

    /// The last batch of the index before which all records are earlier than the time.
    pub(super) fn by_time(&self, time: i64) -> Option<IndexEntry> {
        let after = self.entries.partition_point(|entry| entry.timestamp_before < time);
        self.entries.get(after.saturating_sub(1)).copied()
    }
}

/// The content of an index file: of which segment, how far it goes, and what is known of it.
pub(super) fn encode(index: &IndexBuilder, salt: &Salt, length: u64, end: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 24 * index.entries.len());
    out.put_slice(&MAGIC);
    out.put_slice(salt);
    out.put_u64_le(length);
    out.put_u64_le(end);
    out.put_i64_le(index.timestamp_max);
    out.put_i64_le(index.appended_max);
    for entry in &index.entries {
        out.put_u64_le(entry.offset);
        out.put_u64_le(entry.position);
        out.put_i64_le(entry.timestamp_before);
    }
    out.put_u32_le(crc32fast::hash(&out));
    out
}

/// The index and the end of the segment, if the bytes are the index of a segment with this salt and length.
pub(super) fn parse(bytes: &[u8], salt: &Salt, length: u64) -> Option<(IndexBuilder, u64)> {
    let (content, crc) = bytes.split_last_chunk::<4>()?;
    let mut from = content.strip_prefix(&MAGIC)?.strip_prefix(salt)?;
    if u32::from_le_bytes(*crc) != crc32fast::hash(content) || from.len() < 32 || from.get_u64_le() != length
    {
        return None;
    }
    let end = from.get_u64_le();
    let (timestamp_max, appended_max) = (from.get_i64_le(), from.get_i64_le());
    if from.len() % 24 != 0 {
        return None;
    }
    let mut entries = Vec::with_capacity(from.len() / 24);
    while from.has_remaining() {
        let (offset, position) = (from.get_u64_le(), from.get_u64_le());
        entries.push(IndexEntry { offset, position, timestamp_before: from.get_i64_le() });
    }
    Some((IndexBuilder { entries, timestamp_max, appended_max }, end))
}
