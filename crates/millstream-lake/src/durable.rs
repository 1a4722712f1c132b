//! Writes to the local file system that survive a power cut.
//!
//! `object_store`'s local store does not sync, so what has to be durable before a commit is
//! acknowledged goes through here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Writes `bytes` under `name` in `folder` unless the name is taken (`AlreadyExists`). The content is
/// on disk before the name appears, and the name is on disk when this returns.
pub(crate) fn write_new(folder: &Path, name: &str, bytes: &[u8], token: &str) -> io::Result<()> {
    // Other Delta tools know and skip this name pattern.
    let staged = folder.join(format!("_commit_{token}.json.tmp"));
    let written = write_synced(&staged, bytes).and_then(|()| fs::hard_link(&staged, folder.join(name)));
    let removed = fs::remove_file(&staged);
    written?;
    removed?;
    sync_folder(folder)
}

/// Writes `bytes` under `name` in `folder`, in place of the file that has the name, if there is one. Readers meet the old
/// content or the new one, also after a power cut.
pub(crate) fn replace(folder: &Path, name: &str, bytes: &[u8], token: &str) -> io::Result<()> {
    // The underscore keeps other Delta tools from taking the staged file for a file of the log.
    let staged = folder.join(format!("_{name}.{token}.tmp"));
    let placed = write_synced(&staged, bytes).and_then(|()| fs::rename(&staged, folder.join(name)));
    if let Err(error) = placed {
        // A staged file that is left behind is never read, and the first error is the one that matters.
        let _ = fs::remove_file(&staged);
        return Err(error);
    }
    sync_folder(folder)
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// Makes the names in `folder` durable.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Makes the content and the names of the files in `folder` durable whose names start with `prefix`.
pub(crate) fn sync_matching(folder: &Path, prefix: &str) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(prefix) {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_folder(folder)
}

/// Creates `folder` and its missing parents, and makes each new name durable.
pub(crate) fn create_folders(folder: &Path) -> io::Result<()> {
    if folder.is_dir() {
        return Ok(());
    }
    let Some(parent) = folder.parent() else { return Ok(()) };
    create_folders(parent)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    sync_folder(parent)
}
