//! `millstream reprocess`: rejected rows are judged again, and rows that pass now enter their table, exactly once.
//!
//! Two tables change, in two commits (`publish/reprocessed.rs`): the rows enter bronze, then the rejected table is replaced
//! by what is still rejected. If the process ends in between, the next call finds the first without the second and
//! finishes: every row that it brought in leaves the rejected table.

mod again;
mod interrupted;

use std::{sync::Arc, time::Duration};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, StringArray, UInt64Array},
    compute::{filter_record_batch, not, take_record_batch},
    datatypes::Int64Type,
};
use async_trait::async_trait;
use futures::{TryStreamExt, future::BoxFuture};
use millstream_connector::Positions;
use millstream_lake::{At, LakeTable, Snapshot, StagedFile};
use millstream_plan::{AssetStatus, PlannedStep, Reason, Recorded, RunPlan};
use millstream_project::{LandingMode, SourceSpec};
use millstream_quality::{Contract, Sources, Tally, restore};
use millstream_state::Receipt;
use millstream_types::{AssetVersion, TableName, TimestampMicros};
use tokio_util::sync::CancellationToken;

use crate::{
    CheckReport, Engine, EngineError, Publisher, RunRequest, StepExecutor, StepOutcome, StepReport,
    assets::{
        StepRunner,
        source::landing::{self, Landing, LandingValues, RowRules, bronze_schema, with_landing_columns},
        version_of,
    },
    audit::{Audit, Audited, metrics, row_check_reports},
    commit_info::{CommitInfo, Committed},
    engine::StepContext,
    event::RunReport,
    judge::Judge,
    publish::{EPOCH, finish_outdated, take_in},
    receipt,
    reconcile::{Scope, reconcile},
    run::StepResult,
    stored::{self, relations},
    stored_keys::StoredKeys,
    writers::Writers,
};

pub(crate) use interrupted::{finish_interrupted, interrupted, is_interrupted};

impl Engine {
    /// Judges the rejected rows of `table` again. A SQL table is built again as a whole: its rejected rows come from rows that
    /// its inputs still hold. A history is refused: it holds states that its inputs may not.
    pub fn reprocess<'a>(
        &'a self,
        table: &'a TableName,
        command: &'a str,
        wait: Duration,
        events: Publisher,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<RunReport, EngineError>> {
        Box::pin(async move {
            let project = self.project();
            if let Some(spec) = project.table(table) {
                if spec.materialize.keeps_states() {
                    return Err(keeps_states(table));
                }
                let request = RunRequest {
                    selection: vec![table.to_string()],
                    full_refresh: true,
                    command: command.to_owned(),
                    ..RunRequest::default()
                };
                return self.run(&request, wait, events, cancel).await;
            }
            if project.source(table).is_none() {
                return Err(project.unknown_table(table));
            }
            let step = PlannedStep {
                asset: table.asset_id(),
                reason: Reason::Forced,
                after: Vec::new(),
                checks_after: Vec::new(),
                needs: Default::default(),
            };
            let plan = async {
                // Commits that are not recorded yet would be hidden by the record of this step.
                reconcile(self.world(), Scope::All).await?;
                Ok(RunPlan { steps: vec![step], ..RunPlan::default() })
            };
            let request = RunRequest { command: command.to_owned(), ..RunRequest::default() };
            let executor = |runner| Arc::new(Reprocessor { runner }) as Arc<dyn StepExecutor>;
            let assets = [table.asset_id()];
            self.run_with(&request, &assets, wait, events, cancel, plan, executor).await
        })
    }
}

/// Building a history anew would judge its rejected rows again, and forget what it alone remembers.
fn keeps_states(table: &TableName) -> EngineError {
    EngineError::Refused {
        table: table.clone(),
        message: "is a history: building it anew would forget the states that its inputs no longer have"
            .to_owned(),
        hint: format!(
            "once its checks have changed, `millstream run {table}` judges its rows again and keeps its states; \
             where the states are to go, `millstream run {table} --full-refresh` computes it anew"
        ),
    }
}

/// Runs the one step of a reprocessing.
struct Reprocessor {
    runner: StepRunner,
}

#[async_trait]
impl StepExecutor for Reprocessor {
    async fn attempt(&self, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let context = self.runner.context(step);
        let table = crate::assets::table_of(&step.asset)?;
        let project = context.world.project.clone();
        let Some(source) = project.source(&table) else { return Err(project.unknown_table(&table)) };
        let attempt = reprocess(&context, source);
        self.runner.measured(step, attempt).await.map_err(|error| project.told_of(&table, error))
    }

    async fn record(&self, report: &mut StepReport) -> Result<(), EngineError> {
        self.runner.record(report).await
    }
}

async fn reprocess(context: &StepContext, source: &SourceSpec) -> Result<StepResult, EngineError> {
    millstream_usage::counts_bytes();
    let world = &context.world;
    let table = source.table();
    if source.landing == LandingMode::Merge {
        return Err(EngineError::Refused {
            table,
            message: "is merged by key: a row that was rejected must not take the place of a newer one"
                .to_owned(),
            hint: format!(
                "the next operation on its key takes its place; `millstream run source:{} --full-refresh` judges all rows \
                 again",
                source.name
            ),
        });
    }
    finish_interrupted(context, &table).await?;
    let mut standing = landing::standing(world, source).await?;
    if let Some(bronze) = &standing.snapshot {
        finish_outdated(context, bronze).await?;
    }
    // The rows may have been rejected by a type that the contract has widened since.
    if let Some(widened) = landing::widen(context, source, &standing).await? {
        if !matches!(widened.outcome, StepOutcome::Built) {
            return Ok(widened);
        }
        standing = landing::standing(world, source).await?;
    }
    let rejected = world.lake.snapshot(&table.rejected(), At::Latest).await?;
    let (Some(bronze), Some(rejected)) = (standing.snapshot, rejected) else {
        return Ok(StepResult::without_rows(StepOutcome::Unchanged, None));
    };
    let mut reprocessing = Reprocessing::open(context, source, &bronze, &standing.landing).await?;
    let names: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
    let provider = LakeTable::new(&world.lake, rejected.schema(), rejected.files().to_vec())?;
    let mut rows = stored::scan(world, rejected.table(), provider, &names, None).await?;
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(&table, source))? {
        context.check_cancelled()?;
        reprocessing.take(&batch).await?;
    }
    reprocessing.finish(&bronze, &rejected).await
}

/// The contract as it is now, applied to rows that it or an earlier one rejected.
struct Reprocessing<'a> {
    columns: Vec<millstream_types::Field>,
    judge: Judge,
    rows: Writers,
    epoch: i64,
    judged: Judged<'a>,
}

/// The rules by which the rows are judged, and the figures of the rows so far.
struct Judged<'a> {
    context: &'a StepContext,
    source: &'a SourceSpec,
    contract: Contract,
    tally: Tally,
    accepted: u64,
    still_rejected: u64,
    next_sequence: i64,
    now: TimestampMicros,
}

impl<'a> Reprocessing<'a> {
    async fn open(
        context: &'a StepContext,
        source: &'a SourceSpec,
        bronze: &Snapshot,
        landing: &Landing,
    ) -> Result<Self, EngineError> {
        let world = &context.world;
        let table = source.table();
        let now = world.options.clock.now();
        let columns = landing::own_columns(bronze);
        let relations = relations(world, &source.contract.checks).await?;
        let rules =
            RowRules { source, columns: &columns, decided: columns.len(), relations: &relations, now };
        let contract = rules.compile(world)?;
        let stored = StoredKeys::of(bronze, &Default::default());
        Ok(Self {
            judge: Judge::new(context, &table, &contract, stored, landing.epoch, now),
            rows: Writers::new(&world.lake, &table, bronze_schema(&columns), 1),
            columns,
            epoch: landing.epoch,
            judged: Judged {
                context,
                source,
                contract,
                tally: Tally::default(),
                accepted: 0,
                still_rejected: 0,
                next_sequence: landing.next_sequence,
                now,
            },
        })
    }

    async fn take(&mut self, rejected: &RecordBatch) -> Result<(), EngineError> {
        let table = self.judged.source.table();
        let quality = |source| EngineError::Quality { table: table.clone(), source };
        let compute = |source| EngineError::Compute { table: table.clone(), source };
        let (landed, halted) = self.by_epoch(rejected)?;
        self.judge.keep_rejected(halted).await?;
        let rejected = &landed;
        let restored = restore(rejected).map_err(quality)?;
        let malformed =
            again::decode(self.judged.context, self.judged.source, &self.columns, &restored).await?;
        if !malformed.still.is_empty() {
            let places: UInt64Array = malformed.still.iter().map(|place| *place as u64).collect();
            self.judged.still_rejected += places.len() as u64;
            self.judge.keep_rejected(take_record_batch(rejected, &places).map_err(compute)?).await?;
        }
        self.judge(restored.rows, restored.positions, restored.sources).await?;
        for (source, batch) in malformed.batches {
            let rows = batch.rows.num_rows();
            let sources = StringArray::from_iter_values(std::iter::repeat_n(source, rows));
            self.judge(batch.rows, batch.positions.to_array(rows), sources).await?;
        }
        Ok(())
    }

    /// Judges rows. Each row is written to the table if it passes, else to the rejected table.
    async fn judge(
        &mut self,
        rows: RecordBatch,
        positions: Int64Array,
        sources: StringArray,
    ) -> Result<(), EngineError> {
        let table = self.judged.source.table();
        let compute = |source| EngineError::Compute { table: table.clone(), source };
        let (places, origins) = (Positions::Each(positions.clone()), Sources::Each(&sources));
        let judged = self.judge.judge(&self.judged.contract, &rows, &places, &origins).await?;
        self.judged.still_rejected += judged.rejected;
        if judged.rows.num_rows() == 0 {
            return Ok(());
        }
        let column = |values: ArrayRef| judged.of(&values);
        let positions = column(Arc::new(positions))?.as_primitive::<Int64Type>().clone();
        let sources = column(Arc::new(sources.clone()))?.as_string::<i32>().clone();
        let accepted = &judged.rows;
        let schema = bronze_schema(&self.columns);
        let first = self.judged.next_sequence;
        let rows = with_landing_columns(
            &schema,
            accepted,
            LandingValues::numbered(positions, &sources, first, self.judged.now),
        )
        .map_err(compute)?;
        self.judged.accepted += rows.num_rows() as u64;
        self.judged.next_sequence = first.saturating_add(i64::try_from(rows.num_rows()).unwrap_or(i64::MAX));
        self.rows.write(rows).await
    }

    /// The rejected rows of landings that became visible, and those of a landing that was halted, whose rows are all landed
    /// again.
    fn by_epoch(&self, rejected: &RecordBatch) -> Result<(RecordBatch, RecordBatch), EngineError> {
        let epochs =
            rejected.column_by_name(EPOCH).and_then(|column| column.as_primitive_opt::<Int64Type>()).map(
                |epochs| epochs.iter().map(|epoch| Some(epoch <= Some(self.epoch))).collect::<BooleanArray>(),
            );
        let landed = epochs.unwrap_or_else(|| vec![true; rejected.num_rows()].into());
        let halted = not(&landed);
        let part = |mask: &BooleanArray| filter_record_batch(rejected, mask);
        match halted.and_then(|halted| Ok((part(&landed)?, part(&halted)?))) {
            Ok(parts) => Ok(parts),
            Err(source) => Err(EngineError::Compute { table: self.judged.source.table(), source }),
        }
    }

    async fn finish(self, bronze: &Snapshot, rejected: &Snapshot) -> Result<StepResult, EngineError> {
        let Self { mut judged, judge, rows, .. } = self;
        let lake = judged.context.world.lake.clone();
        let add = rows.finish().await?;
        let (still, tally) = judge.finish().await?;
        judged.tally = tally;
        // Each row that was rejected enters the table or stays.
        let receipt = Receipt {
            rows_out: receipt::rows_of(&add),
            rows_rejected: receipt::rows_of(&still),
            ..receipt::of_each_row(rejected.rows())
        };
        if let Err(error) = receipt::check(&bronze.table().asset_id(), receipt) {
            lake.discard(add).await;
            lake.discard(still).await;
            return Err(error);
        }
        if judged.accepted == 0 {
            lake.discard(still).await;
            return judged.unchanged(bronze).await;
        }
        let audited = judged.audit(bronze, &add).await?;
        let Some(stop) = audited.stop else {
            let info = (judged.info(rejected)?, judged.now);
            let version = take_in(judged.context, (bronze, rejected), add, still, info).await?;
            let built = judged.built(bronze, AssetVersion::numbered(version), audited.checks).await?;
            return Ok(StepResult { receipt: Some(receipt), ..built });
        };
        lake.discard(add).await;
        lake.discard(still).await;
        let result = StepResult::without_rows(stop.into(), Some(version_of(bronze)));
        Ok(StepResult { checks: audited.checks, receipt: Some(receipt), ..result })
    }
}

impl Judged<'_> {
    async fn audit(&self, bronze: &Snapshot, add: &[StagedFile]) -> Result<Audited, EngineError> {
        let audit = Audit {
            context: self.context,
            table: bronze.table(),
            base: Some(bronze),
            schema: bronze.schema(),
            add,
            remove: &[],
            checks: &self.source.contract.checks,
            // The breaker judges which share of new rows is bad. These rows were all rejected before, and rows that are rejected
            // again stay where they are.
            halt_above: None,
            contract: &self.contract,
            tally: &self.tally,
            now: self.now,
        };
        audit.judge().await
    }

    /// The facts of the commit with the rows that enter the table.
    fn info(&self, rejected: &Snapshot) -> Result<CommitInfo, EngineError> {
        let facts = self.context.facts()?;
        let what =
            Committed::Reprocess { rejected_version: rejected.version(), next_sequence: self.next_sequence };
        let mut info = CommitInfo::new(self.context.run.clone(), self.now, facts.fingerprint, what);
        info.rows_written = self.accepted;
        info.rows_rejected = self.still_rejected;
        Ok(info)
    }

    async fn built(
        &self,
        bronze: &Snapshot,
        version: AssetVersion,
        checks: Vec<CheckReport>,
    ) -> Result<StepResult, EngineError> {
        let rows = bronze.rows().map(|rows| rows + self.accepted);
        Ok(StepResult {
            rows_written: self.accepted,
            rows_rejected: self.still_rejected,
            checks,
            recorded: self.known().await?.map(|known| self.recorded(known, version, rows)),
            metrics: metrics(rows),
            ..StepResult::without_rows(StepOutcome::Built, Some(version))
        })
    }

    /// The result when no further row enters the table. An earlier attempt may have committed rows and failed at the rejected
    /// table; then those rows are still to be recorded.
    async fn unchanged(&self, bronze: &Snapshot) -> Result<StepResult, EngineError> {
        let (version, rows) = (version_of(bronze), bronze.rows());
        let known = self.known().await?;
        let is_news = known.as_ref().is_some_and(|known| known.version != Some(version));
        Ok(StepResult {
            rows_rejected: self.still_rejected,
            checks: row_check_reports(&self.tally, &self.tally.counts(&self.contract)),
            recorded: known.map(|known| {
                let built_at = if is_news { self.now } else { known.built_at };
                Recorded { built_at, ..self.recorded(known, version, rows) }
            }),
            metrics: if is_news { metrics(rows) } else { Vec::new() },
            ..StepResult::without_rows(StepOutcome::Unchanged, Some(version))
        })
    }

    async fn known(&self) -> Result<Option<Recorded>, EngineError> {
        Ok(self.context.world.state.recorded_of(&self.context.asset).await?)
    }

    /// The known record of the source with the fields that a reprocessing changes. The definition is not one of them: whatever
    /// else a new contract asks for is left to the next run.
    fn recorded(&self, known: Recorded, version: AssetVersion, rows: Option<u64>) -> Recorded {
        let (version, status) = (Some(version), AssetStatus::Built);
        Recorded { version, rows, built_at: self.now, status, ..known }
    }
}
