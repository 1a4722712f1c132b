//! Rows that are needed more than once, as tables and streams of the query engine: in memory while they are few, in a file
//! of the session's spill folder beyond that.

use std::{fmt, sync::Arc};

use datafusion::{
    arrow::datatypes::SchemaRef,
    catalog::{TableProvider, streaming::StreamingTable},
    common::{DataFusionError, Result},
    datasource::MemTable,
    execution::{SendableRecordBatchStream, TaskContext, runtime_env::RuntimeEnv},
    physical_plan::{
        memory::MemoryStream, stream::RecordBatchReceiverStreamBuilder, streaming::PartitionStream,
    },
};
use futures::{TryStreamExt, future::BoxFuture};
use millstream_query::QueryRuntime;
use millstream_spool::{Space, SpoolError, SpoolWriter};

/// The number of batches that are read ahead of whoever asks for them.
const READ_AHEAD: usize = 2;

/// Rows that can be read any number of times.
#[derive(Clone)]
pub struct Spool {
    rows: Arc<millstream_spool::Spool>,
    /// The runtime is held because the session's spill folder goes with it.
    _runtime: Arc<RuntimeEnv>,
}

impl Spool {
    /// Takes all of `stream`; more than `memory` bytes go to a file.
    pub fn collect<'a>(
        runtime: &'a dyn QueryRuntime,
        mut stream: SendableRecordBatchStream,
        memory: usize,
    ) -> BoxFuture<'a, Result<Arc<Self>>> {
        Box::pin(async move {
            let runtime = Arc::clone(runtime.session().runtime_env());
            // One that was not given a folder uses the system's, and has none before its first file.
            let folder = runtime.disk_manager.temp_dir_paths().into_iter().next();
            let space = Space::new(folder.unwrap_or_else(std::env::temp_dir), memory);
            let mut writer = SpoolWriter::new(&space, stream.schema());
            while let Some(batch) = stream.try_next().await? {
                if batch.num_rows() > 0 {
                    writer.push(batch).map_err(failed)?;
                }
            }
            let rows = Arc::new(writer.finish().map_err(failed)?);
            Ok(Arc::new(Self { rows, _runtime: runtime }))
        })
    }

    #[must_use]
    pub fn schema(&self) -> SchemaRef {
        Arc::clone(self.rows.schema())
    }

    /// The number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.rows()
    }

    /// The rows, from the first.
    pub fn stream(&self) -> Result<SendableRecordBatchStream> {
        match self.rows.in_memory() {
            Some(batches) => Ok(Box::pin(MemoryStream::try_new(batches.to_vec(), self.schema(), None)?)),
            None => Ok(self.read()),
        }
    }

    /// The rows of the file, read on a thread that may wait for the disk.
    fn read(&self) -> SendableRecordBatchStream {
        let mut stream = RecordBatchReceiverStreamBuilder::new(self.schema(), READ_AHEAD);
        let (sender, spool) = (stream.tx(), self.clone());
        stream.spawn_blocking(move || {
            for batch in spool.rows.batches().map_err(failed)? {
                // Nobody reads any more.
                if sender.blocking_send(Ok(batch.map_err(failed)?)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        stream.build()
    }

    /// The rows as a table.
    pub fn provider(self: &Arc<Self>) -> Result<Arc<dyn TableProvider>> {
        match self.rows.in_memory() {
            Some(batches) => Ok(Arc::new(MemTable::try_new(self.schema(), vec![batches.to_vec()])?)),
            None => {
                let partition: Arc<dyn PartitionStream> = Arc::new(SpoolPartition(Arc::clone(self)));
                Ok(Arc::new(StreamingTable::try_new(self.schema(), vec![partition])?))
            }
        }
    }
}

/// The error as the engine passes it on; the message of a spool's error names the file.
fn failed(error: SpoolError) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

impl fmt::Debug for Spool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}

#[derive(Debug)]
struct SpoolPartition(Arc<Spool>);

impl PartitionStream for SpoolPartition {
    fn schema(&self) -> &SchemaRef {
        self.0.rows.schema()
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        self.0.read()
    }
}
