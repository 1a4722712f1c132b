//! Pushed rows: at once into the online store, and through its log into the view's table of pushed rows in the lake.

use std::sync::Arc;

use arrow::{
    array::{ArrayRef, Int64Array, RecordBatch, TimestampMicrosecondArray, new_null_array},
    compute::cast,
    datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit},
    ipc::{reader::StreamReader, writer::StreamWriter},
};
use bytes::Bytes;
use futures::future::BoxFuture;
use millstream_features::view::{KNOWN, OnlineView, SEQUENCE};
use millstream_lake::{At, Snapshot};
use millstream_online::{OnlineStore, feature::PushTarget};
use millstream_sql::features::PushProjection;
use millstream_types::{INGESTED_AT, TableName};
use serde_json::json;

use super::{
    keys::requested,
    rows::{pushed_table, view_of_pushed},
    server::{FeatureServer, Inner},
};
use crate::{
    EngineError,
    engine::World,
    pipelines::features::followed,
    publish::{Append, append},
};

/// Application id, on a table of pushed rows, of the last entry of the log that it has.
const ENTRY_TXN: &str = "push";
/// Application id, on a table of pushed rows, of the number up to which it has every push.
const COVERED_TXN: &str = "push_covered";
/// Entries that are taken from the log at once.
const ENTRIES_AT_ONCE: usize = 1_024;

/// Where pushed rows go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PushTo {
    /// To the online store only, because the table will bring the same rows: windows count them until it has.
    Online,
    /// To the lake only.
    Offline,
    OnlineAndOffline,
}

/// A definition of a view that takes pushed rows.
#[derive(Debug)]
pub(super) struct Pushable {
    view: OnlineView,
    projection: PushProjection,
}

impl Pushable {
    pub(super) fn new(view: OnlineView) -> Result<Self, EngineError> {
        let projection = PushProjection::compile(view.definition()).map_err(EngineError::Query)?;
        Ok(Self { view, projection })
    }

    pub(super) fn name(&self) -> &str {
        &self.view.definition().name
    }
}

/// The number up to which a version of a table of pushed rows has every push.
pub(crate) fn covered(snapshot: &Snapshot) -> u64 {
    snapshot.txn(COVERED_TXN).and_then(|covered| u64::try_from(covered).ok()).unwrap_or(0)
}

impl FeatureServer {
    /// Stores rows, which have the columns of the view's [`ViewDefinition::rows`]. They are durable when this returns, and
    /// the next read sees them. How many there were.
    pub fn push<'a>(
        &'a self,
        view: &'a str,
        rows: RecordBatch,
        to: PushTo,
    ) -> BoxFuture<'a, Result<u64, EngineError>> {
        Box::pin(async move {
            check_follows_nothing(&self.0.world, view)?;
            check_keys(self.online_view(view)?, &rows)?;
            let now = self.0.world.options.clock.now().0;
            let count = rows.num_rows() as u64;
            if count == 0 {
                return Ok(0);
            }
            let stamped = stamp(&rows, now)?;
            let mut events = Vec::new();
            if to != PushTo::Offline {
                let all = self.0.pushable.iter().filter(|pushable| pushable.name() == view);
                for pushable in all {
                    let projected = pushable.projection.project(&stamped).map_err(EngineError::Query)?;
                    events.push((&pushable.view, projected));
                }
            }
            let targets: Vec<PushTarget<'_>> =
                events.iter().map(|(view, events)| PushTarget { view, events }).collect();
            match to {
                PushTo::Online => self.0.access.pushes.push_online(view, count, &targets).await?,
                PushTo::Offline | PushTo::OnlineAndOffline => {
                    let kept = to_bytes(&lake_rows(&stamped)?)?;
                    self.0.access.pushes.push(view, count, &targets, kept).await?
                }
            };
            Ok(count)
        })
    }
}

impl FeatureServer {
    /// Tables of rows that were pushed to views of other names than the project has, as after a view was renamed. An older version
    /// of a service may still read them.
    pub fn unread_pushes<'a>(&'a self) -> BoxFuture<'a, Result<Vec<TableName>, EngineError>> {
        Box::pin(async move {
            // A view may be among what errors leave out.
            if !self.0.world.project.is_whole {
                return Ok(Vec::new());
            }
            let known = &self.0.world.project.features.views;
            let is_unread =
                |table: &TableName| view_of_pushed(table).is_some_and(|view| !known.contains_key(view));
            let mut tables = self.0.world.lake.tables().await?;
            tables.retain(is_unread);
            Ok(tables)
        })
    }
}

/// A view that follows a source has its events from there, so that training finds them in the source's table.
fn check_follows_nothing(world: &World, view: &str) -> Result<(), EngineError> {
    match followed(&world.project, view) {
        None => Ok(()),
        Some(source) => Err(EngineError::Follows { view: view.to_owned(), source_name: source.name.clone() }),
    }
}

/// Rows without a key or a time belong to nobody, and a key may be too long for the store: they are refused, not lost.
fn check_keys(view: &OnlineView, rows: &RecordBatch) -> Result<(), EngineError> {
    let definition = view.definition();
    let needed = definition.keys.iter().map(|key| &key.name).chain([&definition.rows.time]);
    for name in needed {
        let column = rows.column_by_name(name).ok_or_else(|| EngineError::Request {
            message: format!("pushed rows need the column `{name}`"),
            hint: None,
        })?;
        if let Some(row) = (0..column.len()).find(|row| column.is_null(*row)) {
            return Err(EngineError::Request {
                message: format!("row {row} has no `{name}`"),
                hint: Some("every pushed row needs its key and its time; nothing was stored".to_owned()),
            });
        }
    }
    let columns = definition.keys.iter().filter_map(|key| rows.column_by_name(&key.name).cloned());
    requested(view, &columns.collect::<Vec<_>>()).map(drop)
}

/// The rows with what orders them: when they came, and their place in the push.
fn stamp(rows: &RecordBatch, now: i64) -> Result<RecordBatch, EngineError> {
    let known = TimestampMicrosecondArray::from(vec![now; rows.num_rows()]).with_timezone("UTC");
    let places: Int64Array = (0_i64..).take(rows.num_rows()).map(Some).collect();
    let instant = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let stamps: [(&str, DataType, ArrayRef); 2] =
        [(KNOWN, instant, Arc::new(known)), (SEQUENCE, DataType::Int64, Arc::new(places))];
    let mut fields: Vec<Arc<Field>> = rows.schema().fields().iter().cloned().collect();
    let mut columns = rows.columns().to_vec();
    for (name, data_type, column) in stamps {
        fields.push(Arc::new(Field::new(name, data_type, true)));
        columns.push(column);
    }
    batch(Arc::new(Schema::new(fields)), columns)
}

/// The stamped rows as the lake names their columns.
fn lake_rows(stamped: &RecordBatch) -> Result<RecordBatch, EngineError> {
    let rename = |field: &Arc<Field>| match field.name().as_str() {
        KNOWN => Arc::new(field.as_ref().clone().with_name(INGESTED_AT)),
        _ => field.clone(),
    };
    let fields: Vec<Arc<Field>> = stamped.schema().fields().iter().map(rename).collect();
    batch(Arc::new(Schema::new(fields)), stamped.columns().to_vec())
}

fn batch(schema: SchemaRef, columns: Vec<ArrayRef>) -> Result<RecordBatch, EngineError> {
    RecordBatch::try_new(schema, columns)
        .map_err(|source| EngineError::Arrow { action: "put pushed rows together", source })
}

fn to_bytes(rows: &RecordBatch) -> Result<Bytes, EngineError> {
    let failed = |source| EngineError::Arrow { action: "write pushed rows", source };
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema()).map_err(failed)?;
    writer.write(rows).and_then(|()| writer.finish()).map_err(failed)?;
    writer.into_inner().map(Bytes::from).map_err(failed)
}

fn from_bytes(bytes: &[u8]) -> Result<Vec<RecordBatch>, EngineError> {
    let failed = |source| EngineError::Arrow { action: "read pushed rows", source };
    StreamReader::try_new(bytes, None).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)
}

/// Has the log of the view go on where the lake's rows end. A store that was lost began anew at 1, and what is pushed to it
/// would look as if the lake had it.
pub(super) async fn go_on(world: &World, store: &dyn OnlineStore, view: &str) -> Result<(), EngineError> {
    let Some(base) = world.lake.snapshot(&pushed_table(view)?, At::Latest).await? else { return Ok(()) };
    let position = base.txn(ENTRY_TXN).and_then(|position| u64::try_from(position).ok()).unwrap_or(0);
    Ok(store.raise(view, position, covered(&base)).await?)
}

/// Brings what was pushed to the view into the lake, and gives the number up to which the lake has every push. A flush that
/// was killed after its commit is recognised by the commit.
pub(crate) async fn flush(inner: &Inner, view: &str) -> Result<u64, EngineError> {
    let table = pushed_table(view)?;
    let cut = inner.access.pushes.cut(view).await?;
    loop {
        let base = inner.world.lake.snapshot(&table, At::Latest).await?;
        let after = base.as_ref().and_then(|base| base.txn(ENTRY_TXN)).unwrap_or(0);
        let after = u64::try_from(after).unwrap_or(0);
        let entries = inner.access.pushes.entries(view, after, cut, ENTRIES_AT_ONCE).await?;
        let Some(last) = entries.last().map(|entry| entry.position) else {
            if after > 0 {
                inner.access.store.trim_log(view, after).await?;
            }
            return Ok(cut);
        };
        let mut batches = Vec::new();
        for entry in &entries {
            batches.extend(from_bytes(&entry.rows)?);
        }
        commit(inner, view, base.as_deref(), &batches, last, cut).await?;
        inner.access.store.trim_log(view, last).await?;
    }
}

async fn commit(
    inner: &Inner,
    view: &str,
    base: Option<&Snapshot>,
    batches: &[RecordBatch],
    last: u64,
    cut: u64,
) -> Result<(), EngineError> {
    let table = pushed_table(view)?;
    let schema = union(base.map(Snapshot::schema), batches);
    let number = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let rows = Append {
        table: &table,
        base,
        rows: batches.iter().map(|batch| fit(batch, &schema)).collect::<Result<_, _>>()?,
        schema,
        txns: vec![(ENTRY_TXN, number(last)), (COVERED_TXN, number(cut))],
        info: json!({"pushed": {"view": view, "up_to": last}}),
    };
    append(&inner.world.process, rows).await
}

/// The columns of the table and those that pushed rows add.
fn union(present: Option<SchemaRef>, batches: &[RecordBatch]) -> SchemaRef {
    let mut fields: Vec<Arc<Field>> =
        present.map(|schema| schema.fields().iter().cloned().collect()).unwrap_or_default();
    for field in batches.iter().flat_map(|batch| batch.schema().fields().iter().cloned().collect::<Vec<_>>())
    {
        if !fields.iter().any(|known| known.name() == field.name()) {
            fields.push(Arc::new(field.as_ref().clone().with_nullable(true)));
        }
    }
    Arc::new(Schema::new(fields))
}

/// The rows in the table's columns. A column whose type changed with the view's definition is cast.
fn fit(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, EngineError> {
    let column = |field: &Arc<Field>| match rows.column_by_name(field.name()) {
        None => Ok(new_null_array(field.data_type(), rows.num_rows())),
        Some(column) if column.data_type() == field.data_type() => Ok(column.clone()),
        Some(column) => cast(column, field.data_type())
            .map_err(|source| EngineError::Arrow { action: "fit pushed rows into their table", source }),
    };
    batch(schema.clone(), schema.fields().iter().map(column).collect::<Result<_, _>>()?)
}
