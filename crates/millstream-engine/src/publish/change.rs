//! The only place of the engine that builds a change of a table and commits it.
//!
//! Whoever changes a table describes the commit with a [`Change`], and hands it to [`Change::commit`], for a step, or to
//! [`append`], for rows that a server takes in by itself. Three rules hold here for all of them: a step commits only what its
//! lease still covers, columns are only given where they differ from the table's, and the files of an append that did not
//! become visible are deleted.

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use millstream_lake::{DataFile, Operation, Snapshot, StagedFile, TableChange};
use millstream_types::{TableName, TimestampMicros};
use serde_json::Value;

use crate::{EngineError, commit_info::CommitInfo, engine::StepContext, process::Process, writers::Writers};

/// What one commit does to one table. Callers fill in the fields that they need, and take the others from [`Change::of`].
#[derive(Debug)]
pub(crate) struct Change<'a> {
    pub table: &'a TableName,
    /// The version that the change was computed from; `None` creates the table.
    pub base: Option<&'a Snapshot>,
    /// The columns of the table from now on; `None` leaves those of `base`.
    pub schema: Option<SchemaRef>,
    pub add: Vec<StagedFile>,
    pub remove: Vec<DataFile>,
    pub operation: Operation,
    /// The application transactions of the commit, by application id; see `commit_info.rs`.
    pub txns: Vec<(&'static str, i64)>,
    /// The facts that the engine reads back from the commit when its state store is behind.
    pub info: Option<CommitInfo>,
    pub at: TimestampMicros,
}

impl<'a> Change<'a> {
    /// A change that does nothing yet.
    pub(crate) fn of(table: &'a TableName, base: Option<&'a Snapshot>, at: TimestampMicros) -> Self {
        Self {
            table,
            base,
            schema: None,
            add: Vec::new(),
            remove: Vec::new(),
            operation: Operation::Append,
            txns: Vec::new(),
            info: None,
            at,
        }
    }

    /// Commits what a step has done, if this process still has the lease, and returns the version of the commit.
    pub(crate) async fn commit(self, context: &StepContext) -> Result<i64, EngineError> {
        let info = self.info.as_ref().map(CommitInfo::to_json).transpose()?.unwrap_or_default();
        context.lease.hold().await?;
        self.put(&context.world.process, info).await
    }

    async fn put(self, process: &Process, info: Value) -> Result<i64, EngineError> {
        let is_known = |schema: &SchemaRef| self.base.is_some_and(|base| base.schema() == *schema);
        let change = TableChange {
            add: self.add,
            remove: self.remove,
            schema: self.schema.filter(|schema| !is_known(schema)),
            operation: self.operation,
            txns: self.txns.into_iter().map(|(name, version)| (name.to_owned(), version)).collect(),
            info,
            data_change: true,
            at: Some(self.at),
        };
        Ok(process.lake.commit(self.table, self.base, change).await?)
    }
}

/// Rows that come to a table without a step, which is how a server keeps what it was pushed and what it served.
pub(crate) struct Append<'a> {
    pub table: &'a TableName,
    pub base: Option<&'a Snapshot>,
    /// The columns of the table from now on.
    pub schema: SchemaRef,
    pub rows: Vec<RecordBatch>,
    pub txns: Vec<(&'static str, i64)>,
    /// The commit's `commitInfo`, for people; programs recognise these commits by `txns`.
    pub info: Value,
}

/// Puts files in the place of others without a step, because a policy keeps some of their rows no longer.
pub(crate) async fn replace_files(
    process: &Process,
    table: &TableName,
    base: &Snapshot,
    remove: Vec<DataFile>,
    add: Vec<StagedFile>,
) -> Result<(), EngineError> {
    let at = process.options.clock.now();
    let change = Change { add, remove, operation: Operation::Delete, ..Change::of(table, Some(base), at) };
    change.put(process, Value::Null).await.map(drop)
}

/// Writes the rows and makes them visible. If the commit fails, the written files are deleted, because the caller tries again
/// with all of the rows.
pub(crate) async fn append(process: &Process, rows: Append<'_>) -> Result<(), EngineError> {
    let Append { table, base, schema, rows, txns, info } = rows;
    let mut writers = Writers::new(&process.lake, table, schema.clone(), 1);
    for batch in rows {
        writers.write(batch).await?;
    }
    let add = writers.finish().await?;
    let at = process.options.clock.now();
    let change = Change { add, schema: Some(schema), txns, ..Change::of(table, base, at) };
    let committed = change.put(process, info).await;
    if committed.is_err() {
        process.lake.abandon(table).await;
    }
    committed.map(drop)
}
