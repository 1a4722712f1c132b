//! A segment: a file of batches with offsets in a row, and what is known of it.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, PoisonError, RwLock},
};

use bytes::{Buf, BufMut};

use super::{
    batch::Salt,
    files::{Files, LogFile, OpenMode},
    index::IndexBuilder,
};

/// The bytes before the first batch.
pub(super) const SEGMENT_HEADER_BYTES: u64 = 64;
const MAGIC: [u8; 8] = *b"MSLOGSEG";
/// The version of the format of segments.
pub(super) const FORMAT: u32 = 1;

/// A segment as readers see it.
#[derive(Debug)]
pub(super) struct Segment {
    /// The offset of the first record.
    pub base: u64,
    pub salt: Salt,
    pub path: PathBuf,
    extent: RwLock<Extent>,
}

/// How far a segment goes. Only what is durable counts.
#[derive(Clone, Debug)]
pub(super) struct Extent {
    /// The bytes that can be read.
    pub length: u64,
    /// The offset after the last record: where the next segment begins, if there is one.
    pub end: u64,
    pub index: IndexBuilder,
}

impl Segment {
    pub(super) fn new(folder: &Path, base: u64, salt: Salt, extent: Extent) -> Self {
        Self { base, salt, path: log_path(folder, base), extent: RwLock::new(extent) }
    }

    /// What the function makes of the present extent.
    pub(super) fn with<T>(&self, of: impl FnOnce(&Extent) -> T) -> T {
        of(&self.extent.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn change(&self, change: impl FnOnce(&mut Extent)) {
        change(&mut self.extent.write().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Extent {
    pub(super) fn empty(base: u64) -> Self {
        Self { length: SEGMENT_HEADER_BYTES, end: base, index: IndexBuilder::default() }
    }
}

pub(super) fn log_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}.log"))
}

pub(super) fn index_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}.index"))
}

pub(super) fn producers_path(folder: &Path, base: u64) -> PathBuf {
    folder.join(format!("{base:020}.producers"))
}

/// The first offset in the name of a segment's file, and the end of the name.
pub(super) fn base_of(name: &str) -> Option<(u64, &str)> {
    let (base, kind) = name.split_once('.')?;
    (base.len() == 20).then_some(())?;
    Some((base.parse().ok()?, kind))
}

/// Makes the file of a new segment, durable but for its name in the folder.
pub(super) fn create(files: &dyn Files, path: &Path, base: u64, salt: &Salt) -> io::Result<Arc<dyn LogFile>> {
    let file = files.open(path, OpenMode::Create)?;
    file.write_all_at(&header(base, salt), 0)?;
    file.sync()?;
    Ok(file)
}

/// Writes the header of a segment over a damaged one.
pub(super) fn write_header(file: &dyn LogFile, base: u64, salt: &Salt) -> io::Result<()> {
    file.write_all_at(&header(base, salt), 0)
}

fn header(base: u64, salt: &Salt) -> Vec<u8> {
    let mut out = Vec::with_capacity(64);
    out.put_slice(&MAGIC);
    out.put_u32_le(FORMAT);
    out.put_u64_le(base);
    out.put_slice(salt);
    out.put_u32_le(crc32fast::hash(&out));
    out.resize(64, 0);
    out
}

/// What the header of a segment says.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum SegmentHeader {
    Valid(Salt),
    /// Written by a version with this format.
    Format(u32),
    Invalid,
}

pub(super) fn read_header(file: &dyn LogFile, base: u64) -> io::Result<SegmentHeader> {
    let mut bytes = [0; 64];
    let read = file.read_at(&mut bytes, 0)?;
    Ok(parse_header(bytes.get(..read).unwrap_or_default(), base).unwrap_or(SegmentHeader::Invalid))
}

fn parse_header(bytes: &[u8], base: u64) -> Option<SegmentHeader> {
    let content = bytes.get(..36)?;
    let crc = bytes.get(36..40)?.get_u32_le();
    if crc != crc32fast::hash(content) {
        return None;
    }
    let mut from = content.strip_prefix(&MAGIC)?;
    let format = from.get_u32_le();
    if format != FORMAT {
        return Some(SegmentHeader::Format(format));
    }
    (from.get_u64_le() == base).then_some(())?;
    Some(SegmentHeader::Valid(from.try_into().ok()?))
}
