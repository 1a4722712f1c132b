//! One run at a time: a lock on a file, which the operating system lets go when the process ends, however it ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use millstream_types::TimestampMicros;
use serde::{Deserialize, Serialize};

use crate::StateError;

/// Held while a run changes the project's lake and state; dropping it lets go.
#[derive(Debug)]
pub struct RunLock {
    file: File,
    path: PathBuf,
}

/// Who holds the lock, as the lock file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub pid: u32,
    pub host: Option<String>,
    pub started: TimestampMicros,
    pub command: String,
}

/// The lock file inside the state's folder.
const FILE_NAME: &str = "run.lock";

/// How often a waiting run looks again. A blocking lock could not be given up after the wait.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A lock file is a line of JSON; more than this is not ours.
const HOLDER_BYTES_MAX: u64 = 16 * 1024;

impl Holder {
    #[must_use]
    pub fn this_process(command: impl Into<String>, started: TimestampMicros) -> Self {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        Self {
            pid: std::process::id(),
            host: host.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()),
            started,
            command: command.into(),
        }
    }
}

impl RunLock {
    /// Takes the lock of the project whose state is in `folder`, waiting up to `wait` for another run to
    /// end; blocks the thread meanwhile. Errors with [`StateError::Locked`], which names the holder.
    pub fn acquire(folder: &Path, holder: &Holder, wait: Duration) -> Result<Self, StateError> {
        std::fs::create_dir_all(folder)
            .map_err(|source| StateError::Folder { path: folder.to_owned(), source })?;
        let path = folder.join(FILE_NAME);
        let fault = |source| StateError::LockFile { path: path.clone(), source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(fault)?;
        let asked = Instant::now();
        // `holder` of another process takes the lock for an instant, so one refusal alone means nothing.
        let wait = wait.max(LOOK_EVERY);
        loop {
            match file.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(source)) => return Err(fault(source)),
                Err(TryLockError::WouldBlock) => {
                    let left = wait.saturating_sub(asked.elapsed());
                    if left.is_zero() {
                        return Err(locked(&path, holder.started));
                    }
                    thread::sleep(left.min(LOOK_EVERY));
                }
            }
        }
        write_holder(&mut file, holder).map_err(fault)?;
        Ok(Self { file, path })
    }

    /// Who holds the lock now, if anyone: for `status`.
    #[must_use]
    pub fn holder(folder: &Path) -> Option<Holder> {
        let path = folder.join(FILE_NAME);
        let file = File::open(&path).ok()?;
        match file.try_lock_shared() {
            Err(TryLockError::WouldBlock) => read_holder(&path),
            Ok(()) | Err(TryLockError::Error(_)) => None,
        }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunLock {
    fn drop(&mut self) {
        // The file itself stays: removing it would let two runs lock two files of the same name. A failure here
        // is harmless, because closing the file unlocks it.
        let _ = self.file.set_len(0);
        let _ = self.file.unlock();
    }
}

fn locked(path: &Path, now: TimestampMicros) -> StateError {
    let holder = read_holder(path);
    let age_ms = holder.as_ref().map(|holder| now.as_ms().saturating_sub(holder.started.as_ms()));
    StateError::Locked { holder: holder.map(Box::new), age_ms }
}

/// `None` while the holder has not finished writing its name.
fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path).ok()?.take(HOLDER_BYTES_MAX).read_to_string(&mut text).ok()?;
    serde_json::from_str(&text).ok()
}

fn write_holder(file: &mut File, holder: &Holder) -> io::Result<()> {
    let mut text = serde_json::to_vec(holder)?;
    text.push(b'\n');
    file.set_len(0)?;
    file.rewind()?;
    file.write_all(&text)
}
