//! The file system as the log uses it, so that tests can put one in its place that fails and forgets as real ones do.

use std::{
    any::Any,
    fmt::Debug,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::owner;

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenMode {
    Read,
    Write,
    /// For writing, empty, whether it was there or not.
    Create,
}

/// An open file. Reads and writes name their place, so that they can run side by side.
pub trait LogFile: Send + Sync + Debug {
    fn length(&self) -> io::Result<u64>;

    /// Fills the buffer from that place on, as far as the file goes, and gives the number of bytes.
    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize>;

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()>;

    fn set_length(&self, length: u64) -> io::Result<()>;

    /// Returns when content and length survive a loss of power.
    fn sync(&self) -> io::Result<()>;
}

/// Folders and files. What is made, renamed or removed survives a loss of power after its folder was synced.
pub trait Files: Send + Sync + Debug {
    /// Takes the folder for this process until the answer is dropped; the number of the process that has it, if known, where
    /// another one has it.
    fn lock(&self, folder: &Path) -> io::Result<FolderLock>;

    /// Makes the folder with those above it, where they are not there yet.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// The names in the folder.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn LogFile>>;

    /// Puts the file or folder in the place of another one, if there is one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    fn remove(&self, path: &Path) -> io::Result<()>;

    fn remove_folder(&self, path: &Path) -> io::Result<()>;

    fn sync_folder(&self, path: &Path) -> io::Result<()>;
}

/// The answer to the wish to have a folder alone.
#[derive(Debug)]
pub enum FolderLock {
    /// The folder is this process's until this value is dropped.
    Held(Box<dyn Any + Send + Sync>),
    InUse(Option<u32>),
}

/// The file system of this machine.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Files for Disk {
    fn lock(&self, folder: &Path) -> io::Result<FolderLock> {
        let path = folder.join(owner::LOCK);
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path)?;
        match file.try_lock() {
            Ok(()) => {
                owner::note(&file);
                Ok(FolderLock::Held(Box::new(file)))
            }
            Err(TryLockError::WouldBlock) => Ok(FolderLock::InUse(owner::noted(&path))),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        fs::create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        // A name that is no text was not given by the log.
        fs::read_dir(path)?
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn LogFile>> {
        let file = match mode {
            OpenMode::Read => File::open(path)?,
            OpenMode::Write => OpenOptions::new().read(true).write(true).open(path)?,
            OpenMode::Create => {
                OpenOptions::new().read(true).write(true).create(true).truncate(true).open(path)?
            }
        };
        Ok(Arc::new(file))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_folder(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir_all(path)
    }

    fn sync_folder(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }
}

impl LogFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read_at(&self, buffer: &mut [u8], position: u64) -> io::Result<usize> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match FileExt::read_at(self, rest, position + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }

    fn write_all_at(&self, bytes: &[u8], position: u64) -> io::Result<()> {
        FileExt::write_all_at(self, bytes, position)
    }

    fn set_length(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// The whole file; `None` where there is none.
pub(super) fn read(files: &dyn Files, path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match files.open(path, OpenMode::Read) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        opened => opened?,
    };
    let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    let read = file.read_at(&mut bytes, 0)?;
    bytes.truncate(read);
    Ok(Some(bytes))
}

/// Writes a file by itself that may be lost: what can be worked out anew.
pub(super) fn write_derived(files: &dyn Files, path: &Path, bytes: &[u8]) -> io::Result<()> {
    files.open(path, OpenMode::Create)?.write_all_at(bytes, 0)
}

/// Why a file was not replaced.
#[derive(Debug)]
pub(super) enum ReplaceFault {
    /// The former file is in place.
    Unchanged(io::Error),
    /// The file may be the former or the new one after a loss of power.
    Unknown(io::Error),
}

impl ReplaceFault {
    pub(super) fn into_error(self) -> io::Error {
        match self {
            Self::Unchanged(error) | Self::Unknown(error) => error,
        }
    }
}

/// Puts a file with this content in the place of another one, so that at any moment one of the two is there as a whole. It is durable
/// when this returns.
pub(super) fn replace(files: &dyn Files, path: &Path, bytes: &[u8]) -> Result<(), ReplaceFault> {
    let beside = beside(path);
    let written = files.open(&beside, OpenMode::Create).and_then(|file| {
        file.write_all_at(bytes, 0)?;
        file.sync()
    });
    if let Err(error) = written.and_then(|()| files.rename(&beside, path)) {
        // A file that stays beside is replaced by the next one, and removed when the log is opened.
        let _ = files.remove(&beside);
        return Err(ReplaceFault::Unchanged(error));
    }
    path.parent().map_or(Ok(()), |folder| files.sync_folder(folder)).map_err(ReplaceFault::Unknown)
}

/// What the names of files end with that are not in their place yet.
pub(super) const BESIDE: &str = ".new";

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_os_string();
    name.push(BESIDE);
    path.with_file_name(name)
}
