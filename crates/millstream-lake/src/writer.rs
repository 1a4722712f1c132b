//! Writes rows into Parquet files of one table. The files are in no version until they are committed.

use std::{
    fs::File,
    io::{self, Write},
    path::{Path, PathBuf},
    thread,
};

use arrow::{
    array::{Array, AsArray, RecordBatch},
    compute::cast,
    datatypes::{DataType, Float32Type, Float64Type, Schema, SchemaRef},
};
use futures::future::BoxFuture;
use millstream_types::TableName;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    errors::ParquetError,
};
use tokio::task::JoinHandle;

use crate::{
    Lake, collect,
    delta::FilePath,
    durable, encoding,
    error::{Cause, LakeError, Result},
    file::{DataFile, StagedFile},
    upload::Upload,
};

/// How rows are cut into files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WriteOptions {
    /// A new file starts when the current one has reached this size.
    pub target_bytes: u64,
    /// The number of rows that are encoded together; more rows compress better and take more memory.
    pub row_group_rows: usize,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { target_bytes: 128 << 20, row_group_rows: 1 << 20 }
    }
}

/// Writes record batches into files of about `target_bytes`. Several writers of one table may run in
/// parallel threads; each makes files of its own. Dropped without [`TableWriter::finish`], it deletes
/// its files as far as it can.
pub struct TableWriter {
    lake: Lake,
    table: TableName,
    schema: SchemaRef,
    options: WriteOptions,
    open: Option<OpenFile>,
    closed: Vec<ClosedFile>,
}

impl std::fmt::Debug for TableWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableWriter").field("table", &self.table).finish_non_exhaustive()
    }
}

struct OpenFile {
    name: String,
    writer: ArrowWriter<Sink>,
    /// Which top-level float columns hold a NaN.
    nan: Vec<bool>,
}

struct ClosedFile {
    file: DataFile,
    stored: Stored,
}

/// The work that has to end before a file is safe.
enum Stored {
    Syncing(thread::JoinHandle<io::Result<()>>),
    Uploading(JoinHandle<object_store::Result<()>>),
}

enum Sink {
    Local(File),
    Remote(Upload),
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Local(file) => file.write(bytes),
            Self::Remote(upload) => upload.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Local(file) => file.flush(),
            Self::Remote(upload) => upload.flush(),
        }
    }
}

impl TableWriter {
    pub(crate) fn new(lake: Lake, table: TableName, schema: &Schema, options: WriteOptions) -> Self {
        let schema = encoding::nullable(schema);
        Self { lake, table, schema, options, open: None, closed: Vec::new() }
    }

    /// The schema as the table will have it: nullable, with plain strings.
    #[must_use]
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Encodes the rows on the caller's thread. Columns are matched by position; views, dictionaries and
    /// large strings become plain ones, any other difference of type is an error.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        let batch = self.conform(batch)?;
        if self.open.is_none() {
            self.open = Some(self.open_file(&batch)?);
        }
        let Some(open) = &mut self.open else { return Ok(()) };
        for (nan, column) in open.nan.iter_mut().zip(batch.columns()) {
            *nan = *nan || has_nan(column.as_ref());
        }
        let written = open.writer.write(&batch);
        let bytes = open.writer.bytes_written().saturating_add(open.writer.in_progress_size());
        written.map_err(|error| self.failed(error.into()))?;
        if bytes as u64 >= self.options.target_bytes {
            self.close_file()?;
        }
        Ok(())
    }

    /// Ends the last file and waits until every file is stored; on a local disk, synced.
    pub fn finish(mut self) -> BoxFuture<'static, Result<Vec<StagedFile>>> {
        Box::pin(async move {
            self.close_file()?;
            let mut staged = Vec::with_capacity(self.closed.len());
            while let Some(closed) = self.closed.pop() {
                let path = self.lake.storage().table_path(&self.table).join(closed.file.path());
                let failed =
                    |source: Cause| LakeError::Rows { action: "store", table: self.table.clone(), source };
                // The file left `closed`, so that the clean-up after an error finds it only in `staged`.
                staged.push(StagedFile(closed.file));
                let stored = match closed.stored {
                    Stored::Uploading(task) => match task.await {
                        Ok(stored) => stored.map_err(|error| LakeError::store("write", path, error)),
                        Err(error) => Err(failed(Box::new(error))),
                    },
                    Stored::Syncing(thread) => match tokio::task::spawn_blocking(|| thread.join()).await {
                        Ok(Ok(synced)) => synced.map_err(|error| LakeError::io("sync", path, error)),
                        Ok(Err(_)) => Err(failed("the thread that syncs the file failed".into())),
                        Err(error) => Err(failed(Box::new(error))),
                    },
                };
                if let Err(error) = stored {
                    self.lake.discard(staged).await;
                    return Err(error);
                }
            }
            staged.reverse();
            self.lake.remember_staged(&staged);
            Ok(staged)
        })
    }

    fn open_file(&self, first: &RecordBatch) -> Result<OpenFile> {
        let name = format!("{}.parquet", uuid::Uuid::now_v7());
        let properties = encoding::properties(first, self.options.row_group_rows);
        // Arrow's own schema would repeat in every file what Delta's schema says.
        let options = ArrowWriterOptions::new().with_properties(properties).with_skip_arrow_metadata(true);
        let sink = self.sink(&name)?;
        let writer = ArrowWriter::try_new_with_options(sink, self.schema.clone(), options)
            .map_err(|error| self.failed(error.into()))?;
        Ok(OpenFile { name, writer, nan: vec![false; self.schema.fields().len()] })
    }

    fn sink(&self, name: &str) -> Result<Sink> {
        let storage = self.lake.storage();
        if let Some(folder) = storage.table_folder(&self.table) {
            let failed = |error| LakeError::io("create", folder.join(name).display(), error);
            durable::create_folders(&folder).map_err(failed)?;
            return File::create_new(folder.join(name)).map(Sink::Local).map_err(failed);
        }
        let path = storage.table_path(&self.table).join(name);
        let runtime = storage.uploads.as_ref().and_then(|uploads| uploads.handle());
        let runtime = runtime.ok_or_else(|| self.failed("the lake has no upload runtime".into()))?;
        Ok(Sink::Remote(Upload::new(runtime, storage.store.clone(), path)))
    }

    fn close_file(&mut self) -> Result<()> {
        let Some(mut open) = self.open.take() else { return Ok(()) };
        let closed = self.close(&mut open);
        match closed {
            Ok(closed) => {
                self.closed.push(closed);
                Ok(())
            }
            Err(error) => {
                // The file is put back, so that dropping the writer deletes it.
                self.open = Some(open);
                Err(error)
            }
        }
    }

    fn close(&self, open: &mut OpenFile) -> Result<ClosedFile> {
        let metadata = open.writer.finish().map_err(|error| self.failed(error.into()))?;
        let size = open.writer.bytes_written() as u64;
        millstream_usage::wrote(size);
        let stats = collect::stats_json(&self.schema, &open.nan, &metadata);
        let stored = match open.writer.inner_mut() {
            Sink::Local(file) => {
                let file = file.try_clone().map_err(|error| self.failed(error.into()))?;
                // The file is synced while the next one is written.
                Stored::Syncing(thread::spawn(move || file.sync_data()))
            }
            Sink::Remote(upload) => {
                Stored::Uploading(upload.complete().map_err(|error| self.failed(error.into()))?)
            }
        };
        let file = DataFile::new(&self.table, FilePath::of(&open.name), size, 0, true, Some(stats));
        Ok(ClosedFile { file, stored })
    }

    fn conform(&self, batch: &RecordBatch) -> Result<RecordBatch> {
        let unfit = |reason| LakeError::Schema { table: self.table.clone(), reason };
        if batch.num_columns() != self.schema.fields().len() {
            return Err(unfit(format!(
                "{} columns were written, the schema has {}",
                batch.num_columns(),
                self.schema.fields().len()
            )));
        }
        let columns = self.schema.fields().iter().zip(batch.columns()).map(|(field, column)| {
            if column.data_type() == field.data_type() {
                return Ok(column.clone());
            }
            if !same_values(column.data_type(), field.data_type()) {
                return Err(unfit(format!(
                    "column `{}` is {}, not {}",
                    field.name(),
                    field.data_type(),
                    column.data_type()
                )));
            }
            cast(column, field.data_type()).map_err(|error| self.failed(error.into()))
        });
        let columns = columns.collect::<Result<Vec<_>>>()?;
        RecordBatch::try_new(self.schema.clone(), columns).map_err(|error| self.failed(error.into()))
    }

    /// The error for a fault that a library reports while writing. Where an error of the operating system lies below it,
    /// that one decides the kind of fault.
    fn failed(&self, source: Cause) -> LakeError {
        match crate::error::io_cause(source.as_ref()) {
            Some(fault) => {
                let storage = self.lake.storage();
                let path = match storage.table_folder(&self.table) {
                    Some(folder) => folder.display().to_string(),
                    None => storage.table_path(&self.table).to_string(),
                };
                LakeError::Storage { action: "write", path, fault, source: below_parquet(source) }
            }
            None => LakeError::Rows { action: "write", table: self.table.clone(), source },
        }
    }
}

/// The cause below an error of the Parquet writer that only passes it on.
fn below_parquet(source: Cause) -> Cause {
    match source.downcast::<ParquetError>() {
        Ok(error) => match *error {
            ParquetError::External(inner) => inner,
            other => other.into(),
        },
        Err(other) => other,
    }
}

impl Drop for TableWriter {
    fn drop(&mut self) {
        let Some(folder) = self.lake.storage().table_folder(&self.table) else { return };
        let open = self.open.take().map(|open| open.name);
        let closed = self.closed.drain(..).map(|closed| closed.file.path().to_owned());
        for name in open.into_iter().chain(closed) {
            remove(&folder, &name);
        }
    }
}

fn remove(folder: &Path, name: &str) {
    let path: PathBuf = folder.join(name);
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::warn!(path = %path.display(), %error, "an unfinished file stays until the next maintenance");
    }
}

fn has_nan(column: &dyn Array) -> bool {
    match column.data_type() {
        DataType::Float32 => column.as_primitive::<Float32Type>().values().iter().any(|v| v.is_nan()),
        DataType::Float64 => column.as_primitive::<Float64Type>().values().iter().any(|v| v.is_nan()),
        _ => false,
    }
}

/// Whether both types hold the same values in another layout, never with another meaning.
fn same_values(from: &DataType, to: &DataType) -> bool {
    match (from, to) {
        (DataType::Utf8View | DataType::LargeUtf8, DataType::Utf8)
        | (DataType::BinaryView | DataType::LargeBinary, DataType::Binary) => true,
        (DataType::Dictionary(_, value), to) => value.as_ref() == to || same_values(value, to),
        (DataType::Timestamp(a, Some(_)), DataType::Timestamp(b, Some(_))) => a == b,
        (DataType::List(from), DataType::List(to)) => same_or_equal(from.data_type(), to.data_type()),
        (DataType::Struct(from), DataType::Struct(to)) => {
            from.len() == to.len()
                && from.iter().zip(to).all(|(from, to)| {
                    from.name() == to.name() && same_or_equal(from.data_type(), to.data_type())
                })
        }
        (DataType::Null, _) => true,
        _ => false,
    }
}

fn same_or_equal(from: &DataType, to: &DataType) -> bool {
    from == to || same_values(from, to)
}
