//! Rows that follow a script, and stages over them.

use std::{collections::BTreeMap, fmt, sync::Arc};

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
};
use async_trait::async_trait;
use millstream_stream::{Pipeline, PipelineBuilder, SourceDefinition, StageId};
use millstream_types::{Span, TimestampMicros};

use super::super::{Behind, Fed, Feed, Flow, Input, Offsets, Opened};
use crate::EngineError;

/// Makes stages over a source, and says by which columns rows take the place of others.
pub(super) type Stages = fn(&mut PipelineBuilder, StageId) -> Vec<String>;

/// An event: its time in seconds, what it is about, and a value.
pub(super) type Event = (i64, &'static str, i64);

/// A flow of one source with one partition.
pub(super) struct Scripted {
    pub events: Vec<Event>,
    /// How many rows one read gives.
    pub cut: usize,
    pub disorder: Span,
    pub stages: Stages,
    pub commit_rows: u64,
}

impl fmt::Debug for Scripted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scripted").field("events", &self.events.len()).finish_non_exhaustive()
    }
}

const NAME: &str = "events";

fn schema() -> SchemaRef {
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    Arc::new(Schema::new(vec![
        Field::new("at", instant, true),
        Field::new("name", DataType::Utf8, true),
        Field::new("value", DataType::Int64, true),
    ]))
}

pub(super) fn batch(events: &[Event]) -> RecordBatch {
    let times = TimestampMicrosecondArray::from_iter_values(events.iter().map(|(at, ..)| at * 1_000_000));
    let columns: [ArrayRef; 3] = [
        Arc::new(times.with_timezone("UTC")),
        Arc::new(StringArray::from_iter_values(events.iter().map(|(_, name, _)| name))),
        Arc::new(Int64Array::from_iter_values(events.iter().map(|(.., value)| *value))),
    ];
    RecordBatch::try_new(schema(), columns.into()).unwrap()
}

impl Scripted {
    fn build(&self) -> (Pipeline, StageId, Vec<String>) {
        let mut builder = PipelineBuilder::new();
        let mut source = SourceDefinition::new(NAME, schema(), "at");
        source.disorder = self.disorder;
        let source = builder.source(&source).unwrap();
        let key = (self.stages)(&mut builder, source);
        (builder.build().unwrap(), source, key)
    }
}

#[async_trait]
impl Flow for Scripted {
    async fn open(&self) -> Result<Opened, EngineError> {
        let (pipeline, stage, key) = self.build();
        let schema = pipeline.schema();
        let nullable = schema.fields().iter().map(|field| field.as_ref().clone().with_nullable(true));
        let schema = Arc::new(Schema::new(nullable.collect::<Vec<_>>()));
        Ok(Opened { pipeline, inputs: vec![Input { name: NAME.into(), stage }], schema, key })
    }

    async fn feed(&self, from: &Offsets) -> Result<Box<dyn Feed>, EngineError> {
        let next = from[NAME][0];
        Ok(Box::new(ScriptedFeed { events: self.events.clone(), cut: self.cut, next }))
    }

    async fn begin(&self) -> Result<Offsets, EngineError> {
        Ok(BTreeMap::from([(NAME.to_owned(), vec![0])]))
    }
}

#[derive(Debug)]
struct ScriptedFeed {
    events: Vec<Event>,
    cut: usize,
    next: u64,
}

#[async_trait]
impl Feed for ScriptedFeed {
    async fn next(&mut self) -> Result<Fed, EngineError> {
        let from = usize::try_from(self.next).unwrap();
        let until = (from + self.cut).min(self.events.len());
        if from >= until {
            return std::future::pending().await;
        }
        let offsets = self.next..until as u64;
        self.next = until as u64;
        let rows = batch(&self.events[from..until]);
        Ok(Fed { input: 0, partition: 0, offsets, known: TimestampMicros(0), rows })
    }

    async fn behind(&self, taken: &Offsets) -> Result<Behind, EngineError> {
        Ok(Behind { rows: self.events.len() as u64 - taken[NAME][0], since: None })
    }
}
