//! What a partition consists of. Without this file a missing first or last segment could not be told from one that never was.

use std::{fmt::Write as _, ops::Range, path::Path};

use super::{
    batch::Salt,
    files::{self, Files, ReplaceFault},
};
use crate::{LogError, error::Result};

pub(super) const NAME: &str = "manifest";
/// The version of the format of manifests.
const FORMAT: u32 = 1;

/// What a partition consists of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Manifest {
    /// The offset of the first record that can be read.
    pub start: u64,
    /// What was known to be durable when this was written: the segment, its bytes, and the offset after the last record.
    pub durable: Option<Durable>,
    /// First offsets and salts of the segments, oldest first.
    pub segments: Vec<(u64, Salt)>,
    /// Offsets that cannot be read and may never have been acknowledged. Batches that were written since do not prove that they were.
    pub unproven: Vec<Range<u64>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Durable {
    pub segment: u64,
    pub length: u64,
    pub end: u64,
}

impl Manifest {
    pub(super) fn write(&self, files: &dyn Files, folder: &Path) -> Result<(), ReplaceFault> {
        files::replace(files, &folder.join(NAME), self.text().as_bytes())
    }

    /// The manifest of a folder; `None` where it is missing or damaged.
    pub(super) fn read(files: &dyn Files, folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(NAME);
        let bytes = files::read(files, &path).map_err(LogError::storage("read", &path))?;
        let Some(text) = bytes.and_then(|bytes| String::from_utf8(bytes).ok()) else { return Ok(None) };
        let Some(lines) = checked_lines(&text) else { return Ok(None) };
        match Self::parse(lines) {
            Some(Parsed::Manifest(manifest)) => Ok(Some(manifest)),
            Some(Parsed::Format(found)) => Err(LogError::Format { path, found, readable: FORMAT }),
            None => Ok(None),
        }
    }

    fn text(&self) -> String {
        let mut text = format!("partition {FORMAT}\nstart {}\n", self.start);
        if let Some(Durable { segment, length, end }) = self.durable {
            let _ = writeln!(text, "durable {segment} {length} {end}");
        }
        for (base, salt) in &self.segments {
            let _ = writeln!(text, "segment {base} {:032x}", u128::from_be_bytes(*salt));
        }
        for offsets in &self.unproven {
            let _ = writeln!(text, "unproven {} {}", offsets.start, offsets.end);
        }
        with_check(text)
    }

    fn parse(lines: &str) -> Option<Parsed> {
        let mut lines = lines.lines();
        let format = lines.next()?.strip_prefix("partition ")?.parse().ok()?;
        if format != FORMAT {
            return Some(Parsed::Format(format));
        }
        let mut manifest = Self::default();
        for line in lines {
            let words: Vec<&str> = line.split(' ').collect();
            match *words.as_slice() {
                ["start", start] => manifest.start = start.parse().ok()?,
                ["durable", segment, length, end] => {
                    let (segment, length) = (segment.parse().ok()?, length.parse().ok()?);
                    manifest.durable = Some(Durable { segment, length, end: end.parse().ok()? });
                }
                ["segment", base, salt] => {
                    let salt = u128::from_str_radix(salt, 16).ok()?;
                    manifest.segments.push((base.parse().ok()?, salt.to_be_bytes()));
                }
                ["unproven", start, end] => manifest.unproven.push(start.parse().ok()?..end.parse().ok()?),
                _ => return None,
            }
        }
        Some(Parsed::Manifest(manifest))
    }
}

enum Parsed {
    Manifest(Manifest),
    Format(u32),
}

/// The text with a last line that shows whether the others are as they were written.
pub(super) fn with_check(mut text: String) -> String {
    let crc = crc32fast::hash(text.as_bytes());
    let _ = writeln!(text, "check {crc:08x}");
    text
}

/// The lines of a text before its check, if it holds.
pub(super) fn checked_lines(text: &str) -> Option<&str> {
    let check = text.strip_suffix('\n')?.rsplit_once('\n')?.1;
    let lines = text.get(..text.len() - check.len() - 1)?;
    let crc = u32::from_str_radix(check.strip_prefix("check ")?, 16).ok()?;
    (crc == crc32fast::hash(lines.as_bytes())).then_some(lines)
}
