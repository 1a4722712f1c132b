//! The process that keeps the views of an embedded online store up to date: it has the store open for long, and says so
//! by a lock.

use std::{fs, fs::File, path::Path};

use crate::{Engine, EngineError};

/// The file that a keeper locks, in the project's folder of state. The operating system lets go of it with the process.
const FILE: &str = "online.keeper";

/// The role of the one process that brings views up to date for the other processes. A process has the role until this
/// is dropped.
#[derive(Debug)]
pub struct Keeper(File);

impl Keeper {
    /// Makes this process the keeper; `None` when another process is the keeper already.
    pub fn of(engine: &Engine) -> Result<Option<Self>, EngineError> {
        let folder = &engine.world().state_dir;
        let path = folder.join(FILE);
        let fault = |source| EngineError::File { verb: "lock", path: path.clone(), source };
        fs::create_dir_all(folder).map_err(fault)?;
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(fault)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self(file))),
            Err(fs::TryLockError::WouldBlock) => Ok(None),
            Err(fs::TryLockError::Error(source)) => Err(fault(source)),
        }
    }

    /// Whether there is a keeper in some process of this machine.
    pub(crate) fn is_there(folder: &Path) -> bool {
        let file = File::open(folder.join(FILE));
        file.is_ok_and(|file| matches!(file.try_lock_shared(), Err(fs::TryLockError::WouldBlock)))
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        if let Err(error) = self.0.unlock() {
            tracing::warn!(%error, "the lock of the online store's keeper stays until the process ends");
        }
    }
}
