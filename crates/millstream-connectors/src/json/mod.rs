//! Objects of JSON into columns of text, one after the other; nested values are their JSON.

mod columns;
mod line;
mod shape;

use std::sync::Arc;

use arrow::{
    array::{Array, ArrayRef, RecordBatch, RecordBatchOptions},
    datatypes::{DataType, Field, Schema},
    error::ArrowError,
};

use columns::JsonColumns;
use shape::Shape;

/// Gathers objects as the rows of one batch.
#[derive(Debug)]
pub(crate) struct JsonRows {
    columns: JsonColumns,
    shape: Shape,
}

impl JsonRows {
    /// For objects that mostly have these `names`; `rows_guess` and `bytes_guess`, of one column, are about how much comes.
    pub(crate) fn new(names: impl Iterator<Item = String>, rows_guess: usize, bytes_guess: usize) -> Self {
        Self { columns: JsonColumns::new(names, rows_guess, bytes_guess), shape: Shape::default() }
    }

    /// Adds an object as a row. An error is a sentence for people, and the object has left nothing behind.
    pub(crate) fn add(&mut self, text: &str) -> Result<(), String> {
        let added = if self.shape.read(text, &mut self.columns) {
            Ok(())
        } else {
            self.columns.undo_row();
            line::parse_line(text, &mut self.columns, &mut self.shape)
        };
        match added {
            Ok(()) => self.columns.end_row(),
            Err(_) => self.columns.undo_row(),
        }
        added
    }

    /// The rows, without columns that have no value: those say nothing that their absence would not say.
    pub(crate) fn finish(self) -> Result<RecordBatch, ArrowError> {
        let mut fields = Vec::new();
        let mut arrays: Vec<ArrayRef> = Vec::new();
        let options = RecordBatchOptions::new().with_row_count(Some(self.columns.rows));
        for (name, column) in self.columns.into_parts() {
            let text = column.finish()?;
            if text.null_count() < text.len() {
                fields.push(Field::new(name, DataType::Utf8, true));
                arrays.push(Arc::new(text));
            }
        }
        RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
    }
}
