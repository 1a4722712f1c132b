//! The folder for rows that do not fit into memory: each process has its own, and removes it at its end.
//!
//! A process that is killed leaves its folder. The folder holds a file that its owner keeps locked, so the next one sees
//! that the owner is gone, and removes it.

use std::{
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use millstream_types::TimestampMicros;

/// The folder of all processes' folders, inside the folder of the state store.
const FOLDER: &str = "spill";
/// The file that the owner of a folder keeps locked.
const LOCK_FILE: &str = "owner.lock";
/// The first character of a folder's name until the folder's file is locked; then the folder is renamed without it.
const UNREADY: char = '.';
/// The age from which a folder without a locked file is removed. A younger one may be about to get its lock, or may belong to
/// a running Millstream of a version that made none.
const UNLOCKED_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The folder of this process. Dropping this removes the folder.
#[derive(Debug)]
pub(crate) struct Spill {
    folder: PathBuf,
    /// The locked file of the folder; `None` where no folder could be made, so that a query fails only when it has to spill.
    lock: Option<File>,
}

impl Spill {
    pub(crate) fn open(state_dir: &Path) -> Self {
        let all = state_dir.join(FOLDER);
        let name = uuid::Uuid::now_v7().to_string();
        match locked(&all, &name) {
            Ok(lock) => Self { folder: all.join(name), lock: Some(lock) },
            Err(error) => {
                tracing::warn!(folder = %all.display(), %error, "there is no folder to spill to");
                Self { folder: all.join(name), lock: None }
            }
        }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if self.lock.take().is_some()
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            tracing::debug!(folder = %self.folder.display(), %error, "a spill folder stays until the next run");
        }
    }
}

/// Makes the folder with its locked file. [`clean`] leaves the folder alone until the file is locked.
fn locked(all: &Path, name: &str) -> io::Result<File> {
    let unready = all.join(format!("{UNREADY}{name}"));
    fs::create_dir_all(&unready)?;
    let lock = File::create_new(unready.join(LOCK_FILE))?;
    lock.try_lock()?;
    fs::rename(&unready, all.join(name))?;
    Ok(lock)
}

/// Removes the folders of processes that are gone. What cannot be removed is left for the next time.
pub(crate) fn clean(state_dir: &Path, now: TimestampMicros) {
    let Ok(entries) = fs::read_dir(state_dir.join(FOLDER)) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if is_left(&path, now)
            && let Err(error) = fs::remove_dir_all(&path)
        {
            tracing::warn!(folder = %path.display(), %error, "a spill folder of an ended process stays");
        }
    }
}

fn is_left(path: &Path, now: TimestampMicros) -> bool {
    let is_unready = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(UNREADY));
    match File::open(path.join(LOCK_FILE)) {
        Ok(lock) if !is_unready => lock.try_lock().is_ok(),
        _ => is_old(path, now),
    }
}

fn is_old(path: &Path, now: TimestampMicros) -> bool {
    let changed = fs::metadata(path).and_then(|folder| folder.modified()).map(TimestampMicros::from_system);
    let age = i64::try_from(UNLOCKED_AGE.as_micros()).unwrap_or(i64::MAX);
    changed.is_ok_and(|changed| changed.0 < now.0.saturating_sub(age))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folders(state_dir: &Path) -> Vec<String> {
        let entries = fs::read_dir(state_dir.join(FOLDER)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn folders_of_ended_processes_go_and_others_stay() -> io::Result<()> {
        let state_dir = tempfile::tempdir()?;
        let state_dir = state_dir.path();
        let now = TimestampMicros::from_system(fs::metadata(state_dir)?.modified()?);
        let alive = Spill::open(state_dir);
        // A killed process lets go of its lock, and removes nothing.
        drop(locked(&state_dir.join(FOLDER), "killed")?);
        fs::create_dir_all(state_dir.join(FOLDER).join("datafusion-1"))?;
        clean(state_dir, now);
        let name =
            alive.folder().file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        assert_eq!(folders(state_dir), [name.clone(), "datafusion-1".to_owned()]);
        clean(state_dir, TimestampMicros(now.0 + 2 * 86_400_000_000));
        assert_eq!(folders(state_dir), [name]);
        drop(alive);
        assert_eq!(folders(state_dir), [""; 0]);
        Ok(())
    }
}
