//! What a continuous table is made of, as its pipeline sees it: stages, and rows that come in.

use std::{collections::BTreeMap, fmt, ops::Range};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use async_trait::async_trait;
use millstream_stream::{Pipeline, StageId};
use millstream_types::TimestampMicros;

use crate::EngineError;

/// For each input, by its name, the offset of each partition from which rows have yet to be taken in.
pub(crate) type Offsets = BTreeMap<String, Vec<u64>>;

/// What a continuous table is made of.
#[async_trait]
pub(crate) trait Flow: Send + Sync + fmt::Debug {
    /// The stages, which have seen nothing yet.
    async fn open(&self) -> Result<Opened, EngineError>;

    /// Rows of the inputs from these offsets on.
    async fn feed(&self, from: &Offsets) -> Result<Box<dyn Feed>, EngineError>;

    /// The offsets of the first rows that there still are.
    async fn begin(&self) -> Result<Offsets, EngineError>;

    /// Nobody takes rows in for the table any more.
    async fn retire(&self) -> Result<(), EngineError> {
        Ok(())
    }

    /// Reads what rows are joined to and has changed. Called between rows.
    async fn refresh(&self) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Stages that have seen nothing yet.
#[derive(Debug)]
pub(crate) struct Opened {
    pub pipeline: Pipeline,
    pub inputs: Vec<Input>,
    /// The columns of the table, as it stores them.
    pub schema: SchemaRef,
    /// The columns by which a later row takes the place of an earlier one; empty where rows are only added.
    pub key: Vec<String>,
}

/// Where rows come in.
#[derive(Clone, Debug)]
pub(crate) struct Input {
    pub name: String,
    pub stage: StageId,
}

/// Rows of the inputs, in the order of each partition.
#[async_trait]
pub(crate) trait Feed: Send + Sync + fmt::Debug {
    /// The next rows, which are waited for. Nothing is lost when the future is dropped.
    async fn next(&mut self) -> Result<Fed, EngineError>;

    /// How far behind somebody is who has taken rows in up to these offsets.
    async fn behind(&self, taken: &Offsets) -> Result<Behind, EngineError>;

    /// What came before these offsets is durable in what was made of it, so that nobody has to read it again.
    async fn committed(&self, _offsets: &Offsets) -> Result<(), EngineError> {
        Ok(())
    }
}

/// Rows of one partition of an input.
#[derive(Clone, Debug)]
pub(crate) struct Fed {
    /// The place among [`Opened::inputs`].
    pub input: usize,
    pub partition: u32,
    /// The offsets of the rows, and of those that the source's contract has rejected among them.
    pub offsets: Range<u64>,
    /// When the rows came into the log.
    pub known: TimestampMicros,
    pub rows: RecordBatch,
}

/// What somebody who reads has yet to read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    pub rows: u64,
    /// When the first of the rows came into the log.
    pub since: Option<TimestampMicros>,
}
