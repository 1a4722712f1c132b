//! Filters, projections and enrichment: an expression that the caller brings, over one batch at a time.

use std::{collections::VecDeque, fmt};

use arrow::{array::RecordBatch, datatypes::SchemaRef};

use crate::{
    Output, StreamError,
    operator::Operator,
    source::check_schema,
    state::{Entries, StateWriter},
    time::WATERMARK_MIN,
};

/// What an expression makes of a batch. Each row of the result belongs to one row that came in, and its event time is not earlier than
/// that row's; a row that is earlier than the watermark is refused by the next stage.
pub type Expression =
    Box<dyn FnMut(&RecordBatch) -> Result<RecordBatch, Box<dyn std::error::Error + Send + Sync>> + Send>;

/// The shape of what an expression gives.
#[derive(Debug, Clone, PartialEq)]
pub struct MapDefinition {
    pub name: String,
    pub schema: SchemaRef,
    /// The column with the event time.
    pub time: String,
    /// What the expression computes, as text: state that was written under another text is not taken over.
    pub text: String,
}

pub(crate) struct Map {
    stage: String,
    schema: SchemaRef,
    expression: Expression,
    ready: VecDeque<Output>,
    watermark: i64,
    rows_in: u64,
    rows_out: u64,
}

impl Map {
    pub(crate) fn new(definition: &MapDefinition, expression: Expression) -> Self {
        Self {
            stage: definition.name.clone(),
            schema: SchemaRef::clone(&definition.schema),
            expression,
            ready: VecDeque::new(),
            watermark: WATERMARK_MIN,
            rows_in: 0,
            rows_out: 0,
        }
    }
}

impl fmt::Debug for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Map")
            .field("stage", &self.stage)
            .field("schema", &self.schema)
            .finish_non_exhaustive()
    }
}

impl Operator for Map {
    fn rows(&mut self, _: usize, rows: RecordBatch) -> Result<(), StreamError> {
        let mapped = (self.expression)(&rows)
            .map_err(|source| StreamError::Expression { stage: self.stage.clone(), source })?;
        check_schema(&self.stage, &self.schema, &mapped)?;
        self.rows_in += rows.num_rows() as u64;
        self.rows_out += mapped.num_rows() as u64;
        if mapped.num_rows() > 0 {
            self.ready.push_back(Output::Rows(mapped));
        }
        Ok(())
    }

    fn watermark(&mut self, _: usize, watermark: i64) -> Result<(), StreamError> {
        if watermark > self.watermark {
            self.watermark = watermark;
            self.ready.push_back(Output::Watermark(watermark));
        }
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Output>, StreamError> {
        Ok(self.ready.pop_front())
    }

    fn state_bytes(&mut self) -> usize {
        0
    }

    fn left_out(&self) -> u64 {
        self.rows_in.saturating_sub(self.rows_out)
    }

    fn save(&mut self, _: &mut StateWriter<'_>) -> Result<(), StreamError> {
        Ok(())
    }

    fn restore(&mut self, _: &Entries<'_>) -> Result<(), StreamError> {
        Ok(())
    }
}
