//! A second copy of the logs' entries, in a file beside the store's folder: what was pushed and is in no other place yet
//! outlives damage of the folder, and its removal.
//!
//! The file begins with [`MAGIC`]. Each entry is its length (4 bytes), the low half of the XXH3 of what follows (4 bytes), the
//! length of the log's name (2 bytes), the name, the entry's position (8 bytes), the last number that the log may have
//! given (8 bytes), and the entry's own bytes. Numbers are big-endian. An entry that a crash cut off ends the file, and was never
//! acknowledged. A file with other faults is damaged: its whole entries are taken, wherever they lie, and it is kept beside.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use xxhash_rust::xxh3::xxh3_64;

use crate::store::check::NAME_BYTES_MAX;

/// Names the kind of file and its version.
const MAGIC: &[u8; 8] = b"MSPUSH1\n";
/// The number of bytes of an entry's length and checksum, which stand before it.
const HEAD_BYTES: usize = 8;
/// The file is rewritten with only the entries that are still needed once the others take more bytes than this, and than them.
const DEAD_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// An entry as it was copied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Copy {
    pub(super) log: String,
    pub(super) position: u64,
    /// The last number that the log may have given when the entry was stored.
    pub(super) number: u64,
    pub(super) bytes: Bytes,
}

/// The file of copies while the store is open.
#[derive(Debug)]
pub(super) struct Copies {
    path: PathBuf,
    /// The open file; none until something is pushed.
    file: Option<File>,
    /// By log and position, where the entries lie that are still needed.
    live: BTreeMap<(String, u64), Range<u64>>,
    /// The position of the file's end, where the unwritten bytes go.
    end: u64,
    unwritten: Vec<u8>,
}

/// The file that belongs to the store in `folder`.
pub(super) fn path_of(folder: &Path) -> PathBuf {
    let mut name = folder.as_os_str().to_owned();
    name.push(".pushed");
    name.into()
}

impl Copies {
    /// Opens the file, if there is one, and gives the entries that `is_missing` in the store.
    pub(super) fn open(
        path: PathBuf,
        mut is_missing: impl FnMut(&str, u64) -> bool,
    ) -> io::Result<(Self, Vec<Copy>)> {
        let end = MAGIC.len() as u64;
        let mut copies = Self { path, file: None, live: BTreeMap::new(), end, unwritten: Vec::new() };
        let mut missing = Vec::new();
        if !copies.path.try_exists()? {
            return Ok((copies, missing));
        }
        let bytes = Bytes::from(fs::read(&copies.path)?);
        let Entries { whole, is_damaged } = Entries::of(&bytes);
        for (copy, place) in whole {
            copies.end = place.end;
            copies.live.insert((copy.log.clone(), copy.position), place);
            if is_missing(&copy.log, copy.position) {
                missing.push(copy);
            }
        }
        let mut file = OpenOptions::new().read(true).write(true).open(&copies.path)?;
        if is_damaged {
            let beside = keep_beside(&copies.path)?;
            tracing::error!(
                file = %copies.path.display(),
                kept = %beside.display(),
                "the second copy of pushed rows is damaged: what is whole in it was taken, other rows that only it had are lost"
            );
            copies.file = Some(file);
            copies.rewrite()?;
            return Ok((copies, missing));
        }
        // What a crash cut off goes, so that the next entry does not follow it.
        file.set_len(copies.end.min(bytes.len() as u64))?;
        begin(&mut file)?;
        copies.file = Some(file);
        Ok((copies, missing))
    }

    /// Adds an entry, which [`Copies::write`] stores.
    pub(super) fn add(&mut self, log: &str, position: u64, number: u64, entry: &[u8]) {
        let start = self.end + self.unwritten.len() as u64;
        self.unwritten.extend_from_slice(&encoded(log, position, number, entry));
        self.live.insert((log.to_owned(), position), start..self.end + self.unwritten.len() as u64);
    }

    /// Brings what was added to the disk.
    pub(super) fn write(&mut self) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let mut made =
                    OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&self.path)?;
                begin(&mut made)?;
                sync_folder(&self.path)?;
                none.insert(made)
            }
        };
        file.seek(SeekFrom::Start(self.end))?;
        file.write_all(&self.unwritten)?;
        file.sync_data()?;
        self.end += self.unwritten.len() as u64;
        self.unwritten.clear();
        Ok(())
    }

    /// Forgets a log's entries up to and with a position: they are in another place by now.
    pub(super) fn trim(&mut self, log: &str, up_to: u64) -> io::Result<()> {
        let known = self.live.len();
        self.live.retain(|(of, position), _| of != log || *position > up_to);
        if self.live.len() == known {
            return Ok(());
        }
        if self.live.is_empty() {
            self.unwritten.clear();
            self.end = MAGIC.len() as u64;
            return self.file.as_ref().map_or(Ok(()), |file| file.set_len(self.end));
        }
        let needed: u64 = self.live.values().map(|place| place.end - place.start).sum();
        let dead = (self.end + self.unwritten.len() as u64).saturating_sub(needed);
        if dead > DEAD_BYTES_MAX && dead > needed { self.rewrite() } else { Ok(()) }
    }

    /// Writes the entries that are needed into a new file, which takes the place of this one.
    fn rewrite(&mut self) -> io::Result<()> {
        self.write()?;
        let Some(old) = &mut self.file else { return Ok(()) };
        let path = self.path.with_extension("pushed-new");
        let mut file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        begin(&mut file)?;
        let (mut end, mut live) = (MAGIC.len() as u64, BTreeMap::new());
        for (name, place) in &self.live {
            let bytes = place.end - place.start;
            old.seek(SeekFrom::Start(place.start))?;
            io::copy(&mut Read::by_ref(old).take(bytes), &mut file)?;
            live.insert(name.clone(), end..end + bytes);
            end += bytes;
        }
        file.sync_all()?;
        fs::rename(&path, &self.path)?;
        sync_folder(&self.path)?;
        (self.file, self.live, self.end) = (Some(file), live, end);
        Ok(())
    }
}

/// Writes what the file begins with.
fn begin(file: &mut File) -> io::Result<()> {
    file.rewind()?;
    file.write_all(MAGIC)?;
    file.sync_all()
}

/// A new name outlives a loss of power once its folder is synced.
fn sync_folder(path: &Path) -> io::Result<()> {
    match path.parent() {
        Some(folder) if cfg!(unix) => File::open(folder)?.sync_all(),
        _ => Ok(()),
    }
}

fn encoded(log: &str, position: u64, number: u64, entry: &[u8]) -> BytesMut {
    // Names are checked to be far shorter.
    let name = u16::try_from(log.len()).unwrap_or(u16::MAX);
    let mut body = BytesMut::with_capacity(18 + log.len() + entry.len());
    body.put_u16(name);
    body.put(log.as_bytes());
    body.put_u64(position);
    body.put_u64(number);
    body.put(entry);
    let mut whole = BytesMut::with_capacity(HEAD_BYTES + body.len());
    // Entries are checked to be far shorter.
    whole.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
    whole.put_u32(checksum(&body));
    whole.put(body);
    whole
}

#[allow(clippy::cast_possible_truncation, reason = "half of the hash is kept")]
fn checksum(body: &[u8]) -> u32 {
    xxh3_64(body) as u32
}

/// What a file holds.
struct Entries {
    whole: Vec<(Copy, Range<u64>)>,
    /// Whether the file has another fault than an entry that was cut off at its end.
    is_damaged: bool,
}

impl Entries {
    fn of(file: &Bytes) -> Self {
        let is_ours = MAGIC.starts_with(file) || file.starts_with(MAGIC);
        let mut entries = Self { whole: Vec::new(), is_damaged: !is_ours };
        let mut at = MAGIC.len();
        while at < file.len() {
            if let Some((copy, end)) = entry_at(file, at) {
                entries.whole.push((copy, at as u64..end as u64));
                at = end;
                continue;
            }
            // An entry that has its length, or one with others behind it, was whole once.
            entries.is_damaged |= body_at(file, at).is_some();
            let Some(next) = (at + 1..file.len()).find(|next| entry_at(file, *next).is_some()) else { break };
            entries.is_damaged = true;
            at = next;
        }
        entries
    }
}

/// The entry that begins there, if it is whole, and where it ends.
fn entry_at(file: &Bytes, at: usize) -> Option<(Copy, usize)> {
    let (body, expected) = body_at(file, at)?;
    // The body is decoded before the checksum is computed, which is too slow where any byte may begin an entry.
    let copy = decoded(body.clone())?;
    (checksum(&body) == expected).then(|| (copy, at + HEAD_BYTES + body.len()))
}

/// What follows the head that begins there, if the file is long enough, and its checksum.
fn body_at(file: &Bytes, at: usize) -> Option<(Bytes, u32)> {
    let mut rest = file.slice(at.min(file.len())..);
    let (length, expected) = (rest.try_get_u32().ok()?, rest.try_get_u32().ok()?);
    let length = usize::try_from(length).ok().filter(|length| *length <= rest.len())?;
    Some((rest.split_to(length), expected))
}

/// Copies a file beside itself, under a name that nothing has.
fn keep_beside(path: &Path) -> io::Result<PathBuf> {
    for number in 1..u32::MAX {
        let beside = path.with_extension(format!("pushed-damaged-{number}"));
        match OpenOptions::new().write(true).create_new(true).open(&beside) {
            Ok(mut file) => {
                io::copy(&mut File::open(path)?, &mut file)?;
                file.sync_all()?;
                return Ok(beside);
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::new(io::ErrorKind::AlreadyExists, "too many damaged files are kept"))
}

/// The entry of a body; none if the body's parts do not have the form of an entry.
fn decoded(mut body: Bytes) -> Option<Copy> {
    let name = usize::from(body.try_get_u16().ok()?);
    if body.len() < name || name > NAME_BYTES_MAX {
        return None;
    }
    let log = String::from_utf8(body.split_to(name).to_vec()).ok()?;
    let (position, number) = (body.try_get_u64().ok()?, body.try_get_u64().ok()?);
    Some(Copy { log, position, number, bytes: body })
}
