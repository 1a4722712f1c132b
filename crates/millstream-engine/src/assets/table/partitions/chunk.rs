//! One chunk: its rows are judged partition by partition, and one commit replaces the rows of those that passed.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::RecordBatch;
use datafusion::{execution::SendableRecordBatchStream, prelude::Expr};
use futures::TryStreamExt;
use millstream_connector::Positions;
use millstream_lake::{At, DataFile, LakeTable, Operation, StagedFile};
use millstream_plan::{PartitionSet, PartitionStatus};
use millstream_project::{CheckKind, CheckSpec};
use millstream_quality::{Sources, Tally, Verdict, VersionBefore};
use millstream_query::QueryRuntime;
use millstream_sql::{
    conform,
    incremental::{IncrementalError, Inputs, Maintenance, PartitionKey, Spool},
};
use millstream_state::{BrokenCheck, Proof, Receipt};
use millstream_types::{AssetVersion, Severity};

use super::{PARTITIONS_MAX, grid::Grid, table::PartitionedTable};
use crate::{
    CheckReport, EngineError, StepOutcome,
    assets::table::{
        build::BuildAttempt,
        delta::{files_of, present, rewrite, staying, touched},
    },
    assets::version_of,
    audit,
    commit_info::{BUILD_TXN, BuiltPartitions, CommitInfo, Committed},
    event::{Figures, StepMeter},
    judge::Judge,
    publish::{Candidate, Rejected, hold_back, publish},
    stored,
    stored_keys::StoredKeys,
    superseded::{Superseded, types_of},
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
pub(super) struct ChunkEnd {
    pub built: PartitionSet,
    pub halted: Vec<Halted>,
    pub broken: Vec<BrokenCheck>,
    pub checks: Vec<CheckReport>,
    pub rows_written: u64,
    pub rows_deleted: u64,
    pub rows_rejected: u64,
    /// The version of the table that the chunk made; `None` if it made none.
    pub version: Option<AssetVersion>,
}

/// A partition that may not be published.
#[derive(Clone, Debug)]
pub(super) struct Halted {
    pub partition: i64,
    pub reason: String,
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
struct StagedPartition {
    number: i64,
    files: Vec<StagedFile>,
    tally: Tally,
    rows: u64,
}

/// All that was staged of a chunk.
struct Staged {
    partitions: Vec<StagedPartition>,
    rejected: Vec<StagedFile>,
}

/// The files that a commit takes out of the table, and new ones with those of their rows that stay.
#[derive(Default)]
struct Replaced {
    remove: Vec<DataFile>,
    kept: Vec<StagedFile>,
}

/// What of a chunk is fit to be published.
struct Fit<'a> {
    built: &'a PartitionSet,
    left_out: &'a PartitionSet,
    /// The figures of the partitions that are built.
    tally: &'a Tally,
    backfill: Option<String>,
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
    /// once more without them: what keys there are depends on which rows stay.
    pub(super) async fn publish_chunk(
        &mut self,
        attempt: &BuildAttempt<'_>,
        chunk: &Chunk,
        rows: ChunkRows,
        backfill: Option<String>,
    ) -> Result<ChunkEnd, EngineError> {
        let world = self.context.world.clone();
        let base = world.lake.snapshot(&self.spec.name, At::Latest).await?;
        let rejected = world.lake.snapshot(&self.spec.name.rejected(), At::Latest).await?;
        let rejected = rejected.filter(|rejected| !rejected.files().is_empty());
        let attempt = attempt.over(base.as_deref(), rejected);
        let mut left_out = PartitionSet::new();
        let mut end = ChunkEnd {
            built: PartitionSet::new(),
            halted: Vec::new(),
            broken: Vec::new(),
            checks: Vec::new(),
            rows_written: 0,
            rows_deleted: 0,
            rows_rejected: 0,
            version: None,
        };
        let known = self.states.known();
        loop {
            let mut staged =
                self.stage(&attempt, chunk, &rows, &|number| !left_out.contains(number), &left_out).await?;
            staged.partitions.extend(self.emptied(chunk, &staged, &left_out));
            let found: PartitionSet = staged.partitions.iter().map(|one| one.number).collect();
            let wanted = chunk.partitions.clone().unwrap_or_else(|| found.union(&known));
            let (mut checks, mut stopped) = (BTreeMap::new(), Vec::new());
            for one in &staged.partitions {
                let judged = self.judge_partition(&attempt, one).await?;
                end.broken.retain(|broken| broken.partition != one.number);
                end.broken.extend(broken(one.number, &judged.checks));
                if let Some(reason) = judged.stop {
                    stopped.push(Halted { partition: one.number, reason });
                }
                checks.insert(one.number, judged.checks);
            }
            if stopped.is_empty() {
                if !left_out.is_empty() {
                    // What was rejected of the others tells why they were halted.
                    let all = PartitionSet::new();
                    let halted =
                        self.stage(&attempt, chunk, &rows, &|number| left_out.contains(number), &all).await?;
                    for one in halted.partitions {
                        world.lake.discard(one.files).await;
                    }
                    staged.rejected.extend(halted.rejected);
                }
                self.keep_values().await?;
                let wanted = wanted.difference(&left_out);
                return self.commit(&attempt, chunk, staged, wanted, checks, end, backfill).await;
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

    /// Judges the rows of a chunk and writes those that are accepted, each partition into files of its own.
    async fn stage(
        &mut self,
        attempt: &BuildAttempt<'_>,
        chunk: &Chunk,
        rows: &ChunkRows,
        is_meant: &(dyn Fn(i64) -> bool + Sync),
        left_out: &PartitionSet,
    ) -> Result<Staged, EngineError> {
        let (world, table) = (&self.context.world, &self.spec.name);
        let stored = self.other_keys(attempt, chunk, left_out);
        let mut judge = Judge::new(self.context, table, &attempt.contract, stored, attempt.build, self.now);
        let mut partitions: Vec<StagedPartition> = Vec::new();
        let mut open: Option<(i64, Writers, u64)> = None;
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
                if open.as_ref().is_some_and(|(number, ..)| *number != piece.number) {
                    partitions.extend(closed(open.take(), &mut judge).await?);
                    if partitions.len() as u64 >= PARTITIONS_MAX {
                        return Err(self.too_many(PARTITIONS_MAX));
                    }
                }
                let (_, writers, written) = open.get_or_insert_with(|| {
                    (piece.number, Writers::new(&world.lake, table, attempt.schema.clone(), 1), 0)
                });
                seen += piece.rows.num_rows() as u64;
                let positions = Positions::From(i64::try_from(seen).unwrap_or(i64::MAX));
                let sources = Sources::One(&name);
                let accepted = judge.judge(&attempt.contract, &piece.rows, &positions, &sources).await?.rows;
                *written += accepted.num_rows() as u64;
                writers.write(accepted).await?;
                meter.show(Figures { rows: seen, ..Figures::default() });
            }
        }
        partitions.extend(closed(open.take(), &mut judge).await?);
        let (rejected, _) = judge.finish().await?;
        Ok(Staged { partitions, rejected })
    }

    /// The keys of the rows that stay beside those of the chunk.
    fn other_keys(&self, attempt: &BuildAttempt<'_>, chunk: &Chunk, left_out: &PartitionSet) -> StoredKeys {
        let whole = chunk.partitions.is_none() && left_out.is_empty();
        match attempt.base.filter(|_| !whole) {
            Some(base) => {
                let stays = self.gone(chunk, left_out).is_not_true();
                StoredKeys::of_files(base, base.files().to_vec()).only(stays)
            }
            None => staying(attempt, &[], &[], true),
        }
    }

    /// The condition of the rows that a chunk replaces.
    fn gone(&self, chunk: &Chunk, left_out: &PartitionSet) -> Expr {
        match &chunk.partitions {
            Some(partitions) => self.grid.condition(&partitions.difference(left_out)),
            None => self.grid.condition(left_out).is_not_true(),
        }
    }

    /// The partitions of a chunk that have lost all of their rows, which are judged too where a check counts rows.
    fn emptied(&self, chunk: &Chunk, staged: &Staged, left_out: &PartitionSet) -> Vec<StagedPartition> {
        let counts_rows = |check: &CheckSpec| {
            !check.kind.is_row_check() && !matches!(check.kind, CheckKind::Freshness { .. })
        };
        let Some(partitions) = chunk.partitions.as_ref().filter(|_| self.spec.checks.iter().any(counts_rows))
        else {
            return Vec::new();
        };
        let had_rows = self.states.which(|standing| standing.status != PartitionStatus::Missing);
        let found: PartitionSet = staged.partitions.iter().map(|one| one.number).collect();
        let emptied = partitions.intersection(&had_rows).difference(&found).difference(left_out);
        let empty = |number| StagedPartition { number, files: Vec::new(), tally: Tally::default(), rows: 0 };
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

    #[allow(clippy::too_many_arguments, reason = "what one commit is made of, each thing once")]
    async fn commit(
        &mut self,
        attempt: &BuildAttempt<'_>,
        chunk: &Chunk,
        staged: Staged,
        built: PartitionSet,
        checks: BTreeMap<i64, Vec<CheckReport>>,
        mut end: ChunkEnd,
        backfill: Option<String>,
    ) -> Result<ChunkEnd, EngineError> {
        for (partition, reports) in checks {
            end.checks.extend(self.named(partition, Some(reports)));
        }
        end.checks = worst(std::mem::take(&mut end.checks));
        let left_out: PartitionSet = end.halted.iter().map(|halted| halted.partition).collect();
        let mut tally = Tally::default();
        staged.partitions.iter().for_each(|one| tally.merge(&one.tally));
        let fit = Fit { built: &built, left_out: &left_out, tally: &tally, backfill };
        if built.is_empty() {
            hold_back(self.candidate(attempt, chunk, staged, fit, Replaced::default())?).await?;
            return Ok(end);
        }
        let replaced = self.replaced(attempt, chunk, &left_out).await?;
        let candidate = self.candidate(attempt, chunk, staged, fit, replaced)?;
        let (rows_written, rows_deleted) = (candidate.rows_written, candidate.rows_deleted);
        let rows_rejected = candidate.rejected.rows;
        let is_empty = candidate.add.is_empty() && candidate.remove.is_empty() && rows_rejected == 0;
        if is_empty && attempt.base.is_some() && !attempt.reshapes() && attempt.rejected.is_none() {
            // Partitions without rows were empty before.
            (end.built, end.version) = (built, attempt.base.map(version_of));
            return Ok(end);
        }
        let published = publish(candidate).await?;
        match published.outcome {
            StepOutcome::Built => {
                end.built = built;
                end.version = published.version;
                (end.rows_written, end.rows_deleted) = (rows_written, rows_deleted);
                end.rows_rejected = rows_rejected;
            }
            StepOutcome::Halted { reason, .. } => {
                let halted = built.iter().map(|partition| Halted { partition, reason: reason.clone() });
                end.halted.extend(halted);
            }
            _ => {}
        }
        Ok(end)
    }

    /// The files that a chunk takes out of the table, and new files with those of their rows that stay.
    async fn replaced(
        &self,
        attempt: &BuildAttempt<'_>,
        chunk: &Chunk,
        left_out: &PartitionSet,
    ) -> Result<Replaced, EngineError> {
        let whole = chunk.partitions.is_none() && left_out.is_empty();
        if whole || attempt.base.is_none() {
            return Ok(Replaced { remove: present(attempt), kept: Vec::new() });
        }
        let condition = self.gone(chunk, left_out);
        let remove =
            if attempt.rewrites() { present(attempt) } else { touched(attempt, Some(condition.clone()))? };
        let gone = chunk.partitions.as_ref().map(|partitions| partitions.difference(left_out));
        let is_covered = |file: &DataFile| gone.as_ref().is_some_and(|gone| self.grid.covers(gone, file));
        let partly: Vec<DataFile> = remove.iter().filter(|file| !is_covered(file)).cloned().collect();
        if partly.is_empty() {
            return Ok(Replaced { remove, kept: Vec::new() });
        }
        let files = files_of(attempt, partly)?;
        let runtime = attempt.runtime.as_ref();
        let stay = attempt.maintenance.rows_without(runtime, files, &self.grid.key(), &condition).await;
        let kept = rewrite(attempt, stay.map_err(|source| attempt.failed(source))?).await?;
        Ok(Replaced { remove, kept })
    }

    fn candidate<'c>(
        &'c self,
        attempt: &'c BuildAttempt<'_>,
        chunk: &Chunk,
        staged: Staged,
        fit: Fit<'c>,
        Replaced { remove, kept }: Replaced,
    ) -> Result<Candidate<'c>, EngineError> {
        let Fit { built, left_out, tally, backfill } = fit;
        let whole = chunk.partitions.is_none() && left_out.is_empty();
        let (mut add, mut rows_written) = (Vec::new(), 0);
        for one in staged.partitions {
            rows_written += one.rows;
            add.extend(one.files);
        }
        let before: u64 = remove.iter().filter_map(DataFile::rows).sum();
        let stay: u64 = kept.iter().map(StagedFile::rows).sum();
        add.extend(kept);
        let open = self.states.open().difference(built);
        let partitions = BuiltPartitions {
            built: built.to_string(),
            open: open.to_string(),
            whole,
            parameters: chunk.parameters.clone(),
            backfill,
            values: self.grid.values_of(built),
        };
        let what = Committed::Build {
            build: attempt.build,
            inputs: self.inputs.versions(),
            partitions: Some(partitions),
        };
        let fingerprint = self.context.facts()?.fingerprint;
        let mut info = CommitInfo::new(self.context.run.clone(), self.now, fingerprint, what);
        (info.rows_written, info.rows_rejected) = (rows_written, tally.rejected);
        let superseded = match attempt.rejected {
            Some(_) if !whole => Some(self.superseded(attempt, built.union(left_out))?),
            _ => None,
        };
        let receipt = Receipt {
            proof: Proof::RowsMade,
            rows_in: None,
            rows_made: tally.rows,
            rows_out: rows_written,
            rows_rejected: staged.rejected.iter().map(StagedFile::rows).sum(),
            rows_filtered: None,
        };
        Ok(Candidate {
            context: self.context,
            receipt,
            table: &self.spec.name,
            base: attempt.base,
            schema: attempt.schema.clone(),
            add,
            remove,
            staying: Vec::new(),
            operation: if whole { Operation::Overwrite } else { Operation::Recompute },
            txn: (BUILD_TXN, attempt.build),
            info,
            // The partitions were judged one by one, and the table's age is looked at when all are built.
            checks: &[],
            halt_above: None,
            contract: &attempt.contract,
            rejected: Rejected {
                files: staged.rejected,
                rows: tally.rejected,
                epoch_before: attempt.build - 1,
                replaced_parts: Vec::new(),
                replace: whole,
                superseded,
            },
            tally,
            now: self.now,
            rows_written,
            rows_deleted: before.saturating_sub(stay),
        })
    }

    /// The earlier rejected rows of these partitions.
    fn superseded(&self, attempt: &BuildAttempt<'_>, built: PartitionSet) -> Result<Superseded, EngineError> {
        let (table, grid) = (self.spec.name.clone(), self.grid.clone());
        let types = types_of(&table, &attempt.schema)?;
        let key = grid.key();
        let named = table.clone();
        let gone = move |restored: &millstream_quality::Restored| {
            let typed = types.evaluate(&restored.rows);
            let typed = typed.map_err(|source| EngineError::Quality { table: named.clone(), source })?.rows;
            let values = typed.column_by_name(&key.column).cloned();
            let values = values.unwrap_or_else(|| {
                arrow::array::new_null_array(&arrow::datatypes::DataType::Int64, typed.num_rows())
            });
            let keys = match &key.calendar {
                Some(_) if values.data_type() == &arrow::datatypes::DataType::Int64 => values,
                _ => key.keys(&values).map_err(|source| stored::failed(&named, source))?,
            };
            let numbers = grid.known(&keys)?;
            let is_gone = |number: Option<i64>| number.is_some_and(|number| built.contains(number));
            Ok(numbers.into_iter().map(|number| Some(is_gone(number))).collect())
        };
        Ok(Superseded::by(&table, Box::new(gone)))
    }

    /// Reports of one partition, whose messages name it.
    fn named(&self, partition: i64, reports: Option<Vec<CheckReport>>) -> Vec<CheckReport> {
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

/// The reports of several partitions as one for each check, with the message of the partition that is worst.
fn worst(reports: Vec<CheckReport>) -> Vec<CheckReport> {
    let mut joined: Vec<(u64, CheckReport)> = Vec::new();
    for report in reports {
        match joined.iter_mut().find(|(_, known)| known.check == report.check) {
            Some((most, known)) => {
                if report.failed > *most {
                    *most = report.failed;
                    known.message.clone_from(&report.message);
                    known.observed.clone_from(&report.observed);
                }
                known.failed += report.failed;
                known.rejected += report.rejected;
                known.passed &= report.passed;
            }
            None => joined.push((report.failed, report)),
        }
    }
    joined.into_iter().map(|(_, report)| report).collect()
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
    open: Option<(i64, Writers, u64)>,
    judge: &mut Judge,
) -> Result<Option<StagedPartition>, EngineError> {
    let Some((number, writers, rows)) = open else { return Ok(None) };
    let files = writers.finish().await?;
    Ok(Some(StagedPartition { number, files, tally: std::mem::take(&mut judge.tally), rows }))
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
