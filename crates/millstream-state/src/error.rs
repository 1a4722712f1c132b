//! Why the state store could not do as asked.

use std::{
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use millstream_types::AssetId;

use crate::{DatabaseError, Holder, database};

/// A fault of the state store. The cause is in `source()`.
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
    #[error(
        "the state store `{place}` was made by a newer version of Millstream (format {found}, this version knows {known})"
    )]
    Newer { place: String, found: i64, known: i64 },
    #[error("the state store `{place}` has the format {found}, which no version of Millstream has made")]
    UnknownFormat { place: String, found: i64 },
    #[error("`{}` is a database, but not a state store of Millstream", path.display())]
    Foreign { path: PathBuf },
    #[error("the state store `{}` is damaged, or is no database", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
    #[error(
        "the state store `{}` has format {found} and cannot be written, so it stays short of format {known}",
        path.display()
    )]
    Older { path: PathBuf, found: i64, known: i64 },
    #[error("cannot use the state store `{place}`")]
    Unreachable {
        /// Server and database, without user and password.
        place: String,
        #[source]
        source: DatabaseError,
    },
    #[error("the state store `{place}` holds `{owner}`, not `{project}`")]
    OtherProject { place: String, owner: String, project: String },
    #[error("`{place}` holds a table `{table}` of another application")]
    Occupied { place: String, table: String },
    #[error("the database `{place}` has no schema in which the state store's tables can be made")]
    NoSchema { place: String },
    #[error("this build has no PostgreSQL")]
    Feature,
    #[error("the state store cannot {doing}")]
    Query {
        doing: &'static str,
        #[source]
        source: DatabaseError,
    },
    #[error("the state store holds `{value}` as {what}, which this version does not know")]
    Value { what: &'static str, value: String },
    #[error(
        "epoch {epoch} of source `{source_name}` is older than epoch {recorded}, which is recorded already"
    )]
    OldEpoch { source_name: String, epoch: i64, recorded: i64 },
    #[error("{}", holder.works_on(&format!("`{asset}`"), *age))]
    Locked {
        /// The first of the wanted assets that another process holds.
        asset: AssetId,
        holder: Box<Holder>,
        /// How long the holder had been at work when the lease was asked for.
        age: Duration,
    },
    #[error("this process was away for so long that another took its place")]
    LeaseLost,
    #[error("cannot make the lock file `{}`", path.display())]
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
            Self::Damaged { .. } => "MS-0610",
            Self::Older { .. } => "MS-0611",
            Self::Unreachable { .. } => "MS-0612",
            Self::OtherProject { .. } => "MS-0613",
            Self::Occupied { .. } => "MS-0614",
            Self::NoSchema { .. } => "MS-0615",
            Self::Feature => "MS-0616",
            Self::LeaseLost => "MS-0617",
            Self::UnknownFormat { .. } => "MS-0618",
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
            Self::LeaseLost => Some("run it again: what was committed stays, and nothing is done twice".into()),
            Self::Damaged { .. } => Some(WITHOUT_STATE.into()),
            Self::UnknownFormat { .. } => Some(
                "put a backup back, or name another place under `state:` in millstream.yaml: the next run takes versions and \
                 positions from the lake, and no row lands twice"
                    .into(),
            ),
            Self::Older { .. } => Some("let a user who may write it run any command once".into()),
            Self::Unreachable { .. } => Some(
                "check the address under `state:` in millstream.yaml, that the server runs, and that this user may use \
                 the database; `sslrootcert=<file>` names a certificate that this machine does not know"
                    .into(),
            ),
            Self::OtherProject { .. } | Self::Occupied { .. } | Self::NoSchema { .. } => Some(OWN_SCHEMA.into()),
            Self::Feature => Some("build it with the feature `postgres`, or name a SQLite file under `state:`".into()),
            #[cfg(feature = "postgres")]
            Self::Query { source: DatabaseError::Postgres(source), .. } if source.is_forbidden() => {
                Some("this user may read the state store, but not write it".into())
            }
            Self::Query { source: DatabaseError::Sqlite(source), .. } if is_damage(source) => {
                Some(WITHOUT_STATE.into())
            }
            Self::Query { source: DatabaseError::Sqlite(source), .. } if is_forbidden(source) => {
                Some("this user may read the state store, but not write it".into())
            }
            Self::Query { .. } | Self::Value { .. } | Self::OldEpoch { .. } => None,
        }
    }

    /// Turns SQLite's fault with the store's file into an error: the file is damaged, or cannot be opened.
    pub(crate) fn open(path: &Path) -> impl Fn(rusqlite::Error) -> Self + Copy {
        move |source| match is_damage(&source) {
            true => Self::Damaged { path: path.to_owned(), source },
            false => Self::Open { path: path.to_owned(), source },
        }
    }

    /// Whether the store could not be opened because this user, or this disk, takes no writes.
    pub(crate) fn forbids_writing(&self) -> bool {
        match self {
            Self::Open { source, .. } | Self::Query { source: DatabaseError::Sqlite(source), .. } => {
                is_forbidden(source)
            }
            Self::Folder { source, .. } => {
                matches!(source.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
            }
            _ => false,
        }
    }

    /// Whether the same call may succeed a little later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Open { source, .. } => database::is_busy(source),
            Self::Query { source, .. } | Self::Unreachable { source, .. } => source.is_transient(),
            Self::Locked { .. } => true,
            _ => false,
        }
    }

    /// Whether a connection broke in the middle of a change.
    pub(crate) fn is_lost(&self) -> bool {
        matches!(self, Self::Query { source, .. } if source.is_lost())
    }

    pub(crate) fn query(doing: &'static str) -> impl FnOnce(DatabaseError) -> Self {
        move |source| Self::Query { doing, source }
    }
}

/// The hint that tells how several projects share a database.
const OWN_SCHEMA: &str = "give the project a schema of its own: `create schema shop` in the database, and \
    `postgres://…?options=-csearch_path%3Dshop` under `state:` in millstream.yaml";

/// The hint for a damaged state store: how to go on, and what is lost without a backup.
const WITHOUT_STATE: &str = "put a backup back, or move the file away, with the `-wal` and `-shm` beside it: the next \
    run takes versions and positions from the lake, and no row lands twice; the record of past runs and checks is \
    gone, and the versions of datasets and services start anew";

/// Whether SQLite found something else than a database in the file.
fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// Whether SQLite may not write. SQLite says `CannotOpen` where it cannot make a file beside the database.
fn is_forbidden(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{CannotOpen, PermissionDenied, ReadOnly};
    matches!(error.sqlite_error_code(), Some(ReadOnly | CannotOpen | PermissionDenied))
}
