//! Rejected rows that the next version of a table makes obsolete. They leave after the commit of that version: a landing or
//! build that never comes must not take rows away that stay rejected without it.
//!
//! The commit names its epoch under [`OUTDATED_TXN`] and says in its record what it outdates; the commit that takes the rows
//! away names the same epoch on the table of rejected rows. Whoever finds the table ahead of its rejected rows finishes with the
//! second commit.

use datafusion::prelude::{Expr, ident, lit};
use futures::TryStreamExt;
use millstream_lake::{At, DataFile, LakeTable, Operation, Snapshot};
use millstream_types::{SOURCE, TableName};

use super::{
    Candidate, Change, EPOCH,
    rejected::{max_epoch, may_hold, min_epoch},
};
use crate::{
    EngineError,
    commit_info::{CommitInfo, LANDING_TXN, OUTDATED_TXN, Outdated},
    engine::{StepContext, World},
    stored,
    writers::Writers,
};

/// The rejected rows that the candidate makes obsolete; `None` where there are none.
pub(super) async fn outdated(candidate: &Candidate<'_>) -> Result<Option<Outdated>, EngineError> {
    let rejected = &candidate.rejected;
    let outdated = match rejected.replace {
        true => Outdated::All,
        false => Outdated::Parts(rejected.replaced_parts.clone()),
    };
    let table = candidate.table.rejected();
    let Some(base) = candidate.context.world.lake.snapshot(&table, At::Latest).await? else {
        return Ok(None);
    };
    let holds = base.files().iter().any(|file| outdated.may_hold(file, rejected.epoch_before + 1));
    Ok(holds.then_some(outdated))
}

/// Takes away the rejected rows of `table` that its `epoch` made obsolete.
pub(super) async fn drop_outdated(
    context: &StepContext,
    table: &TableName,
    outdated: &Outdated,
    epoch: i64,
) -> Result<(), EngineError> {
    let Some(rejected) = context.world.lake.snapshot(&table.rejected(), At::Latest).await? else {
        return Ok(());
    };
    let touched = rejected.files().iter().filter(|file| outdated.may_hold(file, epoch)).cloned().collect();
    keep_rows(context, &rejected, touched, outdated.stays(epoch), vec![(OUTDATED_TXN, epoch)]).await
}

/// Whether rejected rows of `table` are obsolete, and were not taken away because a process ended.
pub(crate) async fn is_outdated(world: &World, table: &Snapshot) -> Result<bool, EngineError> {
    let Some(epoch) = table.txn(OUTDATED_TXN) else { return Ok(false) };
    let rejected = world.lake.snapshot(&table.table().rejected(), At::Latest).await?;
    Ok(rejected.is_some_and(|rejected| rejected.txn(OUTDATED_TXN).is_none_or(|done| done < epoch)))
}

/// Takes away obsolete rejected rows that a process left behind.
pub(crate) async fn finish_outdated(context: &StepContext, table: &Snapshot) -> Result<(), EngineError> {
    let world = &context.world;
    let Some(epoch) = table.txn(OUTDATED_TXN) else { return Ok(()) };
    if !is_outdated(world, table).await? {
        return Ok(());
    }
    let commits = world.lake.history(table.table(), None).await?;
    let of_epoch = |txn: &(String, i64)| txn.0 == OUTDATED_TXN && txn.1 == epoch;
    let commit = commits.iter().find(|commit| commit.txns.iter().any(of_epoch));
    let told = commit.and_then(|commit| CommitInfo::from_json(&commit.info)).and_then(|info| info.outdates);
    // A log without the commit no longer says which rows these are. Too many are better than too few.
    let outdated = told.unwrap_or(Outdated::Parts(Vec::new()));
    drop_outdated(context, table.table(), &outdated, epoch).await
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
    keep_rows(context, &rejected, touched, ident(EPOCH).lt_eq(lit(reached)), Vec::new()).await
}

/// Writes those rows of the `touched` files anew that stay, and commits that the others are gone.
async fn keep_rows(
    context: &StepContext,
    rejected: &Snapshot,
    touched: Vec<DataFile>,
    stays: Expr,
    txns: Vec<(&'static str, i64)>,
) -> Result<(), EngineError> {
    let (world, table) = (&context.world, rejected.table());
    let provider = LakeTable::new(&world.lake, rejected.schema(), touched.clone())?;
    let columns: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
    let mut rows = stored::scan(world, table, provider, &columns, Some(stays)).await?;
    let mut writers = Writers::new(&world.lake, table, rejected.schema(), 1);
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        writers.write(batch).await?;
    }
    let change = Change {
        add: writers.finish().await?,
        remove: touched,
        operation: Operation::Overwrite,
        txns,
        ..Change::of(table, Some(rejected), world.options.clock.now())
    };
    change.commit(context).await.map(drop)
}

impl Outdated {
    /// Whether the file's statistics allow obsolete rows.
    fn may_hold(&self, file: &DataFile, epoch: i64) -> bool {
        let is_earlier = min_epoch(file).is_none_or(|min| min < epoch);
        is_earlier
            && match self {
                Self::All => true,
                Self::Parts(parts) => parts.iter().any(|part| may_hold(file, part)),
            }
    }

    /// The condition of the rows that stay.
    fn stays(&self, epoch: i64) -> Expr {
        let is_new = ident(EPOCH).gt_eq(lit(epoch));
        match self {
            Self::All => is_new,
            Self::Parts(parts) => {
                let parts = parts.iter().map(|part| lit(part.as_str())).collect();
                is_new.or(ident(SOURCE).is_null()).or(ident(SOURCE).in_list(parts, true))
            }
        }
    }
}
