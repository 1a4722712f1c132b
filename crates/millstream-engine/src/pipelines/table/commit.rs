//! One commit of a continuous table: rows are judged, staged, audited and become visible together with the number of their epoch.

use std::collections::BTreeMap;

use arrow::datatypes::SchemaRef;
use millstream_connector::Positions;
use millstream_lake::{At, DataFile, Operation, Snapshot, StagedFile};
use millstream_plan::{AssetStatus, Recorded};
use millstream_project::TableSpec;
use millstream_quality::{Contract, ContractOptions, Sources};
use millstream_state::{FoundAsset, Metric, Proof, Receipt};
use millstream_stream::Refused;
use millstream_types::{AssetVersion, TableName, TimestampMicros};

use super::{
    buffer::Net,
    flow::Offsets,
    late,
    merge::{self, Replaced},
};
use crate::{
    EngineError, StepOutcome,
    audit::metrics,
    commit_info::{CommitInfo, Committed, PIPELINE_TXN},
    engine::StepContext,
    error::told,
    judge::Judge,
    publish::{Candidate, Rejected, finish_outdated, publish, staying},
    stored::relations,
    stored_keys::StoredKeys,
    writers::Writers,
};

/// What a commit is made under.
pub(super) struct Epoch<'a> {
    pub context: &'a StepContext,
    pub table: &'a TableName,
    pub spec: &'a TableSpec,
    /// The columns as the table stores them.
    pub schema: &'a SchemaRef,
    /// One more than that of the table's last commit by its pipeline.
    pub number: i64,
    pub offsets: &'a Offsets,
    /// Whether the rows take the place of all that the table has.
    pub replaces: bool,
    pub now: TimestampMicros,
}

/// What became visible.
#[derive(Clone, Copy, Debug)]
pub(super) struct Done {
    pub version: AssetVersion,
    pub rows_written: u64,
    pub rows_rejected: u64,
    pub rows_late: u64,
}

/// Staged rows of an epoch.
struct Staged {
    add: Vec<StagedFile>,
    remove: Vec<DataFile>,
    rejected: Vec<StagedFile>,
    tally: millstream_quality::Tally,
    written: u64,
    gone: u64,
    receipt: Receipt,
}

impl Epoch<'_> {
    /// Commits rows, and before them those that took no part.
    pub(super) async fn commit(&self, net: Net, refused: &[Refused]) -> Result<Done, EngineError> {
        late::commit(self, refused).await?;
        let world = &self.context.world;
        let base = world.lake.snapshot(self.table, At::Latest).await?;
        if let Some(base) = &base {
            finish_outdated(self.context, base).await?;
        }
        let contract = self.contract().await?;
        let staged = self.stage(base.as_deref(), &contract, net).await?;
        let rows_late = refused.iter().map(|refused| refused.rows.num_rows() as u64).sum();
        let result = self.publish(base.as_deref(), &contract, staged, rows_late).await?;
        if let StepOutcome::Halted { reason, hint } = result.outcome {
            return Err(EngineError::PipelineHalted { table: self.table.clone(), reason, hint });
        }
        let version = result.version.ok_or(EngineError::Worker { doing: "committing a continuous table" })?;
        self.record(version).await;
        Ok(Done {
            version,
            rows_written: result.rows_written,
            rows_rejected: result.rows_rejected,
            rows_late,
        })
    }

    async fn contract(&self) -> Result<Contract, EngineError> {
        let relations = relations(&self.context.world, &self.spec.checks).await?;
        let options = ContractOptions {
            checks: &self.spec.checks,
            type_severity: self.spec.on_violation,
            relations: &relations,
            extra: &[],
            now: self.now,
        };
        let personal = self.context.world.project.personal.of_table(self.table);
        Contract::compile_table(self.schema, personal, &options).map_err(|source| self.quality(source))
    }

    /// Judges the rows and writes those that pass, and takes out those whose place they take.
    async fn stage(
        &self,
        base: Option<&Snapshot>,
        contract: &Contract,
        net: Net,
    ) -> Result<Staged, EngineError> {
        let world = &self.context.world;
        let Replaced { mut remove, kept, rows_gone } = match (base, &net.keys) {
            (Some(base), Some(keys)) if !self.replaces => merge::replace(world, base, keys).await?,
            _ => Replaced::default(),
        };
        if self.replaces {
            remove = base.map(|base| base.files().to_vec()).unwrap_or_default();
        }
        let stays = staying(base, &remove, kept.iter().map(DataFile::from).collect());
        let stored = match base {
            Some(base) => StoredKeys::of_files(base, stays),
            None => StoredKeys::none(self.table.clone(), self.schema.clone()),
        };
        let mut judge = Judge::new(self.context, self.table, contract, stored, self.number, self.now);
        let threads = world.options.parallelism.get();
        let mut writers = Writers::new(&world.lake, self.table, self.schema.clone(), threads);
        let (name, mut made, mut written) = (self.table.to_string(), 0_u64, 0_u64);
        for batch in net.rows {
            let positions = Positions::From(i64::try_from(made).unwrap_or(i64::MAX));
            made += batch.num_rows() as u64;
            let accepted = judge.judge(contract, &batch, &positions, &Sources::One(&name)).await?.rows;
            written += accepted.num_rows() as u64;
            writers.write(accepted).await?;
        }
        let mut add = writers.finish().await?;
        let rows_out = add.iter().map(StagedFile::rows).sum();
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
        Ok(Staged { add, remove, rejected, tally, written, gone: rows_gone, receipt })
    }

    async fn publish(
        &self,
        base: Option<&Snapshot>,
        contract: &Contract,
        staged: Staged,
        rows_late: u64,
    ) -> Result<crate::run::StepResult, EngineError> {
        let what = Committed::Pipeline { epoch: self.number, offsets: self.offsets.clone(), rows_late };
        let fingerprint = self.context.facts()?.fingerprint;
        let mut info = CommitInfo::new(self.context.run.clone(), self.now, fingerprint, what);
        info.rows_written = staged.written;
        info.rows_rejected = staged.tally.rejected;
        let operation = match (self.replaces, staged.remove.is_empty()) {
            (true, _) => Operation::Overwrite,
            (false, true) => Operation::Append,
            (false, false) => Operation::Merge,
        };
        let candidate = Candidate {
            context: self.context,
            table: self.table,
            base,
            schema: self.schema.clone(),
            add: staged.add,
            remove: staged.remove,
            staying: Vec::new(),
            operation,
            txn: (PIPELINE_TXN, self.number),
            info,
            checks: &self.spec.checks,
            halt_above: self.spec.halt_above,
            contract,
            tally: &staged.tally,
            rejected: Rejected {
                files: staged.rejected,
                rows: staged.tally.rejected,
                epoch_before: self.number - 1,
                replaced_parts: Vec::new(),
                replace: self.replaces,
                superseded: None,
            },
            now: self.now,
            rows_written: staged.written,
            rows_deleted: staged.gone,
            receipt: staged.receipt,
        };
        publish(candidate).await
    }

    /// Records the commit. The lake has it already, so that a state store which is away does not stop the pipeline: whoever plans next reads the
    /// lake's record back.
    async fn record(&self, version: AssetVersion) {
        if let Err(error) = self.try_record(version).await {
            tracing::warn!(error = told(&error), "a commit is not on record yet; the lake has it");
        }
    }

    async fn try_record(&self, version: AssetVersion) -> Result<(), EngineError> {
        let world = &self.context.world;
        let snapshot = world.lake.snapshot(self.table, At::Version(version.number())).await?;
        let rows = snapshot.and_then(|snapshot| snapshot.rows());
        let seen = world.state.recorded_of(&self.context.asset).await?;
        let recorded = Recorded {
            fingerprint: self.context.facts()?.fingerprint,
            input_versions: BTreeMap::new(),
            version: Some(version),
            rows,
            built_at: self.now,
            status: AssetStatus::Built,
        };
        let metrics: Vec<Metric> =
            metrics(rows).into_iter().map(|(name, value)| Metric { name, value }).collect();
        let found = FoundAsset {
            asset: &self.context.asset,
            seen: seen.as_ref(),
            recorded: Some(&recorded),
            metrics: &metrics,
        };
        Ok(world.state.record_found(&[found]).await?)
    }

    fn quality(&self, source: millstream_quality::QualityError) -> EngineError {
        EngineError::Quality { table: self.table.clone(), source }
    }
}
