//! `millstream rejected`: the rows that were kept out of a table, grouped by check, with examples.

use std::collections::{BTreeMap, HashSet};

use arrow::{
    array::{Array, ArrayRef, AsArray, RecordBatch},
    datatypes::{DataType, Int64Type},
};
use futures::{TryStreamExt, future::BoxFuture};
use millstream_lake::{At, Snapshot};
use millstream_types::TableName;
use serde_json::{Map, Value};

use crate::{
    Engine, EngineError,
    commit_info::{BUILD_TXN, LANDING_TXN, REJECTED_TXN},
    engine::World,
    publish::EPOCH,
};

/// The rows that one check kept out.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectedGroup {
    pub check: String,
    pub rows: u64,
    /// The number of these rows that belong to a step that was halted. The step committed nothing else, and judges the rows once
    /// more when it is tried again.
    pub halted: u64,
    /// The oldest rows of the group, as examples.
    pub examples: Vec<RejectedExample>,
}

/// One rejected row.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectedExample {
    pub reason: String,
    pub source: Option<String>,
    pub position: Option<i64>,
    /// The original values as a JSON object, personal data masked; the raw text of a malformed row.
    pub row: String,
}

const MASK: &str = "***";

/// The number of characters that reasons quote at least of a value that is too long for them.
const CUT_MIN: usize = 40;

/// Whether the table of rejected rows that belongs to `snapshot` lacks rows that were committed to it, because it was deleted
/// or put back to an earlier version.
pub(crate) async fn is_lost(world: &World, snapshot: &Snapshot) -> Result<bool, EngineError> {
    let Some(told) = snapshot.txn(REJECTED_TXN) else { return Ok(false) };
    let rejected = world.lake.snapshot(&snapshot.table().rejected(), At::Latest).await?;
    Ok(rejected.and_then(|rejected| rejected.txn(REJECTED_TXN)).is_none_or(|epoch| epoch < told))
}

impl Engine {
    /// The rejected rows of a table in groups by the first failing check, the largest group first, each with up to `examples`
    /// rows. Empty when nothing was ever rejected.
    pub fn rejected<'a>(
        &'a self,
        table: &'a TableName,
        examples: usize,
    ) -> BoxFuture<'a, Result<Vec<RejectedGroup>, EngineError>> {
        Box::pin(async move {
            let world = self.world();
            if !world.project.asset_tables().any(|known| &known == table) {
                return Err(world.project.unknown_table(table));
            }
            let rejected = table.rejected();
            if let Some(snapshot) = world.lake.snapshot(table, At::Latest).await?
                && is_lost(world, &snapshot).await?
            {
                return Err(EngineError::Refused {
                    table: rejected,
                    message: "has lost rows: it was deleted, or put back to an earlier version".to_owned(),
                    hint: format!("`millstream run {table} --full-refresh` judges all rows again"),
                });
            }
            if world.lake.probe(&rejected, None).await?.is_none() {
                return Ok(Vec::new());
            }
            let reached = self.reached_epoch(table).await?;
            let sql = format!(
                "SELECT _check, total, _reason, _source, _position, coalesce(_text, _row) AS row, halted FROM (\
               SELECT *, count(*) OVER (PARTITION BY _check) AS total, \
                 count(*) FILTER (WHERE {EPOCH} > {reached}) OVER (PARTITION BY _check) AS halted, \
                 row_number() OVER (\
                   PARTITION BY _check ORDER BY _rejected_at, _source, _position) AS nth FROM {rejected}\
             ) WHERE nth <= {} ORDER BY total DESC, _check, nth",
                examples.max(1)
            );
            let rows = world.sql.query(&sql, None).await.map_err(EngineError::Query)?;
            let batches: Vec<RecordBatch> =
                rows.try_collect().await.map_err(|source| crate::stored::failed(&rejected, source))?;
            let masked = world.project.personal.of_table(table);
            let mut groups: Vec<RejectedGroup> = Vec::new();
            for batch in &batches {
                for row in 0..batch.num_rows() {
                    take(&mut groups, batch, row, masked, examples);
                }
            }
            Ok(groups)
        })
    }

    /// The newest landing or build of `table` that is visible; 0 before the first.
    async fn reached_epoch(&self, table: &TableName) -> Result<i64, EngineError> {
        let txn = if self.project().source(table).is_some() { LANDING_TXN } else { BUILD_TXN };
        let snapshot = self.world().lake.snapshot(table, At::Latest).await?;
        Ok(snapshot.and_then(|snapshot| snapshot.txn(txn)).unwrap_or(0))
    }
}

fn take(
    groups: &mut Vec<RejectedGroup>,
    batch: &RecordBatch,
    row: usize,
    masked: &HashSet<String>,
    examples: usize,
) {
    let check = text(batch.column(0), row).unwrap_or_default();
    if groups.last().is_none_or(|group| group.check != check) {
        let count = |column| {
            integer(batch.column(column), row).and_then(|rows| u64::try_from(rows).ok()).unwrap_or(0)
        };
        groups.push(RejectedGroup { check, rows: count(1), halted: count(6), examples: Vec::new() });
    }
    let Some(group) = groups.last_mut().filter(|group| group.examples.len() < examples) else { return };
    let original = text(batch.column(5), row).unwrap_or_default();
    group.examples.push(RejectedExample {
        reason: without_personal(text(batch.column(2), row).unwrap_or_default(), &original, masked),
        source: text(batch.column(3), row),
        position: integer(batch.column(4), row),
        row: mask(original, masked),
    });
}

/// The reason without personal values. Rows that were rejected before their columns were marked as personal have reasons that
/// quote the values.
fn without_personal(reason: String, row: &str, masked: &HashSet<String>) -> String {
    if masked.is_empty() || reason.contains(MASK) {
        return reason;
    }
    // The reason of a malformed row says what is wrong with its form, and quotes no values.
    let Ok(values) = serde_json::from_str::<Map<String, Value>>(row) else { return reason };
    let personal = values.iter().filter(|(name, value)| masked.contains(*name) && !value.is_null());
    personal.fold(reason, |reason, (_, value)| match value {
        Value::String(text) => reason_without(&reason, text),
        other => reason_without(&reason, &other.to_string()),
    })
}

/// The reason without `value`, of which the reason may quote only the beginning.
fn reason_without(reason: &str, value: &str) -> String {
    let beginning =
        value.char_indices().nth(CUT_MIN).map_or(value, |(end, _)| value.get(..end).unwrap_or(value));
    if value.is_empty() || !reason.contains(beginning) {
        return reason.to_owned();
    }
    if reason.contains(value) { reason.replace(value, MASK) } else { MASK.into() }
}

/// `row` with the values of personal columns hidden. Text that is no JSON object is a malformed row, whose columns are
/// unknown; it is hidden as a whole if the table has personal columns.
fn mask(row: String, masked: &HashSet<String>) -> String {
    if masked.is_empty() {
        return row;
    }
    let Ok(values) = serde_json::from_str::<Map<String, Value>>(&row) else { return MASK.into() };
    let hidden: BTreeMap<_, _> = values
        .into_iter()
        .map(
            |(name, value)| {
                if masked.contains(&name) && !value.is_null() { (name, MASK.into()) } else { (name, value) }
            },
        )
        .collect();
    serde_json::to_string(&hidden).unwrap_or_else(|_| MASK.into())
}

fn text(column: &ArrayRef, row: usize) -> Option<String> {
    let column = arrow::compute::cast(column, &DataType::Utf8).ok()?;
    let column = column.as_string::<i32>();
    column.is_valid(row).then(|| column.value(row).to_owned())
}

fn integer(column: &ArrayRef, row: usize) -> Option<i64> {
    let column = column.as_primitive_opt::<Int64Type>()?;
    column.is_valid(row).then(|| column.value(row))
}
