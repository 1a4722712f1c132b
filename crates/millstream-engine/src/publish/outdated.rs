//! Rejected rows that the next version of a table makes obsolete. They leave after the commit of that version: a landing or
//! build that never comes must not take rows away that stay rejected without it.
//!
//! The commit sets a mark under [`OUTDATED_TXN`] and says in its record what it outdates; the commit that takes the rows away
//! sets the same mark on the table of rejected rows. Whoever finds the table ahead of its rejected rows finishes with the second
//! commit, or, where only the process that ended knew which rows these are, builds the table once more.

use arrow::array::RecordBatch;
use datafusion::{
    execution::SendableRecordBatchStream,
    prelude::{Expr, ident, lit},
};
use futures::TryStreamExt;
use millstream_lake::{At, DataFile, LakeTable, Operation, Snapshot};
use millstream_types::{SOURCE, TableName};

use super::{
    Candidate, Change, EPOCH,
    rejected::{max_epoch, may_hold, min_epoch},
};
use crate::{
    EngineError,
    commit_info::{CommitInfo, LANDING_TXN, OUTDATED_TXN, Outdated, OutdatedRows},
    engine::{StepContext, World},
    stored,
    superseded::Superseded,
    writers::Writers,
};

/// What a commit makes obsolete, and the mark by which the commit that takes it away is recognised.
pub(super) struct Outdating {
    pub outdated: Outdated,
    /// The version of [`OUTDATED_TXN`], above those of the table and of its rejected rows: either may have been made anew.
    pub mark: i64,
}

/// The rejected rows that the candidate makes obsolete; `None` where there are none.
pub(super) async fn outdating(candidate: &Candidate<'_>) -> Result<Option<Outdating>, EngineError> {
    let rejected = &candidate.rejected;
    let rows = match (&rejected.superseded, rejected.replace) {
        (_, true) => OutdatedRows::All,
        (Some(_), false) if candidate.follows_its_inputs() => OutdatedRows::Superseded,
        _ => OutdatedRows::Parts(rejected.replaced_parts.clone()),
    };
    let world = &candidate.context.world;
    let table = candidate.table.rejected();
    let Some(base) = world.lake.snapshot(&table, At::Latest).await? else { return Ok(None) };
    let outdated = Outdated { epoch: rejected.epoch_before + 1, rows };
    let touched = outdated.files(&base);
    let holds = match &rejected.superseded {
        Some(superseded) if outdated.rows == OutdatedRows::Superseded => {
            any_superseded(world, &base, &touched, superseded, Some(outdated.epoch)).await?
        }
        _ => !touched.is_empty(),
    };
    let marks = [candidate.base.and_then(|table| table.txn(OUTDATED_TXN)), base.txn(OUTDATED_TXN)];
    let mark = marks.into_iter().flatten().max().unwrap_or(0) + 1;
    Ok(holds.then_some(Outdating { outdated, mark }))
}

/// Takes away the rejected rows of `table` that a commit has made obsolete.
pub(super) async fn drop_outdated(
    context: &StepContext,
    table: &TableName,
    outdating: &Outdating,
    superseded: Option<&Superseded>,
) -> Result<(), EngineError> {
    let Some(rejected) = context.world.lake.snapshot(&table.rejected(), At::Latest).await? else {
        return Ok(());
    };
    let Outdating { outdated, mark } = outdating;
    let keeping = Keeping {
        touched: outdated.files(&rejected),
        stays: outdated.stays(),
        superseded: superseded.map(|superseded| (superseded, outdated.epoch)),
        txns: vec![(OUTDATED_TXN, *mark)],
    };
    keeping.commit(context, &rejected).await
}

/// Whether rejected rows of `table` are obsolete, and were not taken away because a process ended.
pub(crate) async fn is_outdated(world: &World, table: &Snapshot) -> Result<bool, EngineError> {
    let Some(mark) = table.txn(OUTDATED_TXN) else { return Ok(false) };
    let rejected = world.lake.snapshot(&table.table().rejected(), At::Latest).await?;
    Ok(rejected.is_some_and(|rejected| rejected.txn(OUTDATED_TXN).is_none_or(|done| done < mark)))
}

/// Takes away obsolete rejected rows that were left behind. Those that only the process knew that made them obsolete stay marked,
/// and are for the next build, which computes all rows.
pub(crate) async fn finish_outdated(context: &StepContext, table: &Snapshot) -> Result<(), EngineError> {
    let world = &context.world;
    let Some(mark) = table.txn(OUTDATED_TXN) else { return Ok(()) };
    if !is_outdated(world, table).await? {
        return Ok(());
    }
    let commits = world.lake.history(table.table(), None).await?;
    let is_marked = |txn: &(String, i64)| txn.0 == OUTDATED_TXN && txn.1 == mark;
    let commit = commits.iter().find(|commit| commit.txns.iter().any(is_marked));
    let told = commit.and_then(|commit| CommitInfo::from_json(&commit.info)).and_then(|info| info.outdates);
    if told.as_ref().is_some_and(|outdated| outdated.rows == OutdatedRows::Superseded) {
        return Ok(());
    }
    // A log without the commit no longer says which rows these are. Too many are better than too few.
    let outdated = told.unwrap_or(Outdated { epoch: 0, rows: OutdatedRows::Parts(Vec::new()) });
    drop_outdated(context, table.table(), &Outdating { outdated, mark }, None).await
}

/// Whether there are rejected rows of a landing that never came: its process ended, or it was halted.
pub(crate) async fn has_unreached(world: &World, bronze: &Snapshot) -> Result<bool, EngineError> {
    let rejected = world.lake.snapshot(&bronze.table().rejected(), At::Latest).await?;
    let reached = bronze.txn(LANDING_TXN).unwrap_or(0);
    let is_unreached = |file: &DataFile| max_epoch(file).is_some_and(|max| max > reached);
    Ok(rejected.is_some_and(|rejected| rejected.files().iter().any(is_unreached)))
}

/// Takes away rejected rows of a landing that never came, and does not wait any more either.
pub(crate) async fn drop_unreached(context: &StepContext, bronze: &Snapshot) -> Result<(), EngineError> {
    let table = bronze.table().rejected();
    let Some(rejected) = context.world.lake.snapshot(&table, At::Latest).await? else { return Ok(()) };
    let reached = bronze.txn(LANDING_TXN).unwrap_or(0);
    let is_touched = |file: &&DataFile| max_epoch(file).is_none_or(|max| max > reached);
    let touched = rejected.files().iter().filter(is_touched).cloned().collect();
    let stays = Some(ident(EPOCH).lt_eq(lit(reached)));
    Keeping { touched, stays, superseded: None, txns: Vec::new() }.commit(context, &rejected).await
}

/// A commit that takes rows away from a table of rejected rows.
struct Keeping<'a> {
    /// The files that may have such rows.
    touched: Vec<DataFile>,
    /// The condition of the rows of these files that stay; `None` for all.
    stays: Option<Expr>,
    /// Rows that go besides, of epochs before this one.
    superseded: Option<(&'a Superseded, i64)>,
    txns: Vec<(&'static str, i64)>,
}

impl Keeping<'_> {
    /// Writes the rows anew that stay, and commits that the others are gone.
    async fn commit(self, context: &StepContext, rejected: &Snapshot) -> Result<(), EngineError> {
        let world = &context.world;
        let mut writers = Writers::new(&world.lake, rejected.table(), rejected.schema(), 1);
        match self.superseded {
            None => {
                let mut rows = rows_of(world, rejected, &self.touched, self.stays).await?;
                while let Some(batch) = rows.next().await? {
                    writers.write(batch).await?;
                }
            }
            Some((superseded, epoch)) => {
                let (before, since) = (ident(EPOCH).lt(lit(epoch)), ident(EPOCH).gt_eq(lit(epoch)));
                let mut rows = rows_of(world, rejected, &self.touched, Some(before)).await?;
                while let Some(batch) = rows.next().await? {
                    writers.write(superseded.without(&batch)?).await?;
                }
                let mut rows = rows_of(world, rejected, &self.touched, Some(since)).await?;
                while let Some(batch) = rows.next().await? {
                    writers.write(batch).await?;
                }
            }
        }
        let change = Change {
            add: writers.finish().await?,
            remove: self.touched,
            operation: Operation::Overwrite,
            txns: self.txns,
            ..Change::of(rejected.table(), Some(rejected), world.options.clock.now())
        };
        change.commit(context).await.map(drop)
    }
}

/// Whether one of the rejected rows of the files is superseded; of those of epochs before one, where that is named.
pub(crate) async fn any_superseded(
    world: &World,
    rejected: &Snapshot,
    files: &[DataFile],
    superseded: &Superseded,
    before: Option<i64>,
) -> Result<bool, EngineError> {
    let condition = before.map(|epoch| ident(EPOCH).lt(lit(epoch)));
    let mut rows = rows_of(world, rejected, files, condition).await?;
    while let Some(batch) = rows.next().await? {
        if superseded.without(&batch)?.num_rows() < batch.num_rows() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Rows of files of a table of rejected rows.
struct RejectedStream<'a> {
    table: &'a TableName,
    rows: SendableRecordBatchStream,
}

impl RejectedStream<'_> {
    async fn next(&mut self) -> Result<Option<RecordBatch>, EngineError> {
        self.rows.try_next().await.map_err(|source| stored::failed(self.table, source))
    }
}

async fn rows_of<'a>(
    world: &World,
    rejected: &'a Snapshot,
    files: &[DataFile],
    condition: Option<Expr>,
) -> Result<RejectedStream<'a>, EngineError> {
    let provider = LakeTable::new(&world.lake, rejected.schema(), files.to_vec())?;
    let columns: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
    let rows = stored::scan(world, rejected.table(), provider, &columns, condition).await?;
    Ok(RejectedStream { table: rejected.table(), rows })
}

impl Outdated {
    /// The files whose statistics allow obsolete rows.
    fn files(&self, rejected: &Snapshot) -> Vec<DataFile> {
        let may_hold_part = |file: &DataFile| match &self.rows {
            OutdatedRows::All | OutdatedRows::Superseded => true,
            OutdatedRows::Parts(parts) => parts.iter().any(|part| may_hold(file, part)),
        };
        let is_touched =
            |file: &&DataFile| min_epoch(file).is_none_or(|min| min < self.epoch) && may_hold_part(file);
        rejected.files().iter().filter(is_touched).cloned().collect()
    }

    /// The condition of the rows that stay; `None` where the rows themselves do not tell.
    fn stays(&self) -> Option<Expr> {
        let is_new = ident(EPOCH).gt_eq(lit(self.epoch));
        match &self.rows {
            OutdatedRows::All => Some(is_new),
            OutdatedRows::Parts(parts) => {
                let parts = parts.iter().map(|part| lit(part.as_str())).collect();
                Some(is_new.or(ident(SOURCE).is_null()).or(ident(SOURCE).in_list(parts, true)))
            }
            OutdatedRows::Superseded => None,
        }
    }
}
