//! A sample of what was served, kept in the lake, so that it can be compared with what training would have seen.
//!
//! Entities are sampled by a hash of their key: the same ones every time. A read only puts rows into a bounded queue; when
//! the queue is full they are counted and left out.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use indexmap::IndexMap;
use millstream_features::view::{EntityKey, FeatureSource, Status};
use millstream_lake::{At, Operation, TableChange};
use millstream_types::TableName;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, interval};

use super::server::{ReadColumn, Readable};
use crate::{EngineError, engine::World, writers::Writers};

/// Rows that wait for being written; more are left out.
const QUEUE_ROWS_MAX: usize = 65_536;
/// How often waiting rows are written.
const WRITE_EVERY: Duration = Duration::from_secs(30);
/// Waiting rows that are written at once.
const BATCH_ROWS: usize = 16_384;

/// The table of served values.
pub(crate) const SERVED: &str = "features.served";

/// One served value.
#[derive(Clone, Debug)]
pub(super) struct ServedRow {
    pub served_at: i64,
    /// The time that was asked for.
    pub at: i64,
    pub service: String,
    pub version: i64,
    pub view: String,
    pub space: u64,
    pub feature: String,
    /// The key's values as a JSON object of texts.
    pub entity: Arc<str>,
    /// None is null.
    pub value: Option<String>,
    pub status: Status,
    /// Of the newest event that the store had for the entity, in microseconds.
    pub event_time: Option<i64>,
}

/// Where served values are handed over.
#[derive(Debug)]
pub(super) struct ServedLog {
    queue: mpsc::Sender<Message>,
    /// Entities with a hash below this are kept; 0 keeps none.
    below: u64,
    left_out: Arc<AtomicU64>,
}

enum Message {
    Row(Box<ServedRow>),
    Flush(oneshot::Sender<Result<(), EngineError>>),
}

impl ServedLog {
    /// Starts the task that writes; it ends with the log.
    pub(super) fn start(world: Arc<World>, sample: f64) -> Self {
        let (queue, rows) = mpsc::channel(QUEUE_ROWS_MAX);
        tokio::spawn(write_all(world, rows));
        Self { queue, below: threshold(sample), left_out: Arc::default() }
    }

    /// Keeps the values of sampled entities. Never waits.
    pub(super) fn offer(
        &self,
        readable: &Readable,
        columns: &IndexMap<String, ArrayRef>,
        keys: &[Vec<Option<EntityKey>>],
        answer: &[ReadColumn],
        at: i64,
        now: i64,
    ) {
        let Some(version) = readable.version.filter(|_| self.below > 0) else { return };
        let is_sampled = |key: &EntityKey| xxhash_rust::xxh3::xxh3_64(key.as_bytes()) < self.below;
        for (view, (definition, keys)) in readable.definition.views.iter().zip(keys).enumerate() {
            let rows: Vec<usize> = keys
                .iter()
                .enumerate()
                .filter(|(_, key)| key.as_ref().is_some_and(is_sampled))
                .map(|(row, _)| row)
                .collect();
            if rows.is_empty() {
                continue;
            }
            let space = definition.space();
            let entities: Vec<Arc<str>> =
                rows.iter().map(|row| entity_text(&definition.keys, columns, *row)).collect();
            for (feature, column) in readable.definition.features.iter().zip(answer) {
                let FeatureSource::View { view: of, feature } = feature.source else { continue };
                let Some(named) = definition.features.get(feature).filter(|_| of == view) else { continue };
                for (row, entity) in rows.iter().zip(&entities) {
                    self.keep(ServedRow {
                        served_at: now,
                        at,
                        service: readable.definition.name.clone(),
                        version,
                        view: definition.name.clone(),
                        space,
                        feature: named.name.clone(),
                        entity: entity.clone(),
                        value: text(&column.values, *row),
                        status: column.statuses.get(*row).copied().unwrap_or(Status::Degraded),
                        event_time: column.event_times.as_ref().and_then(|times| {
                            (*row < times.len() && times.is_valid(*row)).then(|| times.value(*row))
                        }),
                    });
                }
            }
        }
    }

    fn keep(&self, row: ServedRow) {
        if self.queue.try_send(Message::Row(Box::new(row))).is_err() {
            self.left_out.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Returns when everything offered so far is in the lake.
    pub(super) async fn flush(&self) -> Result<(), EngineError> {
        let (done, waited) = oneshot::channel();
        let stopped = || EngineError::Worker { doing: "writing served values" };
        self.queue.send(Message::Flush(done)).await.map_err(|_| stopped())?;
        let left_out = self.left_out.swap(0, Ordering::Relaxed);
        if left_out > 0 {
            tracing::warn!(left_out, "served values came faster than they could be kept");
        }
        waited.await.map_err(|_| stopped())?
    }
}

/// Hashes below this are sampled.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share between 0 and 1 of all hashes, roughly"
)]
fn threshold(sample: f64) -> u64 {
    if sample >= 1.0 { u64::MAX } else { (sample.max(0.0) * u64::MAX as f64) as u64 }
}

/// A value as text, equal for equal values of one type; none for null.
pub(super) fn text(values: &ArrayRef, row: usize) -> Option<String> {
    if values.is_null(row) {
        return None;
    }
    let options = FormatOptions::default();
    ArrayFormatter::try_new(values, &options).ok().map(|formatter| formatter.value(row).to_string())
}

fn entity_text(
    keys: &[millstream_features::view::KeyDefinition],
    columns: &IndexMap<String, ArrayRef>,
    row: usize,
) -> Arc<str> {
    let value = |name: &str| columns.get(name).and_then(|values| text(values, row));
    let entity: serde_json::Map<String, serde_json::Value> =
        keys.iter().map(|key| (key.name.clone(), value(&key.name).into())).collect();
    serde_json::Value::Object(entity).to_string().into()
}

async fn write_all(world: Arc<World>, mut queue: mpsc::Receiver<Message>) {
    let mut waiting: Vec<ServedRow> = Vec::new();
    let mut ticks = interval(WRITE_EVERY);
    loop {
        let message = tokio::select! {
            message = queue.recv() => message,
            _ = ticks.tick() => {
                // A failure is told again by the next flush; the rows stay until then.
                let _ = write(&world, &mut waiting).await;
                continue;
            }
        };
        match message {
            Some(Message::Row(row)) => {
                waiting.push(*row);
                if waiting.len() >= BATCH_ROWS
                    && let Err(error) = write(&world, &mut waiting).await
                {
                    tracing::warn!(%error, "served values cannot be kept");
                    waiting.clear();
                }
            }
            Some(Message::Flush(done)) => {
                let _ = done.send(write(&world, &mut waiting).await);
            }
            None => return,
        }
    }
}

/// The columns of the table of served values.
pub(super) fn served_schema() -> SchemaRef {
    let instant = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let fields = [
        ("served_at", instant()),
        ("at", instant()),
        ("service", DataType::Utf8),
        ("version", DataType::Int64),
        ("view", DataType::Utf8),
        ("space", DataType::Utf8),
        ("feature", DataType::Utf8),
        ("entity", DataType::Utf8),
        ("value", DataType::Utf8),
        ("status", DataType::Utf8),
        ("event_time", instant()),
    ];
    Arc::new(Schema::new(fields.map(|(name, data_type)| Field::new(name, data_type, true)).to_vec()))
}

async fn write(world: &World, waiting: &mut Vec<ServedRow>) -> Result<(), EngineError> {
    if waiting.is_empty() {
        return Ok(());
    }
    let batch = batch(waiting)?;
    let table: TableName = SERVED.parse().map_err(|_| EngineError::Worker { doing: "naming a table" })?;
    let mut writers = Writers::new(&world.lake, &table, served_schema(), 1);
    writers.write(batch).await?;
    let add = writers.finish().await?;
    let base = world.lake.snapshot(&table, At::Latest).await?;
    let change = TableChange {
        schema: base.is_none().then(served_schema),
        add,
        operation: Operation::Append,
        at: Some(world.options.clock.now()),
        ..TableChange::default()
    };
    world.lake.commit(&table, base.as_deref(), change).await?;
    waiting.clear();
    Ok(())
}

fn batch(rows: &[ServedRow]) -> Result<RecordBatch, EngineError> {
    let instants = |of: fn(&ServedRow) -> Option<i64>| -> ArrayRef {
        let values: TimestampMicrosecondArray = rows.iter().map(of).collect();
        Arc::new(values.with_timezone("UTC"))
    };
    let texts = |of: &dyn Fn(&ServedRow) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(of).collect::<StringArray>())
    };
    let versions: ArrayRef = Arc::new(rows.iter().map(|row| Some(row.version)).collect::<Int64Array>());
    let columns = vec![
        instants(|row| Some(row.served_at)),
        instants(|row| Some(row.at)),
        texts(&|row| Some(row.service.clone())),
        versions,
        texts(&|row| Some(row.view.clone())),
        texts(&|row| Some(format!("{:016x}", row.space))),
        texts(&|row| Some(row.feature.clone())),
        texts(&|row| Some(row.entity.to_string())),
        texts(&|row| row.value.clone()),
        texts(&|row| Some(status_word(row.status).to_owned())),
        instants(|row| row.event_time),
    ];
    RecordBatch::try_new(served_schema(), columns)
        .map_err(|source| EngineError::Arrow { action: "put served values together", source })
}

/// The word for a status in tables and answers.
pub(super) fn status_word(status: Status) -> &'static str {
    match status {
        Status::Present => "present",
        Status::Null => "null",
        Status::Missing => "missing",
        Status::Expired => "expired",
        Status::Degraded => "degraded",
    }
}
