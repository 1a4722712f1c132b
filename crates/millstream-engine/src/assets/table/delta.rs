//! Turns the change of a table into staged files: rows that are added go through the contract, files that lose rows are
//! rewritten.

use arrow::array::RecordBatch;
use datafusion::{
    catalog::TableProvider, error::DataFusionError, execution::SendableRecordBatchStream,
    physical_plan::stream::RecordBatchStreamAdapter, prelude::Expr,
};
use futures::{TryStreamExt, stream};
use millstream_connector::Positions;
use millstream_lake::{DataFile, LakeTable, Snapshot, StagedFile};
use millstream_quality::{Sources, Tally};
use millstream_sql::{
    conform, conform_stream,
    incremental::{Change, Gone, IncrementalError, KeySet, Spool, all_rows, check_keys, survivors},
};
use millstream_state::{Proof, Receipt};
use std::sync::Arc;

use super::{
    build::{BuildAttempt, Plan},
    states,
};
use crate::{
    EngineError,
    event::{Figures, StepMeter},
    judge::Judge,
    publish::any_superseded,
    receipt, stored,
    stored_keys::StoredKeys,
    superseded::Superseded,
    writers::Writers,
};

/// The staged files and the figures of one build.
pub(super) struct Delta {
    pub add: Vec<StagedFile>,
    pub remove: Vec<DataFile>,
    /// The files of `add` whose rows were there before.
    pub kept: Vec<DataFile>,
    pub rejected: Vec<StagedFile>,
    pub tally: Tally,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    /// Where the rows went that were computed.
    pub receipt: Receipt,
    /// Whether every row of the table is new.
    pub whole: bool,
    /// The earlier rejected rows that are removed; `None` if there are none to look for.
    pub superseded: Option<Superseded>,
    /// Whether all earlier rejected rows are removed, because the rows that are still rejected are among the new ones.
    pub all_rejected_again: bool,
}

/// Stages what `plan` asks for; `None` when nothing changes.
pub(super) async fn stage(attempt: &BuildAttempt<'_>, plan: Plan) -> Result<Option<Delta>, EngineError> {
    let delta = match plan {
        Plan::Whole(rows) => whole(attempt, rows).await?,
        Plan::Change(Change::Nothing) if attempt.reshapes() => reshaped(attempt).await?,
        Plan::Change(Change::Nothing) => return Ok(None),
        Plan::Change(Change::Everything { rows }) => {
            let is_history = attempt.spec.materialize.keeps_states();
            let superseded = if is_history { states::judged_again(attempt, &rows).await? } else { None };
            let rows = rows.stream().map_err(|source| stored::failed(&attempt.spec.name, source))?;
            let delta = with_rows(attempt, rows, present(attempt), Vec::new(), true).await?;
            Delta { superseded, all_rejected_again: !is_history, ..delta }
        }
        Plan::Change(Change::Add { rows }) => {
            let delta = with_rows(attempt, rows, Vec::new(), Vec::new(), false).await?;
            if delta.add.is_empty() && delta.rows_rejected == 0 {
                return Ok(None);
            }
            delta
        }
        Plan::Change(Change::Replace { keys, rows, gone }) => {
            return replaced(attempt, &keys, rows, &gone).await;
        }
        Plan::Change(Change::AddAndRemove { rows, removal }) => {
            let touched = touched(attempt, removal.predicate())?;
            let provider =
                LakeTable::new(&attempt.context.world.lake, attempt.schema.clone(), touched.clone())?;
            let stay = removal.survivors(attempt.runtime.as_ref(), provider).await;
            match rewrite(attempt, stay.map_err(|source| attempt.failed(source))?).await {
                Ok(kept) => {
                    // The removal has found each of its rows, or there would be an error.
                    let gone = u64::try_from(removal.rows()).ok();
                    receipt::check_rewritten(&attempt.spec.name, &touched, gone, &kept)?;
                    let rows = rows.stream().map_err(|source| stored::failed(&attempt.spec.name, source))?;
                    with_rows(attempt, rows, touched, kept, false).await?
                }
                // Some of the rows to remove are not stored: they were rejected, or an older definition made other rows.
                Err(EngineError::Incremental {
                    source: IncrementalError::NeedsFullRebuild { why }, ..
                }) => {
                    attempt.context.note(format!("rebuilt as a whole: {why}"));
                    match attempt.whole().await? {
                        Plan::Whole(rows) => whole(attempt, rows).await?,
                        Plan::Change(_) => return Ok(None),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    };
    Ok(Some(delta))
}

/// All files of the table.
pub(super) fn present(attempt: &BuildAttempt<'_>) -> Vec<DataFile> {
    attempt.base.map(|base| base.files().to_vec()).unwrap_or_default()
}

/// Stages `rows` in the place of those that have one of `keys`; `None` when nothing changes.
async fn replaced(
    attempt: &BuildAttempt<'_>,
    keys: &KeySet,
    rows: Arc<Spool>,
    gone: &Gone,
) -> Result<Option<Delta>, EngineError> {
    let superseded = superseded(attempt, keys, &rows, gone).await?;
    let all_rejected_again = matches!(gone, Gone::AllOthers);
    if keys.is_empty() {
        let some = match &superseded {
            Some(superseded) => all_rejected_again || any_goes(attempt, superseded).await?,
            None => false,
        };
        if !some {
            return Ok(None);
        }
        let rows = rows.stream().map_err(|source| stored::failed(&attempt.spec.name, source))?;
        let delta = with_rows(attempt, rows, Vec::new(), Vec::new(), false).await?;
        return Ok(Some(Delta { superseded, all_rejected_again, ..delta }));
    }
    let touched = if attempt.rewrites() { present(attempt) } else { touched(attempt, keys.predicate())? };
    let provider = files_of(attempt, touched.clone())?;
    let stay = survivors(attempt.runtime.as_ref(), &attempt.maintenance, provider, keys).await;
    let kept = rewrite(attempt, stay.map_err(|source| attempt.failed(source))?).await?;
    let rows = rows.stream().map_err(|source| stored::failed(&attempt.spec.name, source))?;
    let mut delta = with_rows(attempt, rows, touched, kept, false).await?;
    if all_rejected_again {
        // Every row was looked at, so the share of rejected rows has to count the rows that stay as they were, too.
        let present = attempt.base.and_then(Snapshot::rows).unwrap_or(0);
        delta.tally.rows += present.saturating_sub(delta.rows_deleted);
    }
    Ok(Some(Delta { superseded, all_rejected_again, ..delta }))
}

/// Writes the same rows in the columns that the definition has now.
async fn reshaped(attempt: &BuildAttempt<'_>) -> Result<Delta, EngineError> {
    let none = || {
        Box::pin(RecordBatchStreamAdapter::new(
            attempt.schema.clone(),
            stream::empty::<Result<RecordBatch, DataFusionError>>(),
        ))
    };
    if !attempt.rewrites() {
        return with_rows(attempt, none(), Vec::new(), Vec::new(), false).await;
    }
    let present = attempt.base.map(|base| base.files().to_vec()).unwrap_or_default();
    let rows =
        all_rows(attempt.runtime.as_ref(), &attempt.maintenance, files_of(attempt, present.clone())?).await;
    let kept = rewrite(attempt, rows.map_err(|source| attempt.failed(source))?).await?;
    receipt::check_rewritten(&attempt.spec.name, &present, Some(0), &kept)?;
    with_rows(attempt, none(), present, kept, false).await
}

/// The rows of some of the present version's files, with the columns of that version.
pub(super) fn files_of(
    attempt: &BuildAttempt<'_>,
    files: Vec<DataFile>,
) -> Result<Arc<dyn TableProvider>, EngineError> {
    let schema = attempt.base.map_or_else(|| attempt.schema.clone(), Snapshot::schema);
    Ok(LakeTable::new(&attempt.context.world.lake, schema, files)?)
}

/// Stages `rows` in the place of all rows that are there.
async fn whole(attempt: &BuildAttempt<'_>, rows: SendableRecordBatchStream) -> Result<Delta, EngineError> {
    let present = attempt.base.map(|base| base.files().to_vec()).unwrap_or_default();
    let delta = with_rows(attempt, rows, present, Vec::new(), true).await?;
    check_written(attempt, &delta).await?;
    Ok(delta)
}

/// The files of the present version that, by their statistics, may hold rows for which the condition is true.
pub(super) fn touched(
    attempt: &BuildAttempt<'_>,
    condition: Option<Expr>,
) -> Result<Vec<DataFile>, EngineError> {
    let Some(base) = attempt.base else { return Ok(Vec::new()) };
    match condition {
        Some(condition) => Ok(LakeTable::files_matching(attempt.runtime.session(), base, &condition)?),
        None => Ok(base.files().to_vec()),
    }
}

pub(super) async fn rewrite(
    attempt: &BuildAttempt<'_>,
    stay: SendableRecordBatchStream,
) -> Result<Vec<StagedFile>, EngineError> {
    let world = &attempt.context.world;
    let mut stay = conform_stream(stay, &attempt.schema);
    let mut writers = Writers::new(
        &world.lake,
        &attempt.spec.name,
        attempt.schema.clone(),
        world.options.parallelism.get(),
    );
    writers.write_all(&mut stay).await?;
    writers.finish().await
}

/// Checks and writes `rows`. `remove` are the files that are removed; `kept` are new files with those of their rows that
/// stay.
async fn with_rows(
    attempt: &BuildAttempt<'_>,
    mut rows: SendableRecordBatchStream,
    remove: Vec<DataFile>,
    kept: Vec<StagedFile>,
    whole: bool,
) -> Result<Delta, EngineError> {
    let world = &attempt.context.world;
    let table = &attempt.spec.name;
    let stored = staying(attempt, &remove, &kept, whole);
    let mut judge = Judge::new(attempt.context, table, &attempt.contract, stored, attempt.build, attempt.now);
    let threads = world.options.parallelism.get();
    let mut writers = Writers::new(&world.lake, table, attempt.schema.clone(), threads);
    let name = table.to_string();
    let (mut written, mut made, meter) =
        (0_u64, 0_u64, StepMeter::new(&attempt.context.asset, &attempt.context.events));
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        attempt.context.check_cancelled()?;
        made += batch.num_rows() as u64;
        let batch = conform(&batch, &attempt.schema)
            .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
        let seen = judge.tally.rows + batch.num_rows() as u64;
        let positions = Positions::From(i64::try_from(seen).unwrap_or(i64::MAX));
        let accepted = judge.judge(&attempt.contract, &batch, &positions, &Sources::One(&name)).await?.rows;
        written += accepted.num_rows() as u64;
        writers.write(accepted).await?;
        meter.show(Figures { rows: judge.tally.rows, ..Figures::default() });
    }
    let before: u64 = remove.iter().filter_map(DataFile::rows).sum();
    let staying: u64 = kept.iter().map(StagedFile::rows).sum();
    let mut add = writers.finish().await?;
    let rows_out = add.iter().map(StagedFile::rows).sum();
    let kept_files = kept.iter().map(DataFile::from).collect();
    add.extend(kept);
    let (rejected, tally) = judge.finish().await?;
    let receipt = Receipt {
        proof: Proof::RowsMade,
        rows_in: None,
        rows_made: made,
        rows_out,
        rows_rejected: rejected.iter().map(StagedFile::rows).sum(),
        rows_filtered: None,
    };
    Ok(Delta {
        receipt,
        add,
        remove,
        kept: kept_files,
        rejected,
        rows_written: written,
        rows_deleted: before.saturating_sub(staying),
        rows_rejected: tally.rejected,
        tally,
        whole,
        superseded: None,
        all_rejected_again: whole,
    })
}

/// The rejected rows that are removed: those that have one of `keys` or `gone`, or, of a history, a state that is among `rows`.
/// `None` if there are none.
async fn superseded(
    attempt: &BuildAttempt<'_>,
    keys: &KeySet,
    rows: &Spool,
    gone: &Gone,
) -> Result<Option<Superseded>, EngineError> {
    if attempt.rejected.is_none() {
        return Ok(None);
    }
    if attempt.spec.materialize.keeps_states() {
        return states::judged_again(attempt, rows).await;
    }
    let gone = if let Gone::Keys(gone) = gone { Some(gone.as_ref()) } else { None };
    let keys = [keys].into_iter().chain(gone);
    Superseded::new(attempt.runtime.as_ref(), &attempt.spec.name, &attempt.schema, keys).map(Some)
}

/// Whether at least one rejected row is removed.
async fn any_goes(attempt: &BuildAttempt<'_>, superseded: &Superseded) -> Result<bool, EngineError> {
    let Some(rejected) = &attempt.rejected else { return Ok(false) };
    any_superseded(&attempt.context.world, rejected, rejected.files(), superseded, None).await
}

/// The keys of all rows that stay: of files that are not touched, and of what is kept of the others.
pub(super) fn staying(
    attempt: &BuildAttempt<'_>,
    remove: &[DataFile],
    kept: &[StagedFile],
    whole: bool,
) -> StoredKeys {
    let Some(base) = attempt.base.filter(|_| !whole) else {
        return StoredKeys::none(attempt.spec.name.clone(), attempt.schema.clone());
    };
    let untouched = base.files().iter().filter(|file| !remove.contains(file)).cloned();
    StoredKeys::of_files(base, untouched.chain(kept.iter().map(DataFile::from)).collect())
}

/// Checks that keys are unique after a whole build. The build streams its rows to disk, so the written files are read.
async fn check_written(attempt: &BuildAttempt<'_>, delta: &Delta) -> Result<(), EngineError> {
    let world = &attempt.context.world;
    let files = delta.add.iter().map(DataFile::from).collect();
    let written = LakeTable::new(&world.lake, attempt.schema.clone(), files)?;
    if let Err(source) =
        check_keys(attempt.runtime.as_ref(), &attempt.maintenance, Arc::clone(&written)).await
    {
        world.lake.discard(delta.add.clone()).await;
        world.lake.discard(delta.rejected.clone()).await;
        return Err(attempt.failed(source));
    }
    Ok(())
}
