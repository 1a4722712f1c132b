//! Why rows could not be kept or read back. The rooms above give it their own code and hint, since they know whose folder
//! it is.

use std::{
    io,
    path::{Path, PathBuf},
};

use arrow::error::ArrowError;

/// A fault of a spool. `Display` says what happened; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    #[error("cannot {action} `{}`", path.display())]
    File {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot {action}")]
    Rows {
        action: &'static str,
        #[source]
        source: ArrowError,
    },
}

pub(crate) fn file(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_path_buf();
    move |source| SpoolError::File { action, path, source }
}

/// The error for a fault that Arrow reports of a file. A fault of the disk is taken out of Arrow's wrapping.
pub(crate) fn rows_of_file(action: &'static str, path: &Path) -> impl FnOnce(ArrowError) -> SpoolError {
    let path = path.to_path_buf();
    move |source| SpoolError::File {
        action,
        path,
        source: match source {
            ArrowError::IoError(_, source) => source,
            other => io::Error::other(other),
        },
    }
}

pub(crate) fn rows(action: &'static str) -> impl FnOnce(ArrowError) -> SpoolError {
    move |source| SpoolError::Rows { action, source }
}
