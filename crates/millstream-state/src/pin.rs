//! Versions of tables that something needs, so that maintenance leaves them.

use millstream_types::{TableName, TimestampMicros};
use rusqlite::params;

use crate::{State, StateError, value};

/// A version that must stay readable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    pub table: TableName,
    pub version: i64,
    /// Who needs it, for people and for [`State::unpin`].
    pub pinned_by: String,
    pub at: TimestampMicros,
}

impl State {
    /// Pinning twice keeps the first time.
    pub fn pin(&self, pin: &Pin) -> Result<(), StateError> {
        let doing = "pin the version";
        self.write(doing, |transaction| {
            transaction
                .execute(
                    "INSERT OR IGNORE INTO pins (table_name, version, pinned_by, at) VALUES (?1, ?2, ?3, ?4)",
                    params![pin.table.to_string(), pin.version, pin.pinned_by, pin.at.0],
                )
                .map(|_| ())
                .map_err(StateError::query(doing))
        })
    }

    /// Puts these pins in the place of all that `pinned_by` had, or leaves everything as it was.
    pub fn replace_pins(&self, pinned_by: &str, pins: &[Pin]) -> Result<(), StateError> {
        let doing = "pin the versions";
        self.write(doing, |transaction| {
            transaction
                .execute("DELETE FROM pins WHERE pinned_by = ?1", [pinned_by])
                .map_err(StateError::query(doing))?;
            for pin in pins {
                transaction
                    .execute(
                        "INSERT OR IGNORE INTO pins (table_name, version, pinned_by, at) VALUES (?1, ?2, ?3, ?4)",
                        params![pin.table.to_string(), pin.version, pinned_by, pin.at.0],
                    )
                    .map_err(StateError::query(doing))?;
            }
            Ok(())
        })
    }

    /// Whether there was such a pin.
    pub fn unpin(&self, table: &TableName, version: i64, pinned_by: &str) -> Result<bool, StateError> {
        let doing = "unpin the version";
        self.write(doing, |transaction| {
            transaction
                .execute(
                    "DELETE FROM pins WHERE table_name = ?1 AND version = ?2 AND pinned_by = ?3",
                    params![table.to_string(), version, pinned_by],
                )
                .map(|removed| removed > 0)
                .map_err(StateError::query(doing))
        })
    }

    /// All pins, by table and version.
    pub fn pins(&self) -> Result<Vec<Pin>, StateError> {
        let doing = "read the pins";
        let connection = self.read(doing)?;
        let mut statement = connection
            .prepare_cached("SELECT table_name, version, pinned_by, at FROM pins ORDER BY 1, 2, 3")
            .map_err(StateError::query(doing))?;
        let rows: Vec<(String, i64, String, i64)> = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))
            .and_then(Iterator::collect)
            .map_err(StateError::query(doing))?;
        rows.into_iter()
            .map(|(table, version, pinned_by, at)| match table.parse() {
                Ok(table) => Ok(Pin { table, version, pinned_by, at: TimestampMicros(at) }),
                Err(_) => Err(value::unknown("a table's name", table)),
            })
            .collect()
    }
}
