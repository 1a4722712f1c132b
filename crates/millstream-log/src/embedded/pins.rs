//! What registered readers of a topic have yet to read.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use super::{
    files::{self, Files},
    manifest::{checked_lines, with_check},
};
use crate::{LogError, Pin, Place, ReaderName, TopicName, error::Result};

pub(super) const NAME: &str = "pins";
/// The version of the format of the file.
const FORMAT: u32 = 1;

/// The offsets that readers have yet to read, by reader and partition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pins(BTreeMap<(ReaderName, u32), u64>);

impl Pins {
    pub(super) fn get(&self, reader: &ReaderName, partition: u32) -> Option<u64> {
        self.0.get(&(reader.clone(), partition)).copied()
    }

    pub(super) fn set(&mut self, reader: &ReaderName, partition: u32, offset: u64) {
        self.0.insert((reader.clone(), partition), offset);
    }

    /// Removes the reader's pins and says whether there were any.
    pub(super) fn remove(&mut self, reader: &ReaderName) -> bool {
        let before = self.0.len();
        self.0.retain(|(pinning, _), _| pinning != reader);
        self.0.len() < before
    }

    /// The first offset of the partition that any reader has yet to read.
    pub(super) fn first(&self, partition: u32) -> Option<u64> {
        self.0.iter().filter(|((_, pinned), _)| *pinned == partition).map(|(_, offset)| *offset).min()
    }

    pub(super) fn all(&self, topic: &TopicName) -> Vec<Pin> {
        let pin = |((reader, partition), offset): (&(ReaderName, u32), &u64)| Pin {
            reader: reader.clone(),
            position: Place::new(topic, *partition).at(*offset),
        };
        self.0.iter().map(pin).collect()
    }

    pub(super) fn write(&self, files: &dyn Files, folder: &Path) -> Result<()> {
        let mut text = format!("pins {FORMAT}\n");
        for ((reader, partition), offset) in &self.0 {
            let _ = writeln!(text, "{reader} {partition} {offset}");
        }
        let path = folder.join(NAME);
        files::replace(files, &path, with_check(text).as_bytes())
            .map_err(|fault| LogError::storage("write", &path)(fault.into_error()))
    }

    /// The pins of a folder. A damaged file is an error: without it, retention would take what readers need.
    pub(super) fn read(files: &dyn Files, folder: &Path) -> Result<Self> {
        let path = folder.join(NAME);
        let Some(bytes) = files::read(files, &path).map_err(LogError::storage("read", &path))? else {
            return Ok(Self::default());
        };
        let damaged =
            || LogError::File { path: path.clone(), reason: "its content is not what was written".into() };
        let text = String::from_utf8(bytes).map_err(|_| damaged())?;
        let mut lines = checked_lines(&text).ok_or_else(damaged)?.lines();
        let found =
            lines.next().and_then(|line| line.strip_prefix("pins ")?.parse().ok()).ok_or_else(damaged)?;
        if found != FORMAT {
            return Err(LogError::Format { path, found, readable: FORMAT });
        }
        let pin = |line: &str| {
            let mut words = line.split(' ');
            let reader = ReaderName::new(words.next()?).ok()?;
            Some(((reader, words.next()?.parse().ok()?), words.next()?.parse().ok()?))
        };
        lines.map(|line| pin(line).ok_or_else(damaged)).collect::<Result<_>>().map(Self)
    }
}
