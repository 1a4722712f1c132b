//! The header of a batch on disk. docs/decisions/0028 has the format.

use bytes::{Buf, BufMut};

use crate::Sequenced;

/// The bytes of a header.
pub(super) const HEADER_BYTES: usize = 96;
/// The first bytes of a header; the last one is the version of the format.
pub(super) const MAGIC: [u8; 4] = *b"MSB\x01";
/// Where the bytes begin that the header's own checksum is of.
const CHECKED_FROM: usize = 8;

/// What tells batches of a segment from bytes that look like one, such as a message whose content is a batch: the checksum of each
/// header begins with it.
pub(super) type Salt = [u8; 16];

/// What a batch's body holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    Messages,
    /// Messages with a timestamp for each.
    StampedMessages,
    Rows,
}

/// The header of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub body_bytes: u32,
    pub body_crc: u32,
    /// The offset of the first record.
    pub base: u64,
    pub records: u32,
    pub kind: BodyKind,
    /// The number of the topic's schema that rows have.
    pub schema: u32,
    /// The timestamp that those of single records are relative to, and the latest of them, in microseconds.
    pub timestamp: i64,
    pub timestamp_max: i64,
    /// When the batch was appended, by the log's clock, never earlier than the batch before.
    pub appended: i64,
    /// How many bytes of the segment were known to be durable when the batch was written.
    pub synced: u64,
    pub sequenced: Option<Sequenced>,
}

impl BatchHeader {
    /// The offset after the last record.
    pub(super) fn end(&self) -> u64 {
        self.base.saturating_add(u64::from(self.records))
    }

    /// The bytes of the batch, header and body.
    pub(super) fn batch_bytes(&self) -> u64 {
        HEADER_BYTES as u64 + u64::from(self.body_bytes)
    }

    pub(super) fn encode(&self, salt: &Salt, out: &mut Vec<u8>) {
        let begin = out.len();
        out.put_slice(&MAGIC);
        out.put_u32_le(0);
        out.put_u32_le(self.body_crc);
        out.put_u32_le(self.body_bytes);
        out.put_u64_le(self.base);
        out.put_u32_le(self.records);
        out.put_u8(match self.kind {
            BodyKind::Messages => 0,
            BodyKind::StampedMessages => 1,
            BodyKind::Rows => 2,
        });
        out.put_u8(u8::from(self.sequenced.is_some()));
        out.put_u16_le(0);
        out.put_i64_le(self.timestamp);
        out.put_i64_le(self.timestamp_max);
        out.put_i64_le(self.appended);
        out.put_u64_le(self.synced);
        let Sequenced { producer, epoch, sequence } =
            self.sequenced.unwrap_or(Sequenced { producer: 0, epoch: 0, sequence: 0 });
        out.put_u128_le(producer);
        out.put_u64_le(sequence);
        out.put_u32_le(epoch);
        out.put_u32_le(self.schema);
        debug_assert_eq!(out.len() - begin, HEADER_BYTES, "the header has a fixed length");
        let checked = out.get(begin + CHECKED_FROM..).unwrap_or_default();
        let crc = checksum(salt, checked).to_le_bytes();
        if let Some(place) = out.get_mut(begin + MAGIC.len()..begin + CHECKED_FROM) {
            place.copy_from_slice(&crc);
        }
    }

    /// The header in these bytes, if they are one of a segment with this salt.
    pub(super) fn parse(bytes: &[u8], salt: &Salt) -> Option<Self> {
        let bytes: &[u8; HEADER_BYTES] = bytes.get(..HEADER_BYTES)?.try_into().ok()?;
        let mut from = bytes.strip_prefix(&MAGIC)?;
        let crc = from.get_u32_le();
        if crc != checksum(salt, from) {
            return None;
        }
        let (body_crc, body_bytes) = (from.get_u32_le(), from.get_u32_le());
        let (base, records) = (from.get_u64_le(), from.get_u32_le());
        let kind = match from.get_u8() {
            0 => BodyKind::Messages,
            1 => BodyKind::StampedMessages,
            2 => BodyKind::Rows,
            _ => return None,
        };
        let is_sequenced = from.get_u8() != 0;
        let _reserved = from.get_u16_le();
        let (timestamp, timestamp_max, appended) = (from.get_i64_le(), from.get_i64_le(), from.get_i64_le());
        let synced = from.get_u64_le();
        let (producer, sequence) = (from.get_u128_le(), from.get_u64_le());
        let (epoch, schema) = (from.get_u32_le(), from.get_u32_le());
        let sequenced = is_sequenced.then_some(Sequenced { producer, epoch, sequence });
        (records > 0).then_some(Self {
            body_bytes,
            body_crc,
            base,
            records,
            kind,
            schema,
            timestamp,
            timestamp_max,
            appended,
            synced,
            sequenced,
        })
    }
}

fn checksum(salt: &Salt, bytes: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(salt);
    hasher.update(bytes);
    hasher.finalize()
}
