//! Versions of each table's schema: what changed, when, and because of which part.

use millstream_types::{RunId, TableName, TimestampMicros};
use rusqlite::{OptionalExtension, params};
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
    pub table: &'a TableName,
    pub columns: &'a Value,
    pub at: TimestampMicros,
    pub run: Option<&'a RunId>,
    pub part: Option<&'a str>,
    pub change: &'a str,
}

impl State {
    /// Records a schema and returns its version. The schema that is the newest already keeps its version,
    /// so that a repeated step adds nothing.
    pub fn record_schema(&self, schema: &NewSchema<'_>) -> Result<i64, StateError> {
        let doing = "record the schema";
        let table = schema.table.to_string();
        let columns = schema.columns.to_string();
        self.write(doing, |transaction| {
            let newest: Option<(i64, String)> = transaction
                .query_row(
                    "SELECT version, columns FROM schema_versions WHERE table_name = ?1 ORDER BY version DESC LIMIT 1",
                    [&table],
                    |row| Ok((row.get(0)?, row.get(1)?)),
                )
                .optional()
                .map_err(StateError::query(doing))?;
            let version = match newest {
                Some((version, newest)) if newest == columns => return Ok(version),
                Some((version, _)) => version + 1,
                None => 1,
            };
            transaction
                .execute(
                    "INSERT INTO schema_versions (table_name, version, columns, at, run, part, change) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        table,
                        version,
                        columns,
                        schema.at.0,
                        schema.run.map(RunId::as_str),
                        schema.part,
                        schema.change
                    ],
                )
                .map_err(StateError::query(doing))?;
            Ok(version)
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
