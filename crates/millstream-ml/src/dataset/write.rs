//! The data file and the manifest on disk. Both appear whole or not at all, the data first.

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::{Path, PathBuf},
};

use arrow::{array::RecordBatch, datatypes::SchemaRef};
use parquet::{
    arrow::ArrowWriter,
    basic::{Compression, ZstdLevel},
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
    },
};
use tempfile::NamedTempFile;

use super::{
    manifest::{DataFile, Manifest},
    plan::DatasetPlan,
};
use crate::{Cause, DatasetError};

/// Rows of a row group.
const GROUP_ROWS: usize = 1 << 18;
/// The maker that every file names. It has no version of the code, which would change the bytes of equal data.
const CREATED_BY: &str = "millstream";
/// The key of the dataset's version in the file's metadata.
pub const VERSION_KEY: &str = "millstream.dataset.version";

/// The number of digits of a file's hash that name the file.
const NAME_DIGITS: usize = 32;

/// Writes the data file under a temporary name.
pub(crate) struct DataWriter {
    /// The place of the file, or the folder for a file that is named by its hash.
    path: PathBuf,
    named_by_hash: bool,
    file: NamedTempFile,
    writer: ArrowWriter<Hashing<BufWriter<File>>>,
}

impl DataWriter {
    pub(crate) fn new(plan: &DatasetPlan, schema: &SchemaRef, version: &str) -> Result<Self, DatasetError> {
        let (path, named_by_hash) = (plan.output.as_path(), plan.named_by_hash);
        let file = if named_by_hash { within(path) } else { beside(path) }?;
        let handle = file.reopen().map_err(failed("write", path))?;
        let zstd = ZstdLevel::default();
        let version = KeyValue::new(VERSION_KEY.into(), version.to_owned());
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(zstd))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_created_by(CREATED_BY.into())
            .set_key_value_metadata(Some(vec![version]))
            .build();
        let hashing = Hashing { inner: BufWriter::new(handle), hasher: blake3::Hasher::new(), bytes: 0 };
        let writer = ArrowWriter::try_new(hashing, schema.clone(), Some(properties));
        let writer = writer.map_err(failed("write", path))?;
        Ok(Self { path: path.into(), named_by_hash, file, writer })
    }

    pub(crate) fn write(&mut self, batch: &RecordBatch) -> Result<(), DatasetError> {
        self.writer.write(batch).map_err(failed("write", &self.path))
    }

    pub(crate) fn finish(mut self) -> Result<Written, DatasetError> {
        let metadata = self.writer.finish().map_err(failed("write", &self.path))?;
        // Told by the file, so that rows which were handed over and are not in it are missed.
        let rows = u64::try_from(metadata.file_metadata().num_rows()).unwrap_or(0);
        let hashing = self.writer.inner_mut();
        hashing.flush().map_err(failed("write", &self.path))?;
        hashing.inner.get_ref().sync_all().map_err(failed("sync", &self.path))?;
        let (bytes, blake3) = (hashing.bytes, hashing.hasher.finalize().to_hex().to_string());
        let path = match blake3.get(..NAME_DIGITS).filter(|_| self.named_by_hash) {
            Some(name) => self.path.join(format!("{name}.parquet")),
            None => self.path,
        };
        Ok(Written { path, file: self.file, data: DataFile { rows, bytes, blake3 } })
    }
}

/// A whole data file that has no name yet.
pub(crate) struct Written {
    /// The name that it gets.
    pub(crate) path: PathBuf,
    file: NamedTempFile,
    pub(crate) data: DataFile,
}

impl Written {
    /// Gives the data file and its manifest their names.
    pub(crate) fn publish(self, manifest: &Manifest) -> Result<PathBuf, DatasetError> {
        let path = Manifest::path_of(&self.path);
        let mut file = beside(&path)?;
        file.write_all(&manifest.to_bytes()?).map_err(failed("write", &path))?;
        file.as_file().sync_all().map_err(failed("sync", &path))?;
        self.file.persist(&self.path).map_err(failed("rename", &self.path))?;
        file.persist(&path).map_err(failed("rename", &path))?;
        Ok(path)
    }
}

/// A new file in the folder of `path`, so that it can be renamed to `path`. It is removed unless it is renamed.
fn beside(path: &Path) -> Result<NamedTempFile, DatasetError> {
    within(path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new(".")))
}

fn within(folder: &Path) -> Result<NamedTempFile, DatasetError> {
    std::fs::create_dir_all(folder).map_err(failed("create the folder", folder))?;
    let mut builder = tempfile::Builder::new();
    builder.prefix(".millstream-").suffix(".tmp");
    #[cfg(unix)]
    {
        // Like any new file, it is for those whom the process's mask allows; a temporary file would be for its owner only.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o666);
        builder.permissions(mode);
    }
    builder.tempfile_in(folder).map_err(failed("create a file in", folder))
}

fn failed<E: Into<Cause>>(action: &'static str, path: &Path) -> impl FnOnce(E) -> DatasetError {
    let path = path.to_path_buf();
    move |source| DatasetError::Output { action, path, source: source.into() }
}

/// A writer that counts and hashes the bytes that pass through it.
struct Hashing<W> {
    inner: W,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hasher.update(bytes.get(..written).unwrap_or_default());
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
