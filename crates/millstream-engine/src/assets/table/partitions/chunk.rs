//! One chunk: its rows are staged and judged partition by partition. Those that pass are published together, see `commit.rs`.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::RecordBatch;
use datafusion::{execution::SendableRecordBatchStream, prelude::Expr};
use futures::TryStreamExt;
use millstream_connector::Positions;
use millstream_lake::{At, DataFile, LakeTable, Snapshot, StagedFile};
use millstream_plan::{PartitionSet, PartitionStatus};
use millstream_project::{CheckKind, CheckSpec};
use millstream_quality::{Sources, Tally, Verdict, VersionBefore};
use millstream_query::QueryRuntime;
use millstream_sql::{
    conform,
    incremental::{IncrementalError, Inputs, Maintenance, PartitionKey, Spool},
};
use millstream_state::{BrokenCheck, Receipt};
use millstream_types::{AssetVersion, Severity};

use super::{grid::Grid, table::PartitionedTable};
use crate::{
    CheckReport, EngineError,
    assets::table::{build::BuildAttempt, delta::staying},
    audit,
    event::{Figures, StepMeter},
    judge::Judge,
    stored,
    stored_keys::StoredKeys,
    writers::Writers,
};

/// Partitions that are built together.
#[derive(Clone, Debug)]
pub(super) struct Chunk {
    /// `None` stands for all partitions, known or not.
    pub partitions: Option<PartitionSet>,
    /// JSON of the parameters; empty for none.
    pub parameters: String,
}

/// What became of a chunk.
#[derive(Default)]
pub(super) struct ChunkEnd {
    pub built: PartitionSet,
    /// Those of them that the query has no rows for.
    pub emptied: PartitionSet,
    pub halted: Vec<Halted>,
    pub broken: Vec<BrokenCheck>,
    pub checks: Vec<CheckReport>,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    /// The receipt under which the chunk was committed; `None` if it was not.
    pub receipt: Option<Receipt>,
    /// The version of the table that the chunk made; `None` if it made none.
    pub version: Option<AssetVersion>,
}

/// A partition that may not be published.
#[derive(Clone, Debug)]
pub(super) struct Halted {
    pub partition: i64,
    pub reason: String,
    /// Whether the query gave no row for it.
    pub is_empty: bool,
}

/// What computes the rows of partitions.
#[derive(Clone, Debug)]
pub(super) struct ChunkQuery {
    pub maintenance: Maintenance,
    pub runtime: Arc<dyn QueryRuntime>,
    pub inputs: Inputs,
    pub key: PartitionKey,
}

impl ChunkQuery {
    pub(super) async fn rows(
        &self,
        condition: Option<&Expr>,
    ) -> Result<SendableRecordBatchStream, IncrementalError> {
        self.maintenance.build_part(self.runtime.as_ref(), &self.inputs, &self.key, condition).await
    }
}

/// Rows that can be had more than once, sorted by the column of the partitions.
pub(super) enum ChunkRows {
    Spool(Arc<Spool>),
    /// They are computed whenever they are asked for.
    Query(Box<ChunkQuery>, Option<Expr>),
}

impl ChunkRows {
    async fn stream(&self, attempt: &BuildAttempt<'_>) -> Result<SendableRecordBatchStream, EngineError> {
        match self {
            Self::Spool(spool) => spool.stream().map_err(|source| stored::failed(&attempt.spec.name, source)),
            Self::Query(query, condition) => {
                query.rows(condition.as_ref()).await.map_err(|source| attempt.failed(source))
            }
        }
    }
}

/// The staged rows of one partition.
pub(super) struct StagedPartition {
    pub number: i64,
    pub files: Vec<StagedFile>,
    pub tally: Tally,
}

impl StagedPartition {
    /// The rows in the files, which are those that were accepted.
    pub(super) fn rows(&self) -> u64 {
        self.files.iter().map(StagedFile::rows).sum()
    }
}

/// All that was staged of a chunk.
pub(super) struct Staged {
    pub partitions: Vec<StagedPartition>,
    pub rejected: Vec<StagedFile>,
    /// The rejected rows in the files of the partitions that are fit to be published.
    pub rows_rejected: u64,
}

/// A chunk whose partitions were judged: those in `staged` are fit to be published, the others are in `end`.
pub(super) struct JudgedChunk<'c> {
    pub chunk: &'c Chunk,
    pub staged: Staged,
    /// The partitions that are fit, those without rows too.
    pub built: PartitionSet,
    pub end: ChunkEnd,
    pub backfill: Option<String>,
}

/// What a judgement of one partition found.
struct Judged {
    checks: Vec<CheckReport>,
    stop: Option<String>,
}

/// A batch of rows of one partition.
struct Piece {
    number: i64,
    rows: RecordBatch,
}

impl PartitionedTable<'_> {
    /// Judges the rows of a chunk and publishes the partitions that pass. Those that do not are left out, and the others judged
    /// once more without them: what keys there are depends on which rows stay. `None` stands for more partitions than are built
    /// together.
    pub(super) async fn publish_chunk(
        &mut self,
        attempt: &BuildAttempt<'_>,
        chunk: &Chunk,
        rows: ChunkRows,
        backfill: Option<String>,
    ) -> Result<Option<ChunkEnd>, EngineError> {
        let world = self.context.world.clone();
        let base = world.lake.snapshot(&self.spec.name, At::Latest).await?;
        let rejected = world.lake.snapshot(&self.spec.name.rejected(), At::Latest).await?;
        let rejected = rejected.filter(|rejected| !rejected.files().is_empty());
        let attempt = attempt.over(base.as_deref(), rejected);
        let mut left_out = PartitionSet::new();
        let mut end = ChunkEnd::default();
        let known = self.states.known();
        let is_parted = self.is_parted(base.as_deref());
        loop {
            let is_meant = |number| !left_out.contains(number);
            let staged = self.stage(&attempt, chunk, &rows, &is_meant, &left_out).await?;
            let Some(mut staged) = staged else { return Ok(None) };
            staged.partitions.extend(self.emptied(chunk, &staged, &left_out, backfill.is_some()));
            let found: PartitionSet = staged.partitions.iter().map(|one| one.number).collect();
            let wanted = chunk.partitions.clone().unwrap_or_else(|| found.union(&known));
            let (mut checks, mut stopped) = (BTreeMap::new(), Vec::new());
            for one in &staged.partitions {
                let judged = self.judge_partition(&attempt, one).await?;
                end.broken.retain(|broken| broken.partition != one.number);
                end.broken.extend(broken(one.number, &judged.checks));
                if let Some(reason) = judged.stop {
                    let is_empty = one.tally.rows == 0;
                    stopped.push(Halted { partition: one.number, reason, is_empty });
                }
                checks.insert(one.number, judged.checks);
            }
            if stopped.is_empty() {
                if !self.stage_halted(&attempt, chunk, &rows, &left_out, &mut staged).await? {
                    return Ok(None);
                }
                self.keep_values().await?;
                for (partition, reports) in checks {
                    end.checks.extend(self.named(partition, Some(reports)));
                }
                let built = wanted.difference(&left_out);
                let judged = JudgedChunk { chunk, staged, built, end, backfill };
                return self.commit(&attempt, judged).await.map(Some);
            }
            if let (false, Some(first)) = (is_parted, stopped.first().map(|halted| halted.reason.clone())) {
                // The stored rows do not say which partitions they lie in, so that none can stay alone.
                let stays: PartitionSet = stopped.iter().map(|halted| halted.partition).collect();
                let others = found.difference(&stays);
                let halted = |partition| Halted { partition, reason: first.clone(), is_empty: false };
                stopped.extend(others.iter().map(halted));
            }
            for one in staged.partitions {
                world.lake.discard(one.files).await;
            }
            world.lake.discard(staged.rejected).await;
            left_out = left_out.union(&stopped.iter().map(|halted| halted.partition).collect());
            for halted in &stopped {
                end.checks.extend(self.named(halted.partition, checks.remove(&halted.partition)));
            }
            end.halted.extend(stopped);
        }
    }

    /// Adds what was rejected of the partitions that were `left_out`, which tells why they were halted. `false` stands for more
    /// partitions than are built together.
    async fn stage_halted(
        &mut self,
        attempt: &BuildAttempt<'_>,
        chunk: &Chunk,
        rows: &ChunkRows,
        left_out: &PartitionSet,
        staged: &mut Staged,
    ) -> Result<bool, EngineError> {
        if left_out.is_empty() {
            return Ok(true);
        }
        let all = PartitionSet::new();
        let halted = self.stage(attempt, chunk, rows, &|number| left_out.contains(number), &all).await?;
        let Some(halted) = halted else { return Ok(false) };
        for one in halted.partitions {
            self.context.world.lake.discard(one.files).await;
        }
        staged.rejected.extend(halted.rejected);
        Ok(true)
    }

    /// Judges the rows of a chunk and writes those that are accepted, each partition into files of its own.
    async fn stage(
        &mut self,
        attempt: &BuildAttempt<'_>,
        chunk: &Chunk,
        rows: &ChunkRows,
        is_meant: &(dyn Fn(i64) -> bool + Sync),
        left_out: &PartitionSet,
    ) -> Result<Option<Staged>, EngineError> {
        let (world, table) = (&self.context.world, &self.spec.name);
        let stored = self.other_keys(attempt, chunk, left_out)?;
        // Where nothing can be replaced by partitions, all of them are built in one go.
        let most = if self.is_parted(attempt.base) { self.partitions_max() } else { u64::MAX };
        let mut judge = Judge::new(self.context, table, &attempt.contract, stored, attempt.build, self.now);
        let mut partitions: Vec<StagedPartition> = Vec::new();
        let mut open: Option<(i64, Writers)> = None;
        let (name, mut seen) = (table.to_string(), 0_u64);
        let meter = StepMeter::new(&self.context.asset, &self.context.events);
        let mut stream = rows.stream(attempt).await?;
        while let Some(batch) = stream.try_next().await.map_err(|source| stored::failed(table, source))? {
            self.context.check_cancelled()?;
            let batch = conform(&batch, &attempt.schema)
                .map_err(|source| EngineError::Compute { table: table.clone(), source })?;
            for piece in pieces(&mut self.grid, attempt, &batch)? {
                if !is_meant(piece.number) {
                    continue;
                }
                if open.as_ref().is_some_and(|(number, _)| *number != piece.number) {
                    partitions.extend(closed(open.take(), &mut judge).await?);
                    if partitions.len() as u64 >= most {
                        for one in partitions {
                            world.lake.discard(one.files).await;
                        }
                        world.lake.discard(judge.finish().await?.0).await;
                        return Ok(None);
                    }
                }
                let (_, writers) = open.get_or_insert_with(|| {
                    (piece.number, Writers::new(&world.lake, table, attempt.schema.clone(), 1))
                });
                seen += piece.rows.num_rows() as u64;
                let positions = Positions::From(i64::try_from(seen).unwrap_or(i64::MAX));
                let sources = Sources::One(&name);
                let accepted = judge.judge(&attempt.contract, &piece.rows, &positions, &sources).await?.rows;
                writers.write(accepted).await?;
                meter.show(Figures { rows: seen, ..Figures::default() });
            }
        }
        partitions.extend(closed(open.take(), &mut judge).await?);
        let (rejected, _) = judge.finish().await?;
        let rows_rejected = rejected.iter().map(StagedFile::rows).sum();
        Ok(Some(Staged { partitions, rejected, rows_rejected }))
    }

    /// Whether the rows of a version of the table say which partitions they lie in.
    pub(super) fn is_parted(&self, base: Option<&Snapshot>) -> bool {
        base.is_none_or(|base| self.grid.field_of(&base.schema()).is_ok())
    }

    /// The keys of the rows that stay beside those of the chunk.
    fn other_keys(
        &self,
        attempt: &BuildAttempt<'_>,
        chunk: &Chunk,
        left_out: &PartitionSet,
    ) -> Result<StoredKeys, EngineError> {
        let whole = chunk.partitions.is_none() && left_out.is_empty();
        Ok(match attempt.base.filter(|_| !whole) {
            Some(base) => {
                // A key may come from a partition that is built after this one.
                let pending = self.grid.condition(&self.pending.difference(left_out))?;
                let stays = self.gone(chunk, left_out)?.or(pending).is_not_true();
                StoredKeys::of_files(base, base.files().to_vec()).only(stays)
            }
            None => staying(attempt, &[], &[], true),
        })
    }

    /// The condition of the rows that a chunk replaces.
    pub(super) fn gone(&self, chunk: &Chunk, left_out: &PartitionSet) -> Result<Expr, EngineError> {
        match &chunk.partitions {
            Some(partitions) => self.grid.condition(&partitions.difference(left_out)),
            None => Ok(self.grid.condition(left_out)?.is_not_true()),
        }
    }

    /// The partitions of a chunk without rows that are judged too where a check counts rows: those that have lost all of their rows,
    /// and those that a backfill asks for.
    fn emptied(
        &self,
        chunk: &Chunk,
        staged: &Staged,
        left_out: &PartitionSet,
        is_backfill: bool,
    ) -> Vec<StagedPartition> {
        let counts_rows = |check: &CheckSpec| {
            !check.kind.is_row_check() && !matches!(check.kind, CheckKind::Freshness { .. })
        };
        let Some(partitions) = chunk.partitions.as_ref().filter(|_| self.spec.checks.iter().any(counts_rows))
        else {
            return Vec::new();
        };
        let judged = match is_backfill {
            true => partitions.clone(),
            false => partitions
                .intersection(&self.states.which(|standing| standing.status != PartitionStatus::Missing)),
        };
        let found: PartitionSet = staged.partitions.iter().map(|one| one.number).collect();
        let emptied = judged.difference(&found).difference(left_out);
        let empty = |number| StagedPartition { number, files: Vec::new(), tally: Tally::default() };
        emptied.iter().map(empty).collect()
    }

    /// Judges the figures and the rows of one partition.
    async fn judge_partition(
        &self,
        attempt: &BuildAttempt<'_>,
        one: &StagedPartition,
    ) -> Result<Judged, EngineError> {
        let (world, spec) = (&self.context.world, self.spec);
        let counts = one.tally.counts(&attempt.contract);
        let mut checks = audit::row_check_reports(&one.tally, &counts);
        let verdict = Verdict::of(&one.tally, &counts, spec.halt_above);
        if verdict != Verdict::Commit {
            return Ok(Judged { checks, stop: Some(audit::stopped(&verdict, &counts, one.tally.malformed)) });
        }
        let is_of_rows = |check: &&CheckSpec| !matches!(check.kind, CheckKind::Freshness { .. });
        let of_rows: Vec<CheckSpec> = spec.checks.iter().filter(is_of_rows).cloned().collect();
        let files = one.files.iter().map(DataFile::from).collect();
        let provider = LakeTable::new(&world.lake, attempt.schema.clone(), files)?;
        let before = VersionBefore::default();
        let outcomes = audit::table_checks(world, &spec.name, provider, &of_rows, before, self.now).await?;
        let failed = outcomes.iter().find(|outcome| !outcome.passed && outcome.severity == Severity::Halt);
        let stop = failed.map(|outcome| format!("check {} failed: {}", outcome.check, outcome.message));
        checks.extend(outcomes.into_iter().map(audit::report));
        Ok(Judged { checks, stop })
    }

    /// Reports of one partition, whose messages name it.
    pub(super) fn named(&self, partition: i64, reports: Option<Vec<CheckReport>>) -> Vec<CheckReport> {
        let label = self.grid.label(partition);
        let name = |mut report: CheckReport| {
            if !report.passed {
                let said = report.message.take().unwrap_or_else(|| match report.failed {
                    1 => "1 row".to_owned(),
                    failed => format!("{failed} rows"),
                });
                report.message = Some(format!("{label}: {said}"));
            }
            report
        };
        reports.unwrap_or_default().into_iter().map(name).collect()
    }
}

fn broken(partition: i64, checks: &[CheckReport]) -> Vec<BrokenCheck> {
    let failed = checks.iter().filter(|check| !check.passed);
    failed
        .map(|check| BrokenCheck {
            partition,
            check: check.check.clone(),
            severity: check.severity,
            failed: check.failed,
            observed: check.observed.clone(),
        })
        .collect()
}

/// Ends the files of a partition.
async fn closed(
    open: Option<(i64, Writers)>,
    judge: &mut Judge,
) -> Result<Option<StagedPartition>, EngineError> {
    let Some((number, writers)) = open else { return Ok(None) };
    let files = writers.finish().await?;
    Ok(Some(StagedPartition { number, files, tally: std::mem::take(&mut judge.tally) }))
}

/// The rows of a sorted batch, apart for each partition.
fn pieces(
    grid: &mut Grid,
    attempt: &BuildAttempt<'_>,
    batch: &RecordBatch,
) -> Result<Vec<Piece>, EngineError> {
    let key = grid.key();
    let values = batch.schema_ref().index_of(&key.column).map(|place| batch.column(place).clone());
    let values =
        values.map_err(|source| EngineError::Compute { table: attempt.spec.name.clone(), source })?;
    let keys = key.keys(&values).map_err(|source| stored::failed(&attempt.spec.name, source))?;
    let numbers = grid.numbers(&keys)?;
    let (mut found, mut start) = (Vec::new(), 0);
    for run in numbers.chunk_by(|one, other| one == other) {
        let Some(number) = run.first().copied() else { continue };
        found.push(Piece { number, rows: batch.slice(start, run.len()) });
        start += run.len();
    }
    Ok(found)
}
