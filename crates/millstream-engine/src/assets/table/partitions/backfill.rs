//! `millstream backfill`: partitions that somebody asks for are built, chunk by chunk, by whoever goes on with it.

use std::{collections::BTreeMap, num::NonZeroUsize, sync::Arc, time::Duration};

use async_trait::async_trait;
use futures::future::BoxFuture;
use millstream_plan::{PartitionSet, PartitionStates, PartitionStatus, PlannedStep, Reason, RunPlan};
use millstream_project::{PartitionSpec, TableSpec};
use millstream_schedule::PartitionGrain;
use millstream_state::{BackfillRecord, BackfillStatus, Cost};
use millstream_types::{AssetId, TableName, TimestampMicros};
use tokio_util::sync::CancellationToken;

use super::{
    chunks::{Fill, Progress},
    grid::Grid,
    survey::Survey,
    table::PartitionedTable,
};
use crate::{
    Engine, EngineError, Publisher, RunRequest, StepExecutor, StepOutcome, StepReport,
    assets::{StepRunner, table_of},
    cost::estimate,
    engine::StepContext,
    event::RunReport,
    reconcile::{Scope, reconcile},
    run::StepResult,
};

/// The most chunks that are computed at once.
const PARALLEL_MAX: usize = 64;

/// What somebody asks to be filled.
#[derive(Clone, Debug, Default)]
pub struct BackfillRequest {
    pub asset: String,
    pub wish: BackfillWish,
    /// How many partitions one chunk holds: those of an hour, a day, …; one, or as many as are missing, when absent.
    pub by: Option<PartitionGrain>,
    /// Values of the table's parameters, by name.
    pub set: BTreeMap<String, String>,
    /// How many chunks are computed at once; one when absent.
    pub parallel: Option<NonZeroUsize>,
    /// Whether partitions are built again that are built already.
    pub force: bool,
    /// The command as typed, for the record.
    pub command: String,
    /// Who asked a server for it, for the record.
    pub principal: Option<String>,
}

/// Which partitions are meant.
#[derive(Clone, Debug, Default)]
pub enum BackfillWish {
    /// Those that are missing, stale or failed.
    #[default]
    Open,
    /// Those from a time on up to, and without, another; each as a partition is named.
    Between { from: String, to: Option<String> },
    /// Those of these names.
    Named(Vec<String>),
}

/// What a backfill would do.
#[derive(Clone, Debug, PartialEq)]
pub struct BackfillPreview {
    pub asset: AssetId,
    /// The names of the first and the last partition that would be built; none where nothing would.
    pub bounds: Option<(String, String)>,
    pub partitions: u64,
    /// Partitions that are meant and built already.
    pub skipped: u64,
    pub chunks: u64,
    pub parallel: usize,
    /// About how many rows will be written, by what built partitions have; `None` before any was built.
    pub rows: Option<u64>,
    /// About how long it takes, by how long built partitions took; `None` before any was built.
    pub takes: Option<Duration>,
    /// About what it costs, by what the last steps used for each row and by the prices of the project; `None` where the project
    /// names no prices, or where no step was measured yet.
    pub cost: Option<Cost>,
    /// The first few partitions by name, the last ones first, as they are built.
    pub named: Vec<String>,
}

/// A backfill, and the run that did it.
#[derive(Clone, Debug)]
pub struct BackfillReport {
    pub backfill: BackfillRecord,
    pub run: RunReport,
}

/// By how many of a table's last steps the cost is estimated.
const STEPS_MEASURED: usize = 20;

/// How many partitions a preview names.
const NAMED_MAX: usize = 10;

/// A backfill whose partitions are known.
struct Planned {
    asset: AssetId,
    /// The partitions that are meant, built or not.
    meant: PartitionSet,
    /// Those of them that are to be built.
    wanted: PartitionSet,
    skipped: u64,
    chunks: Vec<PartitionSet>,
    parameters: String,
    parallel: NonZeroUsize,
    states: Option<PartitionStates>,
    grid: Grid,
}

impl Engine {
    /// What a backfill would do. A wish for open partitions counts those that are known: what the inputs have beside them is
    /// searched for when the backfill begins.
    pub fn preview_backfill<'a>(
        &'a self,
        request: &'a BackfillRequest,
    ) -> BoxFuture<'a, Result<BackfillPreview, EngineError>> {
        Box::pin(async move {
            let planned = self.planned(request).await?;
            let world = self.world();
            let table = table_of(&planned.asset)?;
            let snapshot = world.lake.snapshot(&table, millstream_lake::At::Latest).await?;
            let states = planned.states.as_ref();
            let is_built = |status: &PartitionStatus| *status == PartitionStatus::Built;
            let built = states.map_or(0, |states| states.which(|one| is_built(&one.status)).len());
            let rows = snapshot.and_then(|snapshot| snapshot.rows()).filter(|_| built > 0);
            let count = planned.wanted.len();
            let rows = rows.map(|rows| rows.saturating_mul(count) / built);
            let took = states.filter(|states| states.built > 0).map(|states| states.micros / states.built);
            let side_by_side = planned.parallel.get().min(planned.chunks.len()).max(1) as u64;
            let cost = match (rows, &world.project.spec.prices) {
                (Some(rows), Some(prices)) => {
                    let steps = world.state.built_steps(&planned.asset, STEPS_MEASURED).await?;
                    estimate(&steps, rows, prices)
                }
                _ => None,
            };
            let label = |number: i64| planned.grid.label(number);
            Ok(BackfillPreview {
                bounds: planned.wanted.bounds().map(|(first, last)| (label(first), label(last))),
                partitions: count,
                skipped: planned.skipped,
                chunks: planned.chunks.len() as u64,
                parallel: planned.parallel.get(),
                rows,
                takes: took.map(|took| Duration::from_micros(took.saturating_mul(count) / side_by_side)),
                cost,
                named: planned.wanted.last(NAMED_MAX as u64).iter().map(label).collect(),
                asset: planned.asset,
            })
        })
    }

    /// Fills partitions, and records how far it has come after each chunk: should the process end, [`Engine::resume_backfill`]
    /// goes on.
    pub fn backfill<'a>(
        &'a self,
        request: &'a BackfillRequest,
        wait: Duration,
        events: Publisher,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<BackfillReport, EngineError>> {
        Box::pin(async move {
            let planned = self.planned(request).await?;
            let started = self.now();
            let finds = matches!(request.wish, BackfillWish::Open);
            let record = BackfillRecord {
                id: self.new_backfill(&planned.asset, started),
                asset: planned.asset.clone(),
                // What is missing is only known when the inputs have been searched.
                wanted: if finds { PartitionSet::new() } else { planned.wanted.clone() },
                done: PartitionSet::new(),
                failed: PartitionSet::new(),
                chunk: request.by.map(|by| by.to_string()).unwrap_or_default(),
                parameters: planned.parameters.clone(),
                parallel: planned.parallel.get() as u64,
                status: BackfillStatus::Open,
                started,
                finished: None,
            };
            if !finds
                && !request.force
                && let Some(same) = self.same_open(&record).await?
            {
                let BackfillRecord { chunk, parallel, .. } = record;
                let same = BackfillRecord { chunk, parallel, ..same };
                return self
                    .go_on(same, Meant::OpenAmong(planned.meant), request, wait, events, cancel)
                    .await;
            }
            let meant = if finds { Meant::Open } else { Meant::OpenAmong(planned.meant) };
            self.go_on(record, meant, request, wait, events, cancel).await
        })
    }

    /// Goes on with a backfill, from the first partition that is not done.
    pub fn resume_backfill<'a>(
        &'a self,
        id: &'a str,
        command: &'a str,
        wait: Duration,
        events: Publisher,
        cancel: CancellationToken,
    ) -> BoxFuture<'a, Result<BackfillReport, EngineError>> {
        Box::pin(async move {
            self.world().state.reopen_backfill(id).await?;
            let record = self.backfill_record(id).await?;
            let request = BackfillRequest { command: command.to_owned(), ..BackfillRequest::default() };
            let finds = record.wanted.is_empty() && record.status == BackfillStatus::Open;
            let meant = if finds { Meant::Open } else { Meant::Recorded };
            self.go_on(record, meant, &request, wait, events, cancel).await
        })
    }

    /// One backfill on record.
    pub fn backfill_record<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<BackfillRecord, EngineError>> {
        Box::pin(async move {
            let record = self.world().state.backfill(id).await?;
            record.ok_or_else(|| EngineError::UnknownBackfill { id: id.to_owned() })
        })
    }

    /// The last backfills, the newest first.
    pub fn backfills(&self, limit: usize) -> BoxFuture<'_, Result<Vec<BackfillRecord>, EngineError>> {
        Box::pin(async move { Ok(self.world().state.backfills(limit).await?) })
    }

    /// Cancels a backfill: whoever works on it ends after the chunk that is being committed. `false` for one that has ended.
    pub fn cancel_backfill<'a>(&'a self, id: &'a str) -> BoxFuture<'a, Result<bool, EngineError>> {
        Box::pin(async move {
            self.backfill_record(id).await?;
            let now = self.now();
            Ok(self.world().state.end_backfill(id, BackfillStatus::Cancelled, now).await?)
        })
    }

    /// The backfill on record that is open and asks for the same.
    async fn same_open(&self, record: &BackfillRecord) -> Result<Option<BackfillRecord>, EngineError> {
        const LOOKED_AT: usize = 100;
        let is_same = |known: &BackfillRecord| {
            known.status == BackfillStatus::Open
                && known.asset == record.asset
                && known.wanted.difference(&known.done) == record.wanted
                && known.parameters == record.parameters
        };
        Ok(self.world().state.backfills(LOOKED_AT).await?.into_iter().find(is_same))
    }

    async fn go_on(
        &self,
        record: BackfillRecord,
        meant: Meant,
        request: &BackfillRequest,
        wait: Duration,
        events: Publisher,
        cancel: CancellationToken,
    ) -> Result<BackfillReport, EngineError> {
        let (_, partition) = self.partitioned(&table_of(&record.asset)?)?;
        let by = PartitionGrain::named(&record.chunk);
        let step = PlannedStep {
            asset: record.asset.clone(),
            reason: Reason::Forced,
            after: Vec::new(),
            checks_after: Vec::new(),
            needs: Default::default(),
        };
        let begun = record.clone();
        let plan = async {
            // A backfill that is refused because others work on the table leaves no record.
            self.world().state.begin_backfill(&begun).await?;
            reconcile(self.world(), Scope::All).await?;
            Ok(RunPlan { steps: vec![step], ..RunPlan::default() })
        };
        let run = RunRequest {
            command: request.command.clone(),
            principal: request.principal.clone(),
            ..RunRequest::default()
        };
        let (id, assets) = (record.id.clone(), [record.asset.clone()]);
        let filler = |runner| {
            Arc::new(Filler { runner, record, meant, by, partition: partition.clone() })
                as Arc<dyn StepExecutor>
        };
        let run = self.run_with(&run, &assets, wait, events, cancel, plan, filler).await?;
        let record = self.backfill_record(&id).await?;
        let left = record.wanted.difference(&record.done);
        let status = match (run.cancelled, left.is_empty(), left.difference(&record.failed).is_empty()) {
            (true, false, _) => BackfillStatus::Cancelled,
            (_, true, _) => BackfillStatus::Finished,
            (_, _, true) => BackfillStatus::Failed,
            // The step failed for another reason than its rows, and may go on.
            _ => return Ok(BackfillReport { backfill: record, run }),
        };
        self.world().state.end_backfill(&id, status, self.now()).await?;
        Ok(BackfillReport { backfill: self.backfill_record(&id).await?, run })
    }

    fn partitioned(&self, table: &TableName) -> Result<(&TableSpec, &PartitionSpec), EngineError> {
        let spec = self.project().table(table).ok_or_else(|| self.not_built(table))?;
        let partition = spec.partition.as_ref().ok_or_else(|| EngineError::Partitions {
            table: table.clone(),
            message: "has no partitions".to_owned(),
            hint: format!(
                "say by which column in its header: `partition: {{by: day, column: …}}`; `millstream run {table} \
                 --full-refresh` builds it as a whole"
            ),
        })?;
        Ok((spec, partition))
    }

    /// The error for a table that no SQL of the project builds.
    fn not_built(&self, table: &TableName) -> EngineError {
        if self.project().graph.get(&table.asset_id()).is_none() {
            return self.project().unknown_table(table);
        }
        EngineError::Partitions {
            table: table.clone(),
            message: "is landed from a source, which has no partitions".to_owned(),
            hint: format!("`millstream run {table} --full-refresh` lands it anew"),
        }
    }

    async fn planned(&self, request: &BackfillRequest) -> Result<Planned, EngineError> {
        let table: TableName = request
            .asset
            .parse()
            .map_err(|_| EngineError::UnknownAsset { name: request.asset.clone(), nearest: None })?;
        let (spec, partition) = self.partitioned(&table)?;
        let (world, asset) = (self.world(), table.asset_id());
        let analysed = world.project.analysis.tables.get(&table);
        let analysed = analysed.ok_or_else(|| self.project().unknown_table(&table))?;
        let values = world.state.partition_values(&asset).await?;
        let grid = Grid::new(spec, partition, &analysed.stored_schema, values)?;
        let states = world.state.partitions(&asset).await?;
        let parameters = parameters(spec, &request.set)?;
        // What was built by another definition is to be built by this one.
        let fingerprint = world.project.graph.get(&asset).map(|facts| facts.fingerprint);
        let current = states.as_ref().filter(|states| Some(states.fingerprint) == fingerprint);
        let meant = meant(&grid, &table, request, current, self.now())?;
        let meant = grid.possible(&meant);
        let is_done = |number: &PartitionSet| match current {
            Some(states) if !request.force => {
                let done = states.which(|standing| {
                    standing.status == PartitionStatus::Built && standing.parameters == parameters
                });
                number.intersection(&done)
            }
            _ => PartitionSet::new(),
        };
        let done = is_done(&meant);
        let wanted = meant.difference(&done);
        let most = world.options.partitions_max;
        if wanted.len() > most {
            return Err(EngineError::Partitions {
                table,
                message: format!(
                    "would build {} partitions, one backfill builds {most} at most",
                    wanted.len()
                ),
                hint: "name a shorter range with `--from` and `--to`, or part the table by a longer time"
                    .to_owned(),
            });
        }
        let parallel = request.parallel.unwrap_or(NonZeroUsize::MIN);
        let parallel = NonZeroUsize::new(parallel.get().min(PARALLEL_MAX)).unwrap_or(NonZeroUsize::MIN);
        let chunks = chunks(&grid, &table, &wanted, request.by)?;
        Ok(Planned { asset, skipped: done.len(), meant, wanted, chunks, parameters, parallel, states, grid })
    }

    fn new_backfill(&self, asset: &AssetId, at: TimestampMicros) -> String {
        let random = self.world().options.random.next();
        format!("{}-{:x}{:04x}", asset.as_str().replace(['.', ':'], "-"), at.as_ms(), random & 0xffff)
    }
}

/// The partitions that a request means.
fn meant(
    grid: &Grid,
    table: &TableName,
    request: &BackfillRequest,
    states: Option<&PartitionStates>,
    now: TimestampMicros,
) -> Result<PartitionSet, EngineError> {
    match &request.wish {
        BackfillWish::Open => Ok(states.map(PartitionStates::open).unwrap_or_default()),
        BackfillWish::Named(names) => names.iter().map(|name| grid.find(name)).collect(),
        BackfillWish::Between { from, to } => {
            let Some(calendar) = grid.calendar() else {
                return Err(EngineError::Partitions {
                    table: table.clone(),
                    message: "is parted by value, and values have no order in time".to_owned(),
                    hint: "name the values: `--only north --only south`".to_owned(),
                });
            };
            let first = grid.find(from)?;
            let next = match to {
                Some(to) => grid.find(to)?,
                None => calendar.number(now).unwrap_or(first).saturating_add(1),
            };
            if next <= first {
                return Err(EngineError::Partitions {
                    table: table.clone(),
                    message: format!(
                        "has no partition from {} on and before {}",
                        calendar.label(first),
                        calendar.label(next)
                    ),
                    hint: "`--to` is not part of the range, and comes after `--from`".to_owned(),
                });
            }
            Ok(PartitionSet::range(first, next.saturating_sub(1)))
        }
    }
}

/// The chunks in which partitions are built, the last ones first.
fn chunks(
    grid: &Grid,
    table: &TableName,
    wanted: &PartitionSet,
    by: Option<PartitionGrain>,
) -> Result<Vec<PartitionSet>, EngineError> {
    let one = |number: i64| PartitionSet::range(number, number);
    let Some(by) = by else {
        let mut single: Vec<PartitionSet> = wanted.iter().map(one).collect();
        single.reverse();
        return Ok(single);
    };
    let fits = grid.calendar().filter(|calendar| by.consists_of(calendar.grain));
    let Some(calendar) = fits else {
        return Err(EngineError::Partitions {
            table: table.clone(),
            message: format!("has partitions of which no {by} consists"),
            hint: "leave `--by` out, or name a time of which each holds whole partitions".to_owned(),
        });
    };
    let longer = calendar.by(by);
    let mut parts: Vec<(i64, PartitionSet)> = Vec::new();
    for number in wanted.iter() {
        // The partition of rows without a value is a chunk of its own.
        let whole = calendar.start(number).and_then(|start| longer.number(start)).unwrap_or(i64::MIN);
        match parts.last_mut() {
            Some((known, part)) if *known == whole => part.insert(number),
            _ => parts.push((whole, one(number))),
        }
    }
    Ok(parts.into_iter().rev().map(|(_, part)| part).collect())
}

/// The values of parameters as JSON in one spelling; empty where all are the defaults.
fn parameters(spec: &TableSpec, set: &BTreeMap<String, String>) -> Result<String, EngineError> {
    let refuse =
        |message: String, hint: String| EngineError::Partitions { table: spec.name.clone(), message, hint };
    let mut values: BTreeMap<&str, String> = BTreeMap::new();
    for (name, text) in set {
        let Some(parameter) = spec.parameters.iter().find(|parameter| parameter.name.value == *name) else {
            let known = spec.parameters.iter().map(|parameter| parameter.name.value.as_str());
            let hint = match millstream_project::nearest(name, known) {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => format!(
                    "declare it in the header: `parameters: {{{name}: {{type: float64, default: 1.0}}}}`"
                ),
            };
            return Err(refuse(format!("has no parameter `{name}`"), hint));
        };
        let value = parameter.value(text).map_err(|message| {
            refuse(format!("cannot take `{name}`: {message}"), "write `--set name=value`".into())
        })?;
        if value != parameter.default {
            values.insert(name, value);
        }
    }
    if values.is_empty() {
        return Ok(String::new());
    }
    serde_json::to_string(&values)
        .map_err(|source| EngineError::Definition { name: spec.name.to_string(), source })
}

/// Which partitions a backfill fills beside those that its record names.
#[derive(Clone, Debug)]
enum Meant {
    /// None.
    Recorded,
    /// Those of these of which it is found that something has come for them.
    OpenAmong(PartitionSet),
    /// All that are found to be open.
    Open,
}

/// Runs the one step of a backfill.
struct Filler {
    runner: StepRunner,
    record: BackfillRecord,
    meant: Meant,
    by: Option<PartitionGrain>,
    partition: PartitionSpec,
}

#[async_trait]
impl StepExecutor for Filler {
    async fn attempt(&self, step: &PlannedStep) -> Result<StepResult, EngineError> {
        let context = self.runner.context(step);
        // The step is forced, but that asks for no partition beside those of the backfill.
        let context = StepContext { forced: false, ..context };
        let name = table_of(&step.asset)?;
        let project = context.world.project.clone();
        let spec = project.table(&name).ok_or_else(|| project.unknown_table(&name))?;
        let filled = async {
            let (mut table, fill) = context.unless_cancelled(self.begun(&context, spec)).await?;
            table.fill(fill).await
        };
        filled.await.map_err(|error| project.told_of(&name, error))
    }

    fn ends_itself(&self, _step: &PlannedStep) -> bool {
        true
    }

    /// Each partition is whole by itself.
    fn is_whole_when_cut_short(&self) -> bool {
        true
    }

    async fn record(&self, report: &mut StepReport) -> Result<(), EngineError> {
        StepExecutor::record(&self.runner, report).await
    }
}

impl Filler {
    /// The table, and what of it is still to be filled, which is on record from then on.
    async fn begun<'a>(
        &self,
        context: &'a StepContext,
        spec: &'a TableSpec,
    ) -> Result<(PartitionedTable<'a>, Fill), EngineError> {
        let mut table = PartitionedTable::open(context, spec, &self.partition).await?;
        let base = table.snapshot().await?;
        if base.is_some_and(|base| table.grid.field_of(&base.schema()).is_err()) {
            return Err(EngineError::Partitions {
                table: spec.name.clone(),
                message: "was built before it had the column that parts it".to_owned(),
                hint: format!("build it once with `millstream run {}`", spec.name),
            });
        }
        table.survey(false, false).await?;
        table.settle().await?;
        // Another attempt, or another process, may have come further than the record that this one began with.
        let record = context.world.state.backfill(&self.record.id).await?;
        let mut record = record.unwrap_or_else(|| self.record.clone());
        let (open, most) = (table.states.open(), context.world.options.partitions_max);
        let found = match &self.meant {
            Meant::Open if record.wanted.is_empty() => open.last(most),
            Meant::OpenAmong(meant) => open.intersection(meant).difference(&record.done),
            Meant::Open | Meant::Recorded => PartitionSet::new(),
        };
        let room = most.saturating_sub(record.wanted.len());
        let found = found.difference(&record.wanted).last(room);
        if !found.is_empty() {
            record.wanted = record.wanted.union(&found);
            context.world.state.want_in_backfill(&record.id, &record.wanted).await?;
        }
        if let Some(filled) = table.filled.get(&record.id) {
            record.done = record.done.union(filled);
            let progress = (record.id.as_str(), &record.done, &record.failed);
            table.record(None, &PartitionSet::new(), &[], Some(progress)).await?;
        }
        let left = record.wanted.difference(&record.done);
        let chunks = chunks(&table.grid, &spec.name, &left, self.by)?;
        let progress =
            Progress { id: record.id, wanted: record.wanted.len(), done: record.done, failed: record.failed };
        let parallel = usize::try_from(self.record.parallel).ok().and_then(NonZeroUsize::new);
        let fill = Fill {
            survey: Survey::Some,
            only: Some(left),
            chunks: Some(chunks),
            parameters: Some(record.parameters),
            parallel: parallel.unwrap_or(NonZeroUsize::MIN),
            backfill: Some(progress),
        };
        Ok((table, fill))
    }
}

impl BackfillReport {
    /// Whether every partition that was asked for is built.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        let ended = |step: &StepReport| matches!(step.outcome, StepOutcome::Built | StepOutcome::Unchanged);
        self.backfill.status == BackfillStatus::Finished && self.run.steps.iter().all(ended)
    }
}
