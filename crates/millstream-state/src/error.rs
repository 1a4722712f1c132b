//! Why the state store or the run lock could not do as asked.

use std::{io, path::PathBuf};

use crate::Holder;

/// A fault of the state store or of the run lock. The cause is in `source()`.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    #[error("cannot open the state store `{}`", path.display())]
    Open {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error("cannot make the folder `{}` for the state store", path.display())]
    Folder {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the state store `{}` was made by a newer version of Millstream (format {found}, this version knows {known})", path.display())]
    Newer { path: PathBuf, found: i64, known: i64 },
    #[error("`{}` is a database, but not a state store of Millstream", path.display())]
    Foreign { path: PathBuf },
    #[error("the state store cannot {doing}")]
    Query {
        doing: &'static str,
        #[source]
        source: rusqlite::Error,
    },
    #[error("the state store holds `{value}` as {what}, which this version does not know")]
    Value { what: &'static str, value: String },
    #[error(
        "epoch {epoch} of source `{source_name}` is older than epoch {recorded}, which is recorded already"
    )]
    OldEpoch { source_name: String, epoch: i64, recorded: i64 },
    #[error("{}", locked(holder.as_deref(), *age_ms))]
    Locked {
        /// `None` when the holder had not written its name yet.
        holder: Option<Box<Holder>>,
        /// How long the holder had been at work when the lock was asked for.
        age_ms: Option<i64>,
    },
    #[error("cannot use the lock file `{}`", path.display())]
    LockFile {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
}

impl StateError {
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Open { .. } => "MS-0601",
            Self::Folder { .. } => "MS-0602",
            Self::Newer { .. } => "MS-0603",
            Self::Foreign { .. } => "MS-0604",
            Self::Query { .. } => "MS-0605",
            Self::Value { .. } => "MS-0606",
            Self::OldEpoch { .. } => "MS-0607",
            Self::Locked { .. } => "MS-0608",
            Self::LockFile { .. } => "MS-0609",
        }
    }

    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Open { .. } | Self::Folder { .. } | Self::LockFile { .. } => {
                Some("check that the folder exists, can be written and has space left".into())
            }
            Self::Newer { .. } => Some("update Millstream, or use another state file".into()),
            Self::Foreign { .. } => Some("name another file under `state:` in millstream.yaml".into()),
            Self::Locked { .. } => Some("wait for it to end (`--wait` does), or stop it".into()),
            Self::Query { .. } | Self::Value { .. } | Self::OldEpoch { .. } => None,
        }
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Query { source, .. } => matches!(
                source.sqlite_error_code(),
                Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
            ),
            Self::Locked { .. } => true,
            _ => false,
        }
    }

    pub(crate) fn query(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Query { doing, source }
    }
}

fn locked(holder: Option<&Holder>, age_ms: Option<i64>) -> String {
    let Some(holder) = holder else { return "another run holds this project".into() };
    let host = holder.host.as_ref().map(|host| format!(" on `{host}`")).unwrap_or_default();
    let age = age_ms.map(|ms| format!(", started {} s ago,", ms.max(0) / 1_000)).unwrap_or_default();
    format!("a run by pid {}{host}{age} holds this project", holder.pid)
}
