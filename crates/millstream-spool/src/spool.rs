//! Rows that were taken in, to be read any number of times.

use std::{fmt, fs::File, io::BufReader, path::Path, sync::Arc};

use arrow::{array::RecordBatch, datatypes::SchemaRef, ipc::reader::StreamReader};

use crate::{
    Space, SpoolError,
    error::{file, rows, rows_of_file},
    held::Held,
    writer::SpillFile,
};

/// Batches in the order in which they were pushed.
pub struct Spool {
    schema: SchemaRef,
    store: Store,
    rows: usize,
    bytes: usize,
    /// The space is held so that its folder stays while there is a spool.
    _space: Arc<Space>,
}

/// Where the rows are.
#[derive(Debug)]
pub(crate) enum Store {
    Memory(Held),
    File(SpillFile),
}

impl Spool {
    pub(crate) fn new(space: Arc<Space>, schema: SchemaRef, store: Store, rows: usize, bytes: usize) -> Self {
        Self { schema, store, rows, bytes, _space: space }
    }

    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The bytes that the rows take in memory, wherever they are.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The batches, where all of them are in memory.
    #[must_use]
    pub fn in_memory(&self) -> Option<&[RecordBatch]> {
        match &self.store {
            Store::Memory(held) => Some(held.batches()),
            Store::File(_) => None,
        }
    }

    pub fn batches(&self) -> Result<Batches<'_>, SpoolError> {
        self.columns(None)
    }

    /// The batches with these columns only, or with all.
    pub fn columns(&self, projection: Option<Vec<usize>>) -> Result<Batches<'_>, SpoolError> {
        let source = match &self.store {
            Store::Memory(held) => Source::Memory { batches: held.batches().iter(), projection },
            Store::File(spilled) => {
                let path = spilled.path();
                let open = BufReader::new(File::open(path).map_err(file("open", path))?);
                let reader = StreamReader::try_new(open, projection).map_err(rows_of_file("read", path))?;
                Source::File { reader, path }
            }
        };
        Ok(Batches { source })
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = if self.in_memory().is_some() { "memory" } else { "a file" };
        f.debug_struct("Spool").field("rows", &self.rows).field("in", &place).finish_non_exhaustive()
    }
}

/// The batches of a spool.
#[derive(Debug)]
pub struct Batches<'a> {
    source: Source<'a>,
}

#[derive(Debug)]
enum Source<'a> {
    Memory { batches: std::slice::Iter<'a, RecordBatch>, projection: Option<Vec<usize>> },
    File { reader: StreamReader<BufReader<File>>, path: &'a Path },
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, SpoolError>;

    fn next(&mut self) -> Option<Self::Item> {
        match &mut self.source {
            Source::File { reader, path } => Some(reader.next()?.map_err(rows_of_file("read", path))),
            Source::Memory { batches, projection: None } => Some(Ok(batches.next()?.clone())),
            Source::Memory { batches, projection: Some(columns) } => {
                Some(batches.next()?.project(columns).map_err(rows("choose columns")))
            }
        }
    }
}
