//! Rows that are needed more than once: in memory while they are few, in a temporary file of the
//! session beyond that.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::{array::RecordBatch, datatypes::SchemaRef},
    catalog::{TableProvider, streaming::StreamingTable},
    common::Result,
    datasource::MemTable,
    execution::{SendableRecordBatchStream, TaskContext, spill_file::SpillFile},
    physical_plan::{
        EmptyRecordBatchStream, SpillManager,
        memory::MemoryStream,
        metrics::{ExecutionPlanMetricsSet, SpillMetrics},
        streaming::PartitionStream,
    },
    prelude::SessionContext,
};
use futures::{TryStreamExt, future::BoxFuture};

/// Rows that can be read any number of times.
pub struct Spool {
    schema: SchemaRef,
    rows: usize,
    store: Store,
}

enum Store {
    Memory(Vec<RecordBatch>),
    Disk { manager: SpillManager, file: Option<Arc<dyn SpillFile>> },
}

impl Spool {
    /// Takes all of `stream`; more than `memory` bytes go to a temporary file.
    pub fn collect<'a>(
        session: &'a SessionContext,
        mut stream: SendableRecordBatchStream,
        memory: usize,
    ) -> BoxFuture<'a, Result<Arc<Self>>> {
        Box::pin(async move {
            let schema = stream.schema();
            let (mut held, mut bytes, mut rows) = (Vec::new(), 0, 0);
            while let Some(batch) = stream.try_next().await? {
                if batch.num_rows() == 0 {
                    continue;
                }
                rows += batch.num_rows();
                bytes += batch.get_array_memory_size();
                held.push(batch);
                if bytes > memory {
                    return Self::to_disk(session, stream, held, rows).await;
                }
            }
            Ok(Arc::new(Self { schema, rows, store: Store::Memory(held) }))
        })
    }

    async fn to_disk(
        session: &SessionContext,
        mut stream: SendableRecordBatchStream,
        held: Vec<RecordBatch>,
        mut rows: usize,
    ) -> Result<Arc<Self>> {
        let schema = stream.schema();
        let metrics = SpillMetrics::new(&ExecutionPlanMetricsSet::new(), 0);
        let manager = SpillManager::new(session.runtime_env(), metrics, Arc::clone(&schema));
        let mut writer = manager.create_in_progress_file("rows of an incremental table")?;
        for batch in held {
            writer.append_batch(&batch)?;
        }
        while let Some(batch) = stream.try_next().await? {
            if batch.num_rows() > 0 {
                rows += batch.num_rows();
                writer.append_batch(&batch)?;
            }
        }
        let file = writer.finish()?;
        Ok(Arc::new(Self { schema, rows, store: Store::Disk { manager, file } }))
    }

    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The rows, from the first.
    pub fn stream(&self) -> Result<SendableRecordBatchStream> {
        match &self.store {
            Store::Memory(batches) => {
                Ok(Box::pin(MemoryStream::try_new(batches.clone(), Arc::clone(&self.schema), None)?))
            }
            Store::Disk { manager, file: Some(file) } => manager.read_spill_as_stream(Arc::clone(file), None),
            Store::Disk { file: None, .. } => {
                Ok(Box::pin(EmptyRecordBatchStream::new(Arc::clone(&self.schema))))
            }
        }
    }

    /// The rows as a table.
    pub fn provider(self: &Arc<Self>) -> Result<Arc<dyn TableProvider>> {
        match &self.store {
            Store::Memory(batches) => {
                Ok(Arc::new(MemTable::try_new(Arc::clone(&self.schema), vec![batches.clone()])?))
            }
            Store::Disk { .. } => {
                let partition: Arc<dyn PartitionStream> = Arc::new(SpoolPartition(Arc::clone(self)));
                Ok(Arc::new(StreamingTable::try_new(Arc::clone(&self.schema), vec![partition])?))
            }
        }
    }
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match self.store {
            Store::Memory(_) => "memory",
            Store::Disk { .. } => "disk",
        };
        f.debug_struct("Spool").field("rows", &self.rows).field("in", &place).finish_non_exhaustive()
    }
}

#[derive(Debug)]
struct SpoolPartition(Arc<Spool>);

impl PartitionStream for SpoolPartition {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        match self.0.stream() {
            Ok(stream) => stream,
            Err(error) => Box::pin(datafusion::physical_plan::stream::RecordBatchStreamAdapter::new(
                Arc::clone(&self.0.schema),
                futures::stream::once(async move { Err(error) }),
            )),
        }
    }
}
