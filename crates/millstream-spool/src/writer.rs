//! Taking rows in.

use std::{
    fmt,
    fs::File,
    io::BufWriter,
    path::{Path, PathBuf},
    sync::Arc,
};

use arrow::{
    array::RecordBatch,
    datatypes::SchemaRef,
    ipc::writer::{IpcWriteOptions, StreamWriter},
};

use crate::{
    Space, Spool, SpoolError,
    error::{file, rows, rows_of_file},
    held::{Held, compact, size_of},
    spool::Store,
};

/// Takes batches of one schema.
pub struct SpoolWriter {
    space: Arc<Space>,
    schema: SchemaRef,
    store: Written,
    rows: usize,
    bytes: usize,
}

/// Where the rows are so far.
enum Written {
    Memory(Held),
    File(SpillFile, Box<StreamWriter<BufWriter<File>>>),
}

impl SpoolWriter {
    #[must_use]
    pub fn new(space: &Arc<Space>, schema: SchemaRef) -> Self {
        let store = Written::Memory(Held::new(space));
        Self { space: Arc::clone(space), schema, store, rows: 0, bytes: 0 }
    }

    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Keeps a batch, in memory while that has room for it.
    pub fn push(&mut self, batch: RecordBatch) -> Result<(), SpoolError> {
        let batch = compact(batch).map_err(rows("keep rows"))?;
        let bytes = size_of(&batch);
        self.rows += batch.num_rows();
        self.bytes += bytes;
        let batch = match &mut self.store {
            Written::Memory(held) => match held.keep(batch, bytes) {
                None => return Ok(()),
                Some(batch) => batch,
            },
            Written::File(..) => batch,
        };
        self.spill()?;
        self.write(&batch, bytes)
    }

    /// Sends the rows that are in memory, and all that follow, to a file.
    pub fn spill(&mut self) -> Result<(), SpoolError> {
        if let Written::File(..) = self.store {
            return Ok(());
        }
        let path = self.space.next_path()?;
        let open = File::create_new(&path).map_err(file("create", &path))?;
        let spilled = SpillFile { path };
        let options = IpcWriteOptions::default().try_with_compression(self.space.compression());
        let writer = options.and_then(|options| {
            StreamWriter::try_new_with_options(BufWriter::new(open), &self.schema, options)
        });
        let writer = writer.map_err(rows_of_file("write", spilled.path()))?;
        let before = std::mem::replace(&mut self.store, Written::File(spilled, Box::new(writer)));
        let Written::Memory(held) = before else { return Ok(()) };
        // The memory of the rows is free once all of them are written.
        held.batches().iter().try_for_each(|batch| self.write(batch, size_of(batch)))
    }

    fn write(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), SpoolError> {
        if let Written::File(spilled, writer) = &mut self.store {
            writer.write(batch).map_err(rows_of_file("write", spilled.path()))?;
            self.space.count_spilled(bytes);
        }
        Ok(())
    }

    /// Ends the writing and gives all rows, to be read.
    pub fn finish(self) -> Result<Spool, SpoolError> {
        let Self { schema, store, rows, bytes, space } = self;
        let store = match store {
            Written::Memory(held) => Store::Memory(held),
            Written::File(spilled, mut writer) => {
                // Finishing writes what is buffered, too.
                writer.finish().map_err(rows_of_file("write", spilled.path()))?;
                Store::File(spilled)
            }
        };
        Ok(Spool::new(space, schema, store, rows, bytes))
    }
}

impl fmt::Debug for SpoolWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SpoolWriter").field("rows", &self.rows).finish_non_exhaustive()
    }
}

/// A file that is removed when it is no longer needed.
#[derive(Debug)]
pub(crate) struct SpillFile {
    path: PathBuf,
}

impl SpillFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // What cannot be removed now goes with the folder.
        let _ = std::fs::remove_file(&self.path);
    }
}
