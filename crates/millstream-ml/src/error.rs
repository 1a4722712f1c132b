//! Why a dataset could not be built, read or compared, in words a caller can act on.

use std::{collections::HashSet, fmt, io, path::PathBuf};

use arrow::{datatypes::DataType, error::ArrowError};
use millstream_features::FeatureError;
use millstream_spool::SpoolError;

/// The cause below an error, whatever library it came from.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// What stands where a value is not shown.
const MASKED: &str = "***";

/// The columns of an entity's key with their values, for messages.
#[derive(Debug)]
pub struct EntityKey(pub(crate) Vec<(String, String)>);

impl EntityKey {
    /// The names of the columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(column, _)| column.as_str())
    }
}

impl fmt::Display for EntityKey {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (column, value)) in self.0.iter().enumerate() {
            let separator = if at == 0 { "" } else { ", " };
            write!(out, "{separator}`{column}` = `{value}`")?;
        }
        Ok(())
    }
}

/// A fault of a dataset. `Display` says what happened; the cause is in `source()`.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DatasetError {
    #[error("the dataset would have two columns `{name}`: {first} and {second}")]
    DuplicateColumn { name: String, first: String, second: String },
    #[error("the dataset `{dataset}` cannot be planned: {reason}")]
    Plan { dataset: String, reason: String },
    /// Keys are compared by value; values of two types are not.
    #[error(
        "the column `{column}` of {labels} has type {found}, the key `{key}` of the view `{view}` has type {expected}"
    )]
    KeyType { labels: String, column: String, found: DataType, view: String, key: String, expected: DataType },
    #[error("the {what} `{column}` of {labels} has type {found}, which is no time")]
    TimeType { labels: String, what: &'static str, column: String, found: DataType },
    #[error("rows of {what} have the columns [{found}], not [{expected}]")]
    Shape { what: String, expected: String, found: String },
    #[error("cannot read the rows of {what}")]
    Input {
        what: String,
        #[source]
        source: Cause,
    },
    #[error("the on-demand features cannot be computed")]
    OnDemand {
        #[source]
        source: Cause,
    },
    #[error("the view `{view}` cannot be joined")]
    Join {
        view: String,
        #[source]
        source: FeatureError,
    },
    /// Parts are cut between entities, and this one fills a part alone.
    #[error(
        "one entity of the view `{view}` has {rows} events, which need {bytes} bytes to be joined; {room} are free for that"
    )]
    EntityTooLarge { view: String, rows: u64, bytes: u64, room: u64 },
    /// A label whose feature would be neither a value nor the null of no events.
    #[error("the feature `{view}.{feature}` of {entity} cannot be given: {reason}")]
    Outgrown { view: String, feature: String, entity: EntityKey, reason: String, hint: String },
    #[error("cannot {action} `{path}`")]
    Spill {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot {action} `{path}`")]
    Output {
        action: &'static str,
        path: PathBuf,
        #[source]
        source: Cause,
    },
    /// A promise of the build did not hold; nothing was written.
    #[error("the build broke its promise: {promise}")]
    Broken { promise: String },
    #[error("cannot read `{path}`")]
    Unreadable {
        path: PathBuf,
        #[source]
        source: Cause,
    },
    #[error("cannot {action}")]
    Arrow {
        action: &'static str,
        #[source]
        source: ArrowError,
    },
    #[error("the encoding of `{column}` cannot be {action}")]
    Encoding {
        column: String,
        action: &'static str,
        #[source]
        source: FeatureError,
    },
}

impl DatasetError {
    /// The stable code of the message; [`crate::CODES`] explains each.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::DuplicateColumn { .. } => "MS-1101",
            Self::Plan { .. } => "MS-1102",
            Self::KeyType { .. } => "MS-1103",
            Self::TimeType { .. } => "MS-1104",
            Self::Shape { .. } => "MS-1105",
            Self::Input { .. } => "MS-1106",
            Self::OnDemand { .. } => "MS-1107",
            Self::Join { .. } => "MS-1108",
            Self::EntityTooLarge { .. } => "MS-1109",
            Self::Spill { .. } => "MS-1110",
            Self::Output { .. } => "MS-1111",
            Self::Broken { .. } => "MS-1112",
            Self::Unreadable { .. } => "MS-1113",
            Self::Arrow { .. } => "MS-1114",
            Self::Encoding { .. } => "MS-1115",
            Self::Outgrown { .. } => "MS-1116",
        }
    }

    /// The way out, where there is one for the user.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::DuplicateColumn { name, .. } => {
                Some(format!("rename `{name}` in the labels' query, or leave it out of `columns`"))
            }
            Self::KeyType { column, expected, .. } => Some(format!(
                "cast `{column}` to {expected} in the labels' query, or the key in the view's table"
            )),
            Self::TimeType { column, .. } => {
                Some(format!("cast `{column}` to a timestamp of microseconds or to a date"))
            }
            Self::EntityTooLarge { view, .. } => Some(format!(
                "give the build more memory, or thin out or leave out the events of that entity in the `sql` of `{view}`"
            )),
            Self::Outgrown { hint, .. } => Some(hint.clone()),
            Self::Spill { source, .. } if is_full(source) => {
                Some("free some space in the spill folder, or name another one".into())
            }
            Self::Output { source, .. } if is_full(source.as_ref()) => {
                Some("free some space, or name an output in another place; no version was made".into())
            }
            Self::Spill { .. } => Some("name a spill folder that can be written to".into()),
            Self::Output { .. } => Some("name an output in a folder that can be written to".into()),
            Self::Unreadable { .. } => Some("build the dataset again".into()),
            Self::Broken { .. } => Some("please report this with the dataset's definition".into()),
            Self::Plan { .. }
            | Self::Shape { .. }
            | Self::Input { .. }
            | Self::OnDemand { .. }
            | Self::Join { .. }
            | Self::Arrow { .. }
            | Self::Encoding { .. } => None,
        }
    }

    /// The same error without the values of these key columns, which hold personal data.
    #[must_use]
    pub fn masked(mut self, columns: &HashSet<String>) -> Self {
        if let Self::Outgrown { entity, .. } = &mut self {
            let personal = entity.0.iter_mut().filter(|(column, _)| columns.contains(column));
            personal.for_each(|(_, value)| MASKED.clone_into(value));
        }
        self
    }

    /// The same error with another cause, where the cause came from those who gave the rows or computed of them.
    #[must_use]
    pub fn map_cause(self, change: impl FnOnce(Cause) -> Cause) -> Self {
        match self {
            Self::Input { what, source } => Self::Input { what, source: change(source) },
            Self::OnDemand { source } => Self::OnDemand { source: change(source) },
            other => other,
        }
    }

    pub(crate) fn arrow(action: &'static str) -> impl FnOnce(ArrowError) -> Self {
        move |source| Self::Arrow { action, source }
    }

    pub(crate) fn broken(promise: impl Into<String>) -> Self {
        Self::Broken { promise: promise.into() }
    }
}

impl From<SpoolError> for DatasetError {
    fn from(error: SpoolError) -> Self {
        match error {
            SpoolError::File { action, path, source } => Self::Spill { action, path, source },
            SpoolError::Rows { action, source } => Self::Arrow { action, source },
        }
    }
}

/// Whether the operating system had no room for a write, however a library passed that on.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let full = [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded, io::ErrorKind::FileTooLarge];
    let mut causes = std::iter::successors(Some(error), |error| error.source());
    causes.any(|error| error.downcast_ref::<io::Error>().is_some_and(|error| full.contains(&error.kind())))
}
