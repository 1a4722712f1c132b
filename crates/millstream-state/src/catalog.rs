//! Versions of each table's schema: what changed, when, and because of which part.

use millstream_types::{RunId, TableName, TimestampMicros};
use rusqlite::{OptionalExtension, Transaction, params};
use serde_json::Value;

use crate::{State, StateError, value};

/// One accepted schema of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct SchemaVersion {
    pub table: TableName,
    /// 1, 2, 3, …
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

const DOING: &str = "record the schema";

impl State {
    /// Records the schemas that a table went through in one step, the oldest first. A step that is repeated adds nothing:
    /// not when the last of them is the table's newest schema already, and no schema of the same run and time again.
    pub fn record_schemas(&self, table: &TableName, schemas: &[NewSchema<'_>]) -> Result<(), StateError> {
        let Some(last) = schemas.last() else { return Ok(()) };
        let (table, present) = (table.to_string(), last.columns.to_string());
        self.write(DOING, |transaction| {
            let newest = newest(transaction, &table)?;
            if newest.as_ref().is_some_and(|(_, columns)| *columns == present) {
                return Ok(());
            }
            let mut version = newest.map_or(0, |(version, _)| version);
            for schema in schemas {
                version += i64::from(insert(transaction, &table, version + 1, schema)?);
            }
            Ok(())
        })
    }

    /// All schemas of a table, oldest first.
    pub fn schema_versions(&self, table: &TableName) -> Result<Vec<SchemaVersion>, StateError> {
        let doing = "read the schemas";
        let connection = self.read(doing)?;
        let mut statement = connection
            .prepare_cached(
                "SELECT version, columns, at, run, part, change FROM schema_versions \
                 WHERE table_name = ?1 ORDER BY version",
            )
            .map_err(StateError::query(doing))?;
        let rows = statement
            .query_map([table.to_string()], |row| {
                let schema = SchemaVersion {
                    table: table.clone(),
                    version: row.get(0)?,
                    columns: Value::Null,
                    at: TimestampMicros(row.get(2)?),
                    run: row.get::<_, Option<String>>(3)?.map(RunId::from),
                    part: row.get(4)?,
                    change: row.get(5)?,
                };
                Ok((schema, row.get::<_, String>(1)?))
            })
            .map_err(StateError::query(doing))?
            .collect::<Result<Vec<_>, _>>()
            .map_err(StateError::query(doing))?;
        rows.into_iter()
            .map(|(schema, columns)| match serde_json::from_str(&columns) {
                Ok(columns) => Ok(SchemaVersion { columns, ..schema }),
                Err(_) => Err(value::unknown("a table's columns", columns)),
            })
            .collect()
    }
}

fn newest(transaction: &Transaction<'_>, table: &str) -> Result<Option<(i64, String)>, StateError> {
    transaction
        .query_row(
            "SELECT version, columns FROM schema_versions WHERE table_name = ?1 ORDER BY version DESC LIMIT 1",
            [table],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .optional()
        .map_err(StateError::query(DOING))
}

/// Whether the schema was not there yet.
fn insert(
    transaction: &Transaction<'_>,
    table: &str,
    version: i64,
    schema: &NewSchema<'_>,
) -> Result<bool, StateError> {
    transaction
        .execute(
            "INSERT INTO schema_versions (table_name, version, columns, at, run, part, change) \
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7 WHERE NOT EXISTS (SELECT 1 FROM schema_versions \
             WHERE table_name = ?1 AND at = ?4 AND run IS ?5 AND change = ?7)",
            params![
                table,
                version,
                schema.columns.to_string(),
                schema.at.0,
                schema.run.map(RunId::as_str),
                schema.part,
                schema.change
            ],
        )
        .map(|rows| rows > 0)
        .map_err(StateError::query(DOING))
}
