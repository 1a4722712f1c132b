//! Versions of datasets that were built.

use futures::future::{BoxFuture, FutureExt};
use millstream_types::TimestampMicros;

use crate::{
    Pin, State, StateError,
    database::{Row, parameters},
    pin,
    store::Work,
};

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
    pub fn record_dataset<'a>(
        &'a self,
        built: &'a DatasetVersion,
        pins: &'a [Pin],
    ) -> BoxFuture<'a, Result<i64, StateError>> {
        async move {
            let mut work = self.change("record the dataset").await?;
            let version = number_of(&mut work, built).await?;
            work.execute(
                "INSERT INTO dataset_versions (dataset, version, id, path, manifest, service, at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (dataset, version) DO UPDATE SET \
                 id = excluded.id, path = excluded.path, manifest = excluded.manifest, service = excluded.service, \
                 at = excluded.at",
                &parameters![
                    &built.dataset,
                    version,
                    &built.id,
                    &built.path,
                    &built.manifest,
                    built.service.as_deref(),
                    built.at.0
                ],
            )
            .await?;
            for pin in pins {
                pin::insert(&mut work, pin, &pin.pinned_by).await?;
            }
            work.commit().await?;
            Ok(version)
        }
        .boxed()
    }

    /// All versions of all datasets, by name and version.
    pub fn dataset_versions(&self) -> BoxFuture<'_, Result<Vec<DatasetVersion>, StateError>> {
        async move {
            let sql = format!("SELECT {COLUMNS} FROM dataset_versions ORDER BY dataset, version");
            let rows = self.rows("read the datasets", &sql, &[]).await?;
            rows.into_iter().map(parse).collect()
        }
        .boxed()
    }

    /// One version of a dataset, the newest where none is named.
    pub fn dataset_version<'a>(
        &'a self,
        dataset: &'a str,
        version: Option<i64>,
    ) -> BoxFuture<'a, Result<Option<DatasetVersion>, StateError>> {
        async move {
            let sql = format!(
                "SELECT {COLUMNS} FROM dataset_versions WHERE dataset = $1 AND version = coalesce($2, version) \
                 ORDER BY version DESC LIMIT 1"
            );
            let rows = self.rows("read a dataset", &sql, &parameters![dataset, version]).await?;
            rows.into_iter().next().map(parse).transpose()
        }
        .boxed()
    }

    /// The number of a dataset's newest version.
    pub fn newest_dataset<'a>(&'a self, dataset: &'a str) -> BoxFuture<'a, Result<Option<i64>, StateError>> {
        async move {
            let sql = "SELECT max(version) FROM dataset_versions WHERE dataset = $1";
            let rows = self.rows("read the newest version of a dataset", sql, &parameters![dataset]).await?;
            rows.into_iter().next().map_or(Ok(None), |mut row| row.integer_or_null(0))
        }
        .boxed()
    }

    /// The numbers of a dataset's versions, the oldest first.
    pub fn dataset_numbers<'a>(&'a self, dataset: &'a str) -> BoxFuture<'a, Result<Vec<i64>, StateError>> {
        async move {
            let sql = "SELECT version FROM dataset_versions WHERE dataset = $1 ORDER BY version";
            let rows = self.rows("read the versions of a dataset", sql, &parameters![dataset]).await?;
            rows.into_iter().map(|mut row| row.integer(0)).collect()
        }
        .boxed()
    }
}

/// The newest version if it was built alike, else the next one.
async fn number_of(work: &mut Work<'_>, built: &DatasetVersion) -> Result<i64, StateError> {
    let sql =
        "SELECT version, id, manifest FROM dataset_versions WHERE dataset = $1 ORDER BY version DESC LIMIT 1";
    let Some(mut newest) = work.row(sql, &parameters![&built.dataset]).await? else { return Ok(1) };
    let is_alike = newest.text(1)? == built.id && newest.text(2)? == built.manifest;
    Ok(newest.integer(0)? + i64::from(!is_alike))
}

fn parse(mut row: Row) -> Result<DatasetVersion, StateError> {
    Ok(DatasetVersion {
        dataset: row.text(0)?,
        version: row.integer(1)?,
        id: row.text(2)?,
        path: row.text(3)?,
        manifest: row.text(4)?,
        service: row.text_or_null(5)?,
        at: TimestampMicros(row.integer(6)?),
    })
}
