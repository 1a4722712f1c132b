//! What is left of a store whose making was cut off, as by a full disk: it holds nothing, and the library would neither open it
//! nor make another one in its place.
//!
//! The library makes the lock, the folder of keyspaces and the journal, then writes the file `version`, and only then the
//! first keyspace. So a folder without a whole `version` and without any keyspace never took a change.

use std::{
    fs::{self, File, TryLockError},
    io,
    path::Path,
};

use super::{fault::Faults, owner::LOCK};
use crate::error::Result;

const JOURNAL: &str = "0.jnl";
const KEYSPACES: &str = "keyspaces";
const VERSION: &str = "version";

/// Removes the files of a making that was cut off which are in the way of the next one. Anything else stays as it is.
pub(super) fn remove(folder: &Path, faults: &Faults) -> Result<()> {
    let fault = |error| faults.io("be opened", error);
    if !is_unfinished(folder).map_err(fault)? {
        return Ok(());
    }
    // A process that is making the store holds the lock.
    let lock = File::options().write(true).open(folder.join(LOCK)).map_err(fault)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(faults.locked());
        }
        Err(TryLockError::Error(error)) => return Err(fault(error)),
    }
    for name in [JOURNAL, VERSION] {
        gone(fs::remove_file(folder.join(name))).map_err(fault)?;
    }
    // The library takes the lock and the folder of keyspaces as they are.
    Ok(())
}

fn is_unfinished(folder: &Path) -> io::Result<bool> {
    if !folder.join(LOCK).try_exists()? {
        return Ok(false);
    }
    let has_version = match fs::metadata(folder.join(VERSION)) {
        Ok(version) => version.len() > 0,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    let has_keyspaces = match fs::read_dir(folder.join(KEYSPACES)) {
        Ok(mut entries) => entries.next().is_some(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    Ok(!has_version && !has_keyspaces)
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
