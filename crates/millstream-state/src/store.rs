//! The file: opening, migrating, and the one connection.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use backon::{BlockingRetryable, ExponentialBuilder};
use rusqlite::{Connection, ErrorCode, Transaction, TransactionBehavior};

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
    /// format. Errors when the file is of a newer format or not a state store.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)
                .map_err(|source| StateError::Folder { path: folder.to_owned(), source })?;
        }
        let open = |source| StateError::Open { path: path.to_owned(), source };
        let mut connection = Connection::open(path).map_err(open)?;
        connection.busy_timeout(BUSY_TIMEOUT).map_err(open)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS_MAX);
        keep_write_ahead_log(&connection).map_err(open)?;
        connection.pragma_update(None, "synchronous", "NORMAL").map_err(open)?;
        migrate(&mut connection, path)?;
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
    let open = |source| StateError::Open { path: path.to_owned(), source };
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    let pragma = |connection: &Connection, name: &str| {
        connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).map_err(open)
    };
    let is_current = pragma(connection, "user_version")? == known;
    if is_current && pragma(connection, "application_id")? == APPLICATION_ID {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(open)?;
    // Read again: another process may have migrated while this one waited for the transaction.
    let found = pragma(&transaction, "user_version")?;
    let application = pragma(&transaction, "application_id")?;
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
