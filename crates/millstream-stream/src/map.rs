//! Filters, projections and enrichment: an expression that the caller brings, over one batch at a time.

use std::{collections::VecDeque, fmt, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema, SchemaRef},
};

use crate::{
    Output, StreamError,
    operator::{Correction, Operator},
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
    /// The columns by which corrections of the input name rows, with their names in the result.
    keys: Vec<(String, String)>,
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
            keys: Vec::new(),
            ready: VecDeque::new(),
            watermark: WATERMARK_MIN,
            rows_in: 0,
            rows_out: 0,
        }
    }

    /// As [`Map::new`], for an input whose rows are corrected.
    pub(crate) fn corrected(
        definition: &MapDefinition,
        expression: Expression,
        keys: &[(String, String)],
    ) -> Self {
        Self { keys: keys.to_vec(), ..Self::new(definition, expression) }
    }

    fn mapped(&mut self, rows: &RecordBatch) -> Result<RecordBatch, StreamError> {
        let mapped = (self.expression)(rows)
            .map_err(|source| StreamError::Expression { stage: self.stage.clone(), source })?;
        check_schema(&self.stage, &self.schema, &mapped)?;
        Ok(mapped)
    }

    /// The merge keys of rows of the input, under their names in the result.
    fn keys_of(&self, rows: &RecordBatch) -> Result<RecordBatch, StreamError> {
        let mut fields: Vec<Field> = Vec::with_capacity(self.keys.len());
        let mut columns = Vec::with_capacity(self.keys.len());
        for (name, now) in &self.keys {
            let Some((at, field)) = rows.schema_ref().column_with_name(name) else {
                return Err(StreamError::NoSuchColumn { stage: self.stage.clone(), column: name.clone() });
            };
            fields.push(field.clone().with_name(now));
            columns.extend(rows.columns().get(at).map(Arc::clone));
        }
        let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)
            .map_err(StreamError::arrow("take the keys of rows"))
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
        let mapped = self.mapped(&rows)?;
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

    /// A row that a correction turns into one that the expression leaves out is one that is gone, so that each key is deleted before it comes
    /// again.
    fn correction(&mut self, correction: Correction) -> Result<(), StreamError> {
        match correction {
            Correction::Delete(rows) => self.ready.push_back(Output::Delete(self.keys_of(&rows)?)),
            Correction::Merge(rows) => {
                let mapped = self.mapped(&rows)?;
                if mapped.num_rows() < rows.num_rows() {
                    self.ready.push_back(Output::Delete(self.keys_of(&rows)?));
                }
                if mapped.num_rows() > 0 {
                    self.ready.push_back(Output::Merge(mapped));
                }
            }
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
