//! Data files of a table: those that a version lists, and those that are written but not committed.

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use arrow::datatypes::{DataType, SchemaRef};
use millstream_types::TableName;

use crate::{
    delta::{Add, FilePath, Remove},
    error::{LakeError, Result},
    stats::{Bounds, ColumnBounds},
};

/// One immutable Parquet file of one table. Cheap to clone.
#[derive(Clone)]
pub struct DataFile(Arc<Entry>);

struct Entry {
    table: TableName,
    path: FilePath,
    size: u64,
    modified_ms: i64,
    data_change: bool,
    stats: Option<Box<str>>,
    rows: Option<u64>,
    /// The bounds that `stats` gives for one schema, kept because files are asked for the same schema again and again.
    bounds: OnceLock<(SchemaRef, Arc<Bounds>)>,
}

impl DataFile {
    pub(crate) fn new(
        table: &TableName,
        path: FilePath,
        size: u64,
        modified_ms: i64,
        data_change: bool,
        stats: Option<String>,
    ) -> Self {
        let rows = stats.as_deref().and_then(crate::stats::rows);
        Self(Arc::new(Entry {
            table: table.clone(),
            path,
            size,
            modified_ms,
            data_change,
            stats: stats.map(String::into_boxed_str),
            rows,
            bounds: OnceLock::new(),
        }))
    }

    pub(crate) fn from_add(table: &TableName, add: Add) -> Result<Self> {
        if add.deletion_vector.is_some() {
            return Err(unsupported(table, "deletion vectors"));
        }
        check_path(table, &add.path)?;
        let size = file_size(table, add.size)?;
        Ok(Self::new(table, add.path, size, add.modification_time, add.data_change, add.stats))
    }

    pub(crate) fn to_add(&self, data_change: bool, now_ms: i64) -> Add {
        Add {
            path: self.0.path.clone(),
            size: i64::try_from(self.0.size).unwrap_or(i64::MAX),
            modification_time: now_ms,
            data_change,
            stats: self.0.stats.as_deref().map(str::to_owned),
            ..Add::default()
        }
    }

    pub(crate) fn to_remove(&self, data_change: bool, now_ms: i64) -> Remove {
        Remove {
            path: self.0.path.clone(),
            data_change,
            deletion_timestamp: Some(now_ms),
            extended_file_metadata: Some(true),
            partition_values: Some(std::collections::BTreeMap::new()),
            size: i64::try_from(self.0.size).ok(),
            ..Remove::default()
        }
    }

    /// The table that the file belongs to.
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.0.table
    }

    /// The path of the file, from the table's folder.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path.plain()
    }

    /// The size of the file in the store, in bytes.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.0.size
    }

    /// The number of the file's rows; `None` when another writer left no statistics.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.0.rows
    }

    /// When the file came into the table, in milliseconds since 1970; 0 while it is staged.
    #[must_use]
    pub fn modified_ms(&self) -> i64 {
        self.0.modified_ms
    }

    /// Whether the file holds changed rows; false for one that only rearranges rows that the table had before
    /// (compaction).
    #[must_use]
    pub fn data_change(&self) -> bool {
        self.0.data_change
    }

    /// What the statistics say about a top-level column, read as `data_type`.
    #[must_use]
    pub fn column(&self, name: &str, data_type: &DataType) -> ColumnBounds {
        crate::stats::column(self.0.stats.as_deref(), name, data_type)
    }

    pub(crate) fn bounds(&self, schema: &SchemaRef) -> Arc<Bounds> {
        let parse = || Arc::new(crate::stats::parse(self.0.stats.as_deref(), self.0.rows, schema));
        let (known, bounds) = self.0.bounds.get_or_init(|| (schema.clone(), parse()));
        if Arc::ptr_eq(known, schema) || known == schema { bounds.clone() } else { parse() }
    }
}

/// Two values are equal when they are the same file of the same table, whatever else is known about it.
impl PartialEq for DataFile {
    fn eq(&self, other: &Self) -> bool {
        self.0.path == other.0.path && self.0.table == other.0.table
    }
}

impl Eq for DataFile {}

impl fmt::Debug for DataFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DataFile")
            .field("table", &self.0.table)
            .field("path", &self.path())
            .field("rows", &self.0.rows)
            .finish_non_exhaustive()
    }
}

/// A file that is written and synced but in no version yet: commit it, or discard it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StagedFile(pub(crate) DataFile);

impl StagedFile {
    #[must_use]
    pub fn file(&self) -> &DataFile {
        &self.0
    }

    /// The number of the file's rows, which a file that Millstream wrote always knows.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.0.rows().unwrap_or(0)
    }
}

impl From<&StagedFile> for DataFile {
    fn from(staged: &StagedFile) -> Self {
        staged.0.clone()
    }
}

pub(crate) fn unsupported(table: &TableName, what: &str) -> LakeError {
    LakeError::Unsupported { table: table.clone(), what: what.into() }
}

/// Delta allows paths outside the table's folder (shallow clones); Millstream does not follow them.
pub(crate) fn check_path(table: &TableName, path: &FilePath) -> Result<()> {
    // Other programs go by the spelled path, so it is checked as well as the decoded one.
    let is_odd = |part: &str| matches!(part, "" | "." | "..");
    let outside = has_scheme(path.spelled())
        || path.plain().contains("://")
        || [path.spelled(), path.plain()].iter().any(|path| path.split('/').any(is_odd));
    if outside { Err(unsupported(table, "data files outside its own folder")) } else { Ok(()) }
}

/// Whether a URI is absolute. `file:/tmp/x` is one: it has no authority, and is no path below the table either.
fn has_scheme(spelled: &str) -> bool {
    let Some((scheme, _)) = spelled.split_once(':') else { return false };
    scheme.starts_with(|first: char| first.is_ascii_alphabetic())
        && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+.-".contains(&byte))
}

pub(crate) fn file_size(table: &TableName, size: i64) -> Result<u64> {
    u64::try_from(size).map_err(|error| LakeError::Log {
        table: table.clone(),
        version: None,
        source: Box::new(error),
    })
}
