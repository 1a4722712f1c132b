//! All entries of a state as one block of bytes: a mark, the format's version, the entries, and a checksum over all of them.

use xxhash_rust::xxh3::xxh3_64;

use super::{Reader, Stored, Writer};
use crate::{StateChange, StreamError};

/// The version of the bytes of a snapshot and of the entries in it.
pub(crate) const FORMAT: u16 = 1;

const MARK: &[u8; 6] = b"MSSTRM";

pub(crate) fn encode(entries: &[StateChange]) -> Vec<u8> {
    let mut out = Writer::default();
    out.bytes.extend_from_slice(MARK);
    out.bytes.extend_from_slice(&FORMAT.to_le_bytes());
    for StateChange { key, value } in entries {
        out.block(key);
        out.block(value.as_deref().unwrap_or(&[]));
    }
    let checksum = xxh3_64(&out.bytes);
    out.u64(checksum);
    out.bytes
}

/// The entries of a snapshot, each still with its own checksum.
pub(crate) fn decode(bytes: &[u8]) -> Result<Stored, StreamError> {
    let short = || StreamError::damaged("it is shorter than an empty one");
    let (head, rest) = bytes.split_at_checked(MARK.len()).ok_or_else(short)?;
    if head != MARK {
        return Err(StreamError::damaged("it does not begin as one"));
    }
    let (version, _) = rest.split_first_chunk().ok_or_else(short)?;
    let found = u16::from_le_bytes(*version);
    if found != FORMAT {
        return Err(StreamError::Format { found, known: FORMAT });
    }
    let (body, checksum) = bytes.split_last_chunk().ok_or_else(short)?;
    if xxh3_64(body) != u64::from_le_bytes(*checksum) {
        return Err(StreamError::damaged("its checksum is that of other bytes"));
    }
    let mut reader = Reader::new(body.get(MARK.len() + 2..).ok_or_else(short)?);
    let mut stored = Stored::new();
    while !reader.is_empty() {
        let key = reader.block()?.to_vec();
        stored.insert(key, reader.block()?.to_vec());
    }
    Ok(stored)
}
