//! A reprocessing that ended between its two commits: its rows entered bronze, but are still in the rejected table.

use std::{collections::HashSet, sync::Arc};

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch},
    compute::{cast, filter_record_batch},
    datatypes::{DataType, Int64Type},
};
use datafusion::prelude::{Expr, ident, lit};
use futures::TryStreamExt;
use millstream_lake::{At, LakeTable, Snapshot};
use millstream_types::{POSITION, SEQUENCE, SOURCE, TableName};

use crate::{
    EngineError,
    commit_info::{CommitInfo, Committed, REPROCESS_TXN},
    engine::{StepContext, World},
    publish::{replace_rejected, taken},
    receipt,
    resolver::provider,
    stored,
    writers::Writers,
};

/// Whether a reprocessing of `table` ended between its two commits.
pub(crate) async fn is_interrupted(world: &World, table: &TableName) -> Result<bool, EngineError> {
    match world.lake.snapshot(table, At::Latest).await? {
        Some(bronze) => Ok(interrupted(world, &bronze).await?.is_some()),
        None => Ok(false),
    }
}

/// The rejected table that an interrupted reprocessing has still to replace; `None` when no reprocessing was interrupted.
pub(crate) async fn interrupted(
    world: &World,
    bronze: &Snapshot,
) -> Result<Option<Arc<Snapshot>>, EngineError> {
    let Some(reached) = bronze.txn(REPROCESS_TXN) else { return Ok(None) };
    let rejected = world.lake.snapshot(&bronze.table().rejected(), At::Latest).await?;
    Ok(rejected.filter(|rejected| taken(rejected) == reached))
}

/// Completes an interrupted reprocessing: every row that entered leaves the rejected table.
pub(crate) async fn finish_interrupted(context: &StepContext, table: &TableName) -> Result<(), EngineError> {
    let world = &context.world;
    let Some(bronze) = world.lake.snapshot(table, At::Latest).await? else { return Ok(()) };
    let Some(rejected) = interrupted(world, &bronze).await? else { return Ok(()) };
    let entered = entered_rows(world, &bronze, taken(&rejected)).await?;
    let names: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
    let provider = LakeTable::new(&world.lake, rejected.schema(), rejected.files().to_vec())?;
    let mut rows = stored::scan(world, rejected.table(), provider, &names, None).await?;
    let mut still = Writers::new(&world.lake, rejected.table(), rejected.schema(), 1);
    let mut gone = 0;
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        let stays: BooleanArray = places(&batch).map(|place| Some(!entered.contains(&place))).collect();
        gone += (batch.num_rows() - stays.true_count()) as u64;
        let batch = filter_record_batch(&batch, &stays)
            .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
        still.write(batch).await?;
    }
    let still = still.finish().await?;
    receipt::check_rewritten(rejected.table(), rejected.files(), Some(gone), &still)?;
    replace_rejected(context, &rejected, still).await
}

/// The source and position of every row that the reprocessing with the transaction version `reached` took in. They are read
/// from the present table: the files that the reprocessing added may have been compacted since, and be deleted.
async fn entered_rows(
    world: &World,
    bronze: &Snapshot,
    reached: i64,
) -> Result<HashSet<(String, i64)>, EngineError> {
    let table = bronze.table();
    let condition = numbers_taken(world, table, reached).await?;
    let columns = [SOURCE.to_owned(), POSITION.to_owned()];
    let mut rows = stored::scan(world, table, provider(&world.lake, bronze)?, &columns, condition).await?;
    let mut entered = HashSet::new();
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        entered.extend(places(&batch));
    }
    Ok(entered)
}

/// The condition for the sequence numbers that the reprocessing gave its rows. `None`, which means all rows, if its commit is
/// no longer in the log: that is safe, because a row that is in the table was not kept out of it.
async fn numbers_taken(world: &World, table: &TableName, reached: i64) -> Result<Option<Expr>, EngineError> {
    let commits = world.lake.history(table, None).await?;
    let of_reprocess = |txn: &(String, i64)| txn.0 == REPROCESS_TXN && txn.1 == reached;
    let commit = commits.iter().find(|commit| commit.txns.iter().any(of_reprocess));
    let Some(CommitInfo { rows_written, what: Committed::Reprocess { next_sequence, .. }, .. }) =
        commit.and_then(|commit| CommitInfo::from_json(&commit.info))
    else {
        return Ok(None);
    };
    let first = next_sequence.saturating_sub(i64::try_from(rows_written).unwrap_or(i64::MAX));
    Ok(Some(ident(SEQUENCE).gt_eq(lit(first)).and(ident(SEQUENCE).lt(lit(next_sequence)))))
}

fn places(batch: &RecordBatch) -> impl Iterator<Item = (String, i64)> + '_ {
    let sources = batch.column_by_name(SOURCE).and_then(|column| cast(column, &DataType::Utf8).ok());
    let positions = batch.column_by_name(POSITION).cloned();
    (0..batch.num_rows()).map(move |row| {
        let source = sources.as_ref().map(|column| column.as_string::<i32>());
        let source = source.filter(|column| column.is_valid(row)).map_or("", |column| column.value(row));
        let position = positions.as_ref().and_then(|column| column.as_primitive_opt::<Int64Type>());
        (source.to_owned(), position.map_or(-1, |column| column.value(row)))
    })
}
