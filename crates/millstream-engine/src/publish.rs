//! The end of a step that staged rows: the candidate version is judged, then committed, or everything stays as it is.

mod change;
mod halted;
mod outdated;
mod rejected;
mod reprocessed;

use arrow::datatypes::SchemaRef;
use millstream_lake::{DataFile, LakeTable, Operation, Snapshot, StagedFile};
use millstream_project::CheckSpec;
use millstream_quality::{Contract, Tally};
use millstream_state::Receipt;
use millstream_types::{AssetVersion, Percent, TableName, TimestampMicros};

use crate::{
    EngineError, StepOutcome,
    assets::version_of,
    audit::Audit,
    commit_info::{BUILD_TXN, CommitInfo, OUTDATED_TXN, OutdatedRows, REJECTED_TXN},
    engine::StepContext,
    receipt, rejudge,
    run::StepResult,
    superseded::Superseded,
};

pub(crate) use change::{Append, Change, append, replace_files};
pub(crate) use outdated::{any_superseded, drop_unreached, finish_outdated, has_unreached, is_outdated};
pub(crate) use rejected::{drop_epochs, may_hold};
pub(crate) use reprocessed::{replace_rejected, take_in, taken};

use outdated::{drop_outdated, outdating};
use rejected::commit_rejected;

/// The column of a rejected row that says which landing or build rejected it.
pub(crate) const EPOCH: &str = "_epoch";

/// A version of a table whose rows are staged, and that is not committed yet.
pub(crate) struct Candidate<'a> {
    pub context: &'a StepContext,
    pub table: &'a TableName,
    pub base: Option<&'a Snapshot>,
    pub schema: SchemaRef,
    pub add: Vec<StagedFile>,
    pub remove: Vec<DataFile>,
    /// The files whose rows were there before and stay, if these rows are to be judged by the present definition; else empty.
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
    pub receipt: Receipt,
}

/// Rows on their way to the table of rejected rows.
pub(crate) struct Rejected {
    pub files: Vec<StagedFile>,
    pub rows: u64,
    /// The last epoch that became visible. Rejected rows of higher epochs belong to a landing or build that never did, and are
    /// removed.
    pub epoch_before: i64,
    /// The parts whose earlier rejected rows are removed, because the parts were read again.
    pub replaced_parts: Vec<String>,
    /// Whether all earlier rejected rows are removed, because all rows were computed again.
    pub replace: bool,
    /// The earlier rejected rows that are removed because their keys were computed again.
    pub superseded: Option<Superseded>,
}

impl Candidate<'_> {
    /// Whether a process that ends in the midst of the commits leaves a step that computes all rows again. A landing does not:
    /// what came from outside may not be there a second time.
    fn follows_its_inputs(&self) -> bool {
        self.txn.0 == BUILD_TXN
    }

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

/// The files of `base` without `remove`, and the files `kept`, which hold those rows of the removed files that stay.
pub(crate) fn staying(base: Option<&Snapshot>, remove: &[DataFile], kept: Vec<DataFile>) -> Vec<DataFile> {
    let present = base.map(Snapshot::files).unwrap_or_default();
    let untouched = present.iter().filter(|file| !remove.contains(file)).cloned();
    untouched.chain(kept).collect()
}

/// Judges the candidate and makes it visible if it may be. A candidate that does not account for all of its rows is an error.
pub(crate) async fn publish(mut candidate: Candidate<'_>) -> Result<StepResult, EngineError> {
    let context = candidate.context;
    let world = &context.world;
    let receipt = candidate.receipt;
    if let Err(error) = receipt::check(&candidate.table.asset_id(), receipt) {
        world.lake.discard(candidate.add).await;
        world.lake.discard(candidate.rejected.files).await;
        return Err(error);
    }
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
        let version = candidate.base.map(version_of);
        return Ok(StepResult { checks, receipt: Some(receipt), ..StepResult::without_rows(stop, version) });
    }
    let (rows_written, rows_deleted) = (candidate.rows_written, candidate.rows_deleted);
    let rows_rejected = candidate.rejected.rows;
    let version = AssetVersion::numbered(commit(candidate).await?);
    Ok(StepResult {
        rows_written,
        rows_deleted,
        rows_rejected,
        checks,
        receipt: Some(receipt),
        ..StepResult::without_rows(StepOutcome::Built, Some(version))
    })
}

/// Keeps the rows that a candidate rejected, and everything else as it is.
pub(crate) async fn hold_back(mut candidate: Candidate<'_>) -> Result<(), EngineError> {
    candidate.context.world.lake.discard(std::mem::take(&mut candidate.add)).await;
    halted::keep_rejected(&mut candidate).await
}

/// Commits the rejected rows first, then the candidate. Should the process end in between, the step is done again, and the
/// rejected rows are recognised by their epoch and replaced. Earlier rejected rows that the candidate makes obsolete go last.
async fn commit(mut candidate: Candidate<'_>) -> Result<i64, EngineError> {
    let (context, table) = (candidate.context, candidate.table);
    let is_kept = commit_rejected(&candidate).await?;
    let outdating = outdating(&candidate).await?;
    let mut txns = vec![candidate.txn];
    if is_kept {
        txns.push((REJECTED_TXN, candidate.rejected.epoch_before + 1));
    }
    if let Some(outdating) = &outdating {
        txns.push((OUTDATED_TXN, outdating.mark));
        candidate.info.outdates = Some(outdating.outdated.clone());
    }
    let change = Change {
        add: candidate.add,
        remove: candidate.remove,
        schema: Some(candidate.schema),
        operation: candidate.operation,
        txns,
        info: Some(candidate.info),
        ..Change::of(table, candidate.base, candidate.now)
    };
    let version = change.commit(context).await?;
    if let Some(outdating) = outdating {
        let superseded = candidate.rejected.superseded.as_ref();
        let superseded = superseded.filter(|_| outdating.outdated.rows == OutdatedRows::Superseded);
        drop_outdated(context, table, &outdating, superseded).await?;
    }
    Ok(version)
}
