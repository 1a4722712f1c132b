//! Who holds a lease: a process, and the file by which others on its machine see at once that it is gone.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
};

use millstream_types::TimestampMicros;
use serde::{Deserialize, Serialize};

use crate::StateError;

/// Who holds a lease, as the state store says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: Option<String>,
    /// Which start of which machine: no two have the same. `None` where the system does not say.
    pub boot: Option<String>,
    pub started: TimestampMicros,
    pub command: String,
    /// The file that the holder keeps locked; see [`Mark`].
    pub mark: Option<PathBuf>,
}

/// A file that its process keeps locked. The operating system lets the lock go when the process ends, however it ends, so
/// that whoever finds the file unlocked knows that its holder is gone, and need not wait until the lease's time is over.
#[derive(Debug)]
pub struct Mark {
    _file: File,
    path: PathBuf,
}

impl Holder {
    #[must_use]
    pub fn this_process(command: impl Into<String>, started: TimestampMicros) -> Self {
        Self {
            pid: std::process::id(),
            host: told("/proc/sys/kernel/hostname"),
            boot: told("/proc/sys/kernel/random/boot_id"),
            started,
            command: command.into(),
            mark: None,
        }
    }

    /// The holder, with the file that shows whether it is alive.
    #[must_use]
    pub fn with_mark(self, mark: &Mark) -> Self {
        Self { mark: Some(mark.path.clone()), ..self }
    }

    /// Whether the holder has ended for certain. That its file is not here says so on its own machine alone: elsewhere the
    /// holder may be at work all the same.
    pub(crate) fn is_gone(&self) -> bool {
        let Some(path) = &self.mark else { return false };
        match File::open(path) {
            Ok(file) => file.try_lock_shared().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound && self.is_of_this_machine(),
        }
    }

    fn is_of_this_machine(&self) -> bool {
        let here = Self::this_process("", self.started);
        self.boot.is_some() && (&self.boot, &self.host) == (&here.boot, &here.host)
    }

    /// Removes the file of a holder that is gone. A failure is harmless: nobody looks at the file again.
    pub(crate) fn forget(&self) {
        if let Some(path) = &self.mark {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// What the system says in a file of its own, if it has it.
fn told(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Mark {
    /// Makes and locks a file of this name, which nobody else may ever use, in `folder`.
    pub fn make(folder: &Path, name: &str) -> Result<Self, StateError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| StateError::Folder { path: folder.to_owned(), source })?;
        let path = folder.join(name).with_extension("lock");
        let fault = |source| StateError::LockFile { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(fault)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(source) => fault(source),
            TryLockError::WouldBlock => fault(std::io::ErrorKind::WouldBlock.into()),
        })?;
        Ok(Self { _file: file, path })
    }

    /// Removes the file, of a lease that has ended. Until then it has to stay, for others to see that the holder lives.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
