//! Reports of how served values compare with the lake.

use millstream_types::TimestampMicros;
use rusqlite::params;

use crate::{State, StateError};

impl State {
    /// Keeps a report, as JSON.
    pub fn record_verification(&self, at: TimestampMicros, report: &str) -> Result<(), StateError> {
        let doing = "record the verification";
        self.write(doing, |transaction| {
            transaction
                .execute("INSERT INTO verify_reports (at, report) VALUES (?1, ?2)", params![at.0, report])
                .map(|_| ())
                .map_err(StateError::query(doing))
        })
    }

    /// The newest reports first.
    pub fn verifications(&self, limit: usize) -> Result<Vec<(TimestampMicros, String)>, StateError> {
        let doing = "read the verifications";
        let connection = self.read(doing)?;
        let mut statement = connection
            .prepare_cached("SELECT at, report FROM verify_reports ORDER BY id DESC LIMIT ?1")
            .map_err(StateError::query(doing))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        statement
            .query_map([limit], |row| Ok((TimestampMicros(row.get(0)?), row.get(1)?)))
            .and_then(Iterator::collect)
            .map_err(StateError::query(doing))
    }
}
