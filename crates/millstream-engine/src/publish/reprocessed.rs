//! The two commits of a reprocessing, and the transaction by which an interrupted one is recognised.
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

/// Commits the files `add`, of rejected rows that pass now, to their table, and leaves only the rows `still` in the rejected
/// table. Returns the version of the table that has the new rows.
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

/// Replaces all rows of the rejected table by the rows that are `still` rejected.
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

/// The version of the transaction [`REPROCESS_TXN`] that stands for a version of the rejected table. It is one higher, since 0
/// means that there was none.
pub(crate) fn taken(rejected: &Snapshot) -> i64 {
    rejected.version() + 1
}
