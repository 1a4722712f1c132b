//! Rows between the phases of a build: in memory while there is room, then in a file of the spill folder.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufReader, BufWriter},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use arrow::{
    array::{Array, RecordBatch},
    compute::concat_batches,
    datatypes::SchemaRef,
    error::ArrowError,
    ipc::{
        CompressionType,
        reader::StreamReader,
        writer::{IpcWriteOptions, StreamWriter},
    },
};
use tempfile::TempDir;

use crate::DatasetError;

/// How the folder of a build is called, so that one that a killed process left behind can be recognised.
pub const SPILL_PREFIX: &str = "millstream-dataset-";

/// The memory that rows between phases may take together, and the folder for the others. The folder is removed with
/// the last spool.
#[derive(Debug)]
pub(crate) struct Space {
    folder: TempDir,
    limit: usize,
    held: AtomicUsize,
    files: AtomicU64,
    spilled: AtomicU64,
}

impl Space {
    pub(crate) fn new(parent: &Path, limit: usize) -> Result<Arc<Self>, DatasetError> {
        let folder = tempfile::Builder::new().prefix(SPILL_PREFIX).tempdir_in(parent);
        let folder = folder.map_err(failed("create a folder in", parent))?;
        let (held, files, spilled) = Default::default();
        Ok(Arc::new(Self { folder, limit, held, files, spilled }))
    }

    /// Bytes that were written to files so far, as they lay in memory.
    pub(crate) fn spilled_bytes(&self) -> u64 {
        self.spilled.load(Ordering::Relaxed)
    }

    /// Whether `bytes` more fit; if so they are counted.
    fn reserve(&self, bytes: usize) -> bool {
        let add = |held: usize| held.checked_add(bytes).filter(|sum| *sum <= self.limit);
        self.held.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).is_ok()
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }

    fn next_path(&self) -> PathBuf {
        self.folder.path().join(format!("{}.arrows", self.files.fetch_add(1, Ordering::Relaxed)))
    }
}

/// Bytes of the rows of a batch, whatever larger batch they are a part of.
pub(crate) fn size_of(batch: &RecordBatch) -> usize {
    let size = |column: &Arc<dyn Array>| {
        column.to_data().get_slice_memory_size().unwrap_or_else(|_| column.get_array_memory_size())
    };
    batch.columns().iter().map(size).sum()
}

/// Takes batches of one schema.
pub(crate) struct SpoolWriter {
    space: Arc<Space>,
    schema: SchemaRef,
    kept: Kept,
    file: Option<(PathBuf, StreamWriter<BufWriter<File>>)>,
    rows: usize,
    bytes: usize,
}

/// Batches in memory, and what was reserved for them; dropping them gives it back.
#[derive(Debug)]
struct Kept {
    space: Arc<Space>,
    batches: Vec<RecordBatch>,
    reserved: usize,
}

impl Drop for Kept {
    fn drop(&mut self) {
        self.space.release(self.reserved);
    }
}

impl SpoolWriter {
    pub(crate) fn new(space: &Arc<Space>, schema: SchemaRef) -> Self {
        let kept = Kept { space: Arc::clone(space), batches: Vec::new(), reserved: 0 };
        Self { space: Arc::clone(space), schema, kept, file: None, rows: 0, bytes: 0 }
    }

    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn push(&mut self, batch: RecordBatch) -> Result<(), DatasetError> {
        let bytes = size_of(&batch);
        self.rows += batch.num_rows();
        self.bytes += bytes;
        if self.file.is_none() && self.space.reserve(bytes) {
            self.kept.reserved += bytes;
            self.kept.batches.push(batch);
            return Ok(());
        }
        self.spill()?;
        self.write(&batch, bytes)
    }

    /// Sends what is in memory, and everything that comes, to a file.
    pub(crate) fn spill(&mut self) -> Result<(), DatasetError> {
        if self.file.is_some() {
            return Ok(());
        }
        let path = self.space.next_path();
        let file = File::create_new(&path).map_err(failed("create", &path))?;
        let options = IpcWriteOptions::default()
            .try_with_compression(Some(CompressionType::LZ4_FRAME))
            .map_err(broken("write", &path))?;
        let writer = StreamWriter::try_new_with_options(BufWriter::new(file), &self.schema, options);
        self.file = Some((path.clone(), writer.map_err(broken("write", &path))?));
        for batch in std::mem::take(&mut self.kept.batches) {
            self.write(&batch, size_of(&batch))?;
        }
        self.space.release(std::mem::take(&mut self.kept.reserved));
        Ok(())
    }

    fn write(&mut self, batch: &RecordBatch, bytes: usize) -> Result<(), DatasetError> {
        if let Some((path, writer)) = &mut self.file {
            writer.write(batch).map_err(broken("write", path))?;
            self.space.spilled.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    pub(crate) fn finish(self) -> Result<Spool, DatasetError> {
        let Self { schema, kept, file, rows, bytes, .. } = self;
        let file = match file {
            None => None,
            Some((path, mut writer)) => {
                writer.finish().map_err(broken("write", &path))?;
                Some(SpillFile { path })
            }
        };
        Ok(Spool { schema, kept, file, rows, bytes })
    }
}

/// A file that is removed when it is no longer needed.
#[derive(Debug)]
struct SpillFile {
    path: PathBuf,
}

impl Drop for SpillFile {
    fn drop(&mut self) {
        // What cannot be removed now goes with the folder.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// Batches in the order in which they were pushed. They can be read any number of times.
#[derive(Debug)]
pub(crate) struct Spool {
    schema: SchemaRef,
    kept: Kept,
    file: Option<SpillFile>,
    rows: usize,
    bytes: usize,
}

impl Spool {
    pub(crate) fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes of the rows in memory, wherever they are.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn batches(&self) -> Result<Batches<'_>, DatasetError> {
        self.columns(None)
    }

    /// The batches with these columns only, or with all.
    pub(crate) fn columns(&self, projection: Option<Vec<usize>>) -> Result<Batches<'_>, DatasetError> {
        let Some(SpillFile { path }) = &self.file else {
            return Ok(Batches::Memory { batches: self.kept.batches.iter(), projection });
        };
        let file = File::open(path).map_err(failed("open", path))?;
        let reader = StreamReader::try_new(BufReader::new(file), projection).map_err(broken("read", path))?;
        Ok(Batches::File { reader, path })
    }
}

/// The batches of a spool.
#[derive(Debug)]
pub(crate) enum Batches<'a> {
    Memory { batches: std::slice::Iter<'a, RecordBatch>, projection: Option<Vec<usize>> },
    File { reader: StreamReader<BufReader<File>>, path: &'a Path },
}

impl Iterator for Batches<'_> {
    type Item = Result<RecordBatch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self {
            Self::File { reader, path } => Some(reader.next()?.map_err(broken("read", path))),
            Self::Memory { batches, projection: None } => Some(Ok(batches.next()?.clone())),
            Self::Memory { batches, projection: Some(columns) } => {
                Some(batches.next()?.project(columns).map_err(DatasetError::arrow("choose columns")))
            }
        }
    }
}

/// Cuts batches of any sizes into batches of the sizes that are asked for, so that nothing behind it depends on how
/// rows happened to come.
#[derive(Debug)]
pub(crate) struct Cutter<I> {
    batches: I,
    schema: SchemaRef,
    pending: VecDeque<RecordBatch>,
    rows: usize,
}

impl<I: Iterator<Item = Result<RecordBatch, DatasetError>>> Cutter<I> {
    pub(crate) fn new(batches: I, schema: SchemaRef) -> Self {
        Self { batches, schema, pending: VecDeque::new(), rows: 0 }
    }

    /// The next `wanted` rows; fewer only at the end.
    pub(crate) fn take(&mut self, wanted: usize) -> Result<RecordBatch, DatasetError> {
        while self.rows < wanted {
            let Some(batch) = self.batches.next().transpose()? else { break };
            self.rows += batch.num_rows();
            self.pending.push_back(batch);
        }
        let (mut cut, mut missing) = (Vec::new(), wanted.min(self.rows));
        while missing > 0 {
            let Some(batch) = self.pending.pop_front() else { break };
            let rows = missing.min(batch.num_rows());
            if rows < batch.num_rows() {
                self.pending.push_front(batch.slice(rows, batch.num_rows() - rows));
            }
            if rows > 0 {
                cut.push(batch.slice(0, rows));
            }
            missing -= rows;
            self.rows -= rows;
        }
        match cut.as_slice() {
            [one] => Ok(one.clone()),
            several => {
                concat_batches(&self.schema, several).map_err(DatasetError::arrow("put rows together"))
            }
        }
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> DatasetError {
    let path = path.to_path_buf();
    move |source| DatasetError::Spill { action, path, source }
}

fn broken(action: &'static str, path: &Path) -> impl FnOnce(ArrowError) -> DatasetError {
    let path = path.to_path_buf();
    move |source| DatasetError::Spill {
        action,
        path,
        source: match source {
            ArrowError::IoError(_, source) => source,
            other => io::Error::other(other),
        },
    }
}
