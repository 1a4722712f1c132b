//! The rejected rows of a candidate, and the commit that keeps them before the candidate itself is committed.

use arrow::datatypes::DataType;
use datafusion::{
    common::ScalarValue,
    prelude::{ident, lit},
};
use futures::TryStreamExt;
use millstream_lake::{At, DataFile, LakeTable, Operation, ScanCount, Snapshot, StagedFile};
use millstream_quality::rejected_schema;
use millstream_types::SOURCE;

use super::{Candidate, Change, EPOCH};
use crate::{
    EngineError, commit_info::REJECTED_TXN, engine::World, receipt, rejected::is_lost, stored,
    superseded::Superseded, writers::Writers,
};

/// Commits the candidate's rejected rows. Returns whether the table of rejected rows was changed and is complete, so that the
/// candidate's commit may name its epoch under [`REJECTED_TXN`].
pub(super) async fn commit_rejected(candidate: &Candidate<'_>) -> Result<bool, EngineError> {
    let world = &candidate.context.world;
    let rejected = &candidate.rejected;
    let table = candidate.table.rejected();
    let base = world.lake.snapshot(&table, At::Latest).await?;
    let mut add = rejected.files.clone();
    let mut remove = Vec::new();
    if let Some(base) = &base {
        let superseded = rejected.superseded.as_ref().filter(|_| !candidate.follows_its_inputs());
        let (gone, kept) = drop_epochs(world, base, rejected.epoch_before, superseded).await?;
        remove = gone;
        add.extend(kept);
    }
    let lost = match candidate.base {
        Some(table) => is_lost(world, table).await?,
        None => false,
    };
    // A loss has to stay visible until all rows are judged again, even if none is rejected then.
    let is_told = !lost || rejected.replace;
    if add.is_empty() && remove.is_empty() && !(lost && is_told) {
        return Ok(false);
    }
    let epoch = rejected.epoch_before + 1;
    // An earlier attempt may have been halted, or its process may have died, after it committed its rejected rows.
    let is_new = base.as_ref().and_then(|base| base.txn(REJECTED_TXN)).is_none_or(|told| told < epoch);
    let txns = if is_told && is_new { vec![(REJECTED_TXN, epoch)] } else { Vec::new() };
    let operation = if remove.is_empty() { Operation::Append } else { Operation::Overwrite };
    let change = Change {
        add,
        remove,
        schema: base.is_none().then(rejected_schema),
        operation,
        txns,
        ..Change::of(&table, base.as_deref(), candidate.now)
    };
    change.commit(candidate.context).await?;
    Ok(is_told)
}

/// The files with rows that are removed (those of epochs after `before`, which never became visible, and in a landing those of keys that
/// came again), and new files with the other rows of these files.
pub(crate) async fn drop_epochs(
    world: &World,
    base: &Snapshot,
    before: i64,
    superseded: Option<&Superseded>,
) -> Result<(Vec<DataFile>, Vec<StagedFile>), EngineError> {
    let is_touched = |file: &&DataFile| superseded.is_some() || may_exceed(file, before);
    let touched: Vec<_> = base.files().iter().filter(is_touched).cloned().collect();
    if touched.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let scanned = ScanCount::default();
    let provider = LakeTable::counted(&world.lake, base.schema(), touched.clone(), &scanned)?;
    let columns: Vec<_> = base.schema().fields().iter().map(|field| field.name().clone()).collect();
    let condition = ident(EPOCH).lt_eq(lit(before));
    let mut rows = stored::scan(world, base.table(), provider, &columns, Some(condition)).await?;
    let mut writers = Writers::new(&world.lake, base.table(), base.schema(), 1);
    let mut stayed = 0;
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(base.table(), source))? {
        let batch = match superseded {
            Some(superseded) => superseded.without(&batch)?,
            None => batch,
        };
        stayed += batch.num_rows() as u64;
        writers.write(batch).await?;
    }
    let kept = writers.finish().await?;
    let gone = scanned.rows().map(|scanned| scanned.saturating_sub(stayed));
    receipt::check_rewritten(base.table(), &touched, gone, &kept)?;
    let rows_before: Option<u64> = touched.iter().map(DataFile::rows).sum();
    if rows_before == Some(kept.iter().map(StagedFile::rows).sum()) {
        world.lake.discard(kept).await;
        return Ok((Vec::new(), Vec::new()));
    }
    Ok((touched, kept))
}

fn may_exceed(file: &DataFile, epoch: i64) -> bool {
    max_epoch(file).is_none_or(|max| max > epoch)
}

/// The lowest epoch of the file's rows, if its statistics tell.
pub(super) fn min_epoch(file: &DataFile) -> Option<i64> {
    number(file.column(EPOCH, &DataType::Int64).min)
}

/// The highest epoch of the file's rows, if its statistics tell.
pub(super) fn max_epoch(file: &DataFile) -> Option<i64> {
    number(file.column(EPOCH, &DataType::Int64).max)
}

fn number(value: Option<ScalarValue>) -> Option<i64> {
    match value {
        Some(ScalarValue::Int64(number)) => number,
        _ => None,
    }
}

/// Whether the file's statistics allow rows of `part`.
pub(crate) fn may_hold(file: &DataFile, part: &str) -> bool {
    let bounds = file.column(SOURCE, &DataType::Utf8);
    let text = |value: Option<ScalarValue>| match value {
        Some(ScalarValue::Utf8(Some(text))) => Some(text),
        _ => None,
    };
    match (text(bounds.min), text(bounds.max)) {
        // Statistics may cut a long bound, so an upper bound only excludes texts that differ before the cut.
        (Some(min), Some(max)) => min.as_str() <= part && (part <= max.as_str() || part.starts_with(&max)),
        _ => true,
    }
}
