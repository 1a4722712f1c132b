//! The events of a view: those of its tables, and those that were pushed and have come to the lake.

use std::{collections::BTreeMap, sync::Arc};

use arrow::array::RecordBatch;
use datafusion::{catalog::TableProvider, execution::SendableRecordBatchStream};
use futures::{StreamExt, stream::BoxStream};
use millstream_features::view::ViewDefinition;
use millstream_lake::{LakeTable, Snapshot};
use millstream_sql::{
    SqlError,
    features::{EventInput, PushProjection, event_rows},
};
use millstream_types::TableName;

use crate::{EngineError, engine::World, pinning::Pinning};

/// Schema of the tables that features keep.
const SCHEMA: &str = "features";
/// Ends the name of a view's table of pushed rows.
const PUSHED_SUFFIX: &str = "__pushed";

/// The table of the rows that were pushed to a view.
pub(crate) fn pushed_table(view: &str) -> Result<TableName, EngineError> {
    let name = format!("{SCHEMA}.{view}{PUSHED_SUFFIX}");
    name.parse().map_err(|_| EngineError::Worker { doing: "naming a table" })
}

/// A view's events as a stream.
pub(crate) struct Events {
    pub rows: BoxStream<'static, Result<RecordBatch, EngineError>>,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events").finish_non_exhaustive()
    }
}

impl Events {
    /// All events at the versions that `pinning` holds.
    pub(crate) async fn open(
        world: &Arc<World>,
        pinning: &Arc<Pinning>,
        definition: &ViewDefinition,
    ) -> Result<Self, EngineError> {
        let table = pushed_table(&definition.name)?;
        pinning.pin_if_there(&table).await?;
        let from_tables = events_of(pinning, definition, BTreeMap::new()).await?;
        let pushed = match pinning.snapshots().remove(&table) {
            Some(snapshot) => Some(pushed_events(world, pinning, definition, &snapshot).await?),
            None => None,
        };
        let rows = match pushed {
            Some(pushed) => from_tables.chain(pushed).boxed(),
            None => from_tables,
        };
        Ok(Self { rows })
    }

    /// The events of these rows of one of the view's tables; for views whose events come from one row each.
    pub(crate) async fn of_rows(
        pinning: &Arc<Pinning>,
        definition: &ViewDefinition,
        table: &TableName,
        rows: Arc<dyn TableProvider>,
    ) -> Result<Self, EngineError> {
        let inputs = BTreeMap::from([(table.clone(), EventInput::Rows(rows))]);
        Ok(Self { rows: events_of(pinning, definition, inputs).await? })
    }

    /// The events of these rows of the view's table of pushed rows.
    pub(crate) async fn of_pushed(
        pinning: &Arc<Pinning>,
        definition: &ViewDefinition,
        rows: Arc<dyn TableProvider>,
    ) -> Result<Self, EngineError> {
        let table = pushed_table(&definition.name)?;
        Ok(Self { rows: projected(pinning, definition, &table, rows).await? })
    }
}

async fn events_of(
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
    inputs: BTreeMap<TableName, EventInput>,
) -> Result<BoxStream<'static, Result<RecordBatch, EngineError>>, EngineError> {
    let rows = event_rows(&pinning.session(), definition, inputs).await.map_err(EngineError::Query)?;
    Ok(batches(rows))
}

async fn pushed_events(
    world: &World,
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
    snapshot: &Snapshot,
) -> Result<BoxStream<'static, Result<RecordBatch, EngineError>>, EngineError> {
    let rows = LakeTable::new(&world.lake, snapshot.schema(), snapshot.files().to_vec())?;
    projected(pinning, definition, snapshot.table(), rows).await
}

/// Pushed rows through the definition's own expressions.
async fn projected(
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
    table: &TableName,
    rows: Arc<dyn TableProvider>,
) -> Result<BoxStream<'static, Result<RecordBatch, EngineError>>, EngineError> {
    let projection = PushProjection::compile(definition).map_err(EngineError::Query)?;
    let present = rows.schema();
    let mut columns: Vec<String> = Vec::new();
    for field in projection.push_schema().fields() {
        // A column that the view did not use when rows were pushed is null in them.
        columns.push(match present.index_of(field.name()) {
            Ok(_) => quoted(field.name()),
            Err(_) => format!("NULL AS {}", quoted(field.name())),
        });
    }
    let stamps = [
        (millstream_types::INGESTED_AT, millstream_features::view::KNOWN),
        (millstream_types::SEQUENCE, millstream_features::view::SEQUENCE),
    ];
    columns.extend(stamps.map(|(own, name)| format!("{} AS {}", quoted(own), quoted(name))));
    let sql = format!("SELECT {} FROM {table}", columns.join(", "));
    let pinned = Arc::new(pinning.with_rows(table.clone(), rows));
    let stream = pinned.session().query(&sql, None).await.map_err(EngineError::Query)?;
    let events = batches(stream)
        .map(move |batch| batch.and_then(|batch| projection.project(&batch).map_err(EngineError::Query)));
    Ok(events.boxed())
}

fn batches(rows: SendableRecordBatchStream) -> BoxStream<'static, Result<RecordBatch, EngineError>> {
    rows.map(|batch| batch.map_err(|error| EngineError::Query(SqlError::from_datafusion(error)))).boxed()
}

/// A name in SQL, whatever characters it has.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
