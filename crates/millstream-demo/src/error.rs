//! Why the data could not be written.

use std::{io, path::PathBuf};

use parquet::errors::ParquetError;

/// A fault while the data was written. Files that were finished before the fault stay.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    #[error("cannot {verb} `{}`", path.display())]
    File {
        verb: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot write `{}`", path.display())]
    Parquet {
        path: PathBuf,
        #[source]
        source: ParquetError,
    },
    #[error("a worker stopped unexpectedly while writing the data")]
    Worker,
}

impl DemoError {
    pub(crate) fn file(verb: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { verb, path, source }
    }
}
