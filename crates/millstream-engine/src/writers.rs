//! Encoding rows on several threads: each thread owns a writer of the same table, and the threads take batches in turn.

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::{Stream, StreamExt};
use millstream_lake::{Lake, StagedFile, TableWriter, WriteOptions};
use millstream_types::TableName;
use millstream_usage::charged;
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{EngineError, stored};

/// The number of batches that may wait for each writer; more would only hold memory.
const BATCHES_WAITING: usize = 2;

/// Writers of one table, started when the first batch comes.
#[derive(Debug)]
pub(crate) struct Writers {
    lake: Lake,
    table: TableName,
    schema: SchemaRef,
    count: usize,
    started: Vec<Writer>,
    next: usize,
}

#[derive(Debug)]
struct Writer {
    batches: mpsc::Sender<RecordBatch>,
    thread: JoinHandle<Result<TableWriter, EngineError>>,
}

impl Writers {
    pub(crate) fn new(lake: &Lake, table: &TableName, schema: SchemaRef, count: usize) -> Self {
        let count = count.max(1);
        Self { lake: lake.clone(), table: table.clone(), schema, count, started: Vec::new(), next: 0 }
    }

    /// Hands `batch` to the next writer, waiting while its queue is full.
    pub(crate) async fn write(&mut self, batch: RecordBatch) -> Result<(), EngineError> {
        if batch.num_rows() == 0 {
            return Ok(());
        }
        if self.next >= self.started.len() {
            self.started.push(self.start());
        }
        let writer = self.started.get_mut(self.next);
        self.next = (self.next + 1) % self.count;
        let sent = match writer {
            Some(writer) => writer.batches.send(batch).await.is_ok(),
            None => false,
        };
        if sent { Ok(()) } else { Err(self.failure().await) }
    }

    /// Hands over every batch of a stream.
    pub(crate) async fn write_all<S>(&mut self, rows: &mut S) -> Result<(), EngineError>
    where
        S: Stream<Item = datafusion::error::Result<RecordBatch>> + Unpin,
    {
        while let Some(batch) = rows.next().await {
            let batch = batch.map_err(|source| stored::failed(&self.table, source))?;
            self.write(batch).await?;
        }
        Ok(())
    }

    /// Closes all files and makes them durable. Nothing is visible before the commit that names them. When one writer
    /// fails, as on a full disk, the files of all are deleted: nobody would ever name them.
    pub(crate) async fn finish(self) -> Result<Vec<StagedFile>, EngineError> {
        let mut files = Vec::new();
        let mut failure = None;
        for writer in self.started {
            drop(writer.batches);
            let finished = match joined(writer.thread.await) {
                Ok(writer) if failure.is_none() => writer.finish().await.map_err(EngineError::from),
                // Dropping the writer deletes what it has written.
                Ok(_) => continue,
                Err(error) => Err(error),
            };
            match finished {
                Ok(finished) => files.extend(finished),
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        let Some(failure) = failure else { return Ok(files) };
        self.lake.discard(files).await;
        Err(failure)
    }

    fn start(&self) -> Writer {
        let mut writer = self.lake.writer(&self.table, self.schema.clone(), WriteOptions::default());
        let (batches, mut received) = mpsc::channel::<RecordBatch>(BATCHES_WAITING);
        let thread = tokio::task::spawn_blocking(charged(move || {
            while let Some(batch) = received.blocking_recv() {
                writer.write(&batch)?;
            }
            Ok(writer)
        }));
        Writer { batches, thread }
    }

    /// The error of the writer that stopped taking batches. This waits until all writers have ended, because by then their files
    /// are deleted: on a full disk nothing else makes room.
    async fn failure(&mut self) -> EngineError {
        let mut failure = None;
        for writer in std::mem::take(&mut self.started) {
            drop(writer.batches);
            // Dropping the writer deletes what it has written.
            failure = failure.or(joined(writer.thread.await).err());
        }
        failure.unwrap_or(EngineError::Worker { doing: "writing files" })
    }
}

fn joined(
    result: Result<Result<TableWriter, EngineError>, tokio::task::JoinError>,
) -> Result<TableWriter, EngineError> {
    result.unwrap_or(Err(EngineError::Worker { doing: "writing files" }))
}
