//! Versions of each table's schema: what changed, when, and because of which part.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::{RunId, TableName, TimestampMicros};
use serde_json::Value;

use crate::{
    State, StateError,
    database::{Row, parameters},
    store::Work,
    value,
};

/// One accepted schema of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaVersion {
    pub table: TableName,
    /// The number of the schema among those of its table: 1, 2, 3, …
    pub version: i64,
    /// The columns as the engine describes them.
    pub columns: Value,
    pub at: TimestampMicros,
    pub run: Option<RunId>,
    /// The part (a file) that brought the change.
    pub part: Option<String>,
    /// What changed, for people.
    pub change: String,
}

/// A schema that was accepted just now.
#[derive(Clone, Debug)]
pub struct NewSchema<'a> {
    pub columns: &'a Value,
    pub at: TimestampMicros,
    pub run: Option<&'a RunId>,
    pub part: Option<&'a str>,
    pub change: &'a str,
}

impl State {
    /// Records the schemas that a table went through in one step, the oldest first. A repeated step adds nothing: it is
    /// left out when the last of the schemas is the table's newest already, and so is each schema of a run, time and change
    /// that are recorded.
    pub fn record_schemas<'a>(
        &'a self,
        table: &'a TableName,
        schemas: &'a [NewSchema<'a>],
    ) -> BoxFuture<'a, Result<(), StateError>> {
        async move {
            let Some(last) = schemas.last() else { return Ok(()) };
            let (table, present) = (table.to_string(), last.columns.to_string());
            let mut work = self.change("record the schema").await?;
            let newest = newest(&mut work, &table).await?;
            if newest.as_ref().is_some_and(|(_, columns)| *columns == present) {
                return Ok(());
            }
            let mut version = newest.map_or(0, |(version, _)| version);
            for schema in schemas {
                version += i64::from(insert(&mut work, &table, version + 1, schema).await?);
            }
            work.commit().await
        }
        .boxed()
    }

    /// All schemas of a table, oldest first.
    pub fn schema_versions<'a>(
        &'a self,
        table: &'a TableName,
    ) -> BoxFuture<'a, Result<Vec<SchemaVersion>, StateError>> {
        async move {
            let sql = "SELECT version, columns, at, run, part, change FROM schema_versions \
                       WHERE table_name = $1 ORDER BY version";
            let name = table.to_string();
            let rows = self.rows("read the schemas", sql, &parameters![&name]).await?;
            rows.into_iter().map(|row| parse(table, row)).collect()
        }
        .boxed()
    }
}

fn parse(table: &TableName, mut row: Row) -> Result<SchemaVersion, StateError> {
    let columns = row.text(1)?;
    Ok(SchemaVersion {
        table: table.clone(),
        version: row.integer(0)?,
        columns: serde_json::from_str(&columns).map_err(|_| value::unknown("a table's columns", columns))?,
        at: TimestampMicros(row.integer(2)?),
        run: row.text_or_null(3)?.map(RunId::from),
        part: row.text_or_null(4)?,
        change: row.text(5)?,
    })
}

async fn newest(work: &mut Work<'_>, table: &str) -> Result<Option<(i64, String)>, StateError> {
    let sql =
        "SELECT version, columns FROM schema_versions WHERE table_name = $1 ORDER BY version DESC LIMIT 1";
    let row = work.row(sql, &parameters![table]).await?;
    row.map(|mut row| Ok((row.integer(0)?, row.text(1)?))).transpose()
}

/// Inserts the schema unless it is there already. Returns whether it was inserted.
async fn insert(
    work: &mut Work<'_>,
    table: &str,
    version: i64,
    schema: &NewSchema<'_>,
) -> Result<bool, StateError> {
    let run = schema.run.map(RunId::as_str);
    let known = work
        .row(
            "SELECT 1 FROM schema_versions WHERE table_name = $1 AND at = $2 \
             AND run IS NOT DISTINCT FROM $3 AND change = $4",
            &parameters![table, schema.at.0, run, schema.change],
        )
        .await?;
    if known.is_some() {
        return Ok(false);
    }
    let columns = schema.columns.to_string();
    work.execute(
        "INSERT INTO schema_versions (table_name, version, columns, at, run, part, change) \
         VALUES ($1, $2, $3, $4, $5, $6, $7)",
        &parameters![table, version, &columns, schema.at.0, run, schema.part, schema.change],
    )
    .await?;
    Ok(true)
}
