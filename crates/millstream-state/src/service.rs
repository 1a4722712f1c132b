//! Versions of feature services: each is what the service was resolved to when it changed, and never changes again.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::TimestampMicros;

use crate::{
    State, StateError,
    database::{Row, parameters},
};

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
    pub fn record_service<'a>(
        &'a self,
        service: &'a str,
        hash: &'a str,
        definition: &'a str,
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<i64, StateError>> {
        async move {
            let mut work = self.change("record the service").await?;
            let sql = "SELECT version FROM service_versions WHERE service = $1 AND hash = $2";
            let version = match work.row(sql, &parameters![service, hash]).await? {
                Some(mut known) => {
                    let version = known.integer(0)?;
                    work.execute(
                        "UPDATE service_versions SET definition = $3, removed_at = NULL \
                         WHERE service = $1 AND version = $2",
                        &parameters![service, version, definition],
                    )
                    .await?;
                    version
                }
                None => {
                    let sql = "SELECT coalesce(max(version), 0) FROM service_versions WHERE service = $1";
                    let newest = work.row(sql, &parameters![service]).await?;
                    let version = newest.map_or(Ok(0), |mut row| row.integer(0))? + 1;
                    work.execute(
                        "INSERT INTO service_versions (service, version, hash, definition, at) \
                         VALUES ($1, $2, $3, $4, $5)",
                        &parameters![service, version, hash, definition, at.0],
                    )
                    .await?;
                    version
                }
            };
            work.commit().await?;
            Ok(version)
        }
        .boxed()
    }

    /// All versions of all services, by service and version; the removed ones too.
    pub fn service_versions(&self) -> BoxFuture<'_, Result<Vec<ServiceVersion>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM service_versions ORDER BY service, version");
            let rows = self.rows("read the services", &sql, &[]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// Ends the serving of a version. Whether it was served before.
    pub fn remove_service<'a>(
        &'a self,
        service: &'a str,
        version: i64,
        at: TimestampMicros,
    ) -> BoxFuture<'a, Result<bool, StateError>> {
        async move {
            let mut work = self.change("remove the service's version").await?;
            let changed = work
                .execute(
                    "UPDATE service_versions SET removed_at = $3 \
                     WHERE service = $1 AND version = $2 AND removed_at IS NULL",
                    &parameters![service, version, at.0],
                )
                .await?;
            work.commit().await?;
            Ok(changed > 0)
        }
        .boxed()
    }
}

fn parse(mut row: Row) -> Result<ServiceVersion, StateError> {
    Ok(ServiceVersion {
        service: row.text(0)?,
        version: row.integer(1)?,
        hash: row.text(2)?,
        definition: row.text(3)?,
        at: TimestampMicros(row.integer(4)?),
        removed_at: row.integer_or_null(5)?.map(TimestampMicros),
    })
}
