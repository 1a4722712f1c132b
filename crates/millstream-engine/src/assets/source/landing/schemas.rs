//! The schemas that a landing accepts: what is told of them in its commit, and recorded in the catalog.

use millstream_state::NewSchema;
use millstream_types::{ColumnType, Field, RunId, TableName, TimestampMicros};
use serde_json::{Value, json};

use super::evolve::{Change, ChangeKind, Evolved};
use crate::{EngineError, commit_info::AcceptedSchema, engine::World};

/// One schema for each change, each with the columns as they are after it, so that the catalog says of every column what
/// brought it. Pure.
pub(super) fn accepted(evolved: &Evolved, is_first: bool, anew: bool) -> Vec<AcceptedSchema> {
    let whole = |change: &str| {
        vec![AcceptedSchema { columns: described(&evolved.columns), change: change.to_owned(), part: None }]
    };
    if is_first {
        return whole("first landing");
    }
    // Columns that no part has any more are gone, and no single change says so.
    if anew {
        return whole("landed anew");
    }
    let mut columns = evolved.columns.clone();
    let mut schemas = Vec::new();
    for change in evolved.changes.iter().rev() {
        schemas.push(AcceptedSchema {
            columns: described(&columns),
            change: change.text(),
            part: change.part.clone(),
        });
        take_back(&mut columns, change);
    }
    schemas.reverse();
    schemas
}

fn take_back(columns: &mut Vec<Field>, change: &Change) {
    match &change.kind {
        ChangeKind::Added { .. } => columns.retain(|field| field.name != change.column),
        ChangeKind::Widened { from, .. } => {
            for field in columns.iter_mut().filter(|field| field.name == change.column) {
                field.column_type = from.clone();
            }
        }
    }
}

fn described(columns: &[Field]) -> Value {
    let described = |field: &Field| json!({"name": field.name, "type": field.column_type.to_string()});
    columns.iter().map(described).collect()
}

/// `columns`, as they are stored, each timestamp with the zone in which the schema that was accepted last reads text:
/// the stored type does not tell the zone.
pub(super) async fn with_zones(
    world: &World,
    table: &TableName,
    mut columns: Vec<Field>,
) -> Result<Vec<Field>, EngineError> {
    let Some(last) = world.state.schema_versions(table).await?.pop() else { return Ok(columns) };
    for described in last.columns.as_array().into_iter().flatten() {
        let text = |name: &str| described.get(name).and_then(Value::as_str);
        let (Some(name), Some(Ok(known))) = (text("name"), text("type").map(str::parse)) else { continue };
        let of_name = columns.iter_mut().find(|field| field.name == name);
        if let Some(field) = of_name
            && let (ColumnType::Timestamp { .. }, ColumnType::Timestamp { .. }) = (&field.column_type, &known)
        {
            field.column_type = known;
        }
    }
    Ok(columns)
}

/// Writes to the catalog what a landing of `run` accepted: who, when, and from which part.
pub(super) async fn record(
    world: &World,
    table: &TableName,
    run: &RunId,
    at: TimestampMicros,
    schemas: &[AcceptedSchema],
) -> Result<(), EngineError> {
    let schemas = schemas.iter().map(|schema| NewSchema {
        columns: &schema.columns,
        at,
        run: Some(run),
        part: schema.part.as_deref(),
        change: &schema.change,
    });
    Ok(world.state.record_schemas(table, &schemas.collect::<Vec<_>>()).await?)
}
