//! What fjall's errors mean to a caller.

use std::{io, path::PathBuf};

use fjall::{Error, LsmError};

use super::owner;
use crate::error::{Cause, Fault, OnlineError};

/// Turns the library's errors into the room's, for one store.
#[derive(Clone, Debug)]
pub(super) struct Faults {
    pub(super) location: String,
    pub(super) folder: PathBuf,
}

impl Faults {
    pub(super) fn of(&self, action: &'static str, error: Error) -> OnlineError {
        match error {
            Error::Locked => self.locked(),
            Error::Poisoned => OnlineError::Stopped,
            Error::Io(source) | Error::Storage(LsmError::Io(source)) => self.io(action, source),
            Error::Storage(source) => self.damaged("a table cannot be read", Some(Box::new(source))),
            Error::InvalidVersion(_) => self.damaged("it is not a store of this kind", Some(Box::new(error))),
            error => self.damaged("its journal or its list of tables cannot be read", Some(Box::new(error))),
        }
    }

    pub(super) fn locked(&self) -> OnlineError {
        OnlineError::Locked { location: self.location.clone(), pid: owner::noted(&self.folder) }
    }

    pub(super) fn io(&self, action: &'static str, source: io::Error) -> OnlineError {
        use io::ErrorKind;
        let fault = match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Fault::Full,
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Fault::Permission,
            // A file that ends too early, or names places that it does not have.
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                return self.damaged("a file of it cannot be read", Some(Box::new(source)));
            }
            _ => Fault::Other,
        };
        OnlineError::Storage { action, fault, source: Box::new(source) }
    }

    pub(super) fn damaged(&self, reason: &str, source: Option<Cause>) -> OnlineError {
        OnlineError::Damaged { location: self.location.clone(), reason: reason.into(), source }
    }
}
