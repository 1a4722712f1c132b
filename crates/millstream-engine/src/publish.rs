//! Write, audit, publish: judge the candidate version, then commit it, or leave everything as it is.

mod halted;

use arrow::datatypes::SchemaRef;
use datafusion::prelude::{ident, lit};
use futures::TryStreamExt;
use millstream_lake::{At, DataFile, LakeTable, Operation, Snapshot, StagedFile, TableChange};
use millstream_project::CheckSpec;
use millstream_quality::{Contract, Tally, rejected_schema};
use millstream_types::{Percent, SOURCE, TableName, TimestampMicros};

use crate::{
    EngineError, StepOutcome,
    audit::Audit,
    commit_info::{CommitInfo, REJECTED_TXN},
    engine::StepContext,
    rejected::is_lost,
    rejudge,
    run::StepResult,
    stored,
    superseded::Superseded,
    writers::Writers,
};

/// The column of a rejected row that says which landing or build rejected it.
pub(crate) const EPOCH: &str = "_epoch";

/// A version that could be.
pub(crate) struct Candidate<'a> {
    pub context: &'a StepContext,
    pub table: &'a TableName,
    pub base: Option<&'a Snapshot>,
    pub schema: SchemaRef,
    pub add: Vec<StagedFile>,
    pub remove: Vec<DataFile>,
    /// Files whose rows were there before and stay, where these are to be judged by the definition as it is now.
    pub staying: Vec<DataFile>,
    pub operation: Operation,
    pub txn: (&'static str, i64),
    pub info: CommitInfo,
    pub checks: &'a [CheckSpec],
    pub halt_above: Option<Percent>,
    pub contract: &'a Contract,
    pub tally: &'a Tally,
    pub rejected: Rejected,
    pub now: TimestampMicros,
    pub rows_written: u64,
    pub rows_deleted: u64,
}

/// Rows on their way to the table of rejected rows.
pub(crate) struct Rejected {
    pub files: Vec<StagedFile>,
    pub rows: u64,
    /// Rows of higher epochs belong to a landing that never became visible, and go.
    pub epoch_before: i64,
    /// Rejected rows of these parts go, because the parts were read anew.
    pub replaced_parts: Vec<String>,
    /// Whether earlier rejected rows go too, because everything was computed anew.
    pub replace: bool,
    /// Which earlier rejected rows go, because their keys were computed anew.
    pub superseded: Option<Superseded>,
}

impl Candidate<'_> {
    fn audit(&self) -> Audit<'_> {
        Audit {
            context: self.context,
            table: self.table,
            base: self.base,
            schema: self.schema.clone(),
            add: &self.add,
            remove: &self.remove,
            checks: self.checks,
            halt_above: self.halt_above,
            contract: self.contract,
            tally: self.tally,
            now: self.now,
        }
    }

    fn stored(&self) -> Result<rejudge::Stored<'_>, EngineError> {
        let lake = &self.context.world.lake;
        Ok(rejudge::Stored {
            context: self.context,
            table: self.table,
            schema: self.schema.clone(),
            rows: LakeTable::new(lake, self.schema.clone(), self.staying.clone())?,
            checks: self.checks,
            now: self.now,
        })
    }
}

/// The files of `base` without those of `remove`, and `kept`, which have the rows of these that stay.
pub(crate) fn staying(base: Option<&Snapshot>, remove: &[DataFile], kept: Vec<DataFile>) -> Vec<DataFile> {
    let present = base.map(Snapshot::files).unwrap_or_default();
    let untouched = present.iter().filter(|file| !remove.contains(file)).cloned();
    untouched.chain(kept).collect()
}

/// Judges the candidate and makes it visible if it may be.
pub(crate) async fn publish(mut candidate: Candidate<'_>) -> Result<StepResult, EngineError> {
    let context = candidate.context;
    let world = &context.world;
    let audited = candidate.audit().judge().await?;
    let (mut stop, mut checks) = (audited.stop.map(StepOutcome::from), audited.checks);
    if stop.is_none() && !candidate.staying.is_empty() {
        let stored = candidate.stored()?.judge().await?;
        rejudge::tell(context, &stored);
        stop = rejudge::halted(candidate.table, &stored);
        checks = rejudge::joined(checks, stored);
    }
    if let Some(stop) = stop {
        world.lake.discard(std::mem::take(&mut candidate.add)).await;
        halted::keep_rejected(&mut candidate).await?;
        let version = candidate.base.map(Snapshot::version);
        return Ok(StepResult { checks, ..StepResult::without_rows(stop, version) });
    }
    let (rows_written, rows_deleted) = (candidate.rows_written, candidate.rows_deleted);
    let rows_rejected = candidate.rejected.rows;
    let version = commit(candidate).await?;
    Ok(StepResult {
        rows_written,
        rows_deleted,
        rows_rejected,
        checks,
        ..StepResult::without_rows(StepOutcome::Built, Some(version))
    })
}

/// Rejected rows first: should the process end in between, the rows themselves are landed again, and the
/// rejected ones are recognised by their epoch and replaced.
async fn commit(candidate: Candidate<'_>) -> Result<i64, EngineError> {
    let context = candidate.context;
    let is_kept = commit_rejected(&candidate).await?;
    let schema = match candidate.base {
        Some(base) if base.schema() == candidate.schema => None,
        _ => Some(candidate.schema),
    };
    let (txn, txn_version) = candidate.txn;
    let mut txns = vec![(txn.to_owned(), txn_version)];
    if is_kept {
        txns.push((REJECTED_TXN.to_owned(), candidate.rejected.epoch_before + 1));
    }
    let change = TableChange {
        add: candidate.add,
        remove: candidate.remove,
        schema,
        operation: candidate.operation,
        txns,
        info: candidate.info.to_json()?,
        data_change: true,
        at: Some(candidate.now),
    };
    context.commit(candidate.table, candidate.base, change).await
}

/// Whether the table of rejected rows tells of the candidate's epoch from now on.
pub(super) async fn commit_rejected(candidate: &Candidate<'_>) -> Result<bool, EngineError> {
    let world = &candidate.context.world;
    let rejected = &candidate.rejected;
    let table = candidate.table.rejected();
    let base = world.lake.snapshot(&table, At::Latest).await?;
    let mut add = rejected.files.clone();
    let mut remove = Vec::new();
    if let Some(base) = &base {
        if rejected.replace {
            remove = base.files().to_vec();
        } else {
            let (gone, kept) = drop_epochs(candidate, base).await?;
            remove = gone;
            add.extend(kept);
        }
    }
    let lost = match candidate.base {
        Some(table) => is_lost(world, table).await?,
        None => false,
    };
    // A loss stays to be seen until all rows are judged again, even if none is rejected then.
    let is_told = !lost || rejected.replace;
    if add.is_empty() && remove.is_empty() && !(lost && is_told) {
        return Ok(false);
    }
    let epoch = rejected.epoch_before + 1;
    // An attempt before this one may have been halted, or have died, after it committed its rejected rows.
    let is_new = base.as_ref().and_then(|base| base.txn(REJECTED_TXN)).is_none_or(|told| told < epoch);
    let txns = if is_told && is_new { vec![(REJECTED_TXN.to_owned(), epoch)] } else { Vec::new() };
    let operation = if remove.is_empty() { Operation::Append } else { Operation::Overwrite };
    let schema = base.is_none().then(rejected_schema);
    let change = TableChange {
        add,
        remove,
        schema,
        operation,
        txns,
        at: Some(candidate.now),
        ..TableChange::default()
    };
    candidate.context.commit(&table, base.as_deref(), change).await?;
    Ok(is_told)
}

/// Files with rows that go (of epochs that never became visible, of replaced parts, of keys computed anew), and new
/// files with their other rows.
async fn drop_epochs(
    candidate: &Candidate<'_>,
    base: &Snapshot,
) -> Result<(Vec<DataFile>, Vec<StagedFile>), EngineError> {
    let world = &candidate.context.world;
    let before = candidate.rejected.epoch_before;
    let replaced = &candidate.rejected.replaced_parts;
    let superseded = candidate.rejected.superseded.as_ref();
    let certain =
        |file: &DataFile| may_exceed(file, before) || replaced.iter().any(|part| may_hold(file, part));
    let touched: Vec<_> =
        base.files().iter().filter(|file| superseded.is_some() || certain(file)).cloned().collect();
    if touched.is_empty() {
        return Ok((Vec::new(), Vec::new()));
    }
    let provider = LakeTable::new(&world.lake, base.schema(), touched.clone())?;
    let columns: Vec<_> = base.schema().fields().iter().map(|field| field.name().clone()).collect();
    let of_replaced = ident(SOURCE).in_list(replaced.iter().map(|part| lit(part.as_str())).collect(), true);
    let condition = ident(EPOCH).lt_eq(lit(before));
    let condition = if replaced.is_empty() { condition } else { condition.and(of_replaced) };
    let mut rows = stored::scan(world, base.table(), provider, &columns, Some(condition)).await?;
    let mut writers = Writers::new(&world.lake, base.table(), base.schema(), 1);
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(base.table(), source))? {
        writers
            .write(match superseded {
                Some(superseded) => superseded.without(&batch)?,
                None => batch,
            })
            .await?;
    }
    let kept = writers.finish().await?;
    let rows_before: Option<u64> = touched.iter().map(DataFile::rows).sum();
    if rows_before == Some(kept.iter().map(StagedFile::rows).sum()) {
        world.lake.discard(kept).await;
        return Ok((Vec::new(), Vec::new()));
    }
    Ok((touched, kept))
}

fn may_exceed(file: &DataFile, epoch: i64) -> bool {
    use datafusion::common::ScalarValue;
    match file.column(EPOCH, &arrow::datatypes::DataType::Int64).max {
        Some(ScalarValue::Int64(Some(max))) => max > epoch,
        _ => true,
    }
}

/// Whether the file's statistics allow rows of `part`.
pub(crate) fn may_hold(file: &DataFile, part: &str) -> bool {
    use datafusion::common::ScalarValue;
    let bounds = file.column(SOURCE, &arrow::datatypes::DataType::Utf8);
    let text = |value: Option<ScalarValue>| match value {
        Some(ScalarValue::Utf8(Some(text))) => Some(text),
        _ => None,
    };
    match (text(bounds.min), text(bounds.max)) {
        // A long bound may be cut, so an upper one only excludes what differs before the cut.
        (Some(min), Some(max)) => min.as_str() <= part && (part <= max.as_str() || part.starts_with(&max)),
        _ => true,
    }
}
