//! Going through the batches of a segment, also where bytes are damaged.

use std::{io, ops::Range};

use bytes::Bytes;
use memchr::memmem;

use super::{
    batch::{BatchHeader, HEADER_BYTES, MAGIC, Salt},
    files::LogFile,
    index::IndexBuilder,
    segment::SEGMENT_HEADER_BYTES,
};

/// How much is read at once when everything is gone through.
pub(super) const CHUNK_BYTES: usize = 1 << 20;

/// A batch as it lies in its segment, with a checksum that holds.
#[derive(Debug)]
pub(super) struct RawBatch {
    pub header: BatchHeader,
    pub body: Bytes,
    /// Where the batch begins in the segment's file.
    pub position: u64,
}

/// What stands at a place.
#[derive(Debug)]
pub(super) enum Step {
    Batch(RawBatch),
    /// Nothing more; the reader is at its end.
    End,
    /// No batch, or one whose checksum does not hold.
    Invalid,
}

/// Reads one batch after the other, a chunk at a time.
#[derive(Debug)]
pub(super) struct BatchReader<'a> {
    file: &'a dyn LogFile,
    salt: Salt,
    /// Where the next batch begins.
    pub position: u64,
    /// Where the segment ends.
    limit: u64,
    chunk_bytes: usize,
    chunk: Bytes,
    /// Where the chunk begins in the file.
    chunk_at: u64,
}

impl<'a> BatchReader<'a> {
    pub(super) fn new(
        file: &'a dyn LogFile,
        salt: Salt,
        position: u64,
        limit: u64,
        chunk_bytes: usize,
    ) -> Self {
        Self { file, salt, position, limit, chunk_bytes, chunk: Bytes::new(), chunk_at: 0 }
    }

    /// The batch at the position, which then moves behind it.
    pub(super) fn step(&mut self) -> io::Result<Step> {
        if self.position >= self.limit {
            return Ok(Step::End);
        }
        let salt = self.salt;
        let Some(header) = BatchHeader::parse(&self.bytes(self.position, HEADER_BYTES)?, &salt) else {
            return Ok(Step::Invalid);
        };
        let length = header.body_bytes as usize;
        let body = self.bytes(self.position + HEADER_BYTES as u64, length)?;
        if body.len() < length || crc32fast::hash(&body) != header.body_crc {
            return Ok(Step::Invalid);
        }
        let position = self.position;
        self.position += header.batch_bytes();
        Ok(Step::Batch(RawBatch { header, body, position }))
    }

    /// Moves the position to the next batch that begins behind it and has no offset before `expected`; false if there is none.
    pub(super) fn resume(&mut self, expected: u64) -> io::Result<bool> {
        let finder = memmem::Finder::new(&MAGIC);
        let mut from = self.position + 1;
        while from + HEADER_BYTES as u64 <= self.limit {
            let chunk = self.bytes(from, self.chunk_bytes)?;
            if chunk.len() < HEADER_BYTES {
                break;
            }
            for found in finder.find_iter(&chunk) {
                let candidate = from + found as u64;
                let mut trial = Self::new(self.file, self.salt, candidate, self.limit, HEADER_BYTES);
                let Step::Batch(batch) = trial.step()? else { continue };
                if batch.header.base >= expected {
                    self.position = candidate;
                    return Ok(true);
                }
            }
            // The last bytes may be the beginning of a magic word that goes on in the next chunk.
            from += (chunk.len() - (MAGIC.len() - 1)) as u64;
        }
        Ok(false)
    }

    /// The bytes from that place on, as many as the segment has.
    fn bytes(&mut self, at: u64, length: usize) -> io::Result<Bytes> {
        let end = self.limit.min(at.saturating_add(length as u64));
        let has = |chunk_at: u64, chunk: &Bytes| at >= chunk_at && end <= chunk_at + chunk.len() as u64;
        if !has(self.chunk_at, &self.chunk) {
            let wanted = length.max(self.chunk_bytes) as u64;
            let wanted = usize::try_from(wanted.min(self.limit.saturating_sub(at))).unwrap_or(usize::MAX);
            let mut chunk = vec![0; wanted];
            let read = self.file.read_at(&mut chunk, at)?;
            chunk.truncate(read);
            self.chunk = chunk.into();
            self.chunk_at = at;
        }
        let begin =
            usize::try_from(at.saturating_sub(self.chunk_at)).unwrap_or(usize::MAX).min(self.chunk.len());
        Ok(self.chunk.slice(begin..self.chunk.len().min(begin.saturating_add(length))))
    }
}

/// Records between batches that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Hole {
    pub offsets: Range<u64>,
    /// Where the bytes begin that should have been theirs.
    pub position: u64,
    /// Whether a later batch was written after these bytes had been synced.
    pub proven: bool,
}

/// What a segment holds.
#[derive(Debug)]
pub(super) struct Scanned {
    /// The offset after the last record that can be read.
    pub end: u64,
    /// Where the last batch ends that can be read.
    pub length: u64,
    pub holes: Vec<Hole>,
    /// Up to where a batch says that the bytes were durable.
    pub synced: u64,
    pub index: IndexBuilder,
}

/// Goes through a segment, tells of each batch, and finds all that can be read, behind damaged bytes too.
pub(super) fn scan(
    reader: &mut BatchReader<'_>,
    base: u64,
    each: &mut dyn FnMut(&BatchHeader, bool),
) -> io::Result<Scanned> {
    let begin = SEGMENT_HEADER_BYTES;
    let index = IndexBuilder::default();
    let mut scanned = Scanned { end: base, length: begin, holes: Vec::new(), synced: begin, index };
    loop {
        let batch = match reader.step()? {
            Step::End => break,
            Step::Batch(batch) if batch.header.base >= scanned.end => batch,
            Step::Batch(_) | Step::Invalid => {
                reader.position = scanned.length;
                if !reader.resume(scanned.end)? {
                    break;
                }
                continue;
            }
        };
        let header = batch.header;
        if header.base > scanned.end || batch.position > scanned.length {
            let offsets = scanned.end..header.base;
            scanned.holes.push(Hole { offsets, position: scanned.length, proven: false });
        }
        scanned.synced = scanned.synced.max(header.synced);
        each(&header, !scanned.holes.is_empty());
        scanned.index.add(&header, batch.position);
        scanned.end = header.end();
        scanned.length = batch.position + header.batch_bytes();
    }
    for hole in &mut scanned.holes {
        hole.proven = scanned.synced > hole.position;
    }
    Ok(scanned)
}
