//! `millstream reprocess`: rejected rows are judged again, and those that pass now are taken in, exactly once.
//!
//! Two tables change and Delta has no transaction over two. The rows enter bronze first, in a commit whose
//! transaction names the version of the rejected table that was read; then the rejected table is replaced by
//! what is still rejected. If the process ends in between, the next call finds the transaction ahead of the
//! rejected table and finishes: every row that the commit brought in leaves the rejected table.

use std::{collections::HashSet, sync::Arc, time::Duration};

use arrow::{
    array::{Array, AsArray, BooleanArray, RecordBatch, UInt64Array},
    compute::{filter_record_batch, not, take_record_batch},
    datatypes::Int64Type,
};
use async_trait::async_trait;
use futures::{TryStreamExt, future::BoxFuture};
use millstream_connector::Positions;
use millstream_lake::{At, LakeTable, Operation, Snapshot, StagedFile, TableChange};
use millstream_plan::{PlannedStep, Reason, RunPlan};
use millstream_project::SourceSpec;
use millstream_quality::{
    Contract, ContractColumn, ContractOptions, RejectedRows, Sources, Tally, UniqueIndex, rejected_schema,
    restore,
};
use millstream_types::{POSITION, SOURCE, TableName};
use tokio_util::sync::CancellationToken;

use crate::{
    Engine, EngineError, Observer, RunRequest, StepExecutor, StepOutcome,
    audit::{metrics, row_check_reports},
    commit_info::{CommitInfo, Committed, REPROCESS_TXN},
    engine::{StepContext, World},
    event::RunReport,
    landing::{self, bronze_schema, with_landing_columns},
    publish::EPOCH,
    run::{Ended, StepResult},
    stored::{self, related},
    stored_keys::StoredKeys,
    table::StepRunner,
    writers::Writers,
};

impl Engine {
    /// Judges the rejected rows of `table` again. For a SQL table that means building it anew: its rejected
    /// rows come from rows that its inputs still hold.
    pub fn reprocess<'a>(
        &'a self,
        table: &'a TableName,
        command: &'a str,
        wait: Duration,
        observer: Arc<dyn Observer>,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<RunReport, EngineError>> {
        Box::pin(async move {
            let project = self.project();
            if project.table(table).is_some() {
                let request = RunRequest {
                    selection: vec![table.to_string()],
                    full_refresh: true,
                    command: command.to_owned(),
                    ..RunRequest::default()
                };
                return self.run(&request, wait, observer, cancel).await;
            }
            if project.source(table).is_none() {
                return Err(project.unknown_table(table));
            }
            let step = PlannedStep {
                asset: table.asset_id(),
                reason: Reason::Forced,
                after: Vec::new(),
                checks_after: Vec::new(),
            };
            let plan = async { Ok(RunPlan { steps: vec![step], up_to_date: Vec::new() }) };
            let request = RunRequest { command: command.to_owned(), ..RunRequest::default() };
            let executor = |runner| Arc::new(Reprocessor { runner }) as Arc<dyn StepExecutor>;
            self.run_with(&request, wait, observer, cancel, plan, executor).await
        })
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
        let table = crate::table::table_of(&step.asset)?;
        let project = context.world.project.clone();
        match project.source(&table) {
            Some(source) => reprocess(&context, source).await,
            None => Err(project.unknown_table(&table)),
        }
    }

    fn record(&self, ended: &Ended) -> Result<(), EngineError> {
        self.runner.record(ended)
    }
}

async fn reprocess(context: &StepContext, source: &SourceSpec) -> Result<StepResult, EngineError> {
    let world = &context.world;
    let table = source.table();
    finish_interrupted(context, &table).await?;
    let standing = landing::standing(world, source).await?;
    let rejected = world.lake.snapshot(&table.rejected(), At::Latest).await?;
    let (Some(bronze), Some(rejected)) = (standing.snapshot, rejected) else {
        return Ok(StepResult::without_rows(StepOutcome::Unchanged, None));
    };
    let columns = landing::own_columns(&bronze);
    let mut judge = Judge::open(context, source, &bronze, columns, standing.landing.epoch).await?;
    judge.next_sequence = standing.landing.next_sequence;
    let names: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
    let provider = LakeTable::new(&world.lake, rejected.schema(), rejected.files().to_vec())?;
    let mut rows = stored::scan(world, rejected.table(), provider, &names, None).await?;
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(&table, source))? {
        context.check_cancelled()?;
        judge.take(&batch).await?;
    }
    judge.commit(&bronze, &rejected).await
}

/// The contract as it is now, applied to rows that it or an earlier one rejected.
struct Judge<'a> {
    context: &'a StepContext,
    source: &'a SourceSpec,
    columns: Vec<millstream_types::Field>,
    contract: Contract,
    unique: UniqueIndex,
    stored: StoredKeys,
    rows: Writers,
    still: Writers,
    tally: Tally,
    accepted: u64,
    still_rejected: u64,
    next_sequence: i64,
    epoch: i64,
    now: millstream_types::TimestampMicros,
}

impl<'a> Judge<'a> {
    async fn open(
        context: &'a StepContext,
        source: &'a SourceSpec,
        bronze: &Snapshot,
        columns: Vec<millstream_types::Field>,
        epoch: i64,
    ) -> Result<Self, EngineError> {
        let world = &context.world;
        let table = source.table();
        let now = world.options.clock.now();
        let promised = columns.iter().map(|field| ContractColumn {
            name: field.name.clone(),
            column_type: field.column_type.clone(),
            pii: source.contract.columns.get(&field.name).is_some_and(|column| column.pii),
        });
        let related = related(context, &source.contract.checks).await?;
        let options = ContractOptions {
            checks: &related.checks,
            type_severity: source.contract.on_violation,
            relations: &related.relations,
            extra: &[],
            now,
        };
        let quality = |source| EngineError::Quality { table: table.clone(), source };
        let contract = Contract::compile(&promised.collect::<Vec<_>>(), &options).map_err(quality)?;
        Ok(Self {
            context,
            source,
            unique: UniqueIndex::new(&contract, 0),
            stored: StoredKeys::of(bronze, &Default::default()),
            rows: Writers::new(&world.lake, &table, bronze_schema(&columns), 1),
            still: Writers::new(&world.lake, &table.rejected(), rejected_schema(), 1),
            columns,
            contract,
            tally: Tally::default(),
            accepted: 0,
            still_rejected: 0,
            next_sequence: 0,
            epoch,
            now,
        })
    }

    async fn take(&mut self, rejected: &RecordBatch) -> Result<(), EngineError> {
        let table = self.source.table();
        let quality = |source| EngineError::Quality { table: table.clone(), source };
        let compute = |source| EngineError::Compute { table: table.clone(), source };
        let (landed, halted) = self.by_epoch(rejected)?;
        self.still.write(halted).await?;
        let rejected = &landed;
        let restored = restore(rejected).map_err(quality)?;
        if !restored.malformed.is_empty() {
            let places: UInt64Array = restored.malformed.iter().map(|place| *place as u64).collect();
            self.still_rejected += places.len() as u64;
            self.still.write(take_record_batch(rejected, &places).map_err(compute)?).await?;
        }
        let mut evaluated = self.contract.evaluate(&restored.rows).map_err(quality)?;
        self.stored.load_near(&self.context.world, &evaluated.rows, &mut self.unique).await?;
        self.unique.check(&mut evaluated);
        self.tally.merge(&Tally::of(&evaluated));
        if evaluated.rejected_count() > 0 {
            let rows = RejectedRows { run: self.context.run.clone(), epoch: self.epoch, now: self.now };
            let positions = Positions::Each(restored.positions.clone());
            let sources = Sources::Each(&restored.sources);
            let batch = rows
                .build(&self.contract, &restored.rows, &evaluated, &positions, &sources)
                .map_err(quality)?;
            self.still_rejected += batch.num_rows() as u64;
            self.still.write(batch).await?;
        }
        let accepted = evaluated.accepted().map_err(quality)?;
        if accepted.num_rows() == 0 {
            return Ok(());
        }
        let (mut positions, mut sources) = (restored.positions, restored.sources);
        if let Some(mask) = evaluated.accepted_mask() {
            use arrow::compute::filter;
            positions = filter(&positions, &mask).map_err(compute)?.as_primitive::<Int64Type>().clone();
            sources = filter(&sources, &mask).map_err(compute)?.as_string::<i32>().clone();
        }
        let schema = bronze_schema(&self.columns);
        let first = self.next_sequence;
        let rows = with_landing_columns(&schema, &accepted, positions, &sources, first, self.now)
            .map_err(compute)?;
        self.accepted += rows.num_rows() as u64;
        self.next_sequence = first.saturating_add(i64::try_from(rows.num_rows()).unwrap_or(i64::MAX));
        self.rows.write(rows).await
    }

    /// The rows of landings that became visible, and those of one that was halted, which are landed again as a whole.
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
            Err(source) => Err(EngineError::Compute { table: self.source.table(), source }),
        }
    }

    async fn commit(self, bronze: &Snapshot, rejected: &Snapshot) -> Result<StepResult, EngineError> {
        let world = &self.context.world;
        let (add, still) = (self.rows.finish().await?, self.still.finish().await?);
        let checks = row_check_reports(&self.tally, &self.tally.counts(&self.contract));
        if self.accepted == 0 {
            world.lake.discard(still).await;
            let version = Some(bronze.version());
            let result = StepResult::without_rows(StepOutcome::Unchanged, version);
            return Ok(StepResult { checks, rows_rejected: self.still_rejected, ..result });
        }
        let facts = self.context.facts()?;
        let what =
            Committed::Reprocess { rejected_version: rejected.version(), next_sequence: self.next_sequence };
        let mut info = CommitInfo::new(self.context.run.clone(), self.now, facts.fingerprint, what);
        info.rows_written = self.accepted;
        info.rows_rejected = self.still_rejected;
        let change = TableChange {
            add,
            txns: vec![(REPROCESS_TXN.to_owned(), taken(rejected))],
            info: info.to_json()?,
            at: Some(self.now),
            ..TableChange::default()
        };
        let version = world.lake.commit(bronze.table(), Some(bronze), change).await?;
        replace(self.context, rejected, still).await?;
        let rows = bronze.rows().map(|rows| rows + self.accepted);
        let recorded = world.state.recorded()?.remove(&self.context.asset);
        let recorded =
            recorded.map(|recorded| millstream_plan::Recorded { version: Some(version), rows, ..recorded });
        Ok(StepResult {
            rows_written: self.accepted,
            rows_rejected: self.still_rejected,
            checks,
            recorded,
            metrics: metrics(rows),
            ..StepResult::without_rows(StepOutcome::Built, Some(version))
        })
    }
}

/// The transaction's version for a rejected table's version; above 0, which means never.
fn taken(rejected: &Snapshot) -> i64 {
    rejected.version() + 1
}

async fn replace(
    context: &StepContext,
    rejected: &Snapshot,
    still: Vec<StagedFile>,
) -> Result<(), EngineError> {
    let change = TableChange {
        add: still,
        remove: rejected.files().to_vec(),
        operation: Operation::Overwrite,
        at: Some(context.world.options.clock.now()),
        ..TableChange::default()
    };
    context.world.lake.commit(rejected.table(), Some(rejected), change).await?;
    Ok(())
}

/// Whether a reprocessing of `table` ended between its two commits.
pub(crate) async fn is_interrupted(world: &World, table: &TableName) -> Result<bool, EngineError> {
    let Some(bronze) = world.lake.snapshot(table, At::Latest).await? else { return Ok(false) };
    let Some(reached) = bronze.txn(REPROCESS_TXN) else { return Ok(false) };
    let rejected = world.lake.snapshot(&table.rejected(), At::Latest).await?;
    Ok(rejected.is_some_and(|rejected| taken(&rejected) == reached))
}

/// Completes a reprocessing whose rows entered bronze but have not left the rejected table.
pub(crate) async fn finish_interrupted(context: &StepContext, table: &TableName) -> Result<(), EngineError> {
    let world = &context.world;
    let Some(bronze) = world.lake.snapshot(table, At::Latest).await? else { return Ok(()) };
    let Some(reached) = bronze.txn(REPROCESS_TXN) else { return Ok(()) };
    let Some(rejected) = world.lake.snapshot(&table.rejected(), At::Latest).await? else { return Ok(()) };
    if taken(&rejected) != reached {
        return Ok(());
    }
    let commits = world.lake.history(table, None).await?;
    let commit = commits
        .iter()
        .find(|commit| commit.txns.iter().any(|(app, at)| app == REPROCESS_TXN && *at == reached));
    let Some(version) = commit.map(|commit| commit.version) else { return Ok(()) };
    let entered = entered_rows(context, table, version).await?;
    let names: Vec<_> = rejected.schema().fields().iter().map(|field| field.name().clone()).collect();
    let provider = LakeTable::new(&world.lake, rejected.schema(), rejected.files().to_vec())?;
    let mut rows = stored::scan(world, rejected.table(), provider, &names, None).await?;
    let mut still = Writers::new(&world.lake, rejected.table(), rejected.schema(), 1);
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        let stays = places(&batch).map(|place| Some(!entered.contains(&place))).collect();
        let batch = filter_record_batch(&batch, &stays)
            .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
        still.write(batch).await?;
    }
    replace(context, &rejected, still.finish().await?).await
}

/// Source and position of every row that the commit of `version` added.
async fn entered_rows(
    context: &StepContext,
    table: &TableName,
    version: i64,
) -> Result<HashSet<(String, i64)>, EngineError> {
    let world = &context.world;
    let changes = world.lake.changes(table, version - 1, version).await?;
    let provider = LakeTable::new(&world.lake, changes.to_schema, changes.added)?;
    let columns = [SOURCE.to_owned(), POSITION.to_owned()];
    let mut rows = stored::scan(world, table, provider, &columns, None).await?;
    let mut entered = HashSet::new();
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        entered.extend(places(&batch));
    }
    Ok(entered)
}

fn places(batch: &RecordBatch) -> impl Iterator<Item = (String, i64)> + '_ {
    let sources = batch
        .column_by_name(SOURCE)
        .and_then(|column| arrow::compute::cast(column, &arrow::datatypes::DataType::Utf8).ok());
    let positions = batch.column_by_name(POSITION).cloned();
    (0..batch.num_rows()).map(move |row| {
        let source = sources.as_ref().map(|column| column.as_string::<i32>());
        let source = source.filter(|column| column.is_valid(row)).map_or("", |column| column.value(row));
        let position = positions.as_ref().and_then(|column| column.as_primitive_opt::<Int64Type>());
        (source.to_owned(), position.map_or(-1, |column| column.value(row)))
    })
}
