//! Data files that are gone or are not what was written, and how they are found again behind the errors of whoever read them.

use std::{error::Error, fmt, io};

use datafusion::error::DataFusionError;
use millstream_types::TableName;

use crate::LakeError;

/// A data file that a version of its table names, and that cannot be read as it was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the data file `{place}` of `{table}` {damage}")]
pub struct DamagedFile {
    pub table: TableName,
    /// The path of the file from the table's folder, as [`crate::DataFile::path`] gives it.
    pub path: String,
    /// Where the file lies, as people find it: a path of this machine, or an address in a store.
    pub place: String,
    pub damage: FileDamage,
}

/// What is wrong with a data file. A store that does not answer is no damage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileDamage {
    /// The store answers, and has no such file.
    Gone,
    /// The file has another number of bytes than were written.
    Resized { written: u64, found: u64 },
    /// The bytes cannot be what was written, by the word of the reader.
    Unreadable { because: String },
}

impl fmt::Display for FileDamage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gone => f.write_str("is gone"),
            Self::Resized { written, found } => {
                write!(f, "is damaged: it has {found} bytes, and {written} were written")
            }
            Self::Unreadable { because } => write!(f, "is damaged: {because}"),
        }
    }
}

impl DamagedFile {
    /// The stable code of each such error.
    pub const CODE: &str = "MS-0417";

    /// The damage of which an error tells, however many libraries have passed it on.
    #[must_use]
    pub fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            if let Some(found) = error.downcast_ref() {
                return Some(found);
            }
            // Of several errors, the chain has the first one only.
            if let Some(DataFusionError::Collection(all)) = error.downcast_ref() {
                return all.iter().find_map(|error| Self::behind(error));
            }
            // The cause of an error of the operating system is what its inner error was caused by, and not that one itself.
            let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
            next = inner.map(|inner| inner as &(dyn Error + 'static)).or_else(|| error.source());
        }
        None
    }

    /// Whether reading again may succeed: a newer version of the table may do without a file that is gone.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        self.damage == FileDamage::Gone
    }

    /// The way to get the file's rows back.
    #[must_use]
    pub fn hint(&self) -> String {
        let table = &self.table;
        let again = match (table.is_rejected(), table.schema()) {
            (true, _) => return "bring it back from a backup; rejected rows are nowhere else".to_owned(),
            (false, "bronze") => {
                format!("land its source again with `millstream run --full-refresh source:{}`", table.name())
            }
            (false, _) => format!("make its table anew with `millstream run --full-refresh {table}`"),
        };
        format!("bring it back from a backup, or {again}")
    }
}

impl LakeError {
    /// The fault of the lake behind an error, whoever passed it on.
    #[must_use]
    pub fn behind<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a Self> {
        let mut next = Some(error);
        while let Some(error) = next {
            let boxed = error.downcast_ref::<Box<Self>>().map(AsRef::as_ref);
            if let Some(found) = error.downcast_ref().or(boxed) {
                return Some(found);
            }
            next = error.source();
        }
        None
    }
}
