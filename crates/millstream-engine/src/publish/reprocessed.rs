//! The two commits of a reprocessing, and what an interrupted one is recognised by.
//!
//! Two tables change and Delta has no transaction over two. The rows enter their table first, in a commit whose transaction
//! names the version of the rejected table that was read; then the rejected table is replaced by what is still rejected.
//! Whoever finds the transaction ahead of the rejected table finishes with the second commit.

use millstream_lake::{Operation, Snapshot, StagedFile};
use millstream_types::TimestampMicros;

use super::Change;
use crate::{
    EngineError,
    commit_info::{CommitInfo, REPROCESS_TXN},
    engine::StepContext,
};

/// Rejected rows that pass now enter their table, and the others stay; gives the version of the table that has them.
pub(crate) async fn take_in(
    context: &StepContext,
    (table, rejected): (&Snapshot, &Snapshot),
    add: Vec<StagedFile>,
    still: Vec<StagedFile>,
    (info, at): (CommitInfo, TimestampMicros),
) -> Result<i64, EngineError> {
    let txns = vec![(REPROCESS_TXN, taken(rejected))];
    let entering = Change { add, txns, info: Some(info), ..Change::of(table.table(), Some(table), at) };
    let version = entering.commit(context).await?;
    replace_rejected(context, rejected, still).await?;
    Ok(version)
}

/// Only what is still rejected stays.
pub(crate) async fn replace_rejected(
    context: &StepContext,
    rejected: &Snapshot,
    still: Vec<StagedFile>,
) -> Result<(), EngineError> {
    let at = context.world.options.clock.now();
    let replaced = Change {
        add: still,
        remove: rejected.files().to_vec(),
        operation: Operation::Overwrite,
        ..Change::of(rejected.table(), Some(rejected), at)
    };
    replaced.commit(context).await.map(drop)
}

/// The transaction's version for a rejected table's version; above 0, which means never.
pub(crate) fn taken(rejected: &Snapshot) -> i64 {
    rejected.version() + 1
}
