//! The one commit of a chunk, which replaces exactly the rows of its partitions.

use arrow::array::BooleanArray;
use millstream_lake::{DataFile, Operation, StagedFile};
use millstream_plan::PartitionSet;
use millstream_quality::{Restored, Tally};
use millstream_state::{Proof, Receipt};

use super::{
    chunk::{Chunk, ChunkEnd, Halted, JudgedChunk, Staged},
    table::PartitionedTable,
};
use crate::{
    CheckReport, EngineError, StepOutcome,
    assets::{
        table::{
            build::BuildAttempt,
            delta::{files_of, present, rewrite, touched},
        },
        version_of,
    },
    commit_info::{BUILD_TXN, BuiltPartitions, CommitInfo, Committed},
    publish::{Candidate, Rejected, hold_back, publish},
    superseded::{Superseded, types_of},
};

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

impl PartitionedTable<'_> {
    /// Publishes the partitions of a chunk that are fit, and keeps what was rejected of the others.
    pub(super) async fn commit(
        &mut self,
        attempt: &BuildAttempt<'_>,
        judged: JudgedChunk<'_>,
    ) -> Result<ChunkEnd, EngineError> {
        let JudgedChunk { chunk, staged, built, mut end, backfill } = judged;
        end.checks = worst(std::mem::take(&mut end.checks));
        let left_out: PartitionSet = end.halted.iter().map(|halted| halted.partition).collect();
        let mut tally = Tally::default();
        staged.partitions.iter().for_each(|one| tally.merge(&one.tally));
        let have_rows = staged.partitions.iter().filter(|one| one.tally.rows > 0);
        let emptied = built.difference(&have_rows.map(|one| one.number).collect());
        let fit = Fit { built: &built, left_out: &left_out, tally: &tally, backfill };
        if built.is_empty() {
            hold_back(self.candidate(attempt, chunk, staged, fit, Replaced::default())?).await?;
            return Ok(end);
        }
        let replaced = self.replaced(attempt, chunk, &left_out).await?;
        let candidate = self.candidate(attempt, chunk, staged, fit, replaced)?;
        let (rows_written, rows_deleted) = (candidate.rows_written, candidate.rows_deleted);
        let (rows_rejected, receipt) = (candidate.rejected.rows, candidate.receipt);
        // Parameters are kept in commits too, so that they outlive the state store.
        let is_empty = candidate.add.is_empty()
            && candidate.remove.is_empty()
            && rows_rejected == 0
            && chunk.parameters.is_empty();
        if is_empty && attempt.base.is_some() && !attempt.reshapes() && attempt.rejected.is_none() {
            // Partitions without rows were empty before.
            (end.built, end.emptied, end.version) = (built, emptied, attempt.base.map(version_of));
            return Ok(end);
        }
        let published = publish(candidate).await?;
        match published.outcome {
            StepOutcome::Built => {
                (end.built, end.emptied) = (built, emptied);
                end.version = published.version;
                self.told_open = true;
                (end.rows_written, end.rows_deleted) = (rows_written, rows_deleted);
                (end.rows_rejected, end.receipt) = (rows_rejected, Some(receipt));
            }
            StepOutcome::Halted { reason, .. } => {
                let halted = |partition| Halted { partition, reason: reason.clone(), is_empty: false };
                end.halted.extend(built.iter().map(halted));
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
        let condition = self.gone(chunk, left_out)?;
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
            rows_written += one.rows();
            add.extend(one.files);
        }
        let before: u64 = remove.iter().filter_map(DataFile::rows).sum();
        let stay: u64 = kept.iter().map(StagedFile::rows).sum();
        add.extend(kept);
        let open = if self.told_open { PartitionSet::new() } else { self.states.open() };
        let open = open.union(left_out).difference(built);
        let partitions = BuiltPartitions {
            built: built.to_string(),
            open: open.to_string(),
            whole,
            parameters: chunk.parameters.clone(),
            backfill,
            values: self.grid.values_of(&built.union(&open)),
        };
        let what = Committed::Build {
            build: attempt.build,
            inputs: self.inputs.versions(),
            partitions: Some(partitions),
        };
        let fingerprint = self.context.facts()?.fingerprint;
        let mut info = CommitInfo::new(self.context.run.clone(), self.now, fingerprint, what);
        let rows_rejected = staged.rows_rejected;
        (info.rows_written, info.rows_rejected) = (rows_written, rows_rejected);
        let superseded = match attempt.rejected {
            Some(_) if !whole => Some(self.superseded(attempt, built.union(left_out))?),
            _ => None,
        };
        Ok(Candidate {
            context: self.context,
            receipt: receipt(tally.rows, rows_written, rows_rejected),
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
                rows: rows_rejected,
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
        let named = table.clone();
        let gone = move |restored: &Restored| {
            let typed = types.evaluate(&restored.rows);
            let typed = typed.map_err(|source| EngineError::Quality { table: named.clone(), source })?.rows;
            let is_gone = |number: Option<i64>| number.is_some_and(|number| built.contains(number));
            Ok(grid
                .known_of(&typed)?
                .into_iter()
                .map(|number| Some(is_gone(number)))
                .collect::<BooleanArray>())
        };
        Ok(Superseded::by(&table, Box::new(gone)))
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

/// The receipt of what is published of a chunk, by the rows that its query made and by those that are in files. Rows of partitions
/// that are held back are in none.
fn receipt(rows_made: u64, rows_out: u64, rows_rejected: u64) -> Receipt {
    Receipt { proof: Proof::RowsMade, rows_in: None, rows_made, rows_out, rows_rejected, rows_filtered: None }
}
