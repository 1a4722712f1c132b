//! A sample of what was served, kept in the lake, so that it can be compared with what training would have seen.
//!
//! Entities are sampled by a hash of their key: the same ones every time. A read only puts rows into a queue, and so many in
//! half a minute at most: however much is read, keeping some of it costs next to nothing.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use arrow::{
    array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray},
    compute::can_cast_types,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    util::display::{ArrayFormatter, FormatOptions},
};
use indexmap::IndexMap;
use millstream_features::view::{Columns, EntityKey, FeatureSource, Status};
use millstream_lake::At;
use millstream_types::TableName;
use serde_json::Value;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Duration, interval};

use super::server::{ReadColumn, Readable};
use crate::{
    EngineError,
    error::told,
    process::Process,
    publish::{Append, append},
};

/// The time between two writes of waiting rows.
const WRITE_EVERY: Duration = Duration::from_secs(30);
/// Rows that are kept between two writes; more are left out.
const ROWS_MAX: usize = 16_384;

/// The table of served values.
pub(crate) const SERVED: &str = "features.served";

/// A served value.
#[derive(Clone, Debug)]
pub(super) struct ServedRow {
    pub served_at: i64,
    /// The time that was asked for.
    pub at: i64,
    /// The service and its version; a read of a list of features has none.
    pub service: Option<(String, i64)>,
    /// The view of the feature; a feature that is computed on demand has none.
    pub view: Option<String>,
    pub space: Option<u64>,
    pub feature: String,
    /// The values of the key, or for an on-demand feature all columns of the request, as a JSON object of texts.
    pub entity: Arc<str>,
    /// The value as text; none is null.
    pub value: Option<String>,
    pub status: Status,
    /// The time of the newest event that the store had for the entity, in microseconds.
    pub event_time: Option<i64>,
}

/// A read with its answer.
pub(super) struct Answered<'a> {
    pub readable: &'a Readable,
    /// The columns of the request.
    pub columns: &'a IndexMap<String, ArrayRef>,
    /// The keys of the request's entities, by view, then by row.
    pub keys: &'a [Arc<[Option<EntityKey>]>],
    /// The columns that were read, by view.
    pub read: &'a [Columns],
    pub answer: &'a [ReadColumn],
    pub rows: usize,
    /// The time that was asked for, in microseconds.
    pub at: i64,
    pub now: i64,
}

/// Features that are kept together: those of a view, or those that are computed on demand.
struct ServedGroup<'a> {
    /// The number, name and space of the view; on-demand features have none.
    view: Option<(usize, &'a str, u64)>,
    /// The columns of the request with which the features are read.
    columns: Vec<&'a str>,
    /// Each feature has a name, its column of the answer, and the views that it is computed of.
    features: Vec<(&'a str, &'a ReadColumn, Vec<usize>)>,
}

impl<'a> Answered<'a> {
    fn groups(&self) -> Vec<ServedGroup<'a>> {
        let readable = self.readable;
        let features = || readable.definition.features.iter().zip(self.answer);
        let views = readable.definition.views.iter().zip(readable.spaces()).enumerate();
        let of_views = views.map(|(view, (definition, space))| {
            let own = features().filter_map(|(feature, column)| match feature.source {
                FeatureSource::View { view: of, feature } if of == view => {
                    Some((definition.features.get(feature)?.name.as_str(), column, vec![view]))
                }
                _ => None,
            });
            ServedGroup {
                view: Some((view, definition.name.as_str(), space)),
                columns: definition.keys.iter().map(|key| key.name.as_str()).collect(),
                features: own.collect(),
            }
        });
        let computed = features().filter_map(|(feature, column)| match feature.source {
            FeatureSource::OnDemand(index) => {
                let views = readable.inputs_of(index).into_iter().map(|(view, _)| view);
                Some((feature.name.as_str(), column, views.collect()))
            }
            FeatureSource::View { .. } => None,
        });
        let columns = readable.keys.iter().chain(readable.request.iter());
        let on_demand = ServedGroup {
            view: None,
            columns: columns.map(|field| field.name().as_str()).collect(),
            features: computed.collect(),
        };
        let is_kept = |group: &ServedGroup<'_>| {
            let mut columns = group.columns.iter().filter_map(|name| self.columns.get(*name));
            // What is computed on demand is computed again by the service that defines it.
            let is_defined = group.view.is_some() || readable.version.is_some();
            is_defined && !group.features.is_empty() && columns.all(|values| is_read_back(values.data_type()))
        };
        of_views.chain([on_demand]).filter(is_kept).collect()
    }

    /// The key that decides whether a row of a group is sampled.
    fn key(&self, group: &ServedGroup<'_>, row: usize) -> Option<&'a EntityKey> {
        match group.view {
            Some((view, ..)) => self.keys.get(view)?.get(row)?.as_ref(),
            None => self.keys.iter().find_map(|keys| keys.get(row)?.as_ref()),
        }
    }
}

/// Whether [`text`] of such values can be cast to what they were.
fn is_read_back(data_type: &DataType) -> bool {
    let is_bytes = matches!(
        data_type,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView | DataType::FixedSizeBinary(_)
    );
    !is_bytes && !data_type.is_nested() && can_cast_types(&DataType::Utf8, data_type)
}

/// The log to which reads hand over served values.
#[derive(Debug)]
pub(super) struct ServedLog {
    queue: mpsc::Sender<Message>,
    /// The number of rows that may still come before the next write.
    room: Arc<AtomicUsize>,
}

enum Message {
    Row(Box<ServedRow>),
    Flush(oneshot::Sender<Result<(), EngineError>>),
}

impl ServedLog {
    /// Starts the task that writes; it ends with the log.
    pub(super) fn start(process: Arc<Process>) -> Self {
        let (queue, rows) = mpsc::channel(ROWS_MAX);
        let room = Arc::new(AtomicUsize::new(ROWS_MAX));
        tokio::spawn(write_all(process, rows, Arc::clone(&room)));
        Self { queue, room }
    }

    /// Keeps the values of sampled entities: those with a hash below the [`threshold`] of the share that is wanted. Never
    /// waits.
    pub(super) fn offer(&self, below: u64, answered: &Answered<'_>) {
        if below == 0 {
            return;
        }
        let is_sampled = |key: &EntityKey| xxhash_rust::xxh3::xxh3_64(key.as_bytes()) < below;
        let mut keys = answered.keys.iter().flat_map(|keys| keys.iter().flatten());
        // Most reads end here.
        if self.room.load(Ordering::Relaxed) == 0 || !keys.any(is_sampled) {
            return;
        }
        let groups = answered.groups();
        for row in 0..answered.rows {
            for group in &groups {
                // All features of an entity or none, so that each is kept as often as the others.
                if answered.key(group, row).is_some_and(is_sampled) && self.has_room(group.features.len()) {
                    self.keep(answered, group, row);
                }
            }
        }
    }

    fn keep(&self, answered: &Answered<'_>, group: &ServedGroup<'_>, row: usize) {
        let Readable { definition, version, .. } = answered.readable;
        let entity = entity_text(&group.columns, answered.columns, row);
        for (feature, column, views) in &group.features {
            let times =
                views.iter().filter_map(|view| answered.read.get(*view)).map(|view| &view.event_times);
            let row = ServedRow {
                served_at: answered.now,
                at: answered.at,
                service: version.map(|version| (definition.name.clone(), version)),
                view: group.view.map(|(_, name, _)| name.to_owned()),
                space: group.view.map(|(.., space)| space),
                feature: (*feature).to_owned(),
                entity: entity.clone(),
                value: text(&column.values, row),
                status: column.statuses.get(row).copied().unwrap_or(Status::Degraded),
                event_time: newest(times, row),
            };
            if self.queue.try_send(Message::Row(Box::new(row))).is_err() {
                self.room.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// Takes room for so many rows.
    fn has_room(&self, rows: usize) -> bool {
        let less = |room: usize| room.checked_sub(rows);
        self.room.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok()
    }

    /// Returns when everything offered so far is in the lake.
    pub(super) async fn flush(&self) -> Result<(), EngineError> {
        let (done, waited) = oneshot::channel();
        let stopped = || EngineError::Worker { doing: "writing served values" };
        self.queue.send(Message::Flush(done)).await.map_err(|_| stopped())?;
        waited.await.map_err(|_| stopped())?
    }
}

/// The entities whose hashes are below this are that share of all. 0 is none.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share between 0 and 1 of all hashes, roughly"
)]
pub(super) fn threshold(sample: f64) -> u64 {
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

fn entity_text(names: &[&str], columns: &IndexMap<String, ArrayRef>, row: usize) -> Arc<str> {
    let value = |name: &str| columns.get(name).and_then(|values| text(values, row));
    let entity: serde_json::Map<String, serde_json::Value> =
        names.iter().map(|name| ((*name).to_owned(), value(name).into())).collect();
    serde_json::Value::Object(entity).to_string().into()
}

/// The latest time of a row.
fn newest<'a>(times: impl IntoIterator<Item = &'a TimestampMicrosecondArray>, row: usize) -> Option<i64> {
    let time = |times: &TimestampMicrosecondArray| {
        (row < times.len() && times.is_valid(row)).then(|| times.value(row))
    };
    times.into_iter().filter_map(time).max()
}

async fn write_all(process: Arc<Process>, mut queue: mpsc::Receiver<Message>, room: Arc<AtomicUsize>) {
    let mut waiting: Vec<ServedRow> = Vec::new();
    let mut ticks = interval(WRITE_EVERY);
    loop {
        let message = tokio::select! {
            message = queue.recv() => message,
            _ = ticks.tick() => {
                // The rows stay until they can be written.
                if let Err(error) = write(&process, &mut waiting, &room).await {
                    tracing::warn!(error = told(&error), "served values cannot be kept for comparison");
                }
                continue;
            }
        };
        match message {
            Some(Message::Row(row)) => waiting.push(*row),
            Some(Message::Flush(done)) => {
                let _ = done.send(write(&process, &mut waiting, &room).await);
            }
            None => return,
        }
    }
}

/// The columns of the table of served values.
pub(crate) fn served_schema() -> SchemaRef {
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

async fn write(
    process: &Process,
    waiting: &mut Vec<ServedRow>,
    room: &AtomicUsize,
) -> Result<(), EngineError> {
    if waiting.is_empty() {
        return Ok(());
    }
    let batch = batch(waiting)?;
    let _alone = process.served.lock().await;
    let table: TableName = SERVED.parse().map_err(|_| EngineError::Worker { doing: "naming a table" })?;
    let base = process.lake.snapshot(&table, At::Latest).await?;
    let rows = Append {
        table: &table,
        base: base.as_deref(),
        schema: base.as_ref().map_or_else(served_schema, |base| base.schema()),
        rows: vec![batch],
        txns: Vec::new(),
        info: Value::Null,
    };
    append(process, rows).await?;
    room.fetch_add(waiting.len(), Ordering::Relaxed);
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
    let versions = rows.iter().map(|row| row.service.as_ref().map(|(_, version)| *version));
    let versions: ArrayRef = Arc::new(versions.collect::<Int64Array>());
    let columns = vec![
        instants(|row| Some(row.served_at)),
        instants(|row| Some(row.at)),
        texts(&|row| row.service.as_ref().map(|(name, _)| name.clone())),
        versions,
        texts(&|row| row.view.clone()),
        texts(&|row| row.space.map(|space| format!("{space:016x}"))),
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
