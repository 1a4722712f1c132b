//! The memory that rows may take together, and the folder for those that do not fit.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use tempfile::TempDir;

use crate::{SpoolError, error::file};

/// How the folder of a space is called, so that one that a killed process left behind can be recognised.
const PREFIX: &str = "millstream-spool-";

/// What the rows of some spools may take together. Its folder is made for the first file, and removed with the last spool.
#[derive(Debug)]
pub struct Space {
    parent: PathBuf,
    folder: Mutex<Option<TempDir>>,
    limit: usize,
    held: AtomicUsize,
    files: AtomicU64,
    spilled: AtomicU64,
}

impl Space {
    /// Up to `limit` bytes in memory, then files in a folder of its own in `parent`.
    #[must_use]
    pub fn new(parent: impl Into<PathBuf>, limit: usize) -> Arc<Self> {
        let (folder, held, files, spilled) = Default::default();
        Arc::new(Self { parent: parent.into(), folder, limit, held, files, spilled })
    }

    /// Makes the folder now, so that one that cannot be written to is told of before the work rather than in its midst.
    pub fn prepare(&self) -> Result<(), SpoolError> {
        self.in_folder(|_| ())
    }

    /// Bytes that were written to files so far, as they lay in memory.
    #[must_use]
    pub fn spilled_bytes(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    pub(crate) fn count_spilled(&self, bytes: usize) {
        self.spilled.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Whether `bytes` more fit; if so they are counted.
    pub(crate) fn reserve(&self, bytes: usize) -> bool {
        let add = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    pub(crate) fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Where the next file goes.
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
