//! The source of a scan as plans know it: DataFusion's own, with readers and errors of the lake.

use std::{fmt, sync::Arc};

use datafusion::{
    catalog::Session,
    common::{Result, config::ConfigOptions, tree_node::TreeNodeRecursion},
    config::TableParquetOptions,
    datasource::{
        physical_plan::{FileOpener, FileScanConfig, ParquetSource},
        table_schema::TableSchema,
    },
    physical_expr::{
        EquivalenceProperties, LexOrdering, PhysicalExpr, PhysicalSortExpr, projection::ProjectionExprs,
    },
    physical_plan::{
        DisplayFormatType, SortOrderPushdownResult, filter_pushdown::FilterPushdownPropagation,
        metrics::ExecutionPlanMetricsSet,
    },
};
use datafusion_datasource::{PartitionedFile, file::FileSource, morsel::Morselizer};
use object_store::ObjectStore;

use super::{morsels::DataFiles, reader::DataFileReaders};

/// A source of Parquet whose errors name the file. What is pushed down goes to the source below.
pub(super) struct DataFileSource(Arc<dyn FileSource>);

impl DataFileSource {
    pub(super) fn over(
        session: &dyn Session,
        store: Arc<dyn ObjectStore>,
        schema: TableSchema,
        options: TableParquetOptions,
    ) -> Arc<dyn FileSource> {
        let footers = session.runtime_env().cache_manager.get_file_metadata_cache();
        let hint = options.global.metadata_size_hint;
        let source = ParquetSource::new(schema)
            .with_table_parquet_options(options)
            .with_parquet_file_reader_factory(Arc::new(DataFileReaders { store, footers }));
        let source = match hint {
            Some(bytes) => source.with_metadata_size_hint(bytes),
            None => source,
        };
        Self::around(Arc::new(source))
    }

    fn around(source: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self(source))
    }
}

impl FileSource for DataFileSource {
    fn create_file_opener(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.0.create_file_opener(store, config, partition)
    }

    fn create_morselizer(
        &self,
        store: Arc<dyn ObjectStore>,
        config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        Ok(Box::new(DataFiles(self.0.create_morselizer(store, config, partition)?)))
    }

    fn table_schema(&self) -> &TableSchema {
        self.0.table_schema()
    }

    fn with_batch_size(&self, rows: usize) -> Arc<dyn FileSource> {
        Self::around(self.0.with_batch_size(rows))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.0.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.0.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.0.metrics()
    }

    fn file_type(&self) -> &str {
        self.0.file_type()
    }

    fn fmt_extra(&self, how: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt_extra(how, f)
    }

    fn supports_repartitioning(&self) -> bool {
        self.0.supports_repartitioning()
    }

    fn repartitioned(
        &self,
        partitions: usize,
        bytes_min: usize,
        ordering: Option<LexOrdering>,
        config: &FileScanConfig,
    ) -> Result<Option<FileScanConfig>> {
        self.0.repartitioned(partitions, bytes_min, ordering, config)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let FilterPushdownPropagation { filters, updated_node } =
            self.0.try_pushdown_filters(filters, config)?;
        Ok(FilterPushdownPropagation { filters, updated_node: updated_node.map(Self::around) })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        known: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.0.try_pushdown_sort(order, known)? {
            SortOrderPushdownResult::Exact { inner } => {
                SortOrderPushdownResult::Exact { inner: Self::around(inner) }
            }
            SortOrderPushdownResult::Inexact { inner } => {
                SortOrderPushdownResult::Inexact { inner: Self::around(inner) }
            }
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
        })
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.0.reorder_files(files)
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        Ok(self.0.try_pushdown_projection(projection)?.map(Self::around))
    }

    fn apply_expressions(
        &self,
        apply: &mut dyn FnMut(&Arc<dyn PhysicalExpr>) -> Result<TreeNodeRecursion>,
    ) -> Result<TreeNodeRecursion> {
        self.0.apply_expressions(apply)
    }
}
