//! The database behind the state store: what one has to do, and the values that go in and out.
//!
//! Each statement of this room is written once, in the SQL that SQLite and PostgreSQL share: parameters are `$1`, `$2`, …,
//! numbers have 64 bits, truths are the numbers 0 and 1, conflicts are handled by `ON CONFLICT`, values that may be null
//! are compared with `IS NOT DISTINCT FROM`.

use std::fmt::Debug;

use futures::future::BoxFuture;
use millstream_types::{AssetVersion, TimestampMicros};

use crate::{NewsOfOffers, OfferNews, StateError};

/// What a transaction is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// All statements see the database as it was at one moment. Nobody waits.
    Read,
    /// Writers take turns, also those of other processes.
    Write,
}

/// A value of a statement's parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Parameter<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(&'a str),
}

/// A value of a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
}

/// A row of a result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row(pub(crate) Vec<Cell>);

/// A database with the tables of a state store in their present format.
pub(crate) trait Database: Send + Sync + Debug {
    /// Whether all who share the database share a disk too, and so each other's files.
    fn is_local(&self) -> bool;

    /// What others who share the database tell of offered steps; `None` where all who share it are on one machine.
    fn news_of_offers(&self) -> Option<NewsOfOffers> {
        None
    }

    /// The rows of one statement that changes nothing.
    fn query<'a>(
        &'a self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, DatabaseError>>;

    /// Begins a transaction. One that is dropped before [`Transaction::commit`] leaves nothing.
    fn begin(&self, access: Access) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, DatabaseError>>;
}

/// Statements that are done together or not at all.
pub(crate) trait Transaction: Send {
    /// Returns the number of rows that were changed.
    fn execute<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<u64, DatabaseError>>;

    /// Does one statement for each of `rows`, in their order.
    fn execute_each<'a>(
        &'a mut self,
        sql: &'a str,
        rows: &'a [Vec<Parameter<'a>>],
    ) -> BoxFuture<'a, Result<(), DatabaseError>>;

    /// The rows of a statement, which may change some too (`RETURNING`).
    fn query<'a>(
        &'a mut self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, DatabaseError>>;

    /// Tells others of this change once it is committed, where the database passes news on.
    fn tell(&mut self, _news: OfferNews) {}

    /// The time that all who share the database compare: the database server's own, or `local`, the caller's, where only
    /// processes of one machine share it.
    fn now(&mut self, local: TimestampMicros) -> BoxFuture<'_, Result<TimestampMicros, DatabaseError>>;

    fn commit<'a>(self: Box<Self>) -> BoxFuture<'a, Result<(), DatabaseError>>
    where
        Self: 'a;
}

/// Why a database did not do a statement.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    #[cfg(feature = "postgres")]
    #[error(transparent)]
    Postgres(#[from] crate::postgres::PostgresFault),
}

impl DatabaseError {
    /// Whether the same statement may succeed a little later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Sqlite(error) => is_busy(error),
            #[cfg(feature = "postgres")]
            Self::Postgres(fault) => fault.is_transient(),
        }
    }

    /// Whether the connection to a server broke, or the server could not answer just now. SQLite has no server.
    pub(crate) fn is_lost(&self) -> bool {
        match self {
            Self::Sqlite(_) => false,
            #[cfg(feature = "postgres")]
            Self::Postgres(fault) => fault.is_lost() || fault.is_transient(),
        }
    }
}

/// Whether another connection of SQLite is at work.
pub(crate) fn is_busy(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseBusy, DatabaseLocked};
    matches!(error.sqlite_error_code(), Some(DatabaseBusy | DatabaseLocked))
}

impl Row {
    pub(crate) fn text(&mut self, column: usize) -> Result<String, StateError> {
        match self.take(column) {
            Cell::Text(text) => Ok(text),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn text_or_null(&mut self, column: usize) -> Result<Option<String>, StateError> {
        match self.take(column) {
            Cell::Text(text) => Ok(Some(text)),
            Cell::Null => Ok(None),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn integer(&mut self, column: usize) -> Result<i64, StateError> {
        match self.take(column) {
            Cell::Integer(number) => Ok(number),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn integer_or_null(&mut self, column: usize) -> Result<Option<i64>, StateError> {
        match self.take(column) {
            Cell::Integer(number) => Ok(Some(number)),
            Cell::Null => Ok(None),
            other => Err(unexpected(&other)),
        }
    }

    pub(crate) fn version_or_null(&mut self, column: usize) -> Result<Option<AssetVersion>, StateError> {
        Ok(self.integer_or_null(column)?.map(AssetVersion::numbered))
    }

    fn take(&mut self, column: usize) -> Cell {
        self.0.get_mut(column).map_or(Cell::Null, |cell| std::mem::replace(cell, Cell::Null))
    }
}

fn unexpected(cell: &Cell) -> StateError {
    let value = match cell {
        Cell::Null => "null".to_owned(),
        Cell::Integer(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => text.clone(),
    };
    StateError::Value { what: "a value of another type", value }
}

impl From<i64> for Parameter<'_> {
    fn from(number: i64) -> Self {
        Self::Integer(number)
    }
}

impl From<AssetVersion> for Parameter<'_> {
    fn from(version: AssetVersion) -> Self {
        Self::Integer(version.number())
    }
}

impl From<bool> for Parameter<'_> {
    fn from(truth: bool) -> Self {
        Self::Integer(truth.into())
    }
}

impl From<f64> for Parameter<'_> {
    fn from(number: f64) -> Self {
        Self::Real(number)
    }
}

impl<'a> From<&'a str> for Parameter<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text)
    }
}

impl<'a> From<&'a String> for Parameter<'a> {
    fn from(text: &'a String) -> Self {
        Self::Text(text)
    }
}

impl<'a, T: Into<Parameter<'a>>> From<Option<T>> for Parameter<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// The parameters of a statement, in the order of their numbers.
macro_rules! parameters {
    ($($value:expr),* $(,)?) => {
        [$($crate::database::Parameter::from($value)),*]
    };
}
pub(crate) use parameters;
