//! Which process has the log open: its number stands in the file that it locks.
//!
//! It is for people who look for the process, and nothing goes by it: where it cannot be written or read, a message just does not
//! name the process.

use std::{fs, fs::File, os::unix::fs::FileExt, path::Path};

/// The file that is locked, in the folder of the log.
pub(super) const LOCK: &str = "lock";

/// Writes the number of this process into the lock file, which this process has locked.
pub(super) fn note(file: &File) {
    let text = format!("{} {}\n", std::process::id(), namespace());
    let noted = file.set_len(0).and_then(|()| file.write_all_at(text.as_bytes(), 0));
    if let Err(error) = noted {
        tracing::debug!(%error, "the event log does not say which process has it open");
    }
}

/// The number of the process that has the log open, where that is known. Another machine's or container's is none here.
pub(super) fn noted(path: &Path) -> Option<u32> {
    let text = fs::read_to_string(path).ok()?;
    let (pid, within) = text.trim_end().split_once(' ').unwrap_or((text.trim_end(), ""));
    pid.parse().ok().filter(|_| within == namespace())
}

/// What tells the processes that have numbers of their own from those of this system; empty where the system does not say.
fn namespace() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let numbers = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), numbers.display()).trim().to_owned()
}
