//! Which process has the store open. The library locks a file and leaves its bytes alone, so the number of the process stands in
//! there.
//!
//! It is for people who look for the process, and nothing goes by it: where it cannot be written or read, a message just does not
//! name the process.

use std::{fs, path::Path};

/// The file that the library locks, in the folder of the store.
pub(super) const LOCK: &str = "lock";

/// Writes the number of this process into the lock file, which this process has locked.
pub(super) fn note(folder: &Path) {
    let text = format!("{} {}\n", std::process::id(), namespace());
    if let Err(error) = fs::write(folder.join(LOCK), text) {
        tracing::debug!(%error, "the online store does not say which process has it open");
    }
}

/// The number of the process that has the store open, where that is known. Another machine's or container's is none here.
pub(super) fn noted(folder: &Path) -> Option<u32> {
    let text = fs::read_to_string(folder.join(LOCK)).ok()?;
    let (pid, within) = text.trim_end().split_once(' ').unwrap_or((text.trim_end(), ""));
    pid.parse().ok().filter(|_| within == namespace())
}

/// What tells the processes that have numbers of their own from those of this system; empty where the system does not say.
fn namespace() -> String {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let numbers = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{} {}", boot.trim(), numbers.display()).trim().to_owned()
}
