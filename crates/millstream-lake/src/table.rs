//! A table provider over any list of data files of one table: a version, a version with staged changes,
//! or just the files that changed.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::{
    catalog::{Session, TableProvider},
    common::{DFSchema, Result, Statistics},
    config::TableParquetOptions,
    datasource::{
        TableType,
        listing::PartitionedFile,
        object_store::ObjectStoreUrl,
        physical_plan::{FileGroup, FileScanConfigBuilder},
        source::DataSourceExec,
        table_schema::TableSchema,
    },
    error::DataFusionError,
    logical_expr::{Expr, TableProviderFilterPushDown, utils::conjunction},
    physical_optimizer::pruning::PruningPredicateBuilder,
    physical_plan::{ExecutionPlan, empty::EmptyExec},
};
use object_store::{ObjectMeta, path::Path as ObjectPath};

use crate::{
    Lake,
    counted::ScanCount,
    file::DataFile,
    scan::{self, ScannedFile},
    stats::{Bounds, FileBounds},
    storage::Storage,
};

/// Scans a list of data files as one table. Files from before a column was added read it as null; files
/// that hold a narrower type are widened.
#[derive(Debug)]
pub struct LakeTable {
    schema: SchemaRef,
    files: Vec<(DataFile, FilePlace)>,
    store: ObjectStoreUrl,
    /// Where the rows of each scan are told, if they are counted.
    count: Option<ScanCount>,
}

impl LakeTable {
    /// A provider of `schema` over `files`. The session that scans it must know the lake's store, see
    /// [`Lake::register`]; a lake in a local folder needs nothing.
    #[allow(clippy::new_ret_no_self)]
    pub fn new(
        lake: &Lake,
        schema: SchemaRef,
        files: Vec<DataFile>,
    ) -> crate::error::Result<Arc<dyn TableProvider>> {
        Self::located(lake, schema, files, None)
    }

    /// The same provider over `files`, whose scans tell their rows to `count`. Such a scan reads all rows of each file that
    /// the log's statistics do not exclude, at least in the columns of its filters, whatever the file's own statistics say.
    pub fn counted(
        lake: &Lake,
        schema: SchemaRef,
        files: Vec<DataFile>,
        count: &ScanCount,
    ) -> crate::error::Result<Arc<dyn TableProvider>> {
        Self::located(lake, schema, files, Some(count.clone()))
    }

    fn located(
        lake: &Lake,
        schema: SchemaRef,
        files: Vec<DataFile>,
        count: Option<ScanCount>,
    ) -> crate::error::Result<Arc<dyn TableProvider>> {
        let store = lake.storage().store_url()?;
        let located = files.into_iter().map(|file| {
            let place = FilePlace::of(lake.storage(), &file);
            (file, place)
        });
        Ok(Arc::new(Self { schema, files: located.collect(), store, count }))
    }

    /// Files of `snapshot` that may hold rows for which `condition` is true, by their statistics alone.
    pub fn files_matching(
        state: &dyn Session,
        snapshot: &crate::Snapshot,
        condition: &Expr,
    ) -> crate::error::Result<Vec<DataFile>> {
        let table = Self {
            schema: snapshot.schema(),
            files: snapshot.files().iter().map(|file| (file.clone(), FilePlace::default())).collect(),
            store: ObjectStoreUrl::local_filesystem(),
            count: None,
        };
        let kept = table.prune(state, std::slice::from_ref(condition)).map_err(|source| {
            let (action, source) = ("choose the files for", Box::new(source));
            crate::LakeError::Rows { action, table: snapshot.table().clone(), source }
        })?;
        Ok(kept.into_iter().map(|scanned| scanned.file.clone()).collect())
    }

    /// The files that may hold rows for which all filters are true.
    fn prune(&self, state: &dyn Session, filters: &[Expr]) -> Result<Vec<Scanned<'_>>> {
        let bounds: Vec<Arc<Bounds>> = self.files.iter().map(|(file, _)| file.bounds(&self.schema)).collect();
        let keep = match conjunction(filters.iter().cloned()) {
            None => None,
            Some(filter) => {
                let schema = DFSchema::try_from(self.schema.clone())?;
                let filter = state.create_physical_expr(filter, &schema)?;
                let predicate =
                    PruningPredicateBuilder::new().with_file_schema(self.schema.clone()).try_build(filter)?;
                let files = FileBounds { schema: self.schema.clone(), files: bounds.clone() };
                if predicate.always_true() { None } else { Some(predicate.prune(&files)?) }
            }
        };
        let kept = |index: usize| keep.as_ref().is_none_or(|keep| keep[index]);
        let scanned = self.files.iter().zip(bounds).enumerate().filter(|(index, _)| kept(*index));
        Ok(scanned.map(|(_, ((file, place), bounds))| Scanned { file, place, bounds }).collect())
    }

    /// The rows of the files that are not `scanned`; `None` where the log does not tell them.
    fn excluded(&self, scanned: &[Scanned<'_>]) -> Option<u64> {
        let rows =
            |files: &mut dyn Iterator<Item = &DataFile>| files.map(DataFile::rows).sum::<Option<u64>>();
        let all = rows(&mut self.files.iter().map(|(file, _)| file))?;
        all.checked_sub(rows(&mut scanned.iter().map(|scanned| scanned.file))?)
    }
}

/// Where a file lies: in its store, and as people find it.
#[derive(Debug, Default)]
struct FilePlace {
    location: ObjectPath,
    shown: String,
}

impl FilePlace {
    fn of(storage: &Storage, file: &DataFile) -> Self {
        let location = storage.file_path(file.table(), file.path());
        let shown = match storage.table_folder(file.table()) {
            Some(folder) => folder.join(file.path()).display().to_string(),
            None => location.to_string(),
        };
        Self { location, shown }
    }
}

struct Scanned<'a> {
    file: &'a DataFile,
    place: &'a FilePlace,
    bounds: Arc<Bounds>,
}

impl Scanned<'_> {
    /// The file as a scan reads it. A counted one is read whatever its statistics say.
    fn partitioned(&self, is_counted: bool) -> PartitionedFile {
        let modified = chrono::DateTime::from_timestamp_millis(self.file.modified_ms());
        let meta = ObjectMeta {
            location: self.place.location.clone(),
            last_modified: modified.unwrap_or_default(),
            size: self.file.size(),
            e_tag: None,
            version: None,
        };
        let scanned = ScannedFile {
            table: self.file.table().clone(),
            path: self.file.path().to_owned(),
            place: self.place.shown.clone(),
            size: self.file.size(),
        };
        let file = PartitionedFile::new_from_meta(meta).with_extension(Arc::new(scanned));
        if is_counted {
            return file;
        }
        file.with_statistics(Arc::new(self.bounds.statistics(self.file.size())))
    }
}

#[async_trait]
impl TableProvider for LakeTable {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Files are pruned here; rows are filtered by the scan once the optimizer has pushed the filter.
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let scanned = self.prune(state, filters)?;
        // A scan that ends before its files do has no rows to compare.
        let count = self.count.as_ref().filter(|_| limit.is_none());
        let count = count.and_then(|count| Some((count, self.excluded(&scanned)?)));
        let counted = |scan: Arc<dyn ExecutionPlan>| match count {
            Some((count, excluded)) => count.over(scan, excluded),
            None => scan,
        };
        if scanned.is_empty() {
            let schema = match projection {
                Some(projection) => Arc::new(self.schema.project(projection)?),
                None => self.schema.clone(),
            };
            return Ok(counted(Arc::new(EmptyExec::new(schema))));
        }
        let statistics: Vec<Statistics> =
            scanned.iter().map(|file| file.bounds.statistics(file.file.size())).collect();
        let statistics = Statistics::try_merge_iter(&statistics, &self.schema)?;
        let is_counted = count.is_some();
        let files: Vec<PartitionedFile> = scanned.iter().map(|file| file.partitioned(is_counted)).collect();
        let groups = FileGroup::new(files).split_files(state.config().target_partitions());
        let mut options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..Default::default()
        };
        options.global.pushdown_filters = true;
        if is_counted {
            // Row groups, pages and files that are left out by statistics are not read, so that their rows would not be counted.
            options.global.pruning = false;
            options.global.enable_page_index = false;
            options.global.bloom_filter_on_read = false;
        }
        // Spark's older timestamps are read as nanoseconds otherwise, in which years before 1677 and after 2262 wrap round.
        options.global.coerce_int96 = Some("us".into());
        options.global.coerce_int96_tz = Some("UTC".into());
        let store = state.runtime_env().object_store(self.store.clone())?;
        let source = scan::source(state, store, TableSchema::from(self.schema.clone()), options);
        let config = FileScanConfigBuilder::new(self.store.clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .build();
        Ok(counted(DataSourceExec::from_data_source(config)))
    }

    fn statistics(&self) -> Option<Statistics> {
        let bounds = self.files.iter().map(|(file, _)| file.bounds(&self.schema).statistics(file.size()));
        Statistics::try_merge_iter(&bounds.collect::<Vec<_>>(), &self.schema).ok()
    }
}

impl From<crate::LakeError> for DataFusionError {
    fn from(error: crate::LakeError) -> Self {
        Self::External(Box::new(error))
    }
}
