//! Columns under other names than the files give them: a table cannot have every name that a file can.

use std::{collections::HashMap, sync::Arc};

use arrow::{
    array::{RecordBatch, RecordBatchOptions},
    datatypes::{Field, Schema},
    error::ArrowError,
};
use futures::{StreamExt, TryStreamExt};
use millstream_connector::{Block, BlockStream, ConnectorError, FoundColumn, SourceBatch};

/// The table's names of columns, by their names in the files.
#[derive(Debug, Default)]
pub(super) struct Renaming(HashMap<String, String>);

impl Renaming {
    pub(super) fn new(pairs: Vec<(String, String)>) -> Self {
        Self(pairs.into_iter().collect())
    }

    fn name<'a>(&'a self, found: &'a str) -> &'a str {
        self.0.get(found).map_or(found, String::as_str)
    }

    /// A part's columns as the table names them.
    pub(super) fn columns(
        &self,
        part: &str,
        mut columns: Vec<FoundColumn>,
    ) -> Result<Vec<FoundColumn>, ConnectorError> {
        if !self.0.is_empty() {
            columns.iter_mut().for_each(|column| column.name = self.name(&column.name).to_owned());
            check_names(part, columns.iter().map(|column| column.name.as_str()))?;
        }
        Ok(columns)
    }

    /// Blocks whose rows have the table's names.
    pub(super) fn blocks(self: &Arc<Self>, part: &str, blocks: BlockStream) -> BlockStream {
        if self.0.is_empty() {
            return blocks;
        }
        let (renaming, part) = (self.clone(), part.to_owned());
        let renamed = move |block| -> Box<dyn Block> {
            Box::new(RenamedBlock { block, part: part.clone(), renaming: renaming.clone() })
        };
        blocks.map_ok(renamed).boxed()
    }

    /// The batch, which is decoded already, with the table's names.
    pub(super) fn batch(&self, part: &str, batch: SourceBatch) -> Result<SourceBatch, ConnectorError> {
        let schema = batch.rows.schema();
        check_names(part, schema.fields().iter().map(|field| self.name(field.name())))?;
        let renamed =
            schema.fields().iter().map(|field| field.as_ref().clone().with_name(self.name(field.name())));
        let schema = Arc::new(Schema::new(renamed.collect::<Vec<Field>>()));
        let options = RecordBatchOptions::new().with_row_count(Some(batch.rows.num_rows()));
        let rows = RecordBatch::try_new_with_options(schema, batch.rows.columns().to_vec(), &options);
        let broken =
            |error: ArrowError| ConnectorError::Broken { part: part.to_owned(), reason: error.to_string() };
        Ok(SourceBatch { rows: rows.map_err(broken)?, ..batch })
    }
}

fn check_names<'a>(part: &str, names: impl Iterator<Item = &'a str>) -> Result<(), ConnectorError> {
    let mut seen: Vec<&str> = Vec::new();
    for name in names {
        if seen.contains(&name) {
            let reason = format!("`rename` gives two of its columns the name `{name}`");
            return Err(ConnectorError::Broken { part: part.to_owned(), reason });
        }
        seen.push(name);
    }
    Ok(())
}

#[derive(Debug)]
struct RenamedBlock {
    block: Box<dyn Block>,
    part: String,
    renaming: Arc<Renaming>,
}

impl Block for RenamedBlock {
    fn bytes(&self) -> usize {
        self.block.bytes()
    }

    fn decode(self: Box<Self>) -> Result<SourceBatch, ConnectorError> {
        let Self { block, part, renaming } = *self;
        renaming.batch(&part, block.decode()?)
    }
}
