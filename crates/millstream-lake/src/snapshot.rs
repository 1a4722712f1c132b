//! One version of one table: its schema, its files, its txns.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use arrow::datatypes::{Schema, SchemaRef};
use millstream_types::{TableName, TimestampMicros};

use crate::{
    delta::{self, Metadata, Protocol},
    error::{LakeError, Result},
    file::{DataFile, unsupported},
    log::Commit,
};

/// Which version is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum At {
    Latest,
    Version(i64),
    /// The version that was current at that instant.
    Timestamp(TimestampMicros),
}

/// One version of one table, complete and immutable.
#[derive(Clone, Debug)]
pub struct Snapshot {
    table: TableName,
    version: i64,
    committed_at: TimestampMicros,
    schema: SchemaRef,
    metadata: Arc<Metadata>,
    protocol: Arc<Protocol>,
    files: Vec<DataFile>,
    txns: HashMap<String, i64>,
}

impl Snapshot {
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    #[must_use]
    pub fn version(&self) -> i64 {
        self.version
    }

    /// Strings are `Utf8`, timestamps microseconds in UTC, everything nullable.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// In no promised order; rows have `_sequence` for that.
    #[must_use]
    pub fn files(&self) -> &[DataFile] {
        &self.files
    }

    /// `None` when a file of another writer does not say.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.files.iter().try_fold(0u64, |sum, file| Some(sum.saturating_add(file.rows()?)))
    }

    /// Bytes of the version's files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.size()))
    }

    /// When the version was committed, to the millisecond.
    #[must_use]
    pub fn committed_at(&self) -> TimestampMicros {
        self.committed_at
    }

    /// How far an application has come: the version of its newest txn.
    #[must_use]
    pub fn txn(&self, application: &str) -> Option<i64> {
        self.txns.get(application).copied()
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.metadata
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.protocol
    }

    /// The snapshot that a checkpoint describes.
    pub(crate) fn from_checkpoint(
        table: &TableName,
        version: i64,
        committed_at: TimestampMicros,
        protocol: &Protocol,
        metadata: &Metadata,
        files: Vec<DataFile>,
        txns: HashMap<String, i64>,
    ) -> Result<Self> {
        check_protocol(table, protocol)?;
        let (metadata, schema) = understand(table, version, metadata)?;
        let protocol = Arc::new(protocol.clone());
        Ok(Self { table: table.clone(), version, committed_at, schema, metadata, protocol, files, txns })
    }

    /// Version 0.
    pub(crate) fn first(table: &TableName, commit: Commit, committed_at: TimestampMicros) -> Result<Self> {
        let (Some(protocol), Some(metadata)) = (&commit.protocol, &commit.metadata) else {
            let source = "the first commit has no protocol or no metadata".into();
            return Err(LakeError::Log { table: table.clone(), version: Some(commit.version), source });
        };
        check_protocol(table, protocol)?;
        let (metadata, schema) = understand(table, commit.version, metadata)?;
        let empty = Self {
            table: table.clone(),
            version: commit.version - 1,
            committed_at,
            schema,
            metadata,
            protocol: Arc::new(protocol.clone()),
            files: Vec::new(),
            txns: HashMap::new(),
        };
        empty.apply(commit, committed_at)
    }

    /// The next version. Costs one pass over the list of files, not a replay of the log.
    pub(crate) fn apply(mut self, commit: Commit, committed_at: TimestampMicros) -> Result<Self> {
        if let Some(protocol) = &commit.protocol {
            check_protocol(&self.table, protocol)?;
            self.protocol = Arc::new(protocol.clone());
        }
        if let Some(metadata) = &commit.metadata {
            (self.metadata, self.schema) = understand(&self.table, commit.version, metadata)?;
        }
        // Clocks of writers differ; times of versions never fall.
        self.committed_at = self.committed_at.max(committed_at);
        self.version = commit.version;
        if commit.removes.iter().any(|remove| remove.deletion_vector.is_some()) {
            return Err(unsupported(&self.table, "deletion vectors"));
        }
        // A path that is added again takes the place of the one before: the file is the same, what is said of it is newer.
        let removed = commit.removes.iter().map(|remove| remove.path.plain());
        let replaced: HashSet<&str> = removed.chain(commit.adds.iter().map(|add| add.path.plain())).collect();
        if !replaced.is_empty() {
            self.files.retain(|file| !replaced.contains(file.path()));
        }
        for add in commit.adds {
            self.files.push(DataFile::from_add(&self.table, add)?);
        }
        self.txns.extend(commit.txns);
        Ok(self)
    }
}

/// What Millstream writes: no table features, so that every reader of Delta Lake reads it.
pub(crate) const READER_VERSION: i32 = 1;
pub(crate) const WRITER_VERSION: i32 = 2;

/// Refuses what would be misread: features beyond the plain protocol.
fn check_protocol(table: &TableName, protocol: &Protocol) -> Result<()> {
    if protocol.min_reader_version == 3 {
        if let Some(feature) = protocol.reader_features.as_deref().and_then(<[_]>::first) {
            return Err(unsupported(table, &format!("the Delta feature `{feature}`")));
        }
    } else if protocol.min_reader_version > READER_VERSION {
        return Err(unsupported(table, &format!("Delta reader version {}", protocol.min_reader_version)));
    }
    Ok(())
}

fn understand(table: &TableName, version: i64, metadata: &Metadata) -> Result<(Arc<Metadata>, SchemaRef)> {
    if !metadata.partition_columns.is_empty() {
        return Err(unsupported(table, "Delta partition columns"));
    }
    let schema: Schema = delta::to_arrow(&metadata.schema_string).map_err(|error| LakeError::Log {
        table: table.clone(),
        version: Some(version),
        source: Box::new(error),
    })?;
    Ok((Arc::new(metadata.clone()), Arc::new(schema)))
}
