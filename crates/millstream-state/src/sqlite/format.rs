//! The format of the file: its number, its mark, and the steps from older ones.

use std::{cmp::Ordering, path::Path};

use rusqlite::{Connection, TransactionBehavior};

use crate::StateError;

/// Step `n` brings a store of format `n` to format `n + 1`. A step that was released never changes again.
const MIGRATIONS: [&str; 19] = [
    include_str!("migrations/0001.sql"),
    include_str!("migrations/0002.sql"),
    include_str!("migrations/0003.sql"),
    include_str!("migrations/0004.sql"),
    include_str!("migrations/0005.sql"),
    include_str!("migrations/0006.sql"),
    include_str!("migrations/0007.sql"),
    include_str!("migrations/0008.sql"),
    include_str!("migrations/0009.sql"),
    include_str!("migrations/0010.sql"),
    include_str!("migrations/0011.sql"),
    include_str!("migrations/0012.sql"),
    include_str!("migrations/0013.sql"),
    include_str!("migrations/0014.sql"),
    include_str!("migrations/0015.sql"),
    include_str!("migrations/0016.sql"),
    include_str!("migrations/0018.sql"),
    include_str!("migrations/0019.sql"),
    include_str!("migrations/0020.sql"),
];

/// The format of the first store that was made.
const FORMAT_MIN: i64 = 1;

/// Marks the file as ours in SQLite's header: the letters `MILS`.
const APPLICATION_ID: i64 = 0x4d49_4c53;

/// Refuses a file that is not of the present format, which a reader cannot change.
pub(super) fn check(connection: &Connection, path: &Path) -> Result<(), StateError> {
    let (found, known) = (pragma(connection, path, "user_version")?, known_format());
    if pragma(connection, path, "application_id")? != APPLICATION_ID {
        return Err(StateError::Foreign { path: path.to_owned() });
    }
    if found < FORMAT_MIN {
        return Err(unknown(path, found));
    }
    match found.cmp(&known) {
        Ordering::Less => Err(StateError::Older { path: path.to_owned(), found, known }),
        Ordering::Greater => Err(StateError::Newer { place: path.display().to_string(), found, known }),
        Ordering::Equal => Ok(()),
    }
}

pub(super) fn migrate(connection: &mut Connection, path: &Path) -> Result<(), StateError> {
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
        return Err(StateError::Newer { place: path.display().to_string(), found, known });
    }
    // A file that is new has the format 0, and no mark yet.
    let formats = if application == APPLICATION_ID { FORMAT_MIN..=known } else { 0..=0 };
    if !formats.contains(&found) {
        return Err(unknown(path, found));
    }
    let done = usize::try_from(found).unwrap_or(0);
    for step in &MIGRATIONS[done..] {
        transaction.execute_batch(step).map_err(open)?;
    }
    transaction.pragma_update(None, "user_version", known).map_err(open)?;
    transaction.pragma_update(None, "application_id", APPLICATION_ID).map_err(open)?;
    transaction.commit().map_err(open)
}

fn unknown(path: &Path, found: i64) -> StateError {
    StateError::UnknownFormat { place: path.display().to_string(), found }
}

/// The format that the last migration leaves.
fn known_format() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

fn pragma(connection: &Connection, path: &Path, name: &str) -> Result<i64, StateError> {
    connection.pragma_query_value(None, name, |row| row.get(0)).map_err(StateError::open(path))
}
