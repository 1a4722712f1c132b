//! Statements on SQLite's connection.

use std::time::Duration;

use futures::future::{self, BoxFuture, FutureExt};
use millstream_types::TimestampMicros;
use rusqlite::{
    Connection, Statement, ToSql,
    types::{ToSqlOutput, ValueRef},
};
use tokio::sync::MutexGuard;

use crate::database::{Access, Cell, DatabaseError, Parameter, Row, Transaction};

/// A transaction on SQLite's only connection, which nobody else can use until the transaction ends.
pub(super) struct Begun<'a> {
    connection: MutexGuard<'a, Connection>,
    is_committed: bool,
}

impl<'a> Begun<'a> {
    pub(super) fn new(connection: MutexGuard<'a, Connection>) -> Self {
        Self { connection, is_committed: false }
    }
}

impl Transaction for Begun<'_> {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<u64, DatabaseError>> {
        let done = execute(&self.connection, sql, parameters);
        future::ready(done.map_err(DatabaseError::from)).boxed()
    }

    fn execute_each<'a>(
        &'a mut self,
        sql: &'a str,
        rows: &'a [Vec<Parameter<'a>>],
    ) -> BoxFuture<'a, Result<(), DatabaseError>> {
        let done = rows.iter().try_for_each(|row| execute(&self.connection, sql, row).map(|_| ()));
        future::ready(done.map_err(DatabaseError::from)).boxed()
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, DatabaseError>> {
        let rows = query(&self.connection, sql, parameters);
        future::ready(rows.map_err(DatabaseError::from)).boxed()
    }

    fn now(&mut self, local: TimestampMicros) -> BoxFuture<'_, Result<TimestampMicros, DatabaseError>> {
        future::ready(Ok(local)).boxed()
    }

    fn commit<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<(), DatabaseError>>
    where
        Self: 'a,
    {
        let done = execute(&self.connection, "COMMIT", &[]);
        self.is_committed = done.is_ok();
        future::ready(done.map(|_| ()).map_err(DatabaseError::from)).boxed()
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        if !self.is_committed {
            // After some errors SQLite has rolled back by itself, and there is nothing to end.
            let _ = execute(&self.connection, "ROLLBACK", &[]);
        }
    }
}

/// Begins a transaction. One that writes fails at once with `DatabaseBusy` while another process writes.
pub(super) fn begin(connection: &Connection, access: Access, usual: Duration) -> rusqlite::Result<()> {
    match access {
        Access::Read => execute(connection, "BEGIN", &[]).map(|_| ()),
        Access::Write => {
            connection.busy_timeout(Duration::ZERO)?;
            let begun = execute(connection, "BEGIN IMMEDIATE", &[]);
            connection.busy_timeout(usual)?;
            begun.map(|_| ())
        }
    }
}

pub(super) fn query(
    connection: &Connection,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> rusqlite::Result<Vec<Row>> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, parameters)?;
    let width = statement.column_count();
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next()? {
        let cells = (0..width).map(|column| cell(column, row.get_ref(column)?));
        found.push(Row(cells.collect::<rusqlite::Result<_>>()?));
    }
    Ok(found)
}

fn execute(connection: &Connection, sql: &str, parameters: &[Parameter<'_>]) -> rusqlite::Result<u64> {
    let mut statement = connection.prepare_cached(sql)?;
    bind(&mut statement, parameters)?;
    Ok(statement.raw_execute()? as u64)
}

/// Binds parameters by name: SQLite takes `$2` for a name, and numbers names in the order in which a statement has them.
fn bind(statement: &mut Statement<'_>, parameters: &[Parameter<'_>]) -> rusqlite::Result<()> {
    for (number, parameter) in (1..).zip(parameters) {
        let name = format!("${number}");
        if let Some(index) = statement.parameter_index(&name)? {
            statement.raw_bind_parameter(index, parameter)?;
        }
    }
    Ok(())
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match *self {
            Self::Null => ValueRef::Null,
            Self::Integer(number) => ValueRef::Integer(number),
            Self::Real(number) => ValueRef::Real(number),
            Self::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

fn cell(column: usize, value: ValueRef<'_>) -> rusqlite::Result<Cell> {
    Ok(match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Integer(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|error| {
                rusqlite::Error::FromSqlConversionFailure(column, value.data_type(), error.into())
            })?;
            Cell::Text(text.to_owned())
        }
    })
}
