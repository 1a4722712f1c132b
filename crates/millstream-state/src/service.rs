//! Versions of feature services: each is what the service was resolved to when it changed, and never changes again.

use millstream_types::TimestampMicros;
use rusqlite::{OptionalExtension, Row, params};

use crate::{State, StateError};

/// One version of a service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServiceVersion {
    pub service: String,
    /// 1, 2, 3, …
    pub version: i64,
    /// Of what changes the values.
    pub hash: String,
    /// The resolved definition as the features room writes it.
    pub definition: String,
    pub at: TimestampMicros,
    /// Since when the version is no longer served.
    pub removed_at: Option<TimestampMicros>,
}

const COLUMNS: &str = "service, version, hash, definition, at, removed_at";

impl State {
    /// Records a definition and returns its version. A hash that a version of the service has keeps that version, its
    /// definition taken over (a description may be another one) and served again if it was removed.
    pub fn record_service(
        &self,
        service: &str,
        hash: &str,
        definition: &str,
        at: TimestampMicros,
    ) -> Result<i64, StateError> {
        let doing = "record the service";
        self.write(doing, |transaction| {
            let known: Option<i64> = transaction
                .query_row(
                    "SELECT version FROM service_versions WHERE service = ?1 AND hash = ?2",
                    [service, hash],
                    |row| row.get(0),
                )
                .optional()
                .map_err(StateError::query(doing))?;
            if let Some(version) = known {
                transaction
                    .execute(
                        "UPDATE service_versions SET definition = ?3, removed_at = NULL \
                         WHERE service = ?1 AND version = ?2",
                        params![service, version, definition],
                    )
                    .map_err(StateError::query(doing))?;
                return Ok(version);
            }
            transaction
                .query_row(
                    "INSERT INTO service_versions (service, version, hash, definition, at) \
                     SELECT ?1, coalesce(max(version), 0) + 1, ?2, ?3, ?4 FROM service_versions WHERE service = ?1 \
                     RETURNING version",
                    params![service, hash, definition, at.0],
                    |row| row.get(0),
                )
                .map_err(StateError::query(doing))
        })
    }

    /// All versions of all services, by service and version; the removed ones too.
    pub fn service_versions(&self) -> Result<Vec<ServiceVersion>, StateError> {
        let doing = "read the services";
        let sql = format!("SELECT {COLUMNS} FROM service_versions ORDER BY service, version");
        let connection = self.read(doing)?;
        let mut statement = connection.prepare_cached(&sql).map_err(StateError::query(doing))?;
        statement.query_map([], read).and_then(Iterator::collect).map_err(StateError::query(doing))
    }

    /// Ends the serving of a version. Whether it was served before.
    pub fn remove_service(
        &self,
        service: &str,
        version: i64,
        at: TimestampMicros,
    ) -> Result<bool, StateError> {
        let doing = "remove the service's version";
        self.write(doing, |transaction| {
            transaction
                .execute(
                    "UPDATE service_versions SET removed_at = ?3 \
                     WHERE service = ?1 AND version = ?2 AND removed_at IS NULL",
                    params![service, version, at.0],
                )
                .map(|changed| changed > 0)
                .map_err(StateError::query(doing))
        })
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<ServiceVersion> {
    Ok(ServiceVersion {
        service: row.get(0)?,
        version: row.get(1)?,
        hash: row.get(2)?,
        definition: row.get(3)?,
        at: TimestampMicros(row.get(4)?),
        removed_at: row.get::<_, Option<i64>>(5)?.map(TimestampMicros),
    })
}
