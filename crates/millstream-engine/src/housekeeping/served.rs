//! The sample of served values, which a server writes into the lake: rows that the policy keeps no longer go. Most lie in files that hold
//! nothing else; those that were put together with younger ones are told apart.

use datafusion::{
    prelude::{ident, lit},
    scalar::ScalarValue,
};
use futures::TryStreamExt;
use millstream_lake::{At, DataFile, LakeError, LakeTable, Snapshot, StagedFile};
use millstream_types::{TableName, TimestampMicros};

use crate::{
    EngineError,
    engine::World,
    features::{SERVED, served_schema},
    publish::replace_files,
    stored,
    writers::Writers,
};

/// The column that says when a value was served.
const SERVED_AT: &str = "served_at";

pub(super) fn is_served(table: &TableName) -> bool {
    table.to_string() == SERVED
}

/// Forgets the values that were served before `before`, and gives the number of their rows. Their files stay for whoever reads an old
/// version, as long as the policy keeps those.
pub(super) async fn forget(world: &World, before: TimestampMicros) -> Result<u64, EngineError> {
    let table: TableName = SERVED.parse().map_err(|_| EngineError::Worker { doing: "naming a table" })?;
    let _alone = world.served.lock().await;
    let Some(base) = world.lake.snapshot(&table, At::Latest).await? else { return Ok(0) };
    let forgotten = forget_alone(world, &table, &base, before).await;
    if forgotten.is_err() {
        world.lake.abandon(&table).await;
    }
    match forgotten {
        // Another server wrote meanwhile; the next time is soon enough.
        Err(EngineError::Lake(LakeError::Conflict { .. })) => Ok(0),
        forgotten => forgotten,
    }
}

async fn forget_alone(
    world: &World,
    table: &TableName,
    base: &Snapshot,
    before: TimestampMicros,
) -> Result<u64, EngineError> {
    let (mut old, mut mixed) = (Vec::new(), Vec::new());
    for file in base.files() {
        match served(file) {
            Some((_, newest)) if newest < before.0 => old.push(file.clone()),
            Some((oldest, _)) if oldest >= before.0 => {}
            _ => mixed.push(file.clone()),
        }
    }
    let young = match mixed.is_empty() {
        true => Vec::new(),
        false => young_rows(world, table, base, mixed.clone(), before).await?,
    };
    old.append(&mut mixed);
    let rows: u64 = old.iter().filter_map(DataFile::rows).sum();
    let forgotten = rows.saturating_sub(young.iter().map(StagedFile::rows).sum());
    if forgotten == 0 {
        world.lake.discard(young).await;
        return Ok(0);
    }
    replace_files(world, table, base, old, young).await?;
    Ok(forgotten)
}

/// When the oldest and the newest row of the file were served, or somewhat before and after that. Of a file without statistics nobody
/// knows.
fn served(file: &DataFile) -> Option<(i64, i64)> {
    let schema = served_schema();
    let field = schema.field_with_name(SERVED_AT).ok()?;
    let bounds = file.column(SERVED_AT, field.data_type());
    match (bounds.min?, bounds.max?) {
        (
            ScalarValue::TimestampMicrosecond(Some(oldest), _),
            ScalarValue::TimestampMicrosecond(Some(newest), _),
        ) => Some((oldest, newest)),
        _ => None,
    }
}

/// The rows of the files that stay, in new files.
async fn young_rows(
    world: &World,
    table: &TableName,
    base: &Snapshot,
    files: Vec<DataFile>,
    before: TimestampMicros,
) -> Result<Vec<StagedFile>, EngineError> {
    let schema = base.schema();
    let columns: Vec<String> = schema.fields().iter().map(|field| field.name().clone()).collect();
    let rows = LakeTable::new(&world.lake, schema.clone(), files)?;
    let since = ScalarValue::TimestampMicrosecond(Some(before.0), Some("UTC".into()));
    let stays = ident(SERVED_AT).gt_eq(lit(since));
    let mut rows = stored::scan(world, table, rows, &columns, Some(stays)).await?;
    let mut writers = Writers::new(&world.lake, table, schema, 1);
    while let Some(batch) = rows.try_next().await.map_err(|source| stored::failed(table, source))? {
        writers.write(batch).await?;
    }
    writers.finish().await
}
