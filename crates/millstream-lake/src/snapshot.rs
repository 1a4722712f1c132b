//! One version of one table: its schema, its files, its txns.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use millstream_types::{TableName, TimestampMicros};

use crate::{
    delta::{self, Metadata, Protocol},
    error::{LakeError, Result},
    file::{DataFile, unsupported},
    state::LogState,
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
    state: LogState,
    schema: SchemaRef,
}

impl Snapshot {
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.state.table
    }

    #[must_use]
    pub fn version(&self) -> i64 {
        self.state.version
    }

    /// The schema of the version: strings are `Utf8`, timestamps are microseconds in UTC, and columns are nullable unless
    /// another writer declared otherwise.
    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    /// The files of the version, in no promised order; rows have `_sequence` for that.
    #[must_use]
    pub fn files(&self) -> &[DataFile] {
        &self.state.files
    }

    /// The number of the version's rows; `None` when a file of another writer does not say how many it has.
    #[must_use]
    pub fn rows(&self) -> Option<u64> {
        self.state.files.iter().try_fold(0u64, |sum, file| Some(sum.saturating_add(file.rows()?)))
    }

    /// The size of the version's files, in bytes.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.state.files.iter().fold(0, |sum, file| sum.saturating_add(file.size()))
    }

    /// When the version was committed, to the millisecond.
    #[must_use]
    pub fn committed_at(&self) -> TimestampMicros {
        self.state.committed_at
    }

    /// How far an application has come: the version of its newest txn.
    #[must_use]
    pub fn txn(&self, application: &str) -> Option<i64> {
        self.state.txns.get(application).copied()
    }

    pub(crate) fn metadata(&self) -> &Metadata {
        &self.state.metadata
    }

    pub(crate) fn protocol(&self) -> &Protocol {
        &self.state.protocol
    }

    /// The state of the log up to this version, from which the next one is made.
    pub(crate) fn state(&self) -> &LogState {
        &self.state
    }

    /// The snapshot of `state`, if Millstream can read that version. `before` is an older snapshot of the same table, if
    /// there is one at hand.
    pub(crate) fn of(state: LogState, before: Option<&Self>) -> Result<Self> {
        check_protocol(&state.table, &state.protocol)?;
        // Files keep their bounds for the schema that they were asked for, so an unchanged schema stays the same object.
        let same = before.filter(|before| Arc::ptr_eq(&before.state.metadata, &state.metadata));
        let schema = match same {
            Some(before) => before.schema(),
            None => understand(&state)?,
        };
        Ok(Self { state, schema })
    }
}

/// The versions of the protocol that Millstream writes: without table features, so that every reader of Delta Lake reads
/// it.
pub(crate) const READER_VERSION: i32 = 1;
pub(crate) const WRITER_VERSION: i32 = 2;

/// Refuses tables that would be misread because they use features beyond the plain protocol.
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

fn understand(state: &LogState) -> Result<SchemaRef> {
    let metadata = &state.metadata;
    if !metadata.partition_columns.is_empty() {
        return Err(unsupported(&state.table, "Delta partition columns"));
    }
    let schema: Schema = delta::to_arrow(&metadata.schema_string).map_err(|error| LakeError::Log {
        table: state.table.clone(),
        version: Some(state.version),
        source: Box::new(error),
    })?;
    Ok(Arc::new(schema))
}
