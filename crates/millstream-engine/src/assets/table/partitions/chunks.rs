//! From what is to be built to chunks, and through all of them: rows are computed side by side, commits follow one another.

use std::{num::NonZeroUsize, sync::Arc};

use futures::{StreamExt, future::BoxFuture, stream};
use millstream_lake::At;
use millstream_plan::{
    AssetStatus, PartitionSet, PartitionStanding, PartitionStates, PartitionStatus, Recorded,
};
use millstream_project::{CheckKind, CheckSpec};
use millstream_quality::VersionBefore;
use millstream_sql::incremental::{Limits, Spool};
use millstream_state::{BackfillStatus, BrokenCheck, Receipt};
use millstream_types::Severity;
use tokio::task::JoinSet;

use super::{
    chunk::{Chunk, ChunkEnd, ChunkRows, Halted},
    survey::Survey,
    table::PartitionedTable,
};
use crate::{
    CheckReport, EngineError, StepOutcome,
    assets::{table::build::BuildAttempt, version_of},
    audit,
    resolver::provider,
    run::StepResult,
    stored,
};

/// The most partitions that are built with one commit, unless a command says how many.
const CHUNK_MAX: u64 = 64;

/// How many halted partitions a message names.
const NAMED_MAX: usize = 3;

/// What is to be filled, and how.
#[derive(Clone, Debug)]
pub(super) struct Fill {
    pub survey: Survey,
    /// The partitions that are meant; `None` for all that are to be built.
    pub only: Option<PartitionSet>,
    /// The chunks in which they are built, which hold them all; `None` where a chunk is as large as it may be.
    pub chunks: Option<Vec<PartitionSet>>,
    /// JSON of the parameters to build with; `None` where each partition keeps its own.
    pub parameters: Option<String>,
    /// How many chunks are computed at once.
    pub parallel: NonZeroUsize,
    /// The backfill that asks for it.
    pub backfill: Option<Progress>,
}

/// How far a backfill has come.
#[derive(Clone, Debug)]
pub(super) struct Progress {
    pub id: String,
    pub wanted: u64,
    pub done: PartitionSet,
    pub failed: PartitionSet,
}

impl Fill {
    /// What a run fills: whatever is to be built.
    pub(super) fn of_run(survey: Survey) -> Self {
        Self {
            survey,
            only: None,
            chunks: None,
            parameters: None,
            parallel: NonZeroUsize::MIN,
            backfill: None,
        }
    }
}

/// What all chunks together did.
#[derive(Default)]
struct Sum {
    built: PartitionSet,
    halted: Vec<Halted>,
    rows_written: u64,
    rows_deleted: u64,
    rows_rejected: u64,
    /// The receipts of all chunks as one.
    receipt: Option<Receipt>,
    checks: Vec<CheckReport>,
    /// Whether the work was told to end before all of it was done.
    is_cut_short: bool,
}

impl PartitionedTable<'_> {
    /// Builds what is to be built, and ends the step.
    pub(super) fn fill(&mut self, mut fill: Fill) -> BoxFuture<'_, Result<StepResult, EngineError>> {
        Box::pin(async move {
            let (mut sum, mut is_settled) = (Sum::default(), false);
            let is_of_run = fill.only.is_none();
            let mut open_before = u64::MAX;
            loop {
                if !self.fill_groups(&mut fill, &mut sum).await? {
                    if fill.survey == Survey::Some {
                        return Err(self.too_many(self.partitions_max()));
                    }
                    self.survey(true, false).await?;
                    fill = Fill::of_run(Survey::Some);
                    continue;
                }
                if sum.is_cut_short {
                    break;
                }
                let halted = sum.halted.iter().map(|halted| halted.partition).collect();
                let left = self.states.open().difference(&halted);
                if is_of_run && !left.is_empty() && left.len() < open_before {
                    open_before = left.len();
                    fill = Fill { only: Some(left), ..Fill::of_run(Survey::Some) };
                    continue;
                }
                if is_settled {
                    // A row that came in took away no key: each key that goes from one partition was taken by another.
                    self.settled().await?;
                    break;
                }
                let context = self.context;
                let opened = match context.unless_cancelled(self.settle()).await {
                    // What is not settled yet is by the next run.
                    Err(EngineError::Cancelled) => break,
                    opened => opened?,
                };
                if opened.is_empty() || !is_of_run {
                    break;
                }
                (is_settled, open_before) = (true, u64::MAX);
                fill = Fill { only: Some(opened), ..Fill::of_run(Survey::Some) };
            }
            self.end(sum).await
        })
    }

    /// Builds chunk after chunk; `false` where one has more partitions than are built together, of which none was built then.
    async fn fill_groups(&mut self, fill: &mut Fill, sum: &mut Sum) -> Result<bool, EngineError> {
        let groups = self.chunks(fill);
        let meant =
            groups.iter().flat_map(|(_, chunks)| chunks).filter_map(|chunk| chunk.partitions.as_ref());
        self.pending = PartitionSet::of_ranges(meant.flat_map(|set| set.ranges().iter().copied()));
        for (parameters, chunks) in groups {
            let spec = self.spec_with(&parameters)?;
            let (base, inputs) = (self.snapshot().await?, self.inputs.clone());
            let attempt = BuildAttempt::open(self.context, &spec, base.as_deref(), &inputs, self.now).await?;
            if !self.through(&attempt, chunks, fill, sum).await? {
                return Ok(false);
            }
            if sum.is_cut_short {
                break;
            }
        }
        Ok(true)
    }

    /// The chunks by the parameters that they are built with.
    fn chunks(&self, fill: &Fill) -> Vec<(String, Vec<Chunk>)> {
        if fill.survey == Survey::Whole {
            return vec![(String::new(), vec![Chunk { partitions: None, parameters: String::new() }])];
        }
        let open = fill.only.clone().unwrap_or_else(|| self.states.open());
        let open = open.last(self.partitions_max());
        let mut groups: Vec<(String, PartitionSet)> = Vec::new();
        match &fill.parameters {
            Some(parameters) => groups.push((parameters.clone(), open)),
            None => {
                let mut left = open;
                for span in self.states.spans() {
                    let part = PartitionSet::range(span.first, span.last).intersection(&left);
                    if part.is_empty() {
                        continue;
                    }
                    left = left.difference(&part);
                    let own = &span.standing.parameters;
                    match groups.iter_mut().find(|(parameters, _)| parameters == own) {
                        Some((_, group)) => *group = group.union(&part),
                        None => groups.push((own.clone(), part)),
                    }
                }
            }
        }
        let chunked = |(parameters, group): (String, PartitionSet)| {
            let parts = match &fill.chunks {
                Some(chunks) => chunks.iter().map(|chunk| chunk.intersection(&group)).collect(),
                None => cut(&group, CHUNK_MAX),
            };
            let chunk = |partitions: PartitionSet| Chunk {
                partitions: Some(partitions),
                parameters: parameters.clone(),
            };
            let chunks = parts.into_iter().filter(|part| !part.is_empty()).map(chunk).collect();
            (parameters.clone(), chunks)
        };
        groups.into_iter().map(chunked).collect()
    }

    /// Whether somebody has cancelled the backfill that asks for the work.
    async fn is_called_off(&self, fill: &Fill) -> Result<bool, EngineError> {
        let Some(progress) = &fill.backfill else { return Ok(false) };
        let record = self.context.world.state.backfill(&progress.id).await?;
        Ok(record.is_some_and(|record| record.status == BackfillStatus::Cancelled))
    }

    /// Goes through chunks: the rows of some are computed while others are committed. Work that is told to end does so between two
    /// chunks, or before the rows of one are committed: each commit is recorded.
    async fn through(
        &mut self,
        attempt: &BuildAttempt<'_>,
        chunks: Vec<Chunk>,
        fill: &mut Fill,
        sum: &mut Sum,
    ) -> Result<bool, EngineError> {
        let (context, count, grid) = (self.context, chunks.len(), Arc::new(self.grid.clone()));
        let clock = &context.world.options.clock;
        let side_by_side = i64::try_from(fill.parallel.get().min(count)).unwrap_or(1);
        let mut since = clock.now();
        let computing = chunks.into_iter().map(|chunk| computed(attempt, grid.clone(), chunk, fill.parallel));
        let mut computed = stream::iter(computing.collect::<Vec<_>>()).buffered(fill.parallel.get());
        let mut left = count;
        while left > 0 {
            let ready = tokio::select! {
                biased;
                () = context.cancel.cancelled() => None,
                ready = computed.next() => ready,
            };
            let Some((chunk, rows)) = ready.transpose()? else { break };
            if self.is_called_off(fill).await? {
                break;
            }
            let backfill = fill.backfill.as_ref().map(|progress| progress.id.clone());
            let end = match self.publish_chunk(attempt, &chunk, rows, backfill).await {
                Err(EngineError::Cancelled) => break,
                end => end?,
            };
            let Some(end) = end else { return Ok(false) };
            // Each chunk has the time since the one before was done, as often as chunks were computed side by side.
            let now = clock.now();
            let micros = now.0.saturating_sub(since.0).saturating_mul(side_by_side);
            since = now;
            if let Some(partitions) = &chunk.partitions {
                self.pending = self.pending.difference(partitions);
            }
            self.record_chunk(&chunk, &end, micros, fill).await?;
            if count > 1 || fill.backfill.is_some() {
                self.tell(&end, fill, sum);
            }
            sum.add(end);
            left -= 1;
        }
        sum.is_cut_short |= left > 0;
        Ok(true)
    }

    async fn record_chunk(
        &mut self,
        chunk: &Chunk,
        end: &ChunkEnd,
        micros: i64,
        fill: &mut Fill,
    ) -> Result<(), EngineError> {
        if chunk.partitions.is_none() {
            // Only what was built or halted has rows.
            let mut states = PartitionStates::new(self.states.fingerprint);
            (states.built, states.micros) = (self.states.built, self.states.micros);
            self.states = states;
        }
        let parameters = chunk.parameters.clone();
        let built = PartitionStanding { status: PartitionStatus::Built, parameters: parameters.clone() };
        self.states.set(&end.built, &built);
        // A partition without rows that nobody knew of is none because somebody asked for it in vain.
        let known = self.states.known();
        let is_kept = |halted: &&Halted| !halted.is_empty || known.contains(halted.partition);
        let refused: PartitionSet =
            end.halted.iter().filter(|one| !is_kept(one)).map(|one| one.partition).collect();
        for halted in end.halted.iter().filter(is_kept) {
            let one = PartitionSet::range(halted.partition, halted.partition);
            let status = PartitionStatus::Failed { error: halted.reason.clone() };
            self.states.set(&one, &PartitionStanding { status, parameters: parameters.clone() });
        }
        self.states.seen = self.inputs.versions();
        self.states.version = end.version.or(self.states.version);
        self.states.built = self.states.built.saturating_add(end.built.len());
        self.states.micros = self.states.micros.saturating_add(u64::try_from(micros).unwrap_or(0));
        let halted: PartitionSet = end.halted.iter().map(|halted| halted.partition).collect();
        if let Some(progress) = &mut fill.backfill {
            progress.done = progress.done.union(&end.built);
            progress.failed = progress.failed.difference(&end.built).union(&halted);
        }
        if self.grid.calendar().is_none() {
            // A value that no row has is no partition.
            self.states.forget(&end.emptied);
            self.grid.live(&self.states.known());
        }
        let backfill = fill.backfill.as_ref();
        let backfill = backfill.map(|progress| (progress.id.as_str(), &progress.done, &progress.failed));
        let judged = match &chunk.partitions {
            Some(_) => end.built.union(&halted),
            None => PartitionSet::range(i64::MIN, i64::MAX),
        };
        let touched = chunk.partitions.as_ref().and_then(PartitionSet::bounds);
        let broken: Vec<BrokenCheck> =
            end.broken.iter().filter(|broken| !refused.contains(broken.partition)).cloned().collect();
        self.record(touched, &judged, &broken, backfill).await
    }

    fn tell(&self, end: &ChunkEnd, fill: &Fill, sum: &Sum) {
        let Some((first, last)) = end.built.bounds() else { return };
        let (first, last) = (self.grid.label(first), self.grid.label(last));
        let named = if first == last { first } else { format!("{first} to {last}") };
        let done = sum.built.len() + end.built.len();
        let far = match &fill.backfill {
            Some(progress) if progress.wanted == 1 => "the only partition is done".to_owned(),
            Some(progress) => format!("{} of {} partitions are done", progress.done.len(), progress.wanted),
            None => format!("{done} partitions are built"),
        };
        let rejected = match end.rows_rejected {
            0 => String::new(),
            rows => format!(" and {rows} rejected"),
        };
        let rows = if end.rows_written == 1 { "row" } else { "rows" };
        self.context.note(format!("{named}: {} {rows}{rejected}; {far}", end.rows_written));
    }

    /// Ends the step: with what was built, with what the checks of the whole table say, and with what is on record from now on.
    async fn end(&mut self, sum: Sum) -> Result<StepResult, EngineError> {
        let (context, world) = (self.context, &self.context.world);
        let nothing = if sum.is_cut_short { StepOutcome::Cancelled } else { StepOutcome::Unchanged };
        let Some(snapshot) = world.lake.snapshot(&self.spec.name, At::Latest).await? else {
            let outcome = halted(&self.grid, &sum).unwrap_or(nothing);
            return Ok(StepResult { checks: sum.checks, ..StepResult::without_rows(outcome, None) });
        };
        let (version, rows) = (version_of(&snapshot), snapshot.rows());
        let is_clocked = |check: &&CheckSpec| matches!(check.kind, CheckKind::Freshness { .. });
        let clocked = self.spec.checks.iter().filter(|check| !sum.is_cut_short && is_clocked(check));
        let clocked: Vec<CheckSpec> = clocked.cloned().collect();
        let of_table = provider(&world.lake, &snapshot)?;
        let before = VersionBefore::default();
        let outcomes =
            audit::table_checks(world, &self.spec.name, of_table, &clocked, before, self.now).await?;
        let mut checks = sum.checks.clone();
        let failed = outcomes.iter().find(|outcome| !outcome.passed && outcome.severity == Severity::Halt);
        let late = failed.map(|outcome| StepOutcome::Halted {
            reason: format!("check {} failed: {}", outcome.check, outcome.message),
            hint: Some("the rows stay; mend the input, or change the check".to_owned()),
        });
        checks.extend(outcomes.into_iter().map(audit::report));
        let left = self.states.open().len();
        if left > sum.halted.len() as u64 && !sum.is_cut_short {
            context.note(format!("{left} partitions are still to be built: the next run goes on"));
        }
        let done = match (sum.is_cut_short, sum.built.is_empty()) {
            (true, _) => StepOutcome::Cancelled,
            (false, true) => StepOutcome::Unchanged,
            (false, false) => StepOutcome::Built,
        };
        let outcome = halted(&self.grid, &sum).or(late).unwrap_or(done);
        let known = world.state.recorded_of(&context.asset).await?;
        let known = known.filter(|known| known.version == Some(version) && known.was_built());
        let recorded = Recorded {
            fingerprint: context.facts()?.fingerprint,
            input_versions: self.inputs.versions(),
            version: Some(version),
            rows,
            built_at: known.map_or(self.now, |known| known.built_at),
            status: AssetStatus::Built,
        };
        // What was cut short before it had built anything has nothing to record.
        let is_recorded = match outcome {
            StepOutcome::Built | StepOutcome::Unchanged => true,
            StepOutcome::Cancelled => !sum.built.is_empty(),
            _ => false,
        };
        Ok(StepResult {
            outcome,
            rows_written: sum.rows_written,
            rows_deleted: sum.rows_deleted,
            rows_rejected: sum.rows_rejected,
            receipt: sum.receipt,
            version: Some(version),
            checks,
            recorded: is_recorded.then_some(recorded),
            metrics: audit::metrics(rows),
        })
    }
}

/// The rows of a chunk, computed on a task of their own. Those of a whole table are computed while they are written.
async fn computed(
    attempt: &BuildAttempt<'_>,
    grid: Arc<super::grid::Grid>,
    chunk: Chunk,
    parallel: NonZeroUsize,
) -> Result<(Chunk, ChunkRows), EngineError> {
    let inputs = attempt.inputs.whole(&attempt.context.world)?;
    let (maintenance, runtime) = (attempt.maintenance.clone(), attempt.runtime.clone());
    let query = super::chunk::ChunkQuery { maintenance, runtime, inputs, key: grid.key() };
    let Some(partitions) = &chunk.partitions else {
        return Ok((chunk, ChunkRows::Query(Box::new(query), grid.all())));
    };
    let possible = grid.possible(partitions);
    let condition = grid.condition(&possible)?;
    let memory = Limits::default().spool_bytes / parallel.get();
    let mut task = JoinSet::new();
    task.spawn(async move {
        let rows = query.rows(Some(&condition)).await?;
        Ok::<_, millstream_sql::incremental::IncrementalError>(
            Spool::collect(query.runtime.as_ref(), rows, memory).await,
        )
    });
    let done = task.join_next().await.and_then(Result::ok);
    let done = done.ok_or(EngineError::Worker { doing: "computing partitions" })?;
    let spool = done.map_err(|source| attempt.failed(source))?;
    let spool: Arc<Spool> = spool.map_err(|source| stored::failed(&attempt.spec.name, source))?;
    Ok((chunk, ChunkRows::Spool(spool)))
}

/// Why the step halts, if partitions were halted.
fn halted(grid: &super::grid::Grid, sum: &Sum) -> Option<StepOutcome> {
    let first = sum.halted.first()?;
    let count = sum.halted.len();
    let named: Vec<String> = sum.halted.iter().take(NAMED_MAX).map(|one| grid.label(one.partition)).collect();
    let more = count.saturating_sub(NAMED_MAX);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let what = if count == 1 { "partition" } else { "partitions" };
    Some(StepOutcome::Halted {
        reason: format!("{count} {what} ({}{more}): {}", named.join(", "), first.reason),
        hint: Some(
            "their earlier rows stay, the other partitions are built; mend the data, or change the check"
                .to_owned(),
        ),
    })
}

impl Sum {
    fn add(&mut self, end: ChunkEnd) {
        self.built = self.built.union(&end.built);
        self.rows_written += end.rows_written;
        self.rows_deleted += end.rows_deleted;
        self.rows_rejected += end.rows_rejected;
        self.receipt = match (self.receipt, end.receipt) {
            (Some(sum), Some(next)) => Some(sum.joined(next)),
            (sum, next) => sum.or(next),
        };
        self.halted.extend(end.halted);
        for report in end.checks {
            match self.checks.iter_mut().find(|known| known.check == report.check) {
                Some(known) => {
                    known.failed += report.failed;
                    known.rejected += report.rejected;
                    known.passed &= report.passed;
                    known.message = known.message.take().or(report.message);
                    known.observed = known.observed.take().or(report.observed);
                }
                None => self.checks.push(report),
            }
        }
    }
}

/// Partitions in pieces of at most `most`, the last ones first. Partitions that do not follow one another are in one piece as well,
/// as long as there are few of them.
fn cut(partitions: &PartitionSet, most: u64) -> Vec<PartitionSet> {
    let (mut left, mut pieces) = (partitions.clone(), Vec::new());
    while !left.is_empty() {
        let piece = left.last(most);
        left = left.difference(&piece);
        pieces.push(piece);
    }
    pieces
}
