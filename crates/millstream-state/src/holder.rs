//! Who holds a lease: a process, and the file by which others on its machine see at once that it is gone.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use millstream_types::TimestampMicros;
use serde::{Deserialize, Serialize};

use crate::{StateError, value};

/// Who holds a lease, as the state store says it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: Option<String>,
    /// What tells this machine, its present start and its view of the file system from all others. `None` where the system
    /// does not say.
    pub machine: Option<String>,
    pub started: TimestampMicros,
    pub command: String,
    /// The path of the file that the holder keeps locked; see [`Mark`].
    pub mark: Option<String>,
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
            machine: machine(),
            started,
            command: command.into(),
            mark: None,
        }
    }

    /// The holder, with the file that shows whether it is alive. A path that is no text is left out.
    #[must_use]
    pub fn with_mark(self, mark: &Mark) -> Self {
        Self { mark: mark.path.to_str().map(str::to_owned), ..self }
    }

    /// How long the holder has been at work; nothing when the clock went back.
    #[must_use]
    pub fn age(&self, now: TimestampMicros) -> Duration {
        value::duration_out(now.0.saturating_sub(self.started.0))
    }

    /// That the holder works on `what`, for people: ``pid 4711 on `desk`, started 12 s ago, works on … (`run silver.*`)``.
    #[must_use]
    pub fn works_on(&self, what: &str, age: Duration) -> String {
        let host = self.host.as_ref().map(|host| format!(" on `{host}`")).unwrap_or_default();
        let age = age.as_secs();
        format!("pid {}{host}, started {age} s ago, works on {what} (`{}`)", self.pid, self.command)
    }

    /// Whether the holder has ended for certain. `is_local`: all who share the state store share its disk too, so that the
    /// file is the holder's, and one that is not there was never one's that lives. Elsewhere only a file of this very
    /// machine says something: others may have one at the same place, and locks do not reach over every network.
    pub(crate) fn is_gone(&self, is_local: bool) -> bool {
        let Some(path) = &self.mark else { return false };
        if !is_local && (self.machine.is_none() || self.machine != machine()) {
            return false;
        }
        match File::open(path) {
            Ok(file) => file.try_lock_shared().is_ok(),
            Err(error) => is_local && error.kind() == io::ErrorKind::NotFound,
        }
    }

    /// Whether this is the holder itself, that asks again because the answer to its first request got lost. No two leases
    /// have the same file.
    pub(crate) fn has_mark_of(&self, other: &Self) -> bool {
        self.mark.is_some() && self.mark == other.mark
    }

    /// Removes the file of a holder that is gone. A failure is harmless: nobody looks at the file again.
    pub(crate) fn forget(&self) {
        let Some(path) = self.mark.as_ref().map(Path::new) else { return };
        // The path comes from a database that others write to.
        let folder = path.parent().and_then(Path::file_name);
        if folder.is_some_and(|name| name == FOLDER)
            && path.extension().is_some_and(|ending| ending == ENDING)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// The folder of the files, beside the state store.
const FOLDER: &str = "leases";
const ENDING: &str = "lock";

fn machine() -> Option<String> {
    let files = std::fs::read_link("/proc/self/ns/mnt").ok()?;
    Some(format!("{} {}", told("/proc/sys/kernel/random/boot_id")?, files.to_str()?))
}

/// What the system says in a file of its own, if it has it.
fn told(path: &str) -> Option<String> {
    let text = std::fs::read_to_string(path).ok()?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
}

impl Mark {
    /// Makes and locks a file of this name, which nobody else may ever use, below the folder of the state store.
    pub fn make(folder: &Path, name: &str) -> Result<Self, StateError> {
        let folder = folder.join(FOLDER);
        std::fs::create_dir_all(&folder)
            .map_err(|source| StateError::Folder { path: folder.clone(), source })?;
        let path = folder.join(name).with_extension(ENDING);
        let fault = |source| StateError::LockFile { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create_new(true).open(&path).map_err(fault)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::Error(source) => fault(source),
            TryLockError::WouldBlock => fault(io::ErrorKind::WouldBlock.into()),
        })?;
        Ok(Self { _file: file, path })
    }

    /// Removes the file, of a lease that has ended or was never given. Until then it has to stay, for others to see that
    /// the holder lives.
    pub fn remove(&self) {
        let _ = std::fs::remove_file(&self.path);
    }
}
