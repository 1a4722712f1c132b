//! The flow of a continuous table over the event log: rows of its sources, in the order in which they came into the log.

mod lookups;

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use futures::future::select_all;
use millstream_connector::Intake;
use millstream_log::{Place, ReaderName};
use millstream_quality::{Contract, ContractOptions};
use millstream_sql::stream::{RowFilter, StreamInput, StreamParts, StreamPipeline, StreamPlan};
use millstream_types::TableName;

use super::{Behind, Fed, Feed, Flow, Input, Offsets, Opened};
use crate::{
    EngineError,
    engine::World,
    source_rows::{CheckedRows, RowsBound, SourceRows},
    stored::relations,
};
use lookups::Lookups;

/// What a continuous table's SQL says, over the sources of the project.
pub(crate) struct LogFlow {
    world: Arc<World>,
    plan: Arc<StreamPlan>,
    lookups: Arc<Lookups>,
    /// By which the log knows what the table has yet to read.
    reader: ReaderName,
}

/// An input with the rows of its source.
struct OpenInput {
    /// The name under which its offsets are kept: that of the source, with a number where it is read more than once.
    name: String,
    input: StreamInput,
    rows: Arc<SourceRows>,
}

impl fmt::Debug for LogFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFlow").field("table", self.plan.table()).finish_non_exhaustive()
    }
}

impl LogFlow {
    pub(crate) fn new(world: &Arc<World>, plan: &Arc<StreamPlan>) -> Result<Self, EngineError> {
        let reader = ReaderName::new(&format!("pipeline.{}", plan.table()))?;
        let lookups = Arc::new(Lookups::new(world, plan));
        Ok(Self { world: world.clone(), plan: plan.clone(), lookups, reader })
    }

    async fn inputs(&self) -> Result<Vec<OpenInput>, EngineError> {
        let mut inputs: Vec<OpenInput> = Vec::new();
        for input in self.plan.inputs() {
            let rows = SourceRows::open(&self.world, &input.source).await?;
            let before = inputs.iter().filter(|other| other.input.source == input.source).count();
            let name = match before {
                0 => input.source.to_string(),
                before => format!("{}#{}", input.source, before + 1),
            };
            inputs.push(OpenInput { name, input: input.clone(), rows });
        }
        Ok(inputs)
    }

    /// The checks that stand between the rows of other continuous tables and those of this one.
    async fn filters(&self) -> Result<BTreeMap<TableName, Arc<Contract>>, EngineError> {
        let project = &self.world.project;
        let mut filters = BTreeMap::new();
        for (table, plan) in &project.analysis.streams {
            let Some(spec) = project.table(table) else { continue };
            if spec.checks.is_empty() || table == self.plan.table() {
                continue;
            }
            let relations = relations(&self.world, &spec.checks).await?;
            let options = ContractOptions {
                checks: &spec.checks,
                type_severity: spec.on_violation,
                relations: &relations,
                extra: &[],
                now: self.world.options.clock.now(),
            };
            let contract = Contract::compile_table(plan.schema(), project.personal.of_table(table), &options)
                .map_err(|source| EngineError::Quality { table: table.clone(), source })?;
            filters.insert(table.clone(), Arc::new(contract));
        }
        Ok(filters)
    }
}

fn filter(contract: &Arc<Contract>) -> RowFilter {
    let contract = contract.clone();
    Box::new(move |rows| {
        let evaluated = contract.evaluate(&rows)?;
        Ok(evaluated.accepted()?)
    })
}

#[async_trait]
impl Flow for LogFlow {
    async fn open(&self) -> Result<Opened, EngineError> {
        let inputs = self.inputs().await?;
        self.lookups.refresh().await?;
        let filters = self.filters().await?;
        let partitions = |input: &StreamInput| {
            let found = inputs.iter().find(|open| open.input.source == input.source);
            found.map_or(1, |open| open.rows.partitions())
        };
        let parts = StreamParts {
            partitions: &partitions,
            lookups: self.lookups.clone(),
            checks: &|table| filters.get(table).map(filter),
        };
        let failed = |source| EngineError::Sql { table: self.plan.table().clone(), source };
        let StreamPipeline { pipeline, sources } = self.plan.pipeline(&parts).map_err(failed)?;
        let inputs = inputs.into_iter().zip(sources).map(|(open, stage)| Input { name: open.name, stage });
        Ok(Opened {
            pipeline,
            inputs: inputs.collect(),
            schema: self.plan.schema().clone(),
            key: self.plan.key().to_vec(),
        })
    }

    async fn feed(&self, from: &Offsets) -> Result<Box<dyn Feed>, EngineError> {
        let inputs = self.inputs().await?;
        let heads = inputs.iter().map(|open| {
            let partitions = usize::try_from(open.rows.partitions()).unwrap_or(usize::MAX);
            let mut next = from.get(&open.name).cloned().unwrap_or_default();
            next.resize(partitions, 0);
            Heads { next, waiting: (0..partitions).map(|_| None).collect() }
        });
        let heads = heads.collect();
        Ok(Box::new(LogFeed {
            world: self.world.clone(),
            table: self.plan.table().clone(),
            reader: self.reader.clone(),
            heads,
            inputs,
        }))
    }

    async fn begin(&self) -> Result<Offsets, EngineError> {
        let mut offsets = Offsets::new();
        for open in self.inputs().await? {
            offsets.insert(open.name, open.rows.starts().await?);
        }
        Ok(offsets)
    }

    async fn refresh(&self) -> Result<(), EngineError> {
        self.lookups.refresh().await
    }

    async fn retire(&self) -> Result<(), EngineError> {
        for open in self.inputs().await? {
            open.rows.unpin(&self.reader).await?;
        }
        Ok(())
    }
}

/// Rows of the sources, those first that came first into the log.
struct LogFeed {
    world: Arc<World>,
    table: TableName,
    reader: ReaderName,
    inputs: Vec<OpenInput>,
    heads: Vec<Heads>,
}

/// The next rows of the partitions of an input.
struct Heads {
    /// From where on rows have yet to be read.
    next: Vec<u64>,
    waiting: Vec<Option<CheckedRows>>,
}

impl fmt::Debug for LogFeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogFeed").field("table", &self.table).finish_non_exhaustive()
    }
}

impl Heads {
    fn take_in(&mut self, found: Vec<CheckedRows>) {
        for rows in found {
            let partition = usize::try_from(rows.partition).unwrap_or(usize::MAX);
            let (Some(place), Some(next)) = (self.waiting.get_mut(partition), self.next.get_mut(partition))
            else {
                continue;
            };
            if place.is_none() && rows.offsets.start >= *next {
                *next = rows.offsets.end;
                *place = Some(rows);
            }
        }
    }

    fn lacks_some(&self) -> bool {
        self.waiting.iter().any(Option::is_none)
    }
}

impl LogFeed {
    /// Takes out the rows that came first into the log, of those that wait.
    fn first(&mut self) -> Result<Option<Fed>, EngineError> {
        let waiting = self.heads.iter().enumerate().flat_map(|(input, heads)| {
            let waiting = heads.waiting.iter().enumerate();
            waiting.filter_map(move |(at, rows)| Some((rows.as_ref()?.appended_at, input, at)))
        });
        let Some((_, input, partition)) = waiting.min() else { return Ok(None) };
        let taken = self.heads.get_mut(input).and_then(|heads| heads.waiting.get_mut(partition)?.take());
        let (Some(rows), Some(open)) = (taken, self.inputs.get(input)) else { return Ok(None) };
        let projected = open.input.project(&rows.rows);
        let projected = projected.map_err(|source| EngineError::Sql { table: self.table.clone(), source })?;
        Ok(Some(Fed {
            input,
            partition: rows.partition,
            offsets: rows.offsets,
            known: rows.appended_at,
            rows: projected,
        }))
    }
}

#[async_trait]
impl Feed for LogFeed {
    async fn next(&mut self) -> Result<Fed, EngineError> {
        loop {
            for (open, heads) in self.inputs.iter().zip(&mut self.heads) {
                if heads.lacks_some() {
                    let found = open.rows.present(&heads.next, RowsBound::default()).await?;
                    heads.take_in(found);
                }
            }
            if let Some(fed) = self.first()? {
                return Ok(fed);
            }
            let waits = self.inputs.iter().zip(&self.heads);
            let waits = waits.map(|(open, heads)| open.rows.next(&heads.next, RowsBound::default()));
            let (found, input, _) = select_all(waits).await;
            let found = found?;
            if let Some(heads) = self.heads.get_mut(input) {
                heads.take_in(found);
            }
        }
    }

    async fn behind(&self, taken: &Offsets) -> Result<Behind, EngineError> {
        let log = self.world.log.open().await?;
        let mut behind = Behind::default();
        for open in &self.inputs {
            let topic = Intake::topic(&open.input.source)?;
            let offsets = taken.get(&open.name).map(Vec::as_slice).unwrap_or_default();
            for (partition, offset) in (0_u32..).zip(offsets) {
                let lag = log.lag(&Place::new(&topic, partition).at(*offset)).await?;
                behind.rows += lag.records;
                behind.since = [behind.since, lag.since].into_iter().flatten().min();
            }
        }
        Ok(behind)
    }

    async fn committed(&self, offsets: &Offsets) -> Result<(), EngineError> {
        // A source that is read twice has one pin for the reader, at the place that is further behind.
        let mut least: BTreeMap<_, (Vec<u64>, &Arc<SourceRows>)> = BTreeMap::new();
        for open in &self.inputs {
            let of_input = offsets.get(&open.name).cloned().unwrap_or_default();
            let entry = least.entry(&open.input.source).or_insert_with(|| (of_input.clone(), &open.rows));
            entry.0.iter_mut().zip(&of_input).for_each(|(least, offset)| *least = (*least).min(*offset));
        }
        for (offsets, rows) in least.into_values() {
            rows.pin(&self.reader, &offsets).await?;
        }
        Ok(())
    }
}
