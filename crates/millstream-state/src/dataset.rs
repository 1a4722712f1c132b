//! Versions of datasets that were built.

use millstream_types::TimestampMicros;
use rusqlite::{OptionalExtension, Row, params};

use crate::{Pin, State, StateError};

/// One built version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DatasetVersion {
    pub dataset: String,
    /// 1, 2, 3, …
    pub version: i64,
    /// Of everything that defines the version: equal ids, equal bytes.
    pub id: String,
    /// Where its file is: relative to the project's folder if it lies below it.
    pub path: String,
    /// The manifest as JSON.
    pub manifest: String,
    /// The service whose features it holds, with its version: `churn_v1@2`.
    pub service: Option<String>,
    pub at: TimestampMicros,
}

const COLUMNS: &str = "dataset, version, id, path, manifest, service, at";

impl State {
    /// Records a version and pins what it was built from, in one transaction; `built.version` is ignored and
    /// returned. What was recorded last, recorded again, is the same version, wherever its file is now.
    pub fn record_dataset(&self, built: &DatasetVersion, pins: &[Pin]) -> Result<i64, StateError> {
        let doing = "record the dataset";
        self.write(doing, |transaction| {
            let version: i64 = transaction
                .query_row(
                    "SELECT coalesce(max(version), 0) + iif(EXISTS (SELECT 1 FROM dataset_versions AS newest \
                     WHERE dataset = ?1 AND id = ?2 AND manifest = ?3 AND version = (SELECT max(version) FROM \
                     dataset_versions WHERE dataset = ?1)), 0, 1) FROM dataset_versions WHERE dataset = ?1",
                    params![built.dataset, built.id, built.manifest],
                    |row| row.get(0),
                )
                .map_err(StateError::query(doing))?;
            transaction
                .execute(
                    "INSERT OR REPLACE INTO dataset_versions (dataset, version, id, path, manifest, service, at) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        built.dataset,
                        version,
                        built.id,
                        built.path,
                        built.manifest,
                        built.service,
                        built.at.0
                    ],
                )
                .map_err(StateError::query(doing))?;
            for pin in pins {
                transaction
                    .execute(
                        "INSERT OR IGNORE INTO pins (table_name, version, pinned_by, at) VALUES (?1, ?2, ?3, ?4)",
                        params![pin.table.to_string(), pin.version, pin.pinned_by, pin.at.0],
                    )
                    .map_err(StateError::query(doing))?;
            }
            Ok(version)
        })
    }

    /// All versions of all datasets, by name and version.
    pub fn dataset_versions(&self) -> Result<Vec<DatasetVersion>, StateError> {
        let doing = "read the datasets";
        let sql = format!("SELECT {COLUMNS} FROM dataset_versions ORDER BY dataset, version");
        let connection = self.read(doing)?;
        let mut statement = connection.prepare_cached(&sql).map_err(StateError::query(doing))?;
        statement.query_map([], read).and_then(Iterator::collect).map_err(StateError::query(doing))
    }

    /// One version of a dataset, the newest where none is named.
    pub fn dataset_version(
        &self,
        dataset: &str,
        version: Option<i64>,
    ) -> Result<Option<DatasetVersion>, StateError> {
        let doing = "read a dataset";
        let sql = format!(
            "SELECT {COLUMNS} FROM dataset_versions WHERE dataset = ?1 AND version = coalesce(?2, version) \
             ORDER BY version DESC LIMIT 1"
        );
        let connection = self.read(doing)?;
        let mut statement = connection.prepare_cached(&sql).map_err(StateError::query(doing))?;
        let found = statement.query_row(params![dataset, version], read).optional();
        found.map_err(StateError::query(doing))
    }

    /// The number of a dataset's newest version.
    pub fn newest_dataset(&self, dataset: &str) -> Result<Option<i64>, StateError> {
        let doing = "read the newest version of a dataset";
        let sql = "SELECT max(version) FROM dataset_versions WHERE dataset = ?1";
        let connection = self.read(doing)?;
        let mut statement = connection.prepare_cached(sql).map_err(StateError::query(doing))?;
        statement.query_row([dataset], |row| row.get(0)).map_err(StateError::query(doing))
    }

    /// The numbers of a dataset's versions, the oldest first.
    pub fn dataset_numbers(&self, dataset: &str) -> Result<Vec<i64>, StateError> {
        let doing = "read the versions of a dataset";
        let sql = "SELECT version FROM dataset_versions WHERE dataset = ?1 ORDER BY version";
        let connection = self.read(doing)?;
        let mut statement = connection.prepare_cached(sql).map_err(StateError::query(doing))?;
        let numbers = statement.query_map([dataset], |row| row.get(0)).and_then(Iterator::collect);
        numbers.map_err(StateError::query(doing))
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<DatasetVersion> {
    Ok(DatasetVersion {
        dataset: row.get(0)?,
        version: row.get(1)?,
        id: row.get(2)?,
        path: row.get(3)?,
        manifest: row.get(4)?,
        service: row.get(5)?,
        at: TimestampMicros(row.get(6)?),
    })
}
