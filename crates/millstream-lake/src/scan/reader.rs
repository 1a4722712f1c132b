//! Where the bytes of data files come from: each read is compared with what was asked for, and a read that failed is looked into.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Mutex, PoisonError},
};

use async_trait::async_trait;
use bytes::Bytes;
use datafusion::{
    datasource::physical_plan::parquet::{CachedParquetFileReaderFactory, ParquetFileReaderFactory},
    execution::cache::cache_manager::FileMetadataCache,
    physical_plan::metrics::ExecutionPlanMetricsSet,
};
use datafusion_datasource::PartitionedFile;
use futures::{FutureExt, future::BoxFuture, stream::BoxStream};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, path::Path,
};
use parquet::{
    arrow::{arrow_reader::ArrowReaderOptions, async_reader::AsyncFileReader},
    errors::ParquetError,
    file::metadata::ParquetMetaData,
};

use super::ScannedFile;
use crate::{FileDamage, LakeError, StorageFault};

/// Makes the readers of a scan's files, which share the footers that they have read.
#[derive(Debug)]
pub(super) struct DataFileReaders {
    pub(super) store: Arc<dyn ObjectStore>,
    pub(super) footers: Arc<FileMetadataCache>,
}

impl ParquetFileReaderFactory for DataFileReaders {
    fn create_reader(
        &self,
        partition_index: usize,
        file: PartitionedFile,
        metadata_size_hint: Option<usize>,
        metrics: &ExecutionPlanMetricsSet,
    ) -> datafusion::common::Result<Box<dyn AsyncFileReader + Send>> {
        let scanned = ScannedFile::of(&file)?;
        let watched = Arc::new(Watched { store: self.store.clone(), scanned, fault: Mutex::default() });
        let readers = CachedParquetFileReaderFactory::new(watched.clone(), self.footers.clone());
        let reader = readers.create_reader(partition_index, file, metadata_size_hint, metrics)?;
        Ok(Box::new(DataFileReader { reader, watched }))
    }
}

/// Reads one file. Its errors are those of the lake where the store failed, and of Parquet otherwise.
struct DataFileReader {
    reader: Box<dyn AsyncFileReader + Send>,
    watched: Arc<Watched>,
}

impl AsyncFileReader for DataFileReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, parquet::errors::Result<Bytes>> {
        async move {
            let parts = self.get_byte_ranges(vec![range]).await?;
            parts.into_iter().next().ok_or_else(|| ParquetError::EOF("nothing was read".to_owned()))
        }
        .boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, parquet::errors::Result<Vec<Bytes>>> {
        let watched = self.watched.clone();
        let parts = self.reader.get_byte_ranges(ranges);
        async move { parts.await.map_err(|error| watched.cause(error)) }.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, parquet::errors::Result<Arc<ParquetMetaData>>> {
        let watched = self.watched.clone();
        let metadata = self.reader.get_metadata(options);
        async move {
            metadata.await.map_err(|error| match watched.cause(error) {
                // The words name the file by its address in the store, in front of what is wrong with it.
                ParquetError::General(words) => {
                    let said = words.rsplit_once("rror: ").map_or(words.as_str(), |(_, said)| said);
                    ParquetError::General(said.to_owned())
                }
                other => other,
            })
        }
        .boxed()
    }
}

/// The store as the reader of one file sees it. Each read gives as many bytes as were asked for, or fails.
#[derive(Debug)]
struct Watched {
    store: Arc<dyn ObjectStore>,
    scanned: Arc<ScannedFile>,
    /// What the last read failed for. The reader passes on only its words.
    fault: Mutex<Option<LakeError>>,
}

impl Watched {
    /// The error as it was before the reader made words of it.
    fn cause(&self, error: ParquetError) -> ParquetError {
        let fault = self.fault.lock().unwrap_or_else(PoisonError::into_inner).take();
        fault.map_or(error, |fault| ParquetError::External(Box::new(fault)))
    }

    fn keep(&self, fault: LakeError) -> object_store::Error {
        let words = fault.to_string();
        *self.fault.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault);
        object_store::Error::Generic { store: "lake", source: words.into() }
    }

    /// What a read means that failed with `error`, or that gave fewer bytes than were asked for. The store is asked for the file's size,
    /// since no two stores tell of a file that is too short in the same way.
    async fn fault(&self, location: &Path, error: Option<object_store::Error>) -> LakeError {
        let written = self.scanned.size;
        match (self.store.head(location).await, error) {
            (Ok(found), _) if found.size != written => {
                self.scanned.damaged(FileDamage::Resized { written, found: found.size })
            }
            (Err(object_store::Error::NotFound { .. }), _) => self.scanned.damaged(FileDamage::Gone),
            (_, Some(error)) | (Err(error), None) => self.away(error),
            (Ok(_), None) => self.away(object_store::Error::Generic {
                store: "lake",
                source: "the store gave fewer bytes than it was asked for".into(),
            }),
        }
    }

    /// A file of the right size is there, or may be: whatever kept it from being read may pass, but for a refusal.
    fn away(&self, error: object_store::Error) -> LakeError {
        match LakeError::store("read", &self.scanned.place, error) {
            LakeError::Storage {
                action,
                path,
                fault: StorageFault::Other | StorageFault::Missing,
                source,
            } => LakeError::Storage { action, path, fault: StorageFault::Unavailable, source },
            other => other,
        }
    }
}

impl fmt::Display for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.store.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Watched {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> object_store::Result<PutResult> {
        self.store.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> object_store::Result<Box<dyn MultipartUpload>> {
        self.store.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> object_store::Result<GetResult> {
        self.store.get_opts(location, options).await
    }

    /// All reads of the reader come here.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> object_store::Result<Vec<Bytes>> {
        let size = self.scanned.size;
        if let Some(beyond) = ranges.iter().find(|range| range.start > range.end || range.end > size) {
            let because = format!("it tells of bytes {} to {}, and has {size}", beyond.start, beyond.end);
            return Err(self.keep(self.scanned.damaged(FileDamage::Unreadable { because })));
        }
        let is_whole = |parts: &Vec<Bytes>| {
            let lengths = parts.iter().map(|part| part.len() as u64);
            lengths.eq(ranges.iter().map(|range| range.end - range.start))
        };
        let error = match self.store.get_ranges(location, ranges).await {
            Ok(parts) if is_whole(&parts) => return Ok(parts),
            Ok(_) => None,
            Err(error) => Some(error),
        };
        Err(self.keep(self.fault(location, error).await))
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, object_store::Result<Path>>,
    ) -> BoxStream<'static, object_store::Result<Path>> {
        self.store.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, object_store::Result<ObjectMeta>> {
        self.store.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> object_store::Result<ListResult> {
        self.store.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> object_store::Result<()> {
        self.store.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> object_store::Result<()> {
        self.store.rename_opts(from, to, options).await
    }
}
