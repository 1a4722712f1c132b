//! The rows of a streaming source, read from the event log as its contract lets them into bronze: decoded and judged by the code with
//! which landing judges them, and with the landing columns that they have there, so that who follows the log and who reads the table
//! see identical rows.
//!
//! What spans the whole table is not judged here: rows whose keys are not unique are rejected when they land, not by a reader of
//! the log.

mod cache;

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Weak},
};

use arrow::{
    array::{ArrayRef, AsArray, BooleanArray, RecordBatch, StringArray},
    compute::{filter, filter_record_batch},
    datatypes::{Int64Type, SchemaRef, TimestampMicrosecondType},
    error::ArrowError,
};
use futures::future::BoxFuture;
use millstream_connector::{Block, Connector, Intake, SourceBatch};
use millstream_log::{EventLog, Place, Position, ReadBound, ReaderName, TopicInfo, TopicName};
use millstream_project::SourceSpec;
use millstream_quality::{Contract, Tally};
use millstream_types::{Field, SourceName, TimestampMicros};
use millstream_usage::charged;

use crate::{
    EngineError,
    assets::source::landing::{LandingValues, RowRules, bronze_schema, with_landing_columns},
    breaker::{JudgedEvents, StreamBreaker},
    engine::World,
    stored::relations,
};
use cache::PartitionCache;

/// Rows of one partition, with offsets in a row.
#[derive(Clone, Debug)]
pub(crate) struct CheckedRows {
    pub partition: u32,
    /// The offsets that were looked at; those whose rows are not in `rows` were rejected.
    pub offsets: Range<u64>,
    /// When the last of these records was appended. Each row's own instant is its `_ingested_at`.
    pub appended_at: TimestampMicros,
    /// The contract's columns in its order, then the landing columns.
    pub rows: RecordBatch,
    /// How many of the records the contract keeps out, malformed ones included.
    pub rejected: u64,
}

/// How much is read at once.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RowsBound {
    /// The most records of each partition.
    pub records: usize,
}

/// Bytes of the log that are decoded at once: few enough that their columns stay in a core's cache.
const CHUNK_BYTES: usize = 1 << 20;

/// The rows of one source, shared by all who read it.
pub(crate) struct SourceRows {
    source: SourceName,
    topic: TopicName,
    log: Arc<dyn EventLog>,
    partitions: Vec<PartitionCache>,
    /// `None` where the contract allows any share of rejected events.
    breaker: Option<StreamBreaker>,
    judge: Arc<RowJudge>,
}

/// What makes rows of records.
struct RowJudge {
    spec: SourceSpec,
    connector: Arc<dyn Connector>,
    contract: Contract,
    columns: Arc<[Field]>,
    schema: SchemaRef,
}

impl Default for RowsBound {
    fn default() -> Self {
        Self { records: 64 << 10 }
    }
}

impl SourceRows {
    /// The rows of a source, the same ones for all who open it while somebody holds them. Makes its topic if it is not there.
    ///
    /// # Errors
    ///
    /// The source takes no events in, or the log cannot be opened.
    pub(crate) fn open<'a>(
        world: &'a World,
        source: &'a SourceName,
    ) -> BoxFuture<'a, Result<Arc<Self>, EngineError>> {
        Box::pin(async move {
            // Opening is held as well, so that two who come at once get the same rows.
            let mut opened = world.source_rows.lock().await;
            if let Some(rows) = opened.get(source).and_then(Weak::upgrade) {
                return Ok(rows);
            }
            let rows = Arc::new(Self::opened(world, source).await?);
            opened.insert(source.clone(), Arc::downgrade(&rows));
            Ok(rows)
        })
    }

    async fn opened(world: &World, source: &SourceName) -> Result<Self, EngineError> {
        let table = millstream_types::TableName::bronze(source);
        let spec = world.project.source(&table).ok_or_else(|| world.project.unknown_table(&table))?;
        let not_streaming = || EngineError::Refused {
            table: table.clone(),
            message: "takes no events in, so that its rows cannot be followed".to_owned(),
            hint: "follow a source whose connector is `http`, `otlp` or `generate`".to_owned(),
        };
        let intake = world.intake(source).ok_or_else(not_streaming)?;
        let log = world.log.open().await?;
        let info = intake.open_topic(log.as_ref(), source).await?;
        let topic = Intake::topic(source)?;
        let judge = RowJudge::new(world, spec).await?;
        let breaker = StreamBreaker::load(world, spec).await?;
        let places = (0..info.options.partitions).map(|partition| Place::new(&topic, partition));
        let partitions = places.map(PartitionCache::new).collect();
        Ok(Self { source: source.clone(), topic, log, partitions, breaker, judge: Arc::new(judge) })
    }

    /// The contract's columns in its order, then the landing columns.
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.judge.schema
    }

    /// The number of partitions; an offset of each is what a reader keeps.
    pub(crate) fn partitions(&self) -> u32 {
        u32::try_from(self.partitions.len()).unwrap_or(u32::MAX)
    }

    /// The rows from these offsets on, one offset for each partition; of each partition that has any, the next ones. Waits while
    /// there is none, and while the breaker of the source is open. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// Records cannot be read, or are gone; the error of the log names them.
    pub(crate) fn next<'a>(
        &'a self,
        from: &'a [u64],
        bound: RowsBound,
    ) -> BoxFuture<'a, Result<Vec<CheckedRows>, EngineError>> {
        Box::pin(async move {
            let positions = self.positions(from)?;
            loop {
                if let Some(breaker) = &self.breaker {
                    breaker.closed().await?;
                }
                let found = self.present(from, bound).await?;
                if !found.is_empty() {
                    return Ok(found);
                }
                if self.breaker.as_ref().is_none_or(|breaker| !breaker.is_open()) {
                    self.log.wait(&positions).await?;
                }
            }
        })
    }

    /// As [`Self::next`], without waiting: nothing where nothing is there, and while the breaker of the source is open.
    pub(crate) fn present<'a>(
        &'a self,
        from: &'a [u64],
        bound: RowsBound,
    ) -> BoxFuture<'a, Result<Vec<CheckedRows>, EngineError>> {
        Box::pin(async move {
            let is_open = || self.breaker.as_ref().is_some_and(StreamBreaker::is_open);
            let mut found = Vec::new();
            for (partition, offset) in self.partitions.iter().zip(from) {
                let read = |offset| self.read(partition.place(), offset);
                found.extend(partition.after(*offset, bound.records, read).await?);
            }
            // What opened the breaker is not handed out either.
            Ok(if is_open() { Vec::new() } else { found })
        })
    }

    /// The offsets behind the last record of each partition.
    pub(crate) fn ends(&self) -> BoxFuture<'_, Result<Vec<u64>, EngineError>> {
        Box::pin(async move {
            let info = self.info().await?;
            Ok(info.partitions.iter().map(|partition| partition.offsets.end).collect())
        })
    }

    /// The offsets of the oldest records that are kept of each partition.
    pub(crate) fn starts(&self) -> BoxFuture<'_, Result<Vec<u64>, EngineError>> {
        Box::pin(async move {
            let info = self.info().await?;
            Ok(info.partitions.iter().map(|partition| partition.offsets.start).collect())
        })
    }

    /// The topic as it is now. Its id tells it from another one of the same name.
    pub(crate) fn info(&self) -> BoxFuture<'_, Result<TopicInfo, EngineError>> {
        Box::pin(async move { Ok(self.log.topic(&self.topic).await?) })
    }

    /// Says that the reader has yet to read what is at and behind these offsets, so that retention leaves it.
    pub(crate) fn pin<'a>(
        &'a self,
        reader: &'a ReaderName,
        offsets: &'a [u64],
    ) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move {
            for position in self.positions(offsets)? {
                self.log.pin(reader, &position).await?;
            }
            Ok(())
        })
    }

    /// Says that the reader reads no more.
    pub(crate) fn unpin<'a>(&'a self, reader: &'a ReaderName) -> BoxFuture<'a, Result<(), EngineError>> {
        Box::pin(async move { Ok(self.log.unpin(reader, &self.topic).await?) })
    }

    fn positions(&self, offsets: &[u64]) -> Result<Vec<Position>, EngineError> {
        if offsets.len() != self.partitions.len() {
            let reason = format!(
                "source `{}` has {} partitions, and {} offsets were given",
                self.source,
                self.partitions.len(),
                offsets.len()
            );
            return Err(millstream_log::LogError::Request { reason }.into());
        }
        Ok(self
            .partitions
            .iter()
            .zip(offsets)
            .map(|(partition, offset)| partition.place().at(*offset))
            .collect())
    }

    /// Reads and judges records from an offset on; `None` at the end of the partition.
    async fn read(&self, place: &Place, offset: u64) -> Result<Option<Chunk>, EngineError> {
        let bound = ReadBound { bytes: CHUNK_BYTES, records: usize::MAX };
        let read = self.log.read(&place.at(offset), bound).await?;
        let Some(last) = read.batches.last() else { return Ok(None) };
        let (offsets, appended_at) = (offset..read.next, last.timestamp);
        let (judge, of) = (self.judge.clone(), place.clone());
        let work = charged(move || judge.chunk(&of, read.batches, offsets, appended_at));
        let judged = tokio::task::spawn_blocking(work).await;
        let chunk = judged.unwrap_or(Err(EngineError::Worker { doing: "checking events" }))?;
        self.count(place, &chunk).await?;
        Ok(Some(chunk))
    }

    /// Tells the breaker what was judged.
    async fn count(&self, place: &Place, chunk: &Chunk) -> Result<(), EngineError> {
        let Some(breaker) = &self.breaker else { return Ok(()) };
        let events = JudgedEvents {
            partition: place.partition,
            from: chunk.offsets.start,
            end: chunk.offsets.end,
            appended_at: chunk.appended_at,
            tally: &chunk.tally,
            contract: &self.judge.contract,
        };
        breaker.count(events).await.map(|_| ())
    }
}

impl fmt::Debug for SourceRows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceRows").field("source", &self.source).finish_non_exhaustive()
    }
}

/// Records that were judged together.
#[derive(Debug)]
struct Chunk {
    offsets: Range<u64>,
    appended_at: TimestampMicros,
    rows: RecordBatch,
    /// The offset of each row of `rows`; ascending.
    kept: Vec<u64>,
    /// What the contract found.
    tally: Tally,
    /// What the rows take in memory.
    bytes: usize,
}

impl Chunk {
    /// The rows from an offset on, at most `records` of its records.
    fn cut(&self, partition: u32, from: u64, records: usize) -> CheckedRows {
        let from = from.max(self.offsets.start);
        let end = from.saturating_add(records.max(1) as u64).min(self.offsets.end);
        let first = self.kept.partition_point(|offset| *offset < from);
        let last = self.kept.partition_point(|offset| *offset < end);
        let kept = last.saturating_sub(first);
        CheckedRows {
            partition,
            offsets: from..end,
            appended_at: self.appended_at,
            rows: self.rows.slice(first, kept),
            rejected: end.saturating_sub(from).saturating_sub(kept as u64),
        }
    }
}

impl RowJudge {
    async fn new(world: &World, spec: &SourceSpec) -> Result<Self, EngineError> {
        let contract = &spec.contract;
        let columns: Arc<[Field]> = contract
            .columns
            .values()
            .map(|column| Field { name: column.name.clone(), column_type: column.column_type.clone() })
            .collect();
        let relations = relations(world, &contract.checks).await?;
        let now = world.options.clock.now();
        let rules =
            RowRules { source: spec, columns: &columns, decided: columns.len(), relations: &relations, now };
        Ok(Self {
            contract: rules.compile(world)?,
            schema: bronze_schema(&columns),
            connector: world.connector(spec)?.clone(),
            columns,
            spec: spec.clone(),
        })
    }

    fn chunk(
        &self,
        place: &Place,
        batches: Vec<millstream_log::Batch>,
        offsets: Range<u64>,
        appended_at: TimestampMicros,
    ) -> Result<Chunk, EngineError> {
        let decoder = self.connector.events().ok_or(EngineError::Worker { doing: "decoding events" })?;
        let blocks = decoder.blocks(place, batches, &self.columns);
        let part = Intake::part(&self.spec.name, place.partition);
        let mut judged = Vec::with_capacity(blocks.len());
        let (mut kept, mut tally) = (Vec::new(), Tally::default());
        for block in blocks {
            let (rows, positions) = self.judged(block, &part, &mut tally)?;
            kept.extend(positions);
            judged.push(rows);
        }
        let rows = match &*judged {
            [rows] => rows.clone(),
            judged => {
                arrow::compute::concat_batches(&self.schema, judged).map_err(|source| self.compute(source))?
            }
        };
        let bytes = rows.get_array_memory_size();
        Ok(Chunk { offsets, appended_at, rows, kept, tally, bytes })
    }

    /// The rows of a block that the contract lets in, with their offsets.
    fn judged(
        &self,
        block: Box<dyn Block>,
        part: &str,
        tally: &mut Tally,
    ) -> Result<(RecordBatch, Vec<u64>), EngineError> {
        let source_error = |source| EngineError::Source { name: self.spec.name.clone(), source };
        let batch = block.decode().map_err(source_error)?;
        let instants = batch.arrivals.as_ref().map(|arrivals| &arrivals.instants);
        let evaluated = self.contract.evaluate_arrived(&batch.rows, instants);
        let evaluated =
            evaluated.map_err(|source| EngineError::Quality { table: self.spec.table(), source })?;
        tally.merge(&Tally::of(&evaluated));
        tally.add_malformed(batch.malformed.len() as u64);
        let mask = evaluated.accepted_mask();
        self.landed(&batch, &evaluated.rows, mask.as_ref(), part).map_err(|source| self.compute(source))
    }

    fn landed(
        &self,
        batch: &SourceBatch,
        rows: &RecordBatch,
        mask: Option<&BooleanArray>,
        part: &str,
    ) -> Result<(RecordBatch, Vec<u64>), ArrowError> {
        let Some(arrivals) = &batch.arrivals else {
            return Err(ArrowError::InvalidArgumentError("events came without their arrivals".to_owned()));
        };
        let positions: ArrayRef = Arc::new(batch.positions.to_array(rows.num_rows()));
        let instants: ArrayRef = Arc::new(arrivals.instants.clone());
        let sequences: ArrayRef = Arc::new(arrivals.sequences.clone());
        let kept = |array: ArrayRef| mask.map_or(Ok(array.clone()), |mask| filter(&array, mask));
        let accepted = match mask {
            Some(mask) => filter_record_batch(rows, mask)?,
            None => rows.clone(),
        };
        let positions = kept(positions)?.as_primitive::<Int64Type>().clone();
        let offsets = positions.values().iter().map(|at| u64::try_from(*at).unwrap_or(0)).collect();
        let sources = StringArray::from_iter_values(std::iter::repeat_n(part, accepted.num_rows()));
        let values = LandingValues {
            ingested: kept(instants)?.as_primitive::<TimestampMicrosecondType>().clone(),
            sequences: kept(sequences)?.as_primitive::<Int64Type>().clone(),
            sources: &sources,
            positions,
        };
        Ok((with_landing_columns(&self.schema, &accepted, values)?, offsets))
    }

    fn compute(&self, source: ArrowError) -> EngineError {
        EngineError::Compute { table: self.spec.table(), source }
    }
}
