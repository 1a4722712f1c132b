//! Statements on a connection to PostgreSQL.

use std::error::Error;

use backon::Retryable;
use bytes::BytesMut;
use deadpool_postgres::{Object, Pool};
use futures::{
    future::{BoxFuture, FutureExt},
    stream::{FuturesOrdered, TryStreamExt},
};
use millstream_types::TimestampMicros;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use super::{PostgresFault, news::telling, waits};
use crate::{
    OfferNews,
    database::{Access, Cell, DatabaseError, Parameter, Row, Transaction},
};

/// The number of executions of one statement that are on their way to the server at once.
const PIPELINE: usize = 256;

/// Waits until no other transaction writes to this schema, and returns the transaction's number, by which a commit whose
/// answer got lost can be looked up. The first number of the lock is Millstream's own (the letters `MILS`), so that other
/// applications of the database do not meet it.
const TAKE_TURN: &str = "SELECT pg_advisory_xact_lock(1296649299, hashtext(current_schema())), \
                         pg_current_xact_id()::text";

/// Begins a transaction that writes, whatever the server's own defaults are: after the wait for its turn it has to see what
/// those before it wrote. The timeouts bound the wait for the turn, the work on one statement, and the pause before the
/// next one. They are set here, because a pool of connections in front of the server may refuse them for the whole session.
/// A process that stops in the middle keeps all others from writing, and must not do so for as long as their leases last.
const BEGIN: &str = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL lock_timeout = '10s'; \
                     SET LOCAL statement_timeout = '15s'; SET LOCAL idle_in_transaction_session_timeout = '5s'";

/// A transaction on a connection of its own.
pub(super) struct Begun<'a> {
    pool: &'a Pool,
    /// The name of this process among those that tell each other news.
    own: &'a str,
    /// What is told with the commit.
    told: Vec<OfferNews>,
    /// `None` once the transaction has ended.
    connection: Option<Object>,
    /// The number of the transaction, if it writes.
    number: Option<String>,
}

impl<'a> Begun<'a> {
    pub(super) async fn new(
        pool: &'a Pool,
        own: &'a str,
        connection: Object,
        access: Access,
    ) -> Result<Self, PostgresFault> {
        let mut begun = Self { pool, own, told: Vec::new(), connection: Some(connection), number: None };
        match access {
            Access::Read => {
                begun.connection()?.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            }
            Access::Write => {
                begun.connection()?.batch_execute(BEGIN).await?;
                let connection = begun.connection()?;
                let turn = connection.prepare_cached(TAKE_TURN).await?;
                let number = connection.query_one(&turn, &[]).await?.try_get(1)?;
                begun.number = Some(number);
            }
        }
        Ok(begun)
    }

    fn connection(&self) -> Result<&Object, PostgresFault> {
        self.connection.as_ref().ok_or_else(|| PostgresFault::refusal("the transaction has ended"))
    }
}

impl Transaction for Begun<'_> {
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<u64, DatabaseError>> {
        async move {
            let connection = self.connection()?;
            let statement = connection.prepare_cached(sql).await.map_err(PostgresFault::from)?;
            let changed = connection.execute_raw(&statement, parameters).await;
            Ok(changed.map_err(PostgresFault::from)?)
        }
        .boxed()
    }

    fn execute_each<'a>(
        &'a mut self,
        sql: &'a str,
        rows: &'a [Vec<Parameter<'a>>],
    ) -> BoxFuture<'a, Result<(), DatabaseError>> {
        async move {
            let connection = self.connection()?;
            let statement = connection.prepare_cached(sql).await.map_err(PostgresFault::from)?;
            // The executions are sent in the order of the rows, without waiting for the answers to earlier ones.
            let mut asked = FuturesOrdered::new();
            for row in rows {
                asked.push_back(connection.execute_raw(&statement, row));
                if asked.len() >= PIPELINE {
                    asked.try_next().await.map_err(PostgresFault::from)?;
                }
            }
            while asked.try_next().await.map_err(PostgresFault::from)?.is_some() {}
            Ok(())
        }
        .boxed()
    }

    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, DatabaseError>> {
        async move { Ok(query(self.connection()?, sql, parameters).await?) }.boxed()
    }

    fn tell(&mut self, news: OfferNews) {
        if !self.told.contains(&news) {
            self.told.push(news);
        }
    }

    fn now(&mut self, _: TimestampMicros) -> BoxFuture<'_, Result<TimestampMicros, DatabaseError>> {
        async move {
            let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
            let rows = query(self.connection()?, sql, &[]).await?;
            match rows.first().map(|row| row.0.as_slice()) {
                Some([Cell::Integer(now)]) => Ok(TimestampMicros(*now)),
                _ => Err(PostgresFault::refusal("the server does not tell the time").into()),
            }
        }
        .boxed()
    }

    fn commit<'a>(mut self: Box<Self>) -> BoxFuture<'a, Result<(), DatabaseError>>
    where
        Self: 'a,
    {
        async move {
            let commit = format!("{}COMMIT", telling(&self.told, self.own));
            let done = self.connection()?.batch_execute(&commit).await.map_err(PostgresFault::from);
            match (done, &self.number) {
                (Ok(()), _) => {
                    // The connection goes back to the pool: nothing is left to undo.
                    drop(self.connection.take());
                    Ok(())
                }
                (Err(fault), Some(number)) if fault.is_lost() => {
                    let look = async || was_committed(self.pool, number).await;
                    match look.retry(waits()).when(PostgresFault::is_transient).await? {
                        true => Ok(()),
                        false => Err(fault.into()),
                    }
                }
                (Err(fault), _) => Err(fault.into()),
            }
        }
        .boxed()
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let Some(connection) = self.connection.take() else { return };
        // Closing the connection undoes the transaction too.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return drop(Object::take(connection));
        };
        runtime.spawn(async move {
            if connection.batch_execute("ROLLBACK").await.is_err() {
                drop(Object::take(connection));
            }
        });
    }
}

/// Whether the transaction of a lost connection was committed.
async fn was_committed(pool: &Pool, number: &str) -> Result<bool, PostgresFault> {
    let connection = pool.get().await?;
    let sql = "SELECT pg_xact_status($1::text::xid8)";
    match connection.query_one(sql, &[&number]).await?.try_get::<_, Option<String>>(0)?.as_deref() {
        Some("committed") => Ok(true),
        Some("in progress") => Err(PostgresFault::connection("the server still ends a lost transaction")),
        _ => Ok(false),
    }
}

pub(super) async fn query(
    connection: &Object,
    sql: &str,
    parameters: &[Parameter<'_>],
) -> Result<Vec<Row>, PostgresFault> {
    let statement = connection.prepare_cached(sql).await?;
    let mut rows = std::pin::pin!(connection.query_raw(&statement, parameters).await?);
    let mut found = Vec::new();
    while let Some(row) = rows.try_next().await? {
        let cells = (0..row.len()).map(|column| row.try_get(column));
        found.push(Row(cells.collect::<Result<_, _>>()?));
    }
    Ok(found)
}

impl ToSql for Parameter<'_> {
    fn to_sql(&self, wanted: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match (self, wanted) {
            (Self::Null, _) => Ok(IsNull::Yes),
            (Self::Integer(number), &Type::INT8) => number.to_sql(wanted, out),
            (Self::Real(number), &Type::FLOAT8) => number.to_sql(wanted, out),
            // PostgreSQL keeps no zero bytes in texts; messages about broken files may quote some.
            (Self::Text(text), &Type::TEXT) if text.contains('\0') => {
                text.replace('\0', "\u{2400}").as_str().to_sql(wanted, out)
            }
            (Self::Text(text), &Type::TEXT) => text.to_sql(wanted, out),
            _ => Err(format!("{self:?} where the server expects {wanted}").into()),
        }
    }

    fn accepts(wanted: &Type) -> bool {
        [Type::INT8, Type::FLOAT8, Type::TEXT].contains(wanted)
    }

    to_sql_checked!();
}

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(match *kind {
            Type::INT4 => Self::Integer(i32::from_sql(kind, raw)?.into()),
            Type::INT8 => Self::Integer(i64::from_sql(kind, raw)?),
            Type::BOOL => Self::Integer(bool::from_sql(kind, raw)?.into()),
            Type::FLOAT8 => Self::Real(f64::from_sql(kind, raw)?),
            _ => Self::Text(String::from_sql(kind, raw)?),
        })
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Self::Null)
    }

    fn accepts(kind: &Type) -> bool {
        [Type::INT4, Type::INT8, Type::BOOL, Type::FLOAT8, Type::TEXT].contains(kind)
    }
}
