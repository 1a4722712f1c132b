//! The events of a view: those of its tables, and those that were pushed and have come to the lake.

use std::{collections::BTreeMap, sync::Arc};

use arrow::{
    array::{ArrayRef, RecordBatch, new_null_array},
    datatypes::{FieldRef, Schema},
};
use datafusion::catalog::TableProvider;
use futures::{StreamExt, TryStreamExt, stream::BoxStream};
use millstream_features::view::{KNOWN, ViewDefinition};
use millstream_query::{Execution, scan};
use millstream_sql::features::{EventInput, PushProjection, event_rows};
use millstream_types::{INGESTED_AT, TableName};

use crate::{EngineError, pinning::Pinning, resolver::provider};

/// Schema of the tables that features keep.
pub(crate) const SCHEMA: &str = "features";
/// Ends the name of a view's table of pushed rows.
const PUSHED_SUFFIX: &str = "__pushed";

/// The table of the rows that were pushed to a view.
pub(crate) fn pushed_table(view: &str) -> Result<TableName, EngineError> {
    let name = format!("{SCHEMA}.{view}{PUSHED_SUFFIX}");
    name.parse().map_err(|_| EngineError::Worker { doing: "naming a table" })
}

/// The view to which the rows of a table were pushed; none of another table.
pub(crate) fn view_of_pushed(table: &TableName) -> Option<&str> {
    table.name().strip_suffix(PUSHED_SUFFIX).filter(|_| table.schema() == SCHEMA)
}

/// A view's events.
pub(crate) type EventStream = BoxStream<'static, Result<RecordBatch, EngineError>>;

/// All events at the versions that `pinning` holds.
pub(crate) async fn all_events(
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
) -> Result<EventStream, EngineError> {
    let pushed = pushed_events(pinning, definition).await?;
    let of_tables = table_events(pinning, definition).await?;
    Ok(match pushed {
        Some(pushed) => of_tables.chain(pushed).boxed(),
        None => of_tables,
    })
}

/// The events of the view's tables at the versions that `pinning` holds, without pushed rows.
pub(crate) async fn table_events(
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
) -> Result<EventStream, EngineError> {
    events_of(pinning, definition, BTreeMap::new()).await
}

/// The events that were pushed to the view and have come to the lake; none where none has.
pub(crate) async fn pushed_events(
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
) -> Result<Option<EventStream>, EngineError> {
    let table = pushed_table(&definition.name)?;
    pinning.pin_if_there(&table).await?;
    let Some(snapshot) = pinning.snapshots().remove(&table) else { return Ok(None) };
    projected(pinning, definition, provider(&pinning.world().lake, &snapshot)?).await.map(Some)
}

/// The events of these rows of one of the view's tables, its table of pushed rows among them; for views whose events
/// come from one row each.
pub(crate) async fn events_of_rows(
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
    table: &TableName,
    rows: Arc<dyn TableProvider>,
) -> Result<EventStream, EngineError> {
    if *table == pushed_table(&definition.name)? {
        return projected(pinning, definition, rows).await;
    }
    events_of(pinning, definition, BTreeMap::from([(table.clone(), EventInput::Rows(rows))])).await
}

async fn events_of(
    pinning: &Arc<Pinning>,
    definition: &ViewDefinition,
    inputs: BTreeMap<TableName, EventInput>,
) -> Result<EventStream, EngineError> {
    let rows = event_rows(&pinning.session(), definition, inputs).await.map_err(EngineError::Query)?;
    Ok(rows.map_err(EngineError::rows).boxed())
}

/// Pushed rows through the definition's own expressions.
async fn projected(
    pinning: &Pinning,
    definition: &ViewDefinition,
    rows: Arc<dyn TableProvider>,
) -> Result<EventStream, EngineError> {
    let projection = PushProjection::compile(definition).map_err(EngineError::Query)?;
    let plan = scan(rows).and_then(|rows| rows.build()).map_err(EngineError::rows)?;
    let runtime = pinning.world().sql.runtime();
    let rows = runtime.stream(plan, Execution::default()).await.map_err(EngineError::rows)?;
    let wanted = projection.push_schema().clone();
    let events = rows.map(move |batch| {
        let rows = named(&batch.map_err(EngineError::rows)?, &wanted)?;
        projection.project(&rows).map_err(EngineError::Query)
    });
    Ok(events.boxed())
}

/// Pushed rows with their stamps named as in events. A column that the view did not use when they were pushed is null.
fn named(rows: &RecordBatch, wanted: &Schema) -> Result<RecordBatch, EngineError> {
    let (mut fields, mut columns): (Vec<FieldRef>, Vec<ArrayRef>) = (Vec::new(), Vec::new());
    for (field, column) in rows.schema().fields().iter().zip(rows.columns()) {
        fields.push(match field.name().as_str() {
            INGESTED_AT => Arc::new(field.as_ref().clone().with_name(KNOWN)),
            _ => field.clone(),
        });
        columns.push(column.clone());
    }
    for field in wanted.fields().iter().filter(|field| rows.column_by_name(field.name()).is_none()) {
        fields.push(field.clone());
        columns.push(new_null_array(field.data_type(), rows.num_rows()));
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
        .map_err(|source| EngineError::Arrow { action: "name the columns of pushed rows", source })
}
