//! Continuous tables: the SQL of a table with `materialize: stream` as a pipeline over events, and as a plan over whole tables.
//!
//! The SQL is plain SQL and three functions in FROM: `tumble`, `hop` and `session` add `window_start` and `window_end` to the rows of a table.
//! [`StreamPlan`] says what a continuous table reads and gives, and builds its [`Pipeline`]. Its plan over whole tables is that of
//! [`crate::TableAnalysis`], as for every other table; where all rows are on time, both give the same rows.
//!
//! A continuous table that reads another one has the stages of that one in front of its own.

pub(crate) mod batch;
pub(crate) mod bounds;
mod compile;
mod lookup;
mod lower;
mod node;
mod prune;
mod sequence;
mod text;
pub(crate) mod written;

use std::{error::Error, fmt, sync::Arc};

use arrow::{
    array::RecordBatch,
    datatypes::{Field, Schema, SchemaRef},
};
use millstream_stream::{Pipeline, StageId};
use millstream_types::{SourceName, Span, TableName};

pub(crate) use compile::{Compiled, Compiler};
pub use lookup::LookupTable;
use node::Node;

use crate::SqlError;

/// How a continuous table comes about from events.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    table: TableName,
    inputs: Vec<StreamInput>,
    lookups: Vec<StreamLookup>,
    schema: SchemaRef,
    key: Vec<String>,
    time: String,
    corrects: bool,
    root: Node,
}

/// A source whose events a continuous table reads, directly or through another one. A source that is read twice is two inputs.
#[derive(Clone, Debug)]
pub struct StreamInput {
    pub source: SourceName,
    /// The columns that the pipeline takes, in the order in which it takes them.
    pub schema: SchemaRef,
    /// The column with the event time, which is one of them.
    pub time: String,
    /// How far behind the newest event time of their partition rows may come without being behind the watermark.
    pub disorder: Span,
    /// A partition without rows for so long holds up nobody.
    pub idle_after: Option<Span>,
}

/// A table of the lake in whose present version a continuous table looks rows up.
#[derive(Clone, Debug)]
pub struct StreamLookup {
    pub table: TableName,
    /// The columns that have to be read of the table.
    pub schema: SchemaRef,
    index: lookup::IndexDefinition,
}

/// The rows in which a running pipeline looks up. They may be replaced at any time, by those of a newer version.
pub trait LookupRows: Send + Sync + fmt::Debug {
    /// The present rows of a lookup, by its number in [`StreamPlan::lookups`]; `None` while they have not been read.
    fn rows(&self, lookup: usize) -> Option<Arc<LookupTable>>;
}

/// Lets the rows of a table pass that its checks do not reject.
pub type RowFilter = Box<dyn FnMut(RecordBatch) -> Result<RecordBatch, Box<dyn Error + Send + Sync>> + Send>;

/// What a pipeline has to know of the world.
pub struct StreamParts<'a> {
    /// The number of partitions of an input's topic.
    pub partitions: &'a dyn Fn(&StreamInput) -> u32,
    pub lookups: Arc<dyn LookupRows>,
    /// The filter of another continuous table, between whose rows and those of the table that is built its checks stand. It is asked for
    /// tables that have checks.
    pub checks: &'a dyn Fn(&TableName) -> Option<RowFilter>,
}

impl fmt::Debug for StreamParts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamParts").field("lookups", &self.lookups).finish_non_exhaustive()
    }
}

/// A pipeline with the stages at which rows enter it.
#[derive(Debug)]
pub struct StreamPipeline {
    pub pipeline: Pipeline,
    /// The stage of each input, in the order of [`StreamPlan::inputs`].
    pub sources: Vec<StageId>,
}

impl StreamPlan {
    #[must_use]
    pub fn table(&self) -> &TableName {
        &self.table
    }

    /// The sources whose events are read.
    #[must_use]
    pub fn inputs(&self) -> &[StreamInput] {
        &self.inputs
    }

    /// The tables of the lake in which rows are looked up.
    #[must_use]
    pub fn lookups(&self) -> &[StreamLookup] {
        &self.lookups
    }

    /// The columns of the result, as the table stores them.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// The columns by which a later row takes the place of an earlier one: those that the header names, otherwise those of the window and its group
    /// where rows are corrected; empty where rows are only added.
    #[must_use]
    pub fn key(&self) -> &[String] {
        &self.key
    }

    /// The column of the result with the event time.
    #[must_use]
    pub fn time(&self) -> &str {
        &self.time
    }

    /// Whether rows that were told may be corrected, as the table has an allowed lateness.
    #[must_use]
    pub fn corrects(&self) -> bool {
        self.corrects
    }

    /// The stages in words, in the order in which rows pass them.
    #[must_use]
    pub fn stages(&self) -> Vec<String> {
        text::stages(&self.root)
    }

    /// A pipeline that has seen nothing.
    ///
    /// # Errors
    ///
    /// A stage cannot be built; the analysis of the table has tried that before.
    pub fn pipeline(&self, parts: &StreamParts<'_>) -> Result<StreamPipeline, SqlError> {
        lower::pipeline(self, parts)
    }
}

impl StreamInput {
    /// The columns of rows of the source that the pipeline takes. None is copied.
    ///
    /// # Errors
    ///
    /// The rows do not have one of them, or have it in another type.
    pub fn project(&self, rows: &RecordBatch) -> Result<RecordBatch, SqlError> {
        projected(rows, &self.schema)
    }
}

/// The columns of `schema`, by name.
fn projected(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, SqlError> {
    let found = rows.schema_ref();
    let column = |field: &Arc<Field>| {
        let column = rows.column_by_name(field.name());
        column.filter(|column| column.data_type() == field.data_type()).map(Arc::clone).ok_or_else(|| {
            SqlError::Execution {
                message: format!(
                    "rows of a stream have no column `{}` of type {}, but {}",
                    field.name(),
                    field.data_type(),
                    shown(found)
                ),
            }
        })
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>, _>>()?;
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| SqlError::Execution { message: error.to_string() })
}

fn shown(schema: &Schema) -> String {
    let fields = schema.fields().iter().map(|field| format!("{} {}", field.name(), field.data_type()));
    fields.collect::<Vec<_>>().join(", ")
}
