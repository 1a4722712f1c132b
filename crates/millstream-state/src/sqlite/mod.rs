//! SQLite: a file, opened and brought to the present format, with one connection.

mod connection;
mod format;

use std::{fs, path::Path, time::Duration};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures::future::BoxFuture;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Mutex;

use crate::{
    StateError,
    database::{Access, Database, DatabaseError, Parameter, Row, Transaction, is_busy},
};

/// How long a transaction waits while another process writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// The number of prepared statements that are kept. This crate has fewer.
const STATEMENTS_MAX: usize = 64;

/// The file of SQLite. Its statements take microseconds and run on the thread that awaits them.
#[derive(Debug)]
pub(crate) struct Sqlite {
    connection: Mutex<Connection>,
}

impl Sqlite {
    /// Opens the file, making it and its folder where they are missing, and brings it to the present format. Where
    /// nothing can be written, it is opened for reading, and a missing one is empty. Blocks the thread.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        let connection = match open_to_write(path) {
            Err(error) if error.forbids_writing() && !path.is_dir() => open_to_read(path, error)?,
            opened => opened?,
        };
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(Self { connection: Mutex::new(connection) })
    }
}

impl Database for Sqlite {
    fn is_local(&self) -> bool {
        true
    }

    fn query<'a>(
        &'a self,
        sql: &'a str,
        parameters: &'a [Parameter<'a>],
    ) -> BoxFuture<'a, Result<Vec<Row>, DatabaseError>> {
        Box::pin(async move {
            let connection = self.connection.lock().await;
            Ok(connection::query(&connection, sql, parameters)?)
        })
    }

    fn begin(&self, access: Access) -> BoxFuture<'_, Result<Box<dyn Transaction + '_>, DatabaseError>> {
        Box::pin(async move {
            let connection = self.connection.lock().await;
            let mut waits = waits().build();
            // SQLite would block the thread while another process writes.
            while let Err(error) = connection::begin(&connection, access, BUSY_TIMEOUT) {
                match waits.next() {
                    Some(wait) if is_busy(&error) => tokio::time::sleep(wait).await,
                    _ => return Err(error.into()),
                }
            }
            Ok(Box::new(connection::Begun::new(connection)) as Box<dyn Transaction + '_>)
        })
    }
}

fn waits() -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(Duration::from_millis(50))
        .with_total_delay(Some(BUSY_TIMEOUT))
        .without_max_times()
}

fn open_to_write(path: &Path) -> Result<Connection, StateError> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)
            .map_err(|source| StateError::Folder { path: folder.to_owned(), source })?;
    }
    let open = StateError::open(path);
    let mut connection = Connection::open(path).map_err(open)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    keep_write_ahead_log(&connection).map_err(open)?;
    connection.pragma_update(None, "synchronous", "NORMAL").map_err(open)?;
    format::migrate(&mut connection, path)?;
    Ok(connection)
}

/// Turns the write-ahead log on, with repetitions: SQLite does not wait by itself where two connections change a new file's
/// journal at once.
fn keep_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    use backon::BlockingRetryable;

    let change = || connection.pragma_update(None, "journal_mode", "WAL");
    change.retry(waits()).sleep(std::thread::sleep).when(is_busy).call()
}

/// Opens a store that this process may not write. `refusal` is why it may not; it stays the answer where there is
/// no way to read either.
fn open_to_read(path: &Path, refusal: StateError) -> Result<Connection, StateError> {
    let open = StateError::open(path);
    let connection = match path.try_exists() {
        Ok(true) => read_only(path).map_err(|_| refusal)?,
        // Nothing is recorded yet, and nothing can be: reads find an empty store, and writes are refused.
        Ok(false) => {
            let mut connection = Connection::open_in_memory().map_err(open)?;
            format::migrate(&mut connection, path)?;
            connection.pragma_update(None, "query_only", true).map_err(open)?;
            return Ok(connection);
        }
        Err(_) => return Err(refusal),
    };
    connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    format::check(&connection, path)?;
    Ok(connection)
}

/// A connection that only reads. A store that nobody has open has no log beside it, and SQLite may not make one here;
/// its file is then complete and nobody changes it, which is what `immutable` promises.
fn read_only(path: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let readable = |connection: &Connection| {
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0))
    };
    let connection = Connection::open_with_flags(path, flags)?;
    let Err(error) = readable(&connection) else { return Ok(connection) };
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(error);
    }
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = flags | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
    readable(&connection)?;
    Ok(connection)
}
