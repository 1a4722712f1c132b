//! The memory that rows may take together, and the folder for those that do not fit.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arrow::ipc::CompressionType;
use tempfile::TempDir;

use crate::{SpoolError, error::file};

/// The beginning of the name of a space's folder. It lets a folder be recognised that a killed process left behind.
const PREFIX: &str = "millstream-spool-";

/// The memory that the rows of some spools may take together. The space's folder is made for the first file, and removed
/// with the last spool.
#[derive(Debug)]
pub struct Space {
    parent: PathBuf,
    folder: Mutex<Option<TempDir>>,
    limit: usize,
    compression: Option<CompressionType>,
    held: AtomicUsize,
    files: AtomicU64,
    spilled: AtomicU64,
}

impl Space {
    /// A space of up to `limit` bytes in memory. Further rows go to files in a folder of its own in `parent`, as they lay in
    /// memory: rows that are read once and soon are still in the cache of the operating system then.
    #[must_use]
    pub fn new(parent: impl Into<PathBuf>, limit: usize) -> Arc<Self> {
        Self::with(parent.into(), limit, None)
    }

    /// The same with compressed files, for rows that stay for long or are read column by column. Compressing them takes
    /// a third as much processor time again as materialising them does.
    #[must_use]
    pub fn compressed(parent: impl Into<PathBuf>, limit: usize) -> Arc<Self> {
        Self::with(parent.into(), limit, Some(CompressionType::LZ4_FRAME))
    }

    fn with(parent: PathBuf, limit: usize, compression: Option<CompressionType>) -> Arc<Self> {
        let (folder, held, files, spilled) = Default::default();
        Arc::new(Self { parent, folder, limit, compression, held, files, spilled })
    }

    pub(crate) fn compression(&self) -> Option<CompressionType> {
        self.compression
    }

    /// Makes the folder now, so that a folder that cannot be written to is reported before the work rather than in its
    /// midst.
    pub fn prepare(&self) -> Result<(), SpoolError> {
        self.in_folder(|_| ())
    }

    /// The size of all rows that were written to files so far, in bytes as they lay in memory.
    #[must_use]
    pub fn spilled_bytes(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    pub(crate) fn count_spilled(&self, bytes: usize) {
        self.spilled.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Reserves `bytes` more if they fit, and says whether they did.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let add = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// The path of the next file.
    pub(crate) fn next_path(&self) -> Result<PathBuf, SpoolError> {
        let number = self.files.fetch_add(1, Ordering::Relaxed);
        self.in_folder(|folder| folder.join(format!("{number}.arrows")))
    }

    fn in_folder<T>(&self, answer: impl FnOnce(&Path) -> T) -> Result<T, SpoolError> {
        let mut folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = match &mut *folder {
            Some(folder) => folder,
            none => {
                let made = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&self.parent);
                none.insert(made.map_err(file("create a folder in", &self.parent))?)
            }
        };
        Ok(answer(folder.path()))
    }
}
