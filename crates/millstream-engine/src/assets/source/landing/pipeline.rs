//! Reads parts, checks their rows and stages files.
//!
//! Blocks are read one after the other, decoded and checked on several threads, put back in order for the one
//! thing that needs order (uniqueness, sequence numbers), and encoded on several threads again.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{DataType, FieldRef, Int64Type, TimestampMicrosecondType};
use futures::{StreamExt, TryStreamExt, future::BoxFuture, stream::BoxStream};
use millstream_connector::{
    Block, BlockStream, ConnectorError, Evidence, FoundColumn, KnownPart, Meter, Part, PartChange,
    ReadRequest, SourceBatch, column_type,
};
use millstream_lake::StagedFile;
use millstream_project::{LandingMode, SourceSpec};
use millstream_quality::{Contract, Evaluated, Relations, RowKey, Sources, Tally};
use millstream_state::Receipt;
use millstream_types::{ColumnType, TimestampMicros};
use millstream_usage::charged;

use super::{
    LandingAttempt, LandingValues, bronze_schema,
    evolve::{Evolved, Refusal, evolve_further},
    left_out::LeftOut,
    merge::{Merge, Merged},
    operations::{Removals, split},
    rules::{RowRules, only_declared},
    source_error, with_landing_columns,
};
use crate::{
    EngineError,
    event::{Figures, StepMeter},
    judge::Judge,
    receipt::{of_each_row, rows_of},
    stored::relations,
    stored_keys::StoredKeys,
    writers::Writers,
};

/// The number of times that columns may turn up that no sample had: each time new files are begun.
const WIDENED_MAX: usize = 16;

/// The outcome of reading the parts.
pub(super) enum Read {
    Staged(Box<Staged>),
    /// A column turned up that no sample had, and the contract refuses it; nothing is staged any more.
    Refused(Vec<Refusal>),
    /// Parts turned out to be broken, perhaps after some of their rows were staged; nothing is staged any more.
    Broken(Vec<LeftOut>),
}

/// Rows on disk that no version has yet.
pub(super) struct Staged {
    pub files: Vec<StagedFile>,
    pub rejected_files: Vec<StagedFile>,
    pub contract: Arc<Contract>,
    pub tally: Tally,
    pub accepted: u64,
    pub rejected: u64,
    pub next_sequence: i64,
    /// The columns with those that turned up while parts were read.
    pub evolved: Evolved,
    /// Every part that was read, as it is to be remembered.
    pub parts: Vec<KnownPart>,
    /// When the first of the rows arrived, where they say it themselves.
    pub since: Option<TimestampMicros>,
    /// What was left for the next commit, in order: parts that the bound cut, and those behind them.
    pub rest: Vec<Part>,
    /// The keys that came and left, where rows are merged.
    pub merged: Option<Merged>,
    /// The rows that were decoded, and where each of them went.
    pub receipt: Receipt,
    pub now: TimestampMicros,
}

/// Reads the parts of the attempt, as far as its bound allows.
pub(super) fn read_all<'a>(attempt: &'a LandingAttempt<'a>) -> BoxFuture<'a, Result<Read, EngineError>> {
    Box::pin(read_parts(attempt))
}

async fn read_parts(attempt: &LandingAttempt<'_>) -> Result<Read, EngineError> {
    let mut pipeline = Pipeline::open(attempt).await?;
    let mut broken = Vec::new();
    for part in attempt.parts {
        if pipeline.is_full() {
            pipeline.staged.rest.push(part.clone());
            continue;
        }
        match pipeline.read(part).await {
            Ok(Ok(())) => {}
            Ok(Err(refusals)) => {
                pipeline.discard().await?;
                return Ok(Read::Refused(refusals));
            }
            // The parts behind a broken one are still read, so that all broken parts are found in one go.
            Err(error) => match LeftOut::of(part, error) {
                Ok(part) => broken.push(part),
                Err(error) => {
                    drop(pipeline.discard().await);
                    return Err(error);
                }
            },
        }
    }
    if !broken.is_empty() {
        pipeline.discard().await?;
        return Ok(Read::Broken(broken));
    }
    Ok(Read::Staged(Box::new(pipeline.finish().await?)))
}

struct Pipeline<'a> {
    attempt: &'a LandingAttempt<'a>,
    /// The keys that relationship checks look up.
    relations: Relations,
    judge: Judge,
    /// What happens to keys, where rows are merged.
    merge: Option<Merge>,
    /// How much was read of what the commit may take.
    meter: Meter,
    /// The number of times that a column turned up that no sample had.
    widened: usize,
    /// Whether columns that the contract does not have are a matter of single rows.
    only_declared: bool,
    rows: Writers,
    staged: Staged,
    /// The rows that were decoded, malformed ones included.
    rows_read: u64,
    /// The rows among them that took keys away or emptied the table, and brought none.
    rows_removing: u64,
    request: ReadRequest,
    bytes: u64,
    bytes_total: Option<u64>,
    progress: StepMeter,
}

/// A block's rows with the contract's findings.
struct Judged {
    source: SourceBatch,
    evaluated: Evaluated,
    removals: Removals,
    bytes: usize,
    /// The rows of the block as it was decoded.
    rows_read: u64,
}

impl<'a> Pipeline<'a> {
    async fn open(attempt: &'a LandingAttempt<'a>) -> Result<Self, EngineError> {
        let world = attempt.world();
        let table = attempt.source.table();
        let now = world.options.clock.now();
        let relations = relations(attempt.world(), &attempt.source.contract.checks).await?;
        let compiled = compile(attempt, &relations, attempt.evolved, now)?;
        let stored = match attempt.standing.snapshot.as_ref().filter(|_| !attempt.full) {
            Some(snapshot) => StoredKeys::of(snapshot, &replaced_parts(attempt).collect()),
            None => StoredKeys::none(table.clone(), bronze_schema(&attempt.evolved.columns)),
        };
        let epoch = attempt.standing.landing.epoch + 1;
        let merge = match attempt.source.landing {
            LandingMode::Merge => Some(merge(attempt, &compiled)?),
            LandingMode::Append => None,
        };
        let judge = Judge::new(attempt.context, &table, &compiled, stored, epoch, now);
        let threads = world.options.parallelism.get();
        let bytes_total = attempt.parts.iter().map(|part| part.bytes).sum::<Option<u64>>();
        Ok(Self {
            attempt,
            relations,
            widened: 0,
            only_declared: only_declared(world, attempt.source),
            judge: if merge.is_some() { judge.merging() } else { judge },
            merge,
            meter: Meter::start(attempt.bound),
            rows: Writers::new(&world.lake, &table, bronze_schema(&attempt.evolved.columns), threads),
            staged: Staged {
                files: Vec::new(),
                rejected_files: Vec::new(),
                contract: compiled,
                evolved: attempt.evolved.clone(),
                tally: Tally::default(),
                accepted: 0,
                rejected: 0,
                next_sequence: attempt.standing.landing.next_sequence,
                parts: Vec::new(),
                since: None,
                rest: Vec::new(),
                merged: None,
                receipt: of_each_row(Some(0)),
                now,
            },
            rows_read: 0,
            rows_removing: 0,
            request: ReadRequest { columns: attempt.evolved.columns.clone(), ..ReadRequest::default() },
            bytes: 0,
            bytes_total,
            progress: StepMeter::new(&attempt.context.asset, &attempt.context.events),
        })
    }

    /// Whether the parts that follow are left for the next commit. At least one part is read.
    fn is_full(&self) -> bool {
        !self.staged.parts.is_empty() && self.meter.is_reached()
    }

    /// Reads one part; refusals when it has columns that the contract does not take in.
    async fn read(&mut self, part: &Part) -> Result<Result<(), Vec<Refusal>>, EngineError> {
        let source = self.attempt.source;
        let connector = self.attempt.world().connector(source)?;
        let known = self.attempt.known(&part.id);
        self.request.after = match part.change {
            PartChange::Grown => known.map(|known| known.position),
            PartChange::New | PartChange::Replaced => None,
        };
        self.request.until = self.meter.left();
        if let Some(merge) = &mut self.merge {
            merge.begin(&part.id);
        }
        let blocks =
            connector.read(part, &self.request).await.map_err(|error| source_error(source, error))?;
        let threads = self.attempt.world().options.parallelism.get();
        let work = Work {
            contract: self.staged.contract.clone(),
            key: self.merge.as_ref().map(|merge| merge.key().clone()),
            source: source.clone(),
            part: part.id.clone(),
        };
        let mut judged = judged(blocks, Arc::new(work), threads);
        let mut last = self.request.after.unwrap_or(0);
        while let Some(mut judged) = judged.try_next().await? {
            self.attempt.context.check_cancelled()?;
            let further = self.further_columns(&judged.source);
            if !further.is_empty()
                && let Err(refusals) = self.widen(part, &further).await?
            {
                return Ok(Err(refusals));
            }
            if judged.evaluated.rows.schema_ref() != self.staged.contract.schema() {
                judged = self.judged_again(judged).await?;
            }
            last = last.max(judged.source.last_position.unwrap_or(last));
            let since = judged.source.arrivals.as_ref().map(|arrivals| arrivals.since);
            self.staged.since = self.staged.since.into_iter().chain(since).min();
            self.take(part, judged).await?;
        }
        drop(judged);
        let end = connector.finish(part).await.map_err(|error| source_error(source, error))?;
        let position = end.position.map_or(last, |position| position.max(last));
        if end.more {
            if self.request.after.unwrap_or(i64::MIN) >= position {
                let reason = "its connector says that more waits, and came no further".to_owned();
                return Err(source_error(source, ConnectorError::Broken { part: part.id.clone(), reason }));
            }
            self.staged.rest.push(Part { change: PartChange::Grown, ..part.clone() });
        }
        self.staged.parts.push(KnownPart { id: part.id.clone(), version: end.version, position });
        Ok(Ok(()))
    }

    /// Takes in columns that turned up. What is staged stays: its files lack the columns, as files of earlier landings do.
    async fn widen(
        &mut self,
        part: &Part,
        further: &[FoundColumn],
    ) -> Result<Result<(), Vec<Refusal>>, EngineError> {
        let (attempt, table) = (self.attempt, self.attempt.source.table());
        self.widened += 1;
        if self.widened > WIDENED_MAX {
            return Err(EngineError::Refused {
                table,
                message: format!("brought further columns {WIDENED_MAX} times while one landing was read"),
                hint: "declare the columns in the contract".into(),
            });
        }
        let evolved = match evolve_further(&attempt.source.contract, &self.staged.evolved, &part.id, further)
        {
            Ok(evolved) => evolved,
            Err(refusals) => return Ok(Err(refusals)),
        };
        let (world, threads) = (attempt.world(), attempt.world().options.parallelism.get());
        let wider = Writers::new(&world.lake, &table, bronze_schema(&evolved.columns), threads);
        let narrower = std::mem::replace(&mut self.rows, wider);
        self.staged.files.extend(narrower.finish().await?);
        self.staged.contract = compile(attempt, &self.relations, &evolved, self.staged.now)?;
        self.request.columns.clone_from(&evolved.columns);
        self.staged.evolved = evolved;
        Ok(Ok(()))
    }

    /// Evaluates the present contract over a block that was judged before a column turned up.
    async fn judged_again(&self, judged: Judged) -> Result<Judged, EngineError> {
        let (contract, table) = (self.staged.contract.clone(), self.attempt.source.table());
        let work = tokio::task::spawn_blocking(charged(move || {
            let evaluated = contract.evaluate_arrived(&judged.source.rows, arrived(&judged.source));
            let evaluated = evaluated.map_err(|source| EngineError::Quality { table, source })?;
            Ok(Judged { evaluated, ..judged })
        }));
        work.await.unwrap_or(Err(EngineError::Worker { doing: "checking rows" }))
    }

    /// Judges uniqueness, numbers the accepted rows and hands all rows to their writers.
    async fn take(&mut self, part: &Part, judged: Judged) -> Result<(), EngineError> {
        let Judged { source, evaluated, removals, bytes, rows_read } = judged;
        self.rows_read += rows_read;
        self.rows_removing += removals.rows();
        let table = self.attempt.source.table();
        let compute = |source| EngineError::Compute { table: table.clone(), source };
        let contract = self.staged.contract.clone();
        let origin = Sources::One(&part.id);
        let judged = self
            .judge
            .judge_evaluated(&contract, &source.rows, evaluated, &source.positions, &origin)
            .await?;
        self.judge.reject_malformed(&source.malformed, &part.id).await?;
        self.staged.rejected += judged.rejected + source.malformed.len() as u64;
        let positions: ArrayRef = Arc::new(source.positions.to_array(source.rows.num_rows()));
        let positions = judged.of(&positions)?.as_primitive::<Int64Type>().clone();
        let accepted = judged.rows.clone();
        let count = accepted.num_rows();
        let schema = bronze_schema(&self.staged.evolved.columns);
        let first = self.staged.next_sequence;
        let sources = StringArray::from_iter_values(std::iter::repeat_n(&part.id, count));
        if let Some(merge) = &mut self.merge {
            merge.take(&accepted, &positions, first, &removals)?;
        }
        let mut values = LandingValues::numbered(positions, &sources, first, self.staged.now);
        let mut next = first.saturating_add(i64::try_from(count).unwrap_or(i64::MAX));
        if let Some(arrivals) = &source.arrivals {
            let instants: ArrayRef = Arc::new(arrivals.instants.clone());
            values.ingested = judged.of(&instants)?.as_primitive::<TimestampMicrosecondType>().clone();
            // Rows that are merged are told apart by their numbers in the landing.
            if self.merge.is_none() {
                let sequences: ArrayRef = Arc::new(arrivals.sequences.clone());
                values.sequences = judged.of(&sequences)?.as_primitive::<Int64Type>().clone();
                let last = values.sequences.values().iter().max();
                next = last.map_or(first, |last| first.max(last.saturating_add(1)));
            }
        }
        let rows = with_landing_columns(&schema, &accepted, values).map_err(compute)?;
        self.staged.next_sequence = next;
        self.staged.accepted += count as u64;
        self.rows.write(rows).await?;
        self.bytes += bytes as u64;
        self.meter.add(source.rows.num_rows() + source.malformed.len() + removals.len(), bytes);
        self.tell();
        Ok(())
    }

    fn further_columns(&self, source: &SourceBatch) -> Vec<FoundColumn> {
        if self.only_declared {
            return Vec::new();
        }
        let known = &self.staged.evolved.columns;
        let schema = source.rows.schema_ref();
        let further = schema.fields().iter().filter(|field| known.iter().all(|it| &it.name != field.name()));
        let found = |field: &FieldRef| match field.data_type() {
            // A text that no sample has shown may be anything; a string holds it.
            DataType::Utf8 => FoundColumn::inferred(field.name().clone(), Evidence::Mixed),
            declared => {
                let column_type = column_type(declared).unwrap_or(ColumnType::String);
                FoundColumn::declared(field.name().clone(), column_type)
            }
        };
        further.map(found).collect()
    }

    fn tell(&self) {
        let (rows, bytes, bytes_total) =
            (self.staged.accepted + self.staged.rejected, self.bytes, self.bytes_total);
        self.progress.show(Figures { rows, bytes, bytes_total, ..Figures::default() });
    }

    async fn finish(mut self) -> Result<Staged, EngineError> {
        self.staged.files.extend(self.rows.finish().await?);
        match self.judge.finish().await {
            Ok((files, tally)) => {
                self.staged.rejected_files = files;
                self.staged.tally = tally;
            }
            Err(error) => {
                self.attempt.world().lake.discard(self.staged.files).await;
                return Err(error);
            }
        }
        let mut receipt = written(&self.staged, self.rows_read, self.rows_removing);
        if let Some(merge) = self.merge {
            let (world, schema) = (self.attempt.world(), bronze_schema(&self.staged.evolved.columns));
            let files = std::mem::take(&mut self.staged.files);
            let (merged, rows) = merge.finish(world, &schema, files).await?;
            self.staged.accepted = rows_of(&rows.files);
            self.staged.files = rows.files;
            let rejected = std::mem::take(&mut self.staged.rejected_files);
            let rejected = merged.without_overtaken(world, rejected).await?;
            self.staged.rejected_files = rejected.files;
            self.staged.merged = Some(merged);
            receipt =
                merged_receipt(receipt, &self.staged, rows.overtaken.saturating_add(rejected.overtaken));
        }
        self.staged.receipt = receipt;
        Ok(self.staged)
    }

    async fn discard(self) -> Result<(), EngineError> {
        let lake = self.attempt.world().lake.clone();
        lake.discard(self.staged.files).await;
        lake.discard(self.rows.finish().await?).await;
        lake.discard(self.judge.finish().await?.0).await;
        Ok(())
    }
}

/// The receipt of the rows as they were written, before newer ones take the place of others.
fn written(staged: &Staged, rows_read: u64, rows_removing: u64) -> Receipt {
    Receipt {
        rows_out: rows_of(&staged.files),
        rows_rejected: rows_of(&staged.rejected_files),
        rows_filtered: Some(rows_removing),
        ..of_each_row(Some(rows_read))
    }
}

/// The receipt after those rows were taken out whose place newer operations of the same landing have taken.
fn merged_receipt(before: Receipt, staged: &Staged, overtaken: u64) -> Receipt {
    Receipt {
        rows_out: rows_of(&staged.files),
        rows_rejected: rows_of(&staged.rejected_files),
        rows_filtered: before.rows_filtered.map(|filtered| filtered.saturating_add(overtaken)),
        ..before
    }
}

/// The keys of a source whose rows are merged; the project's check sees to it that there are some.
fn merge(attempt: &LandingAttempt<'_>, contract: &Contract) -> Result<Merge, EngineError> {
    let table = attempt.source.table();
    let key: Vec<String> = attempt.source.contract.key.iter().map(|column| column.value.clone()).collect();
    Merge::new(&table, contract, &key).ok_or_else(|| EngineError::Refused {
        table,
        message: "is merged, and its contract has no key".to_owned(),
        hint: "name the `key` in the contract".to_owned(),
    })
}

/// The contract over the columns that were decided on.
fn compile(
    attempt: &LandingAttempt<'_>,
    relations: &Relations,
    evolved: &Evolved,
    now: TimestampMicros,
) -> Result<Arc<Contract>, EngineError> {
    let rules = RowRules {
        source: attempt.source,
        columns: &evolved.columns,
        decided: attempt.evolved.columns.len(),
        relations,
        now,
    };
    rules.compile(attempt.world()).map(Arc::new)
}

/// The parts whose landed rows are removed, because the parts were replaced.
pub(super) fn replaced_parts<'a>(attempt: &'a LandingAttempt<'_>) -> impl Iterator<Item = String> + 'a {
    let replaced = attempt.parts.iter().filter(|part| part.change == PartChange::Replaced);
    replaced.map(|part| part.id.clone())
}

/// When the rows of a batch arrived, where they say it themselves.
fn arrived(batch: &SourceBatch) -> Option<&TimestampMicrosecondArray> {
    batch.arrivals.as_ref().map(|arrivals| &arrivals.instants)
}

/// The rules by which each block of a part is decoded and checked.
struct Work {
    contract: Arc<Contract>,
    /// The key by which rows are merged, if they are.
    key: Option<RowKey>,
    source: SourceSpec,
    part: String,
}

/// The blocks, decoded and checked on up to `threads` threads, in their order.
fn judged(
    blocks: BlockStream,
    work: Arc<Work>,
    threads: usize,
) -> BoxStream<'static, Result<Judged, EngineError>> {
    let name = work.source.name.clone();
    blocks
        .map_err(move |source| EngineError::Source { name: name.clone(), source })
        .map_ok(move |block| judge(block, work.clone()))
        .try_buffered(threads)
        .boxed()
}

/// Decodes a block and evaluates the contract, on a thread made for CPU work.
async fn judge(block: Box<dyn Block>, work: Arc<Work>) -> Result<Judged, EngineError> {
    let done = tokio::task::spawn_blocking(charged(move || {
        let Work { contract, key, source, part } = &*work;
        let bytes = block.bytes();
        millstream_usage::read(bytes as u64);
        let batch = block.decode().map_err(|error| source_error(source, error))?;
        let rows_read = (batch.rows.num_rows() + batch.malformed.len()) as u64;
        let (batch, removals) = split(batch, key.as_ref(), source, part)?;
        let evaluated = contract
            .evaluate_arrived(&batch.rows, arrived(&batch))
            .map_err(|error| EngineError::Quality { table: source.table(), source: error })?;
        Ok(Judged { source: batch, evaluated, removals, bytes, rows_read })
    }));
    done.await.unwrap_or(Err(EngineError::Worker { doing: "checking rows" }))
}
