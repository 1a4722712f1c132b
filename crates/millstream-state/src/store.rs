//! The file: opening, migrating, and the one connection.

use std::{
    cmp::Ordering,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{BlockingRetryable, ExponentialBuilder};
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use crate::{Moment, StateError, Watch};

/// The state store of one environment of a project. Calls are short and block; any thread may make them.
#[derive(Debug)]
pub struct State {
    connection: Mutex<Connection>,
    path: PathBuf,
    /// Asked at each call; `None` outside of tests.
    watch: Option<Arc<dyn Watch>>,
}

/// Step `n` brings a store of format `n` to format `n + 1`. A step that was released never changes again.
const MIGRATIONS: [&str; 2] = [include_str!("migrations/0001.sql"), include_str!("migrations/0002.sql")];

/// Marks the file as ours in SQLite's header: the letters `MILS`.
const APPLICATION_ID: i64 = 0x4d49_4c53;

/// How long a statement waits while another process writes.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Prepared statements that are kept; more than the room has.
const STATEMENTS_MAX: usize = 64;

impl State {
    /// Opens the store, making the file and its folder where they are missing, and brings it to the present
    /// format. Where nothing can be written, the store is opened for reading, and a missing one is empty. Errors when
    /// the file is of a newer format or not a state store.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let connection = match open_to_write(path) {
            Err(error) if error.forbids_writing() && !path.is_dir() => open_to_read(path, error)?,
            opened => opened?,
        };
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        Ok(Self { connection: Mutex::new(connection), path: path.to_owned(), watch: None })
    }

    /// The store, asking `watch` at each call from now on.
    #[must_use]
    pub fn watched(self, watch: Arc<dyn Watch>) -> Self {
        Self { watch: Some(watch), ..self }
    }

    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The connection, for reading. A panic while the lock was held has rolled its transaction back, so the connection
    /// is sound.
    pub(crate) fn read(&self, doing: &'static str) -> Result<MutexGuard<'_, Connection>, StateError> {
        self.ask(doing, Moment::Before)?;
        Ok(self.connection.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Runs `work` in one transaction that is rolled back when `work` fails.
    pub(crate) fn write<T>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, StateError>,
    ) -> Result<T, StateError> {
        let mut connection = self.read(doing)?;
        let transaction = connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(StateError::query(doing))?;
        let result = work(&transaction)?;
        transaction.commit().map_err(StateError::query(doing))?;
        self.ask(doing, Moment::After)?;
        Ok(result)
    }

    fn ask(&self, doing: &'static str, moment: Moment) -> Result<(), StateError> {
        match &self.watch {
            Some(watch) if !watch.allows(doing, moment) => {
                let refused = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
                Err(StateError::query(doing)(rusqlite::Error::SqliteFailure(refused, None)))
            }
            _ => Ok(()),
        }
    }
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
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens a store that this process may not write. `refusal` is why it may not; it stays the answer where there is
/// no way to read either.
fn open_to_read(path: &Path, refusal: StateError) -> Result<Connection, StateError> {
    let open = StateError::open(path);
    let connection = match path.try_exists() {
        Ok(true) => read_only(path).map_err(|_| refusal)?,
        // Nothing is recorded yet, and nothing can be: an empty store that refuses to be filled tells both.
        Ok(false) => {
            let mut connection = Connection::open_in_memory().map_err(open)?;
            migrate(&mut connection, path)?;
            connection.pragma_update(None, "query_only", true).map_err(open)?;
            return Ok(connection);
        }
        Err(_) => return Err(refusal),
    };
    connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
    let found = pragma(&connection, path, "user_version")?;
    if pragma(&connection, path, "application_id")? != APPLICATION_ID {
        return Err(StateError::Foreign { path: path.to_owned() });
    }
    match found.cmp(&known_format()) {
        Ordering::Less => Err(StateError::Older { path: path.to_owned(), found, known: known_format() }),
        Ordering::Greater => Err(StateError::Newer { path: path.to_owned(), found, known: known_format() }),
        Ordering::Equal => Ok(connection),
    }
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
    let log = path.with_extension(match path.extension() {
        Some(extension) => format!("{}-wal", extension.to_string_lossy()),
        None => "-wal".to_owned(),
    });
    if fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        return Err(error);
    }
    let name = path.to_string_lossy().replace('%', "%25").replace('?', "%3f").replace('#', "%23");
    let flags = flags | OpenFlags::SQLITE_OPEN_URI;
    let connection = Connection::open_with_flags(format!("file:{name}?immutable=1"), flags)?;
    readable(&connection)?;
    Ok(connection)
}

/// The format that the last migration leaves.
fn known_format() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn pragma(connection: &Connection, path: &Path, name: &str) -> Result<i64, StateError> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map_err(StateError::open(path))
}

/// SQLite does not wait by itself where two connections change a new file's journal at once.
fn keep_write_ahead_log(connection: &Connection) -> rusqlite::Result<()> {
    let waits = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(1))
        .with_max_delay(Duration::from_millis(50))
        .with_total_delay(Some(BUSY_TIMEOUT))
        .without_max_times();
    let is_busy = |error: &rusqlite::Error| error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy);
    let change = || connection.pragma_update(None, "journal_mode", "WAL");
    change.retry(waits).sleep(std::thread::sleep).when(is_busy).call()
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StateError> {
    let open = StateError::open(path);
    let known = known_format();
    let is_current = pragma(connection, path, "user_version")? == known;
    if is_current && pragma(connection, path, "application_id")? == APPLICATION_ID {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(open)?;
    // Read again: another process may have migrated while this one waited for the transaction.
    let found = pragma(&transaction, path, "user_version")?;
    let application = pragma(&transaction, path, "application_id")?;
    let is_empty = transaction
        .query_row("SELECT count(*) = 0 FROM sqlite_schema", [], |row| row.get::<_, bool>(0))
        .map_err(open)?;
    if application != APPLICATION_ID && !is_empty {
        return Err(StateError::Foreign { path: path.to_owned() });
    }
    if found > known {
        return Err(StateError::Newer { path: path.to_owned(), found, known });
    }
    let done = usize::try_from(found).unwrap_or(0);
    for step in &MIGRATIONS[done..] {
        transaction.execute_batch(step).map_err(open)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(open)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(open)?;
    transaction.commit().map_err(open)
}
